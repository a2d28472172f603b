"""What the claims about reward models compare can stand as arms of one matrix."""

from __future__ import annotations

import pytest
import yaml

from bench.matrix.reading import parse_matrix

# claim: (matrix, arms, the shared stages' settings that differ)
CLAIMS = {
    "15: a reward model overfits small data": (
        """
tasks: reviews
methods:
  ppo 50: {method: ppo, stages: {preferences: {pairs: 50}, reward_model: {epochs: 80}}}
  ppo 500: {method: ppo, stages: {preferences: {pairs: 500}, reward_model: {epochs: 8}}}
  ppo 5000: {method: ppo, stages: {preferences: {pairs: 5000}, reward_model: {epochs: 0.8}}}
seeds: 10
""",
        3,
        {"preferences.pairs", "reward_model.epochs"},
    ),
    "16: comparisons beat ratings where the raters' scales differ": (
        """
tasks:
  scales: {task: reviews, raters: 20, rater_spread: 1.5}
  control: {task: reviews, raters: 20, rater_spread: 0}
methods: {best_of_n: {stages: {reward_model: {fit: [pairs, ratings]}}}}
stages: {preferences: {pairs: 2000}, ratings: {ratings: 2000}}
seeds: 10
""",
        2,
        {"reward_model.fit"},
    ),
    "17: a start from the SFT model buys speed": (
        """
tasks: reviews
methods: {sft: {stages: {reward_model: {start: [sft, base, scratch]}}}}
stages: {reward_model: {epochs: 8}}
seeds: 10
""",
        3,
        {"reward_model.start"},
    ),
    "18: a margin uses how much better": (
        """
tasks: reviews
methods: {sft: {stages: {reward_model: {margin: [0, 0.5, 1]}}}}
seeds: 10
""",
        3,
        {"reward_model.margin"},
    ),
    "19: a language-model loss beside the reward loss": (
        """
tasks: reviews
methods: {best_of_n: {n: [4, 64], stages: {reward_model: {lm_weight: [0, 0.1, 0.5]}}}}
seeds: 10
""",
        6,
        {"reward_model.lm_weight"},
    ),
    "20: accuracy alone does not make a good reward model": (
        """
tasks: reviews
methods: {ppo: {stages: {reward_model: {seed: [0, 1, 2, 3, 4]}}}}
seeds: 10
""",
        5,
        {"reward_model.seed"},
    ),
    "21: good alignment needs an accurate reward model": (
        """
tasks: reviews
methods: {ppo: {stages: {preferences: {pairs: [50, 200, 1000]}, reward_model: {epochs: [1, 4]}}}}
seeds: 10
""",
        6,
        {"preferences.pairs", "reward_model.epochs"},
    ),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claims_arms_differ_in_the_stages_it_is_about_and_in_nothing_else(claim: str) -> None:
    text, count, settings = CLAIMS[claim]
    matrix = parse_matrix(yaml.safe_load(text))
    assert len(matrix.arms) == count
    assert len(matrix.seeds) == 10
    differ = set()
    first = matrix.arms[0].stages.model_dump()
    for arm in matrix.arms:
        assert type(arm.method) is type(matrix.arms[0].method)
        for stage, values in arm.stages.model_dump().items():
            differ |= {f"{stage}.{name}" for name, value in values.items() if value != first[stage][name]}
    assert differ == settings
