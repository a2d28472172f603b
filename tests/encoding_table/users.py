"""All that read token ids, and what each of them reads of the same few rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, Trainer

from bench import Method, Workbench
from bench.models.encoding import encode_pairs
from bench.models.learned_reward import RewardModel
from bench.models.loading import load_classifier, load_model
from bench.models.text_likelihood import token_nll
from bench.models.training.reward_fitting import fit_reward_model
from methods.cdpo import CDPO
from methods.dpo import DPO
from methods.grpo import GRPO
from methods.ipo import IPO
from methods.kto import KTO
from methods.lima import LIMA
from methods.orpo import ORPO
from methods.ppo import PPO
from methods.reward_gradient import RewardGradient
from methods.rloo import RLOO
from methods.simpo import SimPO
from tests.encoding_table.kinds import Kind

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""The ids of a whole text, and those of them that are learned."""


class Reading(NamedTuple):
    """What a user reads: whole rows, or the prompts alone where it writes completions itself."""

    rows: set[Row]
    prompts: set[tuple[int, ...]]


class Task:
    """As much of a task as the methods here ask for."""

    name, has_pairs, has_gold, max_completion_tokens = "few", True, False, 6

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def prompts(self, split: str) -> Dataset:
        """Of either split."""
        return Dataset.from_list([{"prompt": row["prompt"]} for row in self.rows])


@dataclass
class Place:
    """One kind's rows, with models of a few weights to read them.

    Attributes:
        folder: where the language model is saved.
    """

    kind: Kind
    folder: Path

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """As the bench has it; the model is saved on the way."""
        tokenizer = self.kind.load()
        torch.manual_seed(0)
        config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                             num_attention_heads=1, max_position_embeddings=256,
                             eos_token_id=tokenizer.eos_token_id)  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(self.folder)
        return tokenizer

    @cached_property
    def rows(self) -> Dataset:
        """`prompt`, `chosen`, `rejected`."""
        return Dataset.from_list(self.kind.rows())

    @cached_property
    def demonstrations(self) -> Dataset:
        """The chosen completions."""
        return Dataset.from_dict({"prompt": self.rows["prompt"], "completion": self.rows["chosen"]})

    @cached_property
    def workbench(self) -> Workbench:
        """For any method."""
        tokenizer, model = self.tokenizer, lambda: load_model(self.folder, self.tokenizer)
        return Workbench(
            Task(list(self.rows)), tokenizer, seed=0, device="cpu", checkpoints=self.folder / "checkpoints",
            load_base=model, load_sft=model, load_demonstrations=lambda: self.demonstrations,
            load_preferences=lambda: self.rows, load_reward_model=lambda: load_classifier(self.folder, tokenizer),
            curve_points=0,
        )  # type: ignore[arg-type]  # fmt: skip

    def expected(self, *sides: str) -> Reading:
        """What all should read of these sides."""
        pairs = [pair for side in sides for pair in encode_pairs(self.tokenizer, self.rows["prompt"], self.rows[side])]
        return Reading({(tuple(p + c), tuple(c)) for p, c in pairs}, {tuple(p) for p, _ in pairs})


class Caught(Exception):
    """A trainer that was ready to train."""

    def __init__(self, trainer: Any) -> None:
        super().__init__("caught")
        self.trainer = trainer


def trainer_of(train: Callable[[], Any]) -> Any:
    """The trainer that `train` makes, before its first step."""

    def stop(self: Trainer, *args: Any, **kwargs: Any) -> None:
        raise Caught(self)

    with patch.object(Trainer, "train", stop):
        try:
            train()
        except Caught as caught:
            return caught.trainer
    raise AssertionError("nothing was trained")


def batches(trainer: Any) -> list[dict[str, torch.Tensor]]:
    """All that `trainer` would train on in an epoch."""
    return list(trainer.get_train_dataloader())


def rows_of(ids: torch.Tensor, mask: torch.Tensor, learned: torch.Tensor | None = None) -> set[Row]:
    """Rows without their padding; all of a row is learned where `learned` is not given, as of a reward model's."""
    learned = mask if learned is None else learned
    return {
        (tuple(row[kept.bool()].tolist()), tuple(row[kept.bool() & chosen.bool()].tolist()))
        for row, kept, chosen in zip(ids, mask, learned, strict=True)
    }


def supervised(place: Place, trainer: Any) -> Reading:
    """What TRL's SFT learns."""
    read = [rows_of(b["input_ids"], b["attention_mask"], b["labels"] != -100) for b in batches(trainer)]
    return Reading(set().union(*read), set())


def sft(place: Place) -> Reading:
    """The SFT stage, and every method's `fine_tune`."""

    def train() -> None:
        place.workbench.fine_tune(
            place.workbench.base_model(), place.demonstrations, epochs=1, batch_size=2, learning_rate=1e-3
        )

    return supervised(place, trainer_of(train))


def lima(place: Place) -> Reading:
    """LIMA's curated few."""
    return supervised(place, trainer_of(lambda: LIMA().train(place.workbench)))


def compared(method: Method) -> Callable[[Place], Reading]:
    """DPO and its relatives."""

    def read(place: Place) -> Reading:
        found = batches(trainer_of(lambda: method.train(place.workbench)))
        rows = [rows_of(b["input_ids"], b["attention_mask"], b["completion_mask"]) for b in found]
        return Reading(set().union(*rows), set())

    return read


def contrasted(method: Method) -> Callable[[Place], Reading]:
    """TRL's CPO and ORPO."""

    def read(place: Place) -> Reading:
        rows: set[Row] = set()
        for batch in batches(trainer_of(lambda: method.train(place.workbench))):
            for side in ("chosen", "rejected"):
                ids, mask, labels = (batch[f"{side}_{name}"] for name in ("input_ids", "attention_mask", "labels"))
                rows |= rows_of(ids, mask, labels != -100)
        return Reading(rows, set())

    return read


def reward_model(place: Place) -> Reading:
    """What the reward model is fitted on."""
    module = load_classifier(place.folder, place.tokenizer)
    arguments = place.workbench.training_arguments()
    trainer = trainer_of(lambda: fit_reward_model(module, place.tokenizer, place.rows, arguments, []))
    return whole([(b["input_ids"], b["attention_mask"]) for b in batches(trainer)])


def whole(read: list[tuple[torch.Tensor, torch.Tensor]]) -> Reading:
    """Readings of those that take no account of where a completion starts."""
    return Reading(set().union(*(rows_of(*each) for each in read)), set())


@contextmanager
def listening(module: torch.nn.Module) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Ids and attention masks of all forward passes of `module`."""
    heard: list[tuple[torch.Tensor, torch.Tensor]] = []

    def hear(_: Any, args: Any, inputs: dict[str, Any]) -> None:
        mask = inputs.get("attention_mask")
        heard.append((inputs["input_ids"], torch.ones_like(inputs["input_ids"]) if mask is None else mask))

    hook = module.register_forward_pre_hook(hear, with_kwargs=True)
    yield heard
    hook.remove()


def judge(place: Place) -> Reading:
    """What the reward model, as proxy or as judge, scores."""
    reward = RewardModel(load_classifier(place.folder, place.tokenizer), place.tokenizer)
    with listening(reward.module) as heard:
        for side in ("chosen", "rejected"):
            reward(place.rows["prompt"], place.rows[side])
    return whole(heard)


def perplexity(place: Place) -> Reading:
    """What the likelihood of given texts is measured on."""
    model = place.workbench.reference
    with listening(model) as heard:
        for side in ("chosen", "rejected"):
            _, tokens = token_nll(model, place.tokenizer, place.rows["prompt"], place.rows[side], 8)
            pairs = encode_pairs(place.tokenizer, place.rows["prompt"], place.rows[side])
            assert tokens.tolist() == [len(ids) for _, ids in pairs]
    return whole(heard)


def online(method: Method) -> Callable[[Place], Reading]:
    """TRL's RLOO and GRPO: prompts, behind which they sample."""

    def read(place: Place) -> Reading:
        trainer = trainer_of(lambda: method.train(place.workbench))
        with listening(trainer.model) as heard:
            trainer._generate(list(place.rows["prompt"]))
        return Reading(set(), {ids for ids, _ in rows_of(*heard[0])})

    return read


def ppo(place: Place) -> Reading:
    """The policy gradients' rollouts."""
    method = PPO(steps=1, rollouts=8, minibatches=1, epochs=1)
    rollouts = trainer_of(lambda: method.train(place.workbench)).actor.roll_out(0, 8, 0)
    heads = zip(rollouts.input_ids.tolist(), rollouts.starts.tolist(), strict=True)
    return Reading(set(), {tuple(ids[:start]) for ids, start in heads})


def reward_gradient(place: Place) -> Reading:
    """Prompts that relaxed completions are written behind."""
    trainer = trainer_of(lambda: RewardGradient(steps=1, batch_size=2).train(place.workbench))
    return Reading(set(), {ids for ids, _ in whole(
        [(b["input_ids"], b["attention_mask"]) for b in batches(trainer)]).rows})  # fmt: skip


def samples(place: Place) -> Reading:
    """What a policy is sampled behind, for samples, curves and evaluation alike."""
    drawn = place.workbench.policy(place.workbench.reference).sample(place.rows["prompt"], seed=0)
    return Reading(set(), {tuple(ids) for ids in drawn.prompt_ids})


BOTH = ("chosen", "rejected")
USERS: dict[str, tuple[Callable[[Place], Reading], tuple[str, ...], bool]] = {
    # name: what it reads, of which completions, and whether it tells prompt and completion apart
    "SFT": (sft, ("chosen",), True),
    "LIMA": (lima, ("chosen",), True),
    "DPO": (compared(DPO(batch_size=2)), BOTH, True),
    "IPO": (compared(IPO(batch_size=2)), BOTH, True),
    "cDPO": (compared(CDPO(batch_size=2)), BOTH, True),
    "KTO": (compared(KTO(batch_size=2)), BOTH, True),
    "SimPO": (contrasted(SimPO(batch_size=2)), BOTH, True),
    "ORPO": (contrasted(ORPO(batch_size=2)), BOTH, True),
    "RLOO": (online(RLOO(steps=1, rollouts=8, minibatches=1)), (), True),
    "GRPO": (online(GRPO(steps=1, rollouts=8, minibatches=1)), (), True),
    "PPO": (ppo, (), True),
    "reward gradient": (reward_gradient, (), True),
    "reward model": (reward_model, BOTH, False),
    "judge": (judge, BOTH, False),
    "perplexity": (perplexity, BOTH, False),
    "samples": (samples, (), True),
}


def fault(place: Place, user: str) -> str | None:
    """What `user` reads otherwise than all should; None where it is the same."""
    read, sides, splits = USERS[user]
    got = read(place)
    want = place.expected(*(sides or BOTH))
    for found, right in ((got.rows, want.rows if sides else set()), (got.prompts, set() if sides else want.prompts)):
        if not splits:
            found, right = {ids for ids, _ in found}, {ids for ids, _ in right}  # noqa: PLW2901
        if found != right:
            return f"{place.tokenizer.decode(next(iter(found), ((),))[0] if sides else next(iter(found), ()))!r}"
    return None
