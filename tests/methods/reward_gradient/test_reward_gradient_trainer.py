"""What the relaxed rollout and RewardGradientTrainer promise, on models of a few thousand parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from datasets import Dataset
from transformers import (
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    TrainingArguments,
)

from bench.errors import BenchError, Diverged
from bench.models import tiny_model, word_tokenizer
from bench.reward import RewardModel
from bench.sampling import pad_left
from bench.settings import TinyModel
from bench.training import FiniteCallback
from methods.reward_gradient.relaxation import end_weights, relaxed_kl, survival
from methods.reward_gradient.rollout import reference_logits, score_every_end, write
from methods.reward_gradient.trainer import RewardGradientTrainer

WORDS = ["good", "bad", "film", "plot", "a", "the", "not"]
PROMPTS = ["the film", "a plot", "the bad bad film", "good"]


def tokenizer(pad_is_eos: bool = False):
    made = word_tokenizer(WORDS)
    if pad_is_eos:
        made.pad_token = made.eos_token
    return made


def gpt2(seed: int = 0, pad_is_eos: bool = False):
    settings = TinyModel(layers=1, width=16, heads=2, context=64)
    return tiny_model(settings, tokenizer(pad_is_eos), seed).eval()


def llama(seed: int = 0, pad_is_eos: bool = False):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1 if pad_is_eos else 0,
    )
    return LlamaForCausalLM(config).eval()


def reward_for(model, seed: int = 1):
    config = copy.deepcopy(model.config)
    config.num_labels = 1
    torch.manual_seed(seed)
    kinds = {"gpt2": GPT2ForSequenceClassification, "llama": LlamaForSequenceClassification}
    module = kinds[config.model_type](config)
    torch.nn.init.normal_(module.score.weight)
    return module.eval().requires_grad_(False)


def prompts(pad_is_eos: bool = False):
    made = tokenizer(pad_is_eos)
    return pad_left([made(text)["input_ids"] for text in PROMPTS], made.pad_token_id)


def one_hot(rows: list[list[int]]) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(rows), len(tokenizer())).float()


class Step(torch.nn.Module):
    """A score head whose output is a step function of what another says."""

    def __init__(self, score: torch.nn.Module) -> None:
        super().__init__()
        self.score = score

    def forward(self, hidden):
        return (self.score(hidden) > 0).float()


def trainer(directory, *, model, reward, kl_weight=0.0, callbacks=None, estimator="soft", **settings):
    defaults = {
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 4,
        "max_steps": 3,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "bf16": False,
    }
    return RewardGradientTrainer(
        model=model,
        reward_module=reward,
        args=TrainingArguments(output_dir=str(directory), **{**defaults, **settings}),
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
        processing_class=tokenizer(),
        ref_model=copy.deepcopy(model).requires_grad_(False) if kl_weight else None,
        max_completion_length=5,
        estimator=estimator,
        kl_weight=kl_weight,
        callbacks=callbacks,
    )


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
        vectors, logits = write(model, ids, mask, 6, estimator, temperature, torch.Generator().manual_seed(0))
    tokens = vectors.argmax(-1)
    torch.testing.assert_close(vectors, one_hot(tokens.tolist()))
    whole, whole_mask = torch.cat([ids, tokens], 1), torch.cat([mask, torch.ones_like(tokens)], 1)
    positions = (whole_mask.cumsum(1) - 1).clamp(min=0)
    expected = model(input_ids=whole, attention_mask=whole_mask, position_ids=positions).logits[:, -7:-1]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    again = reference_logits(model, ids, mask, vectors)
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=1e-4)
    if estimator == "soft":
        assert torch.equal(tokens, expected.argmax(-1))


def test_the_gradient_through_a_soft_completion_agrees_with_finite_differences():
    model, (ids, mask) = gpt2().double(), prompts()
    module, reference = reward_for(gpt2()).double(), gpt2(seed=5).double()
    with torch.no_grad():  # the weights carry no gradient, so the differences hold them still as well
        fixed = end_weights(write(model, ids, mask, 4, "soft", 0.9)[0][..., 1])

    def objective() -> torch.Tensor:
        vectors, logits = write(model, ids, mask, 4, "soft", 0.9)
        reward = (fixed * score_every_end(module, ids, mask, vectors)).sum(1).mean()
        going = survival(vectors[..., 1])[:, :-1]
        return reward - 0.5 * relaxed_kl(logits, reference_logits(reference, ids, mask, vectors), going).mean()

    objective().backward()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.double)
        with torch.no_grad():
            ends = []
            for step in (1e-5, -1e-5):
                parameter.add_(step * direction)
                ends.append(objective())
                parameter.sub_(step * direction)
        slope = (ends[0] - ends[1]) / 2e-5
        torch.testing.assert_close((parameter.grad * direction).sum(), slope, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("estimator", ["soft", "gumbel_softmax", "straight_through"])
def test_a_step_reward_moves_nothing_and_a_smooth_one_moves_the_policy(tmp_path, estimator):
    model, reward = gpt2(), reward_for(gpt2())
    before = weights(model)
    smooth = trainer(tmp_path, model=copy.deepcopy(model), reward=reward, estimator=estimator)
    smooth.train()
    assert moved(before, weights(smooth.model))

    reward.score = Step(reward.score)
    scores = score_every_end(reward, *prompts(), one_hot([[3, 4, 1, 8]] * 4))
    assert scores.unique().tolist() == [0, 1], "the step is met, so its rewards differ"
    trainer(tmp_path, model=model, reward=reward, estimator=estimator).train()
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


def test_the_same_seed_gives_the_same_training(tmp_path):
    def run():
        torch.rand(3)
        made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), estimator="gumbel_softmax")
        made.train()
        return weights(made.model)

    assert not moved(run(), run())


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
