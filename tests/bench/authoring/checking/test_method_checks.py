"""Every check of a method finds the method that breaks it, says how to mend it, and finds nothing else."""

import os

import pytest
import torch

from bench.authoring.checking.promises import method_checks
from tests.bench.authoring.checking import broken_methods as broken
from tests.bench.authoring.checking.broken_methods import TRACES, Fine, leaving, returning


def verdicts(method):
    return {verdict.check: verdict for verdict in (check.verdict() for check in method_checks(method))}


def by_status(found, status):
    return {name for name, verdict in found.items() if verdict.status == status}


@pytest.mark.parametrize("method", [Fine, broken.PaysForLabels])
def test_a_method_that_keeps_every_promise_passes_every_check(method):
    found = verdicts(method)
    assert by_status(found, "kept") == set(found)
    assert all(str(verdict).startswith("✓ ") for verdict in found.values())


@pytest.mark.parametrize(
    ("method", "check", "words"),
    [
        (broken.NoDocstring, "documented", "no docstring"),
        (broken.NoDescription, "documented", "`rate` has no description"),
        (broken.NoBound, "documented", "`rate` is a number without a bound"),
        (broken.NoSuchKnob, "documented", "did you mean 'steps'"),
        (broken.WideKnob, "documented", "steps = 0"),
        (broken.Fails, "trains", "RuntimeError: shapes do not match (line"),
        (broken.TakesPairsAlone, "trains", "`label` `train` raised ValueError: Column 'chosen'"),
        (broken.ReturnsAModel, "trains", "return a Policy, for instance `workbench.policy(model)`"),
        (broken.Undeclared, "declares", "uses reward_model undeclared: write needs = {'reward_model'}"),
        (broken.Bypasses, "declares", "uses preferences undeclared"),
        (broken.Misspelt, "declares", "did you mean 'preferences'"),
        (broken.GlobalNoise, "same_seed", "weights differ between two trainings with one seed"),
        (broken.FixedSampling, "different_seed", "a seed is fixed somewhere"),
        (broken.FixedGlobalSeed, "different_seed", "a seed is fixed somewhere"),
        (returning(broken._SameSeed, trained=False), "different_seed", "do not depend on the seed that `sample`"),
        (broken.NeedsPadding, "pad_is_eos", "AssertionError"),
        (broken.PaddingMask, "pad_is_eos", "make masks from lengths"),
        (broken.PaddingMean, "pad_is_eos", "that is EOS, transformer.wpe.weight is not finite"),
        (broken.NothingSaved, "saves", "overrides `Policy.save`"),
        (broken.LoadsAnother, "saves", "samples something else"),
        (broken.TrainsTheReference, "shared", "changed `workbench.reference`"),
        (broken.TrainsTheRewardModel, "shared", "changed the reward model"),
        (broken.WritesToTheStore, "shared", "wrote to shared artifacts (sft/"),
        (broken.SortsTheCorpus, "shared", "changed `workbench.corpus` in place"),
        (broken.AsksTheTask, "budget", "64 gold labels went round the account"),
        (broken.AsksForGrades, "budget", "1 gold labels went round the account"),
        (broken.AsksWhileSampling, "budget", "when it samples"),
        (broken.SecondRow, "little_data", "with one row in every data set `train` ended in IndexError"),
        (broken.NoRows, "little_data", "with no rows in every data set `train` ended in ZeroDivisionError"),
        (broken.Unstoppable, "interrupt", "let KeyboardInterrupt through"),
        (broken.Remembers, "interrupt", "after an interrupted training, weights of the next one differ"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_promise_is_found_told_and_the_only_one(method, check, words):
    found = verdicts(method)
    assert by_status(found, "broken") == {check}
    assert words in found[check].sentence
    assert str(found[check]).startswith("✗ ")


@pytest.mark.parametrize("what", TRACES)
def test_what_is_left_behind_is_found_and_put_back(what):
    here, threads = os.getcwd(), torch.get_num_threads()
    found = verdicts(leaving(TRACES[what]))
    assert by_status(found, "broken") == {"no_traces"}
    assert what in found["no_traces"].sentence
    assert (os.getcwd(), torch.get_num_threads()) == (here, threads)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert not torch.are_deterministic_algorithms_enabled()
    assert "BENCH_CHECK_TEST" not in os.environ


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (broken._Unseeded, "two calls of `sample` with one seed differ"),
        (broken._Sorted, "in another order"),
        (broken._NeverFinished, "`finished` tells"),
        (broken._Mute, "`sample` raised KeyError: 'bos_token' (line"),
    ],
)
def test_policies_that_sample_badly_are_found(policy, words):
    found = verdicts(returning(policy))
    assert found["samples"].status == "broken"
    assert words in found["samples"].sentence


def test_a_policy_that_samples_more_than_there_is_room_for_is_found():
    assert "1 to 4 tokens" in verdicts(returning(broken.ModelPolicy, room=3))["samples"].sentence


def test_a_method_that_does_not_train_is_told_once_and_the_rest_is_skipped():
    found = verdicts(broken.Fails)
    assert by_status(found, "kept") == {"documented", "declares"}
    assert by_status(found, "skipped") == set(found) - {"documented", "declares", "trains"}


def test_a_method_without_progress_cannot_be_interrupted_and_is_told_so():
    found = verdicts(broken.Silent)
    assert by_status(found, "skipped") == {"interrupt"}
    assert "never calls `workbench.progress`" in found["interrupt"].sentence


def test_a_method_that_does_not_fit_the_world_is_skipped_with_its_reason():
    class Picky(Fine):
        """Runs nowhere."""

        def unfit_for(self, task):
            """Never fits."""
            return "it wants pictures"

    found = verdicts(Picky)
    assert by_status(found, "kept") == {"documented"}
    assert not by_status(found, "broken")
    assert "it wants pictures" in found["trains"].sentence
