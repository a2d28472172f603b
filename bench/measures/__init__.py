"""What is measured: the flat names that a record's `measures` uses, with unit and direction.

The definitions are in this package's modules, one function each. Nothing heavy is imported: `bench list`
reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MeasureInfo:
    """What a table or a listing needs to know about a measure.

    better: where a good policy is; ``"zero"`` for signed estimates of something that should vanish; None
    where neither direction is good in itself.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower", "zero"] | None
    description: str


_M = MeasureInfo
_ALL = (
    _M("proxy", "proxy reward", "", "higher", "mean score of the learned reward model"),
    _M("proxy_sd", "proxy reward, sd", "", None, "standard deviation of proxy over completions"),
    _M("gold", "gold reward", "", "higher", "mean of what is really wanted, where it is known"),
    _M("gold_sd", "gold reward, sd", "", None, "standard deviation of gold over completions"),
    _M("judge", "judge", "", "higher", "mean score by gold, or by a reward model no policy has seen"),
    _M("judge_sd", "judge, sd", "", None, "standard deviation of judge over completions"),
    _M("kl", "KL", "nats", None, "KL(π‖π0) per completion, whole vocabulary at each sampled prefix"),
    _M("kl_k1", "KL, k1", "nats", None, "plain Monte Carlo KL(π‖π0): mean of −log r, r = π0/π"),
    _M("kl_k3", "KL, k3", "nats", None, "mean of r − 1 − log r; heavy-tailed where KL is large"),
    _M("kl_bound", "KL, upper bound", "nats", None, "best-of-n only: log n − (n − 1)/n"),
    _M("perplexity_reference", "perplexity (reference)", "", "lower", "of π on held-out reference text"),
    _M("perplexity_samples", "perplexity (samples)", "", None, "of π0 on π's samples: how odd they look"),
    _M("entropy", "entropy", "nats/token", None, "mean entropy of π's next-token distribution"),
    _M("distinct_1", "distinct-1", "", None, "distinct words / words among one prompt's completions"),
    _M("distinct_2", "distinct-2", "", None, "distinct word pairs / pairs, likewise"),
    _M("unique", "unique", "", None, "share of distinct completions among one prompt's"),
    _M("length", "length", "tokens", None, "mean tokens per completion, end of sequence included"),
    _M("finished", "finished", "", None, "share of completions that ended before the token limit"),
    _M("ece_all", "ECE (plain)", "", "lower", "10 equal-width bins, every choice an entry"),
    _M("ece_top", "ECE (top choice)", "", "lower", "10 equal-width bins, the most probable choice alone"),
    _M("ece_debiased", "ECE", "", "zero", "debiased: equal-mass bins, every choice an entry; primary"),
    _M("ece_exact", "distance to posterior", "", "lower", "mean |p − true posterior| over all choices"),
    _M("brier", "Brier", "", "lower", "mean (probability − outcome)² over all choices"),
    _M("probe_nll", "probe NLL", "nats", "lower", "mean −log probability of the right choice"),
    _M("probe_accuracy", "probe accuracy", "", "higher", "how often the most probable choice is right"),
    _M("probe_count", "probes", "questions", None, "number of multiple-choice questions"),
    _M("win", "win", "", "higher", "share of completions judged better than π0's for the prompt"),
    _M("tie", "tie", "", None, "share of completions within the tie band of π0's for the prompt"),
    _M("loss", "loss", "", "lower", "share of completions judged worse than π0's for the prompt"),
    _M("win_rate", "win rate vs SFT", "", "higher", "(wins + ½ ties) / N against π0, the SFT policy"),
    _M("reference_proxy", "proxy reward of π0", "", None, "mean over π0's own samples, to standardise on"),
    _M("reference_proxy_sd", "proxy reward of π0, sd", "", None, "its standard deviation over completions"),
    _M("reference_gold", "gold reward of π0", "", None, "mean over π0's own samples, to standardise on"),
    _M("reference_gold_sd", "gold reward of π0, sd", "", None, "its standard deviation over completions"),
    _M("reference_judge", "judge of π0", "", None, "mean over π0's own samples, to standardise on"),
    _M("reference_judge_sd", "judge of π0, sd", "", None, "its standard deviation over completions"),
    _M("reward_model_accuracy", "reward-model accuracy", "", "higher", "on held-out preference pairs"),
)

MEASURES: dict[str, MeasureInfo] = {info.name: info for info in _ALL}
"""Every measure by its name, in the order in which listings show them."""
