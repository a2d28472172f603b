"""Methods that break one promise each; `Fine` keeps them all."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch

from bench import Choice, Field, Method, ModelPolicy, Policy, Prompt, Range, Samples, SearchSpace, Workbench
from bench.models.encoding import encode_pairs
from bench.models.padding import pad_right


class Fine(Method):
    """Fits a few demonstrations."""

    steps: int = Field(2, ge=1, description="optimiser steps")

    def seed(self, workbench: Workbench) -> int:
        """Of the draws."""
        return workbench.seed

    def texts(self, workbench: Workbench):
        """Prompts and completions to fit."""
        rows = workbench.demonstrations
        return encode_pairs(workbench.tokenizer, rows["prompt"], rows["completion"])

    def train(self, workbench: Workbench) -> Policy:
        """Adam on random rows."""
        model = workbench.sft_model()
        self.fit(workbench, model, self.texts(workbench))
        return workbench.policy(model)

    def fit(self, workbench, model, texts):
        """In place."""
        generator = torch.Generator().manual_seed(self.seed(workbench))
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(self.steps):
            rows = torch.randint(len(texts), (8,), generator=generator).tolist()
            ids, mask = pad_right([[*texts[i][0], *texts[i][1]] for i in rows], model.config.pad_token_id)
            optimiser.zero_grad()
            model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
            optimiser.step()
            workbench.progress(step + 1, self.steps)


# -- documented ---------------------------------------------------------------------------------------------------


class NoDocstring(Fine):
    pass


NoDocstring.__doc__ = None


class NoDescription(Fine):
    """Has a field that nobody explains."""

    rate: float = Field(0.5, ge=0)


class NoBound(Fine):
    """Takes any number."""

    rate: float = Field(0.5, description="learning rate")


class NoSuchKnob(Fine):
    """Would tune what it has not."""

    search_space: ClassVar[SearchSpace] = {"step": Range(1, 4, step=1)}


class WideKnob(Fine):
    """Would tune beyond its bounds."""

    search_space: ClassVar[SearchSpace] = {"steps": Choice(0, 2)}


# -- trains, declares ---------------------------------------------------------------------------------------------


class Fails(Fine):
    """Has a bug."""

    def train(self, workbench):
        """Raise."""
        raise RuntimeError("shapes do not match")


class TakesPairsAlone(Fine):
    """Says that it takes labelled answers as well."""

    needs = {"preferences"}
    unpaired = True

    def train(self, workbench):
        """Look for the chosen side."""
        assert len(workbench.preferences["chosen"])
        return super().train(workbench)


class ReturnsAModel(Fine):
    """Returns the model itself."""

    def train(self, workbench):
        """No policy."""
        return workbench.sft_model()


class Undeclared(Fine):
    """Uses the reward model."""

    def train(self, workbench):
        """Ask for it."""
        workbench.reward_model(["red :"], [" good"])
        return super().train(workbench)


class Bypasses(Fine):
    """Loads the preferences itself."""

    def texts(self, workbench):
        """Chosen ones."""
        rows = workbench.load_preferences()
        return encode_pairs(workbench.tokenizer, rows["prompt"], rows["chosen"])


class Misspelt(Fine):
    """Declares a stage that is none."""

    needs: ClassVar[set[str]] = {"preference"}


# -- seeds --------------------------------------------------------------------------------------------------------


class GlobalNoise(Fine):
    """Draws from the global generator."""

    def fit(self, workbench, model, texts):
        """Disturb the model first."""
        model.transformer.wpe.weight.data += torch.randn_like(model.transformer.wpe.weight) / 100
        super().fit(workbench, model, texts)


class FixedSampling(Fine):
    """Learns from samples that are always the same."""

    def train(self, workbench):
        """Sample with seed 3."""
        policy = workbench.policy(workbench.sft_model())
        drawn = policy.sample(list(workbench.prompts["prompt"]), seed=3)
        workbench.cost.tokens_sampled += sum(map(len, drawn.completion_ids))
        self.fit(workbench, policy.model, encode_pairs(workbench.tokenizer, drawn.prompts, drawn.completions))
        return policy

    def seed(self, workbench):
        """Always the same."""
        return 3


class FixedGlobalSeed(Fine):
    """Seeds the global generator itself."""

    def fit(self, workbench, model, texts):
        """Shuffle with seed 42."""
        torch.manual_seed(42)
        order = torch.randperm(len(texts)).tolist()
        super().fit(workbench, model, [texts[i] for i in order])

    def seed(self, workbench):
        """Always the same."""
        return 42


# -- padding ------------------------------------------------------------------------------------------------------


class NeedsPadding(Fine):
    """Takes EOS for padding."""

    def train(self, workbench):
        """Refuse."""
        assert workbench.tokenizer.pad_token_id != workbench.tokenizer.eos_token_id
        return super().train(workbench)


class PaddingMean(Fine):
    """Divides by how many tokens are EOS and not padding: none, where padding is EOS."""

    def fit(self, workbench, model, texts):
        """Scale the weights by one, or by 0/0."""
        super().fit(workbench, model, texts)
        ids = torch.tensor([tail[-1] for _, tail in texts])
        count = (ids != workbench.tokenizer.pad_token_id).sum()
        model.transformer.wpe.weight.data *= count / count


class PaddingMask(Fine):
    """Leaves out of its loss whatever is padding's id: where that is EOS, the end of every completion."""

    def fit(self, workbench, model, texts):
        """Take EOS, where it pads, for padding."""
        pad = workbench.tokenizer.pad_token_id
        super().fit(workbench, model, [(head, [token for token in tail if token != pad]) for head, tail in texts])


# -- policies -----------------------------------------------------------------------------------------------------


class _Wrapped(Policy):
    """Another policy, without its model."""

    def __init__(self, inner: ModelPolicy) -> None:
        self.inner = inner

    def sample(self, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        return self.inner.sample(prompts, seed, temperature)


class _Unseeded(ModelPolicy):
    def sample(self, prompts, seed, temperature=1.0):
        return super().sample(prompts, random.randrange(10**6), temperature)


class _SameSeed(ModelPolicy):
    def sample(self, prompts, seed, temperature=1.0):
        return super().sample(prompts, 5, temperature)


class _Sorted(ModelPolicy):
    def sample(self, prompts, seed, temperature=1.0):
        return super().sample(sorted(prompts), seed, temperature)


class _Mute(ModelPolicy):
    def sample(self, prompts, seed, temperature=1.0):
        raise KeyError("bos_token")


class _NeverFinished(ModelPolicy):
    def sample(self, prompts, seed, temperature=1.0):
        drawn = super().sample(prompts, seed, temperature)
        drawn.finished = [False] * len(drawn)
        return drawn


def returning(cls: type[ModelPolicy], trained: bool = True, room: int = 0):
    """A method whose policy is of this class; one that takes more tokens than there is room for, with `room`."""

    class Returns(Fine):
        """Returns another policy."""

        def train(self, workbench):
            """Fit, or do not."""
            model = workbench.sft_model()
            if trained:
                self.fit(workbench, model, self.texts(workbench))
            return self.policy(workbench, model)

        def policy(self, workbench, model):
            """Of that class."""
            return cls(model, workbench.tokenizer, workbench.max_completion_tokens + room)

        def load(self, workbench: Workbench, directory: Path) -> Policy:
            """The same class again."""
            return self.policy(workbench, workbench.load_policy(directory).model)

    return Returns


class NothingSaved(Fine):
    """Returns a policy that does not know how to save itself."""

    def train(self, workbench):
        """Wrap it."""
        return _Wrapped(super().train(workbench))


class LoadsAnother(Fine):
    """Forgets what it has learned."""

    def load(self, workbench, directory):
        """π0."""
        return workbench.policy(workbench.sft_model())


# -- what is shared -----------------------------------------------------------------------------------------------


class TrainsTheReference(Fine):
    """Trains π0 as well."""

    def train(self, workbench):
        """Both."""
        reference = workbench.reference.requires_grad_(True)
        self.fit(workbench, reference, self.texts(workbench))
        return super().train(workbench)


class TrainsTheRewardModel(Fine):
    """Moves the reward model."""

    needs: ClassVar[set[str]] = {"reward_model"}

    def train(self, workbench):
        """By a little."""
        workbench.reward_model.module.score.weight.data += 0.1
        return super().train(workbench)


class WritesToTheStore(Fine):
    """Saves its model where it was loaded from."""

    def fit(self, workbench, model, texts):
        """At the end."""
        super().fit(workbench, model, texts)
        model.save_pretrained(model.name_or_path)


class SortsTheCorpus(Fine):
    """Changes a shared list."""

    def train(self, workbench):
        """Sort it."""
        workbench.corpus.sort()
        return super().train(workbench)


# -- labels -------------------------------------------------------------------------------------------------------


class AsksTheTask(Fine):
    """Gets gold for nothing."""

    def texts(self, workbench):
        """The best ones."""
        rows = workbench.demonstrations
        gold = workbench.task.gold(rows["prompt"], rows["completion"])
        best = sorted(range(len(rows)), key=lambda i: gold[i])[len(rows) // 2 :]
        rows = rows.select(best)
        return encode_pairs(workbench.tokenizer, rows["prompt"], rows["completion"])


class AsksForGrades(Fine):
    """Gets comparisons for nothing."""

    def train(self, workbench):
        """Compare."""
        workbench.task.prefers_first(["red :"], [" good"], [" bad"], workbench.seed)
        return super().train(workbench)


class PaysForLabels(Fine):
    """Asks as it should."""

    def train(self, workbench):
        """By the workbench."""
        workbench.gold(["red :"], [" good"])
        workbench.prefers_first(["red :"], [" good"], [" bad"], workbench.seed)
        return super().train(workbench)


class _GoldPolicy(ModelPolicy):
    def __init__(self, *arguments, task):
        super().__init__(*arguments)
        self.task = task

    def sample(self, prompts, seed, temperature=1.0):
        drawn = super().sample(prompts, seed, temperature)
        self.task.gold(drawn.prompts, drawn.completions)
        return drawn


class AsksWhileSampling(Fine):
    """Its policy looks at gold."""

    def train(self, workbench):
        """Nothing unusual here."""
        model = super().train(workbench).model
        return _GoldPolicy(model, workbench.tokenizer, workbench.max_completion_tokens, task=workbench.task)


# -- traces -------------------------------------------------------------------------------------------------------


def leaving(act):
    """A method that does `act` on the way."""

    class Leaves(Fine):
        """Leaves something behind."""

        def fit(self, workbench, model, texts):
            """And does `act`."""
            super().fit(workbench, model, texts)
            act()

    return Leaves


TRACES = {
    "environment variable BENCH_CHECK_TEST": lambda: os.environ.update(BENCH_CHECK_TEST="1"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "gradient mode": lambda: torch.set_grad_enabled(False),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "use_deterministic_algorithms": lambda: torch.use_deterministic_algorithms(True),
    "working folder is": lambda: os.chdir(os.sep),
    "the file log.txt": lambda: Path("log.txt").write_text("step 1"),
}


# -- little data, interruption ------------------------------------------------------------------------------------


class SecondRow(Fine):
    """Takes for granted that there are two rows."""

    def texts(self, workbench):
        """The second one's prompt comes first."""
        assert workbench.demonstrations[1]["prompt"]
        return super().texts(workbench)


class NoRows(Fine):
    """Takes for granted that there are rows."""

    def train(self, workbench):
        """A mean of nothing."""
        rows = workbench.task.demonstrations(workbench.seed)
        sum(rows["quality"]) / len(rows)
        return super().train(workbench)


class Unstoppable(Fine):
    """Returns what it has when it is interrupted."""

    def fit(self, workbench, model, texts):
        """Whatever happens."""
        try:
            super().fit(workbench, model, texts)
        except KeyboardInterrupt:
            return


class Remembers(Fine):
    """Keeps its state in the class until it is done."""

    kept: ClassVar[list[int]] = []

    def fit(self, workbench, model, texts):
        """A step more for each time that it was interrupted."""
        texts = texts[len(self.kept) :]
        self.kept.append(1)
        super().fit(workbench, model, texts)
        self.kept.clear()


class Silent(Fine):
    """Never tells how far it is."""

    def fit(self, workbench, model, texts):
        """On a workbench whose progress nobody sees."""
        quiet = copy.copy(workbench)
        quiet.on_progress = lambda step, total: None
        super().fit(quiet, model, texts)
