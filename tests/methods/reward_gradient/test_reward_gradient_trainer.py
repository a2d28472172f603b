"""What the relaxed rollout and RewardGradientTrainer promise, on models of a few thousand parameters."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from transformers import (
    GPT2ForSequenceClassification,
)

from bench.contracts.errors import BenchError, Diverged
from bench.models.encoding import decode_completions, encode_prompts
from bench.models.learned_reward import RewardModel
from bench.models.padding import pad_right
from bench.models.training.callbacks import FiniteCallback
from methods.reward_gradient import relaxed_objective
from methods.reward_gradient.relaxation import end_weights, relax
from methods.reward_gradient.rollout import Rollout, force, next_logits, score_every_end, write
from methods.reward_gradient.trainer import RewardGradientTrainer
from tests.methods.reward_gradient.relaxed_models import PROMPTS, prompts, reward_for, trainer
from tests.small_models import WORDS, gpt2, llama, tokenizer

FORCED = [[1], [3, 1], [5, 4, 1], [6, 3, 4, 8]]  # end at once, soon, later, never
ESTIMATORS = ["soft", "gumbel_softmax", "straight_through"]


def forced(rows: list[list[int]], pad_is_eos: bool = False):
    return pad_right(rows, tokenizer(pad_is_eos).pad_token_id)


def one_hot(rows: list[list[int]]) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(rows), len(tokenizer())).float()


class Step(torch.nn.Module):
    """A score head whose output is a step function of what another says."""

    def __init__(self, score: torch.nn.Module) -> None:
        super().__init__()
        self.score = score

    def forward(self, hidden):
        return (self.score(hidden) > 0).float()


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(before, after) -> bool:
    return any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("pad_is_eos", [False, True])
def test_on_one_hot_tokens_the_relaxed_reward_is_the_reward_models_own_score(make, pad_is_eos):
    # ends at once, in the middle, with the last token, never
    rows = [[1, 5, 6, 7], [3, 4, 1, 8], [9, 8, 7, 1], [3, 5, 4, 6]]
    module, made = reward_for(make(pad_is_eos=pad_is_eos)), tokenizer(pad_is_eos)
    vectors = one_hot(rows)
    scores = score_every_end(module, *prompts(pad_is_eos), vectors)
    relaxed = (end_weights(vectors[..., 1]) * scores).sum(1)

    completions = [
        "".join(" " + WORDS[token - 3] for token in (row[: row.index(1)] if 1 in row else row)) for row in rows
    ]
    own = RewardModel(module, made)(PROMPTS, completions)
    torch.testing.assert_close(relaxed, torch.tensor(own), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "temperature"), [("soft", 1e-6), ("gumbel_softmax", 1e-6), ("straight_through", 1.0)]
)
def test_in_the_hard_limit_every_estimator_reads_the_policys_own_tokens(estimator, temperature):
    model, (ids, mask) = gpt2(), prompts()
    with torch.no_grad():
        rollout = write(model, ids, mask, 6, noisy(estimator, temperature))
    vectors, logits = rollout.vectors, rollout.logits
    tokens = vectors.argmax(-1)
    torch.testing.assert_close(vectors, one_hot(tokens.tolist()))
    whole, whole_mask = torch.cat([ids, tokens], 1), torch.cat([mask, torch.ones_like(tokens)], 1)
    positions = (whole_mask.cumsum(1) - 1).clamp(min=0)
    expected = model(input_ids=whole, attention_mask=whole_mask, position_ids=positions).logits[:, -7:-1]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    again = next_logits(model, ids, mask, vectors)
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=1e-4)
    if estimator == "soft":
        assert torch.equal(tokens, expected.argmax(-1))


def roll_out(kind: str, model, relaxation, pad_is_eos: bool = False) -> Rollout:
    """Four steps after `PROMPTS`, free or along `FORCED`."""
    if kind == "free":
        return write(model, *prompts(pad_is_eos), 4, relaxation)
    return force(model, *prompts(pad_is_eos), *forced(FORCED, pad_is_eos), relaxation)


@pytest.mark.parametrize("kind", ["free", "teacher_forced"])
def test_a_relaxed_completion_ends_in_eos_whichever_token_of_several_ends_it(kind):
    one, several = gpt2(), gpt2()
    several.generation_config.eos_token_id = [1, 4, 6]
    kept, folded = (roll_out(kind, model, noisy("soft", 1.0)) for model in (one, several))
    ends = kept.vectors[..., [1, 4, 6]].sum(-1)
    torch.testing.assert_close(folded.vectors[..., 1], ends)
    assert folded.vectors[..., [4, 6]].abs().max() == 0
    torch.testing.assert_close(folded.vectors.sum(-1), torch.ones_like(ends))
    torch.testing.assert_close(folded.logits, kept.logits)  # the policy reads what it wrote
    if kind == "free":
        going = torch.cat([torch.ones_like(ends[:, :1]), (1 - ends).cumprod(1)[:, :-1]], 1)
        torch.testing.assert_close(folded.going, going)


def noisy(estimator: str, temperature: float):
    """`relax` with noise that is the same in every rollout that begins with a new one of these."""
    return partial(relax, estimator=estimator, temperature=temperature, generator=torch.Generator().manual_seed(0))


def straight_through_surrogate(kind: str, model):
    """What straight-through differentiates: the soft tokens, moved to the corners by an offset that stays."""
    offsets = []

    def record(logits):
        pair = [relax(logits, e, 0.9, torch.Generator().manual_seed(len(offsets))) for e in ESTIMATORS[1:]]
        offsets.append((pair[1] - pair[0]).detach())
        return pair[1]

    exact = roll_out(kind, model, record)

    def replay():
        steps = iter(range(len(offsets)))

        def surrogate(logits):
            step = next(steps)
            soft = relax(logits, "gumbel_softmax", 0.9, torch.Generator().manual_seed(step))
            return soft + offsets[step]

        return roll_out(kind, model, surrogate)

    return exact, replay


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", ["free", "teacher_forced"])
def test_the_objectives_gradient_agrees_with_finite_differences(estimator, kind):
    model, at = gpt2().double(), prompts()
    module, reference = reward_for(gpt2()).double(), gpt2(seed=5).double()
    if estimator == "straight_through":
        rollout, again = straight_through_surrogate(kind, model)
    else:

        def again():
            return roll_out(kind, model, noisy(estimator, 0.9))

        rollout = again()
    # the end weights carry no gradient, so the differences hold them still as well
    fixed = end_weights(rollout.vectors[..., 1].detach())

    def moved_objective() -> torch.Tensor:
        moved = again()
        reward = (fixed * score_every_end(module, *at, moved.vectors)).sum(1).mean()
        return reward - 0.5 * relaxed_objective.kl_to(reference, *at, moved).mean()

    value = (
        relaxed_objective.reward(module, *at, rollout).mean()
        - 0.5 * relaxed_objective.kl_to(reference, *at, rollout).mean()
    )
    torch.testing.assert_close(value, moved_objective())
    value.backward()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.double)
        with torch.no_grad():
            ends = []
            for step in (1e-5, -1e-5):
                parameter.add_(step * direction)
                ends.append(moved_objective())
                parameter.sub_(step * direction)
        slope = (ends[0] - ends[1]) / 2e-5
        torch.testing.assert_close((parameter.grad * direction).sum(), slope, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("pad_is_eos", [False, True])
def test_forced_to_read_what_it_would_have_written_a_rollout_is_the_free_one(pad_is_eos):
    model, at = gpt2(pad_is_eos=pad_is_eos), prompts(pad_is_eos)
    module, reference = reward_for(model), gpt2(seed=5, pad_is_eos=pad_is_eos)
    noise = 2 * torch.randn(len(PROMPTS), 6, len(tokenizer()), generator=torch.Generator().manual_seed(3))
    steps = iter(range(6))
    with torch.no_grad():
        free = write(model, *at, 6, lambda logits: relax(logits + noise[:, next(steps)], "soft", 1e-6))
        rows = free.vectors.argmax(-1).tolist()
        texts = [row[: row.index(1) + 1] if 1 in row else row for row in rows]
        assert {len(text) for text in texts} == {2, 6}, "one text ends early, some at the last step or never"
        length = max(map(len, texts))
        again = force(
            model, *at, *forced(texts, pad_is_eos), lambda logits: relax(logits + noise[:, :length], "soft", 1e-6)
        )
        rewards = [relaxed_objective.reward(module, *at, rollout) for rollout in (free, again)]
        kls = [relaxed_objective.kl_to(reference, *at, rollout) for rollout in (free, again)]
    torch.testing.assert_close(*rewards, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(*kls, atol=1e-5, rtol=1e-4)
    assert min(kls[0]) > 0


def test_a_forced_rollout_ends_with_the_given_text_at_the_latest():
    rollout = force(gpt2(), *prompts(), *forced(FORCED), noisy("soft", 1.0))
    weights_of_ends = end_weights(rollout.vectors[..., 1])
    for row, text in enumerate(FORCED[:-1]):
        torch.testing.assert_close(weights_of_ends[row, len(text) + 1 :].sum(), torch.tensor(0.0))
        assert rollout.going[row].sum() == len(text)
    assert weights_of_ends[-1, -1] > 0, "the longest may never end"


@pytest.mark.parametrize("pad_is_eos", [False, True])
@pytest.mark.parametrize(
    ("estimator", "temperature"), [("straight_through", 1.0), ("straight_through", 1e-6), ("gumbel_softmax", 1e-6)]
)
@pytest.mark.parametrize("kind", ["free", "teacher_forced"])
def test_in_the_hard_limit_the_relaxed_reward_is_the_reward_of_the_text(kind, estimator, temperature, pad_is_eos):
    model, made = gpt2(pad_is_eos=pad_is_eos), tokenizer(pad_is_eos)
    module = reward_for(model)
    with torch.no_grad():
        rollout = roll_out(kind, model, noisy(estimator, temperature), pad_is_eos)
        relaxed = relaxed_objective.reward(module, *prompts(pad_is_eos), rollout)
    rows = [row[: row.index(1)] if 1 in row else row for row in rollout.vectors.argmax(-1).tolist()]
    texts = decode_completions(made, PROMPTS, encode_prompts(made, PROMPTS), rows)
    torch.testing.assert_close(relaxed, torch.tensor(RewardModel(module, made)(PROMPTS, texts)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rollout", ["free", "teacher_forced"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_step_reward_moves_nothing_and_a_smooth_one_moves_the_policy(tmp_path, estimator, rollout):
    model, reward = gpt2(), reward_for(gpt2())
    before = weights(model)
    how = {"estimator": estimator, "rollout": rollout}
    smooth = trainer(tmp_path, model=copy.deepcopy(model), reward=reward, **how)
    smooth.train()
    assert moved(before, weights(smooth.model))

    reward.score = Step(reward.score)
    scores = score_every_end(reward, *prompts(), one_hot([[3, 4, 1, 8]] * 4))
    assert scores.unique().tolist() == [0, 1], "the step is met, so its rewards differ"
    trainer(tmp_path, model=model, reward=reward, **how).train()
    assert not moved(before, weights(model))


def test_a_step_reward_with_a_kl_weight_leaves_the_policy_at_the_reference(tmp_path):
    model, reward = gpt2(), reward_for(gpt2())
    reward.score = Step(reward.score)
    made = trainer(tmp_path, model=model, reward=reward, kl_weight=1.0)
    made.train()
    assert made.state.log_history[0]["kl"] == pytest.approx(0, abs=1e-6)


def test_it_raises_the_relaxed_reward_and_a_kl_weight_holds_it_back(tmp_path):
    def last(kl_weight):
        made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), kl_weight=kl_weight, max_steps=40)
        made.train()
        entries = [entry for entry in made.state.log_history if "reward" in entry]
        return entries[0]["reward"], entries[-1]["reward"], entries[-1].get("kl")

    first, free, no_kl = last(0.0)
    _, held, kl = last(20.0)
    assert free > first + 0.5
    assert no_kl is None
    assert held < first + 0.1
    assert kl < 0.05


@pytest.mark.parametrize("rollout", ["free", "teacher_forced"])
def test_the_same_seed_gives_the_same_training(tmp_path, rollout):
    def run():
        torch.rand(3)
        how = {"estimator": "gumbel_softmax", "rollout": rollout}
        made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), **how)
        made.train()
        return weights(made.model)

    assert not moved(run(), run())


def test_the_temperature_of_the_first_and_the_last_step_are_the_ones_asked_for(tmp_path):
    made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), temperature=2.0, final_temperature=0.5)
    made.train()
    logged = [entry["temperature"] for entry in made.state.log_history if "temperature" in entry]
    assert logged == pytest.approx([2.0, 1.0, 0.5])


def test_forced_texts_are_cut_at_the_longest_completion_and_have_to_be_there(tmp_path):
    made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), rollout="teacher_forced")
    batch = made.collate(made.train_dataset.to_list())
    assert batch["forced_mask"].sum(1).tolist() == [2, 3, 5, 1]
    assert batch["forced_ids"][0].tolist() == [3, 1, 0, 0, 0]
    made.train_dataset = made.train_dataset.remove_columns("completion")
    with pytest.raises(ValueError, match="completion"):
        RewardGradientTrainer(
            model=gpt2(),
            reward_module=made.reward_module,
            args=made.args,
            train_dataset=made.train_dataset,
            processing_class=tokenizer(),
            ref_model=None,
            max_completion_length=5,
            rollout="teacher_forced",
        )


def test_the_reward_model_is_left_as_it_was(tmp_path):
    reward = reward_for(gpt2())
    before = weights(reward)
    trainer(tmp_path, model=gpt2(), reward=reward).train()
    assert not moved(before, weights(reward))


def test_a_reward_that_is_not_finite_stops_training_and_names_the_step(tmp_path):
    reward = reward_for(gpt2())
    reward.score.weight.fill_(float("nan"))
    with pytest.raises(Diverged) as caught:
        trainer(tmp_path, model=gpt2(), reward=reward, callbacks=[FiniteCallback()]).train()
    assert caught.value.step == 1


def test_another_vocabulary_or_no_score_head_is_refused(tmp_path):
    wide = gpt2().config
    wide.vocab_size += 1
    wide.num_labels = 1
    with pytest.raises(BenchError, match="one vocabulary"):
        trainer(tmp_path, model=gpt2(), reward=GPT2ForSequenceClassification(wide))
    with pytest.raises(BenchError, match="score"):
        trainer(tmp_path, model=gpt2(), reward=gpt2())
