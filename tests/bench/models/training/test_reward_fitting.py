"""The losses of reward models, against a hand: Bradley–Terry with margin, with a language model, and regression."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import TinyModel
from bench.models.learned_reward import text_scores
from bench.models.loading import load_classifier, load_model
from bench.models.text_likelihood import token_nll
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from bench.models.training.callbacks import training_arguments
from bench.models.training.reward_fitting import MIDDLE, completion_nll, fit_ratings, fit_reward_model, language_head
from bench.stages.reward_model import quality

WORDS = ("one", "two", "good", "bad", "so", ":")
PAIRS = Dataset.from_dict(
    {
        "prompt": ["one :", "two : so", "one :", "two :"] * 8,
        "chosen": [" good", " good good", " so so good", " good so"] * 8,
        "rejected": [" bad bad", " bad", " so bad", " bad so bad"] * 8,
        "grade": [1, 2, 3, 2] * 8,
    }
)
TOLD = {"pad is not eos": False, "pad is eos": True}


@pytest.fixture(params=TOLD.values(), ids=TOLD.keys())
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    made = word_tokenizer(WORDS)
    if request.param:
        made.pad_token = made.eos_token
    return made


@pytest.fixture
def start(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> Path:
    tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), tokenizer, seed=0).save_pretrained(tmp_path)
    return tmp_path


def classifier(start: Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    torch.manual_seed(1)
    return load_classifier(start, tokenizer)


class Losses(TrainerCallback):
    """What the trainer logs, step by step."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.logs.append(dict(kwargs["logs"]))


def arguments(folder: Path, **more: Any) -> dict[str, Any]:
    whole = {"max_steps": 1, "per_device_train_batch_size": len(PAIRS), "learning_rate": 1e-2, "logging_steps": 1}
    return training_arguments(folder / "scratch", 1, "cpu") | whole | more


def difference(module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    chosen, rejected = (text_scores(module, tokenizer, PAIRS["prompt"], PAIRS[s]) for s in ("chosen", "rejected"))
    return np.subtract(chosen, rejected)


def test_a_margin_asks_for_more_where_the_grade_is_higher(start: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    module, losses = classifier(start, tokenizer), Losses()
    gap = difference(module, tokenizer)
    fit_reward_model(module, tokenizer, PAIRS, arguments(start), [losses], margin=0.7)
    by_hand = np.logaddexp(0, -(gap - 0.7 * (np.array(PAIRS["grade"]) - 1))).mean()
    assert losses.logs[0]["loss"] == pytest.approx(by_hand, abs=1e-4)
    assert abs(by_hand - np.logaddexp(0, -gap).mean()) > 0.1


def test_a_margin_without_grades_is_refused(start: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    ungraded = PAIRS.remove_columns("grade")
    with pytest.raises(BenchError, match="carry no `grade`"):
        fit_reward_model(classifier(start, tokenizer), tokenizer, ungraded, arguments(start), [], margin=1)


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_the_language_loss_is_the_start_models_own_on_the_chosen_completions(
    start: Path, tokenizer: PreTrainedTokenizerBase, margin: float
) -> None:
    module, losses, language = classifier(start, tokenizer), Losses(), load_model(start, tokenizer)
    gap = difference(module, tokenizer) - margin * (np.array(PAIRS["grade"]) - 1)
    nll, tokens = token_nll(language, tokenizer, PAIRS["prompt"], PAIRS["chosen"], 64)
    head = language_head(module, language)
    fit_reward_model(module, tokenizer, PAIRS, arguments(start), [losses], margin, 0.5, head)
    # token_nll counts the end of sequence in, as does the loss
    per_token = float(np.sum(nll) / np.sum(tokens))
    assert losses.logs[0]["lm_loss"] == pytest.approx(per_token, abs=1e-4)
    assert losses.logs[0]["loss"] == pytest.approx(np.logaddexp(0, -gap).mean() + 0.5 * per_token, abs=1e-4)


def test_an_untied_head_is_the_language_models_and_stays(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    language = tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), tokenizer, seed=0)
    language.config.tie_word_embeddings = False
    untied = type(language)(language.config)
    untied.save_pretrained(tmp_path / "untied")
    module = classifier(tmp_path / "untied", tokenizer)
    before = untied.lm_head.weight.clone()
    head = language_head(module, untied)
    ids = torch.tensor([[0, 3, 4, 1]])
    hidden = module(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states[-1]
    whole = load_model(tmp_path / "untied", tokenizer)
    assert torch.allclose(head(hidden), whole.eval()(input_ids=ids).logits, atol=1e-5)
    losses = Losses()
    fit_reward_model(module, tokenizer, PAIRS, arguments(tmp_path, max_steps=30), [losses], lm_weight=1, lm_head=head)
    assert losses.logs[28]["lm_loss"] < losses.logs[0]["lm_loss"] - 0.3
    assert torch.equal(untied.lm_head.weight, before)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["gemma2", "phi", "cohere", "granite"])
def test_whatever_a_model_does_behind_its_layers_its_head_does(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path, architecture: str, tied: bool
) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model(
        architecture, **sizes, num_key_value_heads=1, head_dim=8, vocab_size=len(tokenizer), tie_word_embeddings=tied,
        final_logit_softcapping=3.0, logit_scale=0.3, logits_scaling=4.0, pad_token_id=0, bos_token_id=1,
        eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    language = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in language.parameters():
            weight.add_(torch.randn_like(weight))
    ids = torch.randint(2, len(tokenizer), (2, 5))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    expected = language(**inputs).logits
    hidden = language(**inputs, output_hidden_states=True).hidden_states[-1]
    plain = hidden @ language.get_output_embeddings().weight.T
    assert (plain - expected).abs().max() > 0.1  # what a product with the matrix alone would say
    head = language_head(language.base_model, copy.deepcopy(language))
    assert torch.allclose(head(hidden), expected, atol=1e-5)


def test_with_both_losses_the_language_loss_falls_and_the_score_ranks(
    start: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    module, losses = classifier(start, tokenizer), Losses()
    head = language_head(module, load_model(start, tokenizer))
    tokens = fit_reward_model(
        module, tokenizer, PAIRS, arguments(start, max_steps=40), [losses], lm_weight=0.5, lm_head=head
    )
    assert losses.logs[38]["lm_loss"] < losses.logs[0]["lm_loss"] - 0.5
    assert quality(lambda *texts: text_scores(module, tokenizer, *texts), PAIRS)["reward_model_accuracy"] == 1
    assert tokens > 0


def test_the_completions_likelihood_leaves_prompt_and_padding_out() -> None:
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[1, 2, 3, 4], [2, 4, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    logp = logits.log_softmax(-1)
    by_hand = -(logp[0, 1, 3] + logp[0, 2, 4] + logp[1, 0, 4]) / 3
    assert completion_nll(logits, ids, mask, torch.tensor([2, 1])).item() == pytest.approx(by_hand.item(), abs=1e-6)


def test_regression_starts_at_the_mean_squared_error_and_recovers_ratings(
    start: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    texts = [" good good", " good", " so", " bad", " bad bad"] * 8
    ratings = Dataset.from_dict(
        {"prompt": ["one :", "two :"] * 20, "completion": texts, "rater": [0] * 40, "score": [5, 4, 3, 2, 1] * 8}
    )
    module, losses = classifier(start, tokenizer), Losses()
    first = np.array(text_scores(module, tokenizer, ratings["prompt"], texts)) + MIDDLE
    tokens = fit_ratings(
        module,
        tokenizer,
        ratings,
        arguments(start, max_steps=120, per_device_train_batch_size=40, learning_rate=2e-2),
        [losses],
    )
    assert losses.logs[0]["loss"] == pytest.approx(np.mean((first - np.array(ratings["score"])) ** 2), rel=1e-4)
    last = np.array(text_scores(module, tokenizer, ratings["prompt"], texts)) + MIDDLE
    assert np.mean((last - np.array(ratings["score"])) ** 2) < 0.1
    assert tokens > 120 * 40 * 4
