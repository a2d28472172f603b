"""What is promised of a method. Each check says, where the promise is not kept, what is broken and how to mend it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from pydantic import ValidationError

from bench.authoring.checking.check import Broken, Contract, Unsuited, error_line
from bench.authoring.checking.method_trial import SAMPLING_SEED, MethodTrial, Training, must_train, same_weights, sample
from bench.authoring.checking.settings import check_settings
from bench.contracts.errors import BenchError, Diverged, nearest
from bench.contracts.stage_settings import METHOD_NEEDS
from bench.workbench.policy import Samples

promised: Contract[MethodTrial] = Contract()


@promised
def documented(trial: MethodTrial) -> None:
    """has a docstring, and hyper-parameters that are documented and bounded"""
    check_settings(trial.method)
    try:
        type(trial.method)().tunable()
    except ValidationError:  # hyper-parameters without defaults: nothing is tuned from them
        pass
    except BenchError as error:
        raise Broken(f"{error}; mend `search_space`") from None


@promised
def trains(trial: MethodTrial) -> None:
    """trains, and returns a policy"""
    if trial.first.workbench.undeclared:
        raise Unsuited("it uses what it has not declared, see below")
    must_train(trial.first)
    if type(trial.method).unpaired and (error := trial.unpaired.error):
        raise Broken(f"it is `unpaired`, and on `prompt`, `completion`, `label` `train` raised {error_line(error)}")


@promised
def declares(trial: MethodTrial) -> None:
    """declares what it needs"""
    needs = type(trial.method).needs
    for stage in sorted(set(needs) - set(METHOD_NEEDS)):
        raise Broken(f"`needs` names {stage!r}, which is no shared stage{nearest(stage, METHOD_NEEDS)}")
    if used := sorted(trial.first.workbench.undeclared):
        raise Broken(f"it uses {' and '.join(used)} undeclared: write needs = {set(needs) | set(used)}")


@promised
def same_seed(trial: MethodTrial) -> None:
    """same seed, same result"""
    trial.first.done()
    trial.again.done()
    difference = _difference(trial.first, trial.again)
    if difference:
        raise Broken(
            f"{difference} differ between two trainings with one seed: draw every random number from a generator "
            "seeded with `workbench.seed` (a Trainer is, by `workbench.training_arguments()`), not from a global one"
        )


@promised
def different_seed(trial: MethodTrial) -> None:
    """different seed, different result"""
    first, other = trial.first, trial.other
    policy = first.done()
    other.done()
    differ = _difference(first, other) or first.workbench.figures != other.workbench.figures
    if _same_samples(first.samples, sample(policy, first.world, SAMPLING_SEED + 1)):
        if differ:
            raise Unsuited("`sample` gives the same with another seed: right only if the policy is deterministic")
        raise Broken("samples do not depend on the seed that `sample` is given: seed its generator with it")
    if differ:
        return
    cost = first.workbench.cost
    if cost.tokens_sampled or (first.traces.optimiser_steps and first.traces.drew):
        raise Broken(
            "it draws at random while it trains, and two seeds give the same result: a seed is fixed somewhere; use "
            "`workbench.seed` in its place"
        )
    if first.traces.optimiser_steps:
        raise Unsuited(
            "the seed changes nothing: right if every step uses all data and nothing is drawn, else put "
            "`workbench.seed` where a seed is fixed"
        )


@promised
def pad_is_eos(trial: MethodTrial) -> None:
    """trains where padding is a token of its own, and alike where padding is EOS"""
    trial.first.done()
    if trial.padded.error is not None:
        raise Broken(
            f"with tokenizer.pad_token = tokenizer.eos_token `train` raised {error_line(trial.padded.error)}; tell "
            "padding by the attention mask, never by its id"
        )
    for training, kind in ((trial.first, "of its own"), (trial.padded, "EOS")):
        bad = [name for name, tensor in (training.weights or {}).items() if not bool(torch.isfinite(tensor).all())]
        if bad:
            raise Broken(
                f"with a padding token that is {kind}, {bad[0]} is not finite: mask padding out of every mean, and "
                "raise bench.Diverged where training diverges (`workbench.callbacks()` does, for a Trainer)"
            )
    _check_samples(trial.padded)
    other, first = trial.padded.weights, trial.first.weights or {}
    moved = [name for name, tensor in first.items() if other and not _alike(tensor, other[name])]
    if moved:
        raise Broken(
            f"where padding is EOS its weights differ, such as {moved[0]}: a mask made by `ids != pad` leaves "
            "the end of every completion out; make masks from lengths"
        )


def _alike(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal but for rounding; indices and flags as well."""
    return torch.allclose(tensor.float(), other.float(), rtol=1e-3, atol=1e-4)


@promised
def samples(trial: MethodTrial) -> None:
    """the policy samples what it is asked for, and the same again with the same seed"""
    policy = trial.first.done()
    try:
        sample(policy, trial.first.world)
    except Exception as error:
        raise Broken(f"`sample` raised {error_line(error)}") from error
    _check_samples(trial.first)
    if not _same_samples(sample(policy, trial.first.world), trial.first.samples):
        raise Broken("two calls of `sample` with one seed differ: seed its generator with the seed that it is given")


@promised
def saves(trial: MethodTrial) -> None:
    """the policy saves, loads, and samples the same"""
    first = trial.first
    before = first.samples
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "policy"
        try:
            first.done().save(directory)
            loaded = trial.method.load(trial.workbench(first.world, first.artifacts), directory)
            after = sample(loaded, first.world)
        except Exception as error:
            raise Broken(
                f"{error_line(error)}; a policy without a model of its own overrides `Policy.save`, and its method "
                "`load`"
            ) from error
    if not _same_samples(before, after):
        raise Broken(
            "once saved and loaded, it samples something else: write all that `sample` uses in `Policy.save`, and read "
            "it in `Method.load`"
        )


@promised
def shared(trial: MethodTrial) -> None:
    """leaves the reference, the reward model and the shared data as they were"""
    first = trial.first
    first.done()
    _ = first.samples
    if first.files_changed:
        raise Broken(f"it wrote to shared artifacts ({first.files_changed[0]}): write to `workbench.checkpoints` alone")
    fresh = trial.workbench(first.world, first.artifacts, seed=first.workbench.seed)
    used = first.workbench.handed_out
    if "reference" in used and not same_weights(used["reference"].state_dict(), fresh.reference.state_dict()):
        raise Broken("it changed `workbench.reference`: train a copy of your own, `workbench.sft_model()`")
    if "reward_model" in used:
        members = zip(used["reward_model"].modules, fresh.reward_model.modules, strict=True)
        if not all(same_weights(member.state_dict(), unused.state_dict()) for member, unused in members):
            raise Broken("it changed the reward model: train a copy, `copy.deepcopy(workbench.reward_model.module)`")
    for name in ("prompts", "demonstrations", "preferences", "ratings", "corpus"):
        if name in used and list(used[name]) != list(getattr(fresh, name)):
            raise Broken(f"it changed `workbench.{name}` in place: change a copy")


@promised
def budget(trial: MethodTrial) -> None:
    """every gold label that it gets is on its account"""
    first = trial.first
    first.done()
    uncharged = first.labels_given - first.labels_charged
    if uncharged > 0:
        raise Broken(
            f"{uncharged} gold labels went round the account: ask `workbench.gold` and `workbench.prefers_first`, not "
            "the task itself; for anything else that the task tells, add to `workbench.cost.gold_labels`"
        )
    _ = first.samples
    if first.world.labels_given > first.labels_given:
        if first.done().from_all:
            raise Unsuited("its policy knows the gold of all completions: it is a yardstick, whose price means nothing")
        raise Broken(
            "its policy asks for gold labels when it samples, when nobody charges them: sample by the reward model, "
            "or learn from the labels in `train`"
        )


@promised
def no_traces(trial: MethodTrial) -> None:
    """leaves no global state behind"""
    trial.first.done()
    if left := trial.first.traces.left:
        raise Broken(
            f"after `train` this is left: {'; '.join(left[:4])}. Put it back in a `finally`; files belong in "
            "`workbench.checkpoints`"
        )


@promised
def little_data(trial: MethodTrial) -> None:
    """takes an empty data set or one row, or refuses it in plain words"""
    trial.first.done()
    for rows, what in ((0, "no rows"), (1, "one row")):
        error = trial.train(rows=rows).error
        if error is None or isinstance(error, Diverged):
            continue
        if not isinstance(error, BenchError | ValueError) or not str(error).strip():
            raise Broken(
                f"with {what} in every data set `train` ended in {error_line(error)}: raise bench.BenchError with a "
                "sentence that says what is missing"
            )


@promised
def interrupt(trial: MethodTrial) -> None:
    """stops where it is interrupted, and trains from the start as if it had not been"""
    trial.first.done()
    stopped = trial.interrupted
    if not stopped.reports:
        raise Unsuited("it never calls `workbench.progress`, so there is no place to interrupt it")
    if stopped.policy is not None:
        raise Broken(
            "interrupted by Ctrl-C, `train` returned a policy all the same, which would pass for a trained one: let "
            "KeyboardInterrupt through"
        )
    if not isinstance(stopped.error, KeyboardInterrupt):
        error = error_line(stopped.error)  # type: ignore[arg-type]
        raise Broken(f"interrupted by Ctrl-C, `train` raised {error}: let KeyboardInterrupt through")
    difference = _difference(trial.first, trial.train())
    if difference:
        raise Broken(
            f"after an interrupted training, {difference} of the next one differ: keep nothing in the module, the "
            "class or the method between two calls of `train`"
        )


def _difference(first: Training, second: Training) -> str:
    """What differs between two results, or nothing."""
    if not same_weights(first.weights, second.weights):
        return "weights"
    return "" if _same_samples(first.samples, second.samples) else "samples"


def _same_samples(first: Samples, second: Samples) -> bool:
    return first.completion_ids == second.completion_ids and first.completions == second.completions


def _check_samples(training: Training) -> None:
    drawn, limit = training.samples, training.workbench.max_completion_tokens
    prompts = [prompt for prompt in training.world.prompts("test")["prompt"] for _ in range(4)]
    if drawn.prompts != prompts:
        raise Broken(
            f"{len(prompts)} prompts gave {len(drawn)} samples, or in another order: one completion per prompt"
        )
    lengths = {name: len(column) for name, column in vars(drawn).items()}
    if len(set(lengths.values())) > 1:
        raise Broken(f"the columns of its Samples differ in length ({lengths}): one row per prompt in each")
    longest = max(map(len, drawn.completion_ids))
    if longest > limit or not all(drawn.completion_ids):
        raise Broken(f"completions have 1 to {limit} tokens here (`workbench.max_completion_tokens`), not {longest}")
    eos = training.workbench.tokenizer.eos_token_id
    for ids, finished in zip(drawn.completion_ids, drawn.finished, strict=True):
        if eos in ids[:-1] or finished != (ids[-1] == eos):
            raise Broken("completion_ids end with the first EOS, and `finished` tells whether there is one")
