"""What is promised of a task, as `bench.authoring.checking.methods` has it for methods."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.authoring.checking.check import Broken, Contract, Unsuited
from bench.authoring.checking.settings import check_settings
from bench.authoring.checking.task_trial import MOST_ROWS, TaskTrial
from bench.models.encoding import decode_completions, encode_pairs, encode_prompt

if TYPE_CHECKING:
    from datasets import Dataset

RIGHT = 0.62  # share of 200 clear pairs that guessing exceeds once in 3,000 times
SHARE_TOO_LONG, SHARE_KNOWN = 0.05, 0.2

promised: Contract[TaskTrial] = Contract()


@promised
def documented(trial: TaskTrial) -> None:
    """has a docstring, and settings that are documented and bounded"""
    check_settings(trial.task)


@promised
def splits(trial: TaskTrial) -> None:
    """no prompt is in both splits, and they are the same at each call"""
    train = _twice(lambda: _keys(trial.task.prompts("train")["prompt"]))
    test = _twice(lambda: _keys(trial.task.prompts("test")["prompt"]))
    for name, prompts in (("train", train), ("test", test)):
        if not prompts:
            raise Broken(f"prompts({name!r}) is empty")
    if both := set(train) & set(test):
        share = len(both) / len(set(test))
        raise Broken(f"{share:.0%} of the test prompts are training prompts as well, such as {min(both)}: split them")


@promised
def demonstrations(trial: TaskTrial) -> None:
    """demonstrations are the same with one seed, and others with another"""
    _columns(trial.demonstrations, "demonstrations", "prompt", "completion")
    rows = [_keys(trial.demonstrations)]
    rows += [_twice(lambda seed=seed: _keys(trial.task.demonstrations(seed))) for seed in (0, 1)]  # type: ignore[misc]
    if rows[0] != rows[1]:
        raise Broken("two calls of demonstrations(0) differ: draw from np.random.default_rng(seed)")
    if rows[0] == rows[2]:
        if trial.task.content_digest():
            raise Unsuited("a data set has the demonstrations that it has, whatever the seed")
        raise Broken("demonstrations(0) and demonstrations(1) are the same: draw them from np.random.default_rng(seed)")


@promised
def corpus(trial: TaskTrial) -> None:
    """the corpus is a list of texts, the same with one seed"""
    texts = _twice(lambda: trial.task.corpus(0))
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise Broken("corpus(seed) returns a list of texts, of which none is empty")


@promised
def gold(trial: TaskTrial) -> None:
    """gold is a finite number for each completion, whatever stands beside it, and differs between them"""
    if not trial.task.has_gold:
        raise Unsuited("it has no gold reward")
    prompts, completions = trial.texts
    values = _twice(lambda: list(trial.task.gold(prompts, completions)))
    if len(values) != len(completions) or not all(math.isfinite(value) for value in values):
        raise Broken(f"gold gives {len(values)} numbers for {len(completions)} completions, or one that is not finite")
    alone = list(trial.task.gold(prompts[::-1], completions[::-1]))[::-1]
    if not np.allclose(values, alone, atol=1e-4):
        raise Broken("gold of a completion changes with what stands beside it in the list: judge each by itself")
    if list(trial.task.gold([], [])):
        raise Broken("gold of no completions is not an empty list")
    if min(values) == max(values):
        raise Broken("gold is the same for all completions: let it tell good ones from bad ones")


@promised
def gold_parts(trial: TaskTrial) -> None:
    """the parts of gold have the same names always, and a number for each completion"""
    names = list(trial.task.gold_parts([], []))
    prompts, completions = trial.texts
    parts = _twice(lambda: trial.task.gold_parts(prompts, completions))
    if list(parts) != names:
        raise Broken(f"gold_parts names {list(parts)}, and without completions {names}: always give the same names")
    for name, values in parts.items():
        if len(values) != len(completions) or not all(math.isfinite(value) for value in values):
            raise Broken(f"part {name!r} is not one finite number for each completion")
    if not names:
        raise Unsuited("gold is one thing here")


@promised
def annotator(trial: TaskTrial) -> str:
    """the annotator answers the same with one seed, and is mostly right where the answer is clear"""
    if not trial.task.has_annotator:
        raise Unsuited("it has no annotator")
    prompts, first, second, better = trial.clear_pairs
    answers = _twice(lambda: list(trial.task.prefers_first(prompts, first, second, 0)))
    if len(answers) != len(prompts):
        raise Broken(f"prefers_first gives {len(answers)} answers for {len(prompts)} pairs")
    right = float(np.mean(np.equal(answers, better)))
    if right < RIGHT:
        raise Broken(
            f"on the clearest pairs the annotator is right in {right:.0%}, no better than guessing: is True the answer "
            "where the first completion is the better one?"
        )
    return f"right in {right:.0%}"


@promised
def pairs(trial: TaskTrial) -> None:
    """its own preference pairs have two different completions, and no prompt is in both splits"""
    if not trial.task.has_pairs:
        raise Unsuited("it has no pairs of its own")
    train, test = trial.task.pairs("train"), trial.task.pairs("test")
    for rows in (train, test):
        _columns(rows, "pairs", "prompt", "chosen", "rejected")
        if same := sum(row["chosen"] == row["rejected"] for row in rows):
            raise Broken(f"{same} pairs have the same completion twice: leave them out")
    _apart(train, test, "pairs")


@promised
def labelled(trial: TaskTrial) -> None:
    """its own labelled answers are true or false, some of each, and no prompt is in both splits"""
    if not trial.task.has_labelled:
        raise Unsuited("it has no answers that are labelled one by one")
    train, test = trial.task.labelled("train"), trial.task.labelled("test")
    for rows in (train, test):
        _columns(rows, "labelled answers", "prompt", "completion", "label")
        if odd := [label for label in rows["label"] if not isinstance(label, bool)]:
            raise Broken(f"labelled has the label {odd[0]!r}: true for a wanted answer, false for an unwanted one")
    if len({*train["label"], *test["label"]}) < 2:
        raise Broken("labelled has one label alone: without wanted and unwanted answers there is nothing to learn")
    _apart(train, test, "labelled answers")


@promised
def ratings(trial: TaskTrial) -> None:
    """ratings are whole numbers from 1 to 5, the same with one seed, and higher for what is better"""
    if not trial.task.has_ratings:
        raise Unsuited("nobody rates here")
    prompts, first, second, better = trial.clear_pairs
    best = [a if first_better else b for a, b, first_better in zip(first, second, better, strict=True)]
    worst = [b if first_better else a for a, b, first_better in zip(first, second, better, strict=True)]
    means = []
    for completions in (best, worst):
        answers = _twice(lambda completions=completions: list(trial.task.ratings(prompts, completions, 0)))  # type: ignore[misc]
        if len(answers) != len(prompts):
            raise Broken(f"ratings gives {len(answers)} for {len(prompts)} completions")
        odd = [each for each in answers if each.score not in range(1, 6) or each.rater < 0]
        if odd:
            raise Broken(f"{odd[0]}: scores are 1, 2, 3, 4 or 5, and raters are numbered from 0")
        means.append(float(np.mean([each.score for each in answers])))
    if means[0] <= means[1]:
        raise Broken(f"clearly better completions are rated {means[0]:.2f} on average, worse ones {means[1]:.2f}")


@promised
def probes(trial: TaskTrial) -> None:
    """probes have an answer among their choices, and a posterior that sums to 1"""
    if not trial.task.has_probes:
        raise Unsuited("it has no probes")
    questions = _twice(trial.task.probes)
    if not questions:
        raise Broken("probes() is empty")
    for number, probe in enumerate(questions):
        where = f"probe {number}, {probe.query!r}"
        if len(set(probe.choices)) < max(2, len(probe.choices)):
            raise Broken(f"{where}: give two or more choices, all different")
        if probe.answer not in range(len(probe.choices)):
            raise Broken(f"{where}: its answer is {probe.answer}, not 0 to {len(probe.choices) - 1}")
        posterior = probe.posterior
        if posterior is not None and (len(posterior) != len(probe.choices) or abs(sum(posterior) - 1) > 1e-6):
            raise Broken(f"{where}: its posterior is not one probability for each choice that sum to 1")


@promised
def references(trial: TaskTrial) -> str:
    """references are held out: they are not among the demonstrations"""
    rows = _columns(trial.task.references(), "references", "prompt", "completion")
    demonstrated = set(_keys(trial.demonstrations.select_columns(["prompt", "completion"])))
    share = float(np.mean([key in demonstrated for key in _keys(rows.select_columns(["prompt", "completion"]))]))
    if share > SHARE_KNOWN:
        raise Broken(f"{share:.0%} of the references are demonstrations as well: hold them out")
    return f"{share:.1%} are"


@promised
def smoke(trial: TaskTrial) -> None:
    """a base model, an SFT model, and samples can be had of it"""
    from bench.models.loading import load_model
    from bench.workbench.policy import ModelPolicy

    sft = trial.models["sft"]
    tokenizer = trial.tokenizer
    model = load_model(sft, tokenizer)
    prompts = list(trial.task.prompts("test")["prompt"][:8])
    drawn = ModelPolicy(model, tokenizer, trial.task.max_completion_tokens).sample(prompts, 0)
    if trial.task.has_gold and not np.isfinite(trial.task.gold(drawn.prompts, drawn.completions)).all():
        raise Broken("gold of what an untrained model writes is not finite")


@promised
def room(trial: TaskTrial) -> str:
    """max_completion_tokens is room enough for the demonstrations"""
    rows = trial.demonstrations.select(range(min(MOST_ROWS, len(trial.demonstrations))))
    lengths = [
        len(completion_ids) for _, completion_ids in encode_pairs(trial.tokenizer, rows["prompt"], rows["completion"])
    ]
    limit = trial.task.max_completion_tokens
    share = float(np.mean([length > limit for length in lengths]))
    if share > SHARE_TOO_LONG:
        raise Broken(
            f"{share:.0%} of the demonstrations are longer than max_completion_tokens = {limit} (the longest has "
            f"{max(lengths)}): a model that learns them is cut off before its EOS; raise it"
        )
    return f"the longest has {max(lengths)} of {limit}"


@promised
def enumeration(trial: TaskTrial) -> None:
    """the enumerated gold is the gold of those completions"""
    if not trial.task.has_enumeration:
        raise Unsuited("its completions cannot be enumerated")
    from bench.models.enumeration import all_completions

    tokenizer, prompt = trial.tokenizer, trial.task.prompts("test")["prompt"][0]
    listed = trial.task.enumerated_gold(tokenizer, prompt)
    if listed is None:
        raise Unsuited("its tokens make too many completions to enumerate")
    tokens, lengths = all_completions(len(tokenizer), tokenizer.eos_token_id, trial.task.max_completion_tokens)
    if len(listed) != len(lengths):
        raise Broken(f"enumerated_gold gives {len(listed)} numbers for {len(lengths)} completions")
    rows = np.random.default_rng(0).choice(len(lengths), min(MOST_ROWS, len(lengths)), replace=False).tolist()
    ids = [tokens[i, : lengths[i]].tolist() for i in rows]
    prompts = [prompt] * len(rows)
    completions = decode_completions(tokenizer, prompts, [encode_prompt(tokenizer, prompt)] * len(rows), ids)
    if not np.allclose([listed[i] for i in rows], trial.task.gold(prompts, completions), atol=1e-6):
        raise Broken(
            "enumerated_gold differs from gold of the same completions: see `bench.models.enumeration.all_completions`"
        )


def _apart(train: Dataset, test: Dataset, what: str) -> None:
    if both := set(_keys(train["prompt"])) & set(_keys(test["prompt"])):
        raise Broken(f"{len(both)} prompts have {what} in both splits: split by prompt")


def _keys(rows: Any) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in rows]


def _columns(rows: Dataset, what: str, *names: str) -> Dataset:
    if missing := [name for name in names if name not in rows.column_names]:
        raise Broken(f"{what} lack the column {missing[0]!r}")
    if len(rows) == 0:
        raise Broken(f"{what} are empty")
    return rows


def _twice(make: Callable[[], Any]) -> Any:
    """What `make` gives, the same from two states of the global random generators."""
    results = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)
        results.append(make())
    if results[0] != results[1]:
        raise Broken("two calls with the same arguments give different answers: draw from np.random.default_rng(seed)")
    return results[0]
