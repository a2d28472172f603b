"""`bench judge`: has a judge compare what a run's policies wrote, and keeps its answers."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.winrates.pairs import JudgedPairs, by_score, entrants_of, pair_up, tie_band
from bench.catalogue.plugins import find_judge
from bench.contracts.errors import BenchError
from bench.contracts.judge import Judge
from bench.contracts.validation import assigned
from bench.judging.scoring_judge import ScoringJudge, require_texts
from bench.records.files import COMPARISONS
from bench.records.loading import RunFrames, completion_digests, load_run, plain
from bench.records.manifest import beside, replace_files
from bench.store.store import Store

BATCH = 256  # questions between two times that answers are written down
Question = tuple[Any, Any, Any]
"""A prompt and two completions."""


def make_judge(name: str, assignments: Iterable[str] = (), plugins: Iterable[Path] = ()) -> Judge:
    """The judge called `name` with settings from ``KEY=VALUE`` texts, their values written as in YAML.

    Raises:
        BenchError: no such judge or setting, or a value it does not take, with the nearest valid name.
    """
    return assigned(find_judge(name, plugins), assignments, f"judge {name!r}")


def judge_run(
    directory: Path, judge: Judge, store: Store, progress: Callable[[int, int], None] = lambda done, total: None
) -> JudgedPairs:
    """Compare every two arms, and each with π0, on the same prompts; write ``comparisons.parquet`` into the run.

    A scoring judge scores each completion once. Another is asked about every pair in both orders; a win counts where
    both answers agree, else it is a tie (Zheng et al. 2023, §3.4); one unparsable answer makes the pair unparsable.

    Args:
        progress: told how many of how many questions are answered.

    Raises:
        BenchError: nothing to compare, or no answer was to be had; what was answered before is kept in the store.
    """
    run = load_run(directory)
    if run.completions.empty:
        raise BenchError(f"{directory}: nothing to compare: the run has no completions")
    entrants = entrants_of(run)
    pairs = pair_up(entrants)
    if pairs.empty:
        raise BenchError(f"{directory}: nothing to compare: no two arms have completions of one task, model and seed")
    if isinstance(judge, ScoringJudge):
        band = judge.tie_band if judge.tie_band is not None else tie_band(run)
        rows = by_score(pairs, np.asarray(judge.scores(entrants), dtype=float), band)
    else:
        rows = _ask_both_ways(judge, entrants, pairs, store, progress)
    write_comparisons(run, rows, describe(judge))
    return JudgedPairs(rows, describe(judge))


def write_comparisons(run: RunFrames, rows: pd.DataFrame, judge: str) -> None:
    """Write what a judge said of pairs of a run's completions, and which completions they were."""
    rows.attrs = {"judge": judge, "completions": completion_digests(run)}
    rows.to_parquet(beside(run.directory / COMPARISONS))
    replace_files(run.directory, {COMPARISONS: True})


def describe(judge: Judge) -> str:
    """A judge in a few words: its name and the settings that are not the defaults."""
    chosen = judge.model_dump(mode="json", exclude_defaults=True, exclude=judge.immaterial)
    settings = ", ".join(f"{name}={value}" for name, value in chosen.items() if len(str(value)) <= 80)
    return judge.name + (f" ({settings})" if settings else "")


def both_ways(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """One verdict from the answers for the first completion in both orders.

    The answer where both agree, ½ where they do not, NaN where one is NaN: (pairs,).
    """
    agreed = np.where(forward == backward, forward, 0.5)
    return np.where(np.isnan(forward) | np.isnan(backward), np.nan, agreed)


def _ask_both_ways(
    judge: Judge, entrants: pd.DataFrame, pairs: pd.DataFrame, store: Store, progress: Callable[[int, int], None]
) -> pd.DataFrame:
    require_texts(entrants)
    texts = [(plain(p), plain(c)) for p, c in zip(entrants["prompt"], entrants["completion"], strict=True)]
    questions = [
        (texts[i][0], texts[i][1], texts[j][1]) for i, j in zip(pairs["first_row"], pairs["second_row"], strict=True)
    ]
    swapped = [(prompt, second, first) for prompt, first, second in questions]
    answers = np.array(Answers(judge, store).ask([*questions, *swapped], progress))
    forward, backward = answers[: len(questions)], 1 - answers[len(questions) :]
    verdict = both_ways(forward, backward)
    return pairs.drop(columns=["first_row", "second_row"]).assign(verdict=verdict, forward=forward, backward=backward)


class Answers:
    """A judge with a memory in the store: one line of JSON per answer, appended as it comes in.

    The key is the judge's settings, less those that are immaterial, and its own file's code; an answer's is its texts.
    """

    def __init__(self, judge: Judge, store: Store) -> None:
        self.judge, self.store = judge, store
        settings = judge.model_dump(mode="json", exclude=judge.immaterial)
        # its own file alone: an answer that was paid for must outlive a change elsewhere in the bench
        code = ast.dump(ast.parse(Path(inspect.getfile(type(judge))).read_bytes()))
        self.key = _digest([judge.name, settings, code])
        self.file = store.path("answers", f"{self.key}.jsonl")

    def ask(
        self, questions: Sequence[Question], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[float]:
        """One answer per question; each distinct question is asked once, ever. Equal completions are a tie unasked."""
        keys = [_digest(question) for question in questions]
        with self.store.lock("answers", self.key):
            known = self._read()
            new = {
                key: question
                for key, question in zip(keys, questions, strict=True)
                if key not in known and question[1] != question[2]
            }
            todo = list(new.items())
            for start in range(0, len(todo), BATCH):
                progress(start, len(todo))
                batch = todo[start : start + BATCH]
                prompts, first, second = zip(*(question for _, question in batch), strict=True)
                answers = self._checked(self.judge.compare(prompts, first, second), len(batch))
                fresh = dict(zip((key for key, _ in batch), answers, strict=True))
                self._write(fresh)
                known |= fresh
            progress(len(todo), len(todo))
        ties = {key for key, (_, first, second) in zip(keys, questions, strict=True) if first == second}
        return [0.5 if key in ties else known[key] for key in keys]

    def _checked(self, answers: Sequence[float], count: int) -> list[float]:
        values = [float(answer) for answer in answers]
        if len(values) != count:
            raise BenchError(f"judge {self.judge.name!r} gave {len(values)} answers to {count} questions")
        for answer in values:
            if not (answer in (0.0, 0.5, 1.0) or math.isnan(answer)):
                raise BenchError(f"judge {self.judge.name!r} answered {answer}: valid are 1, 0.5, 0 and NaN")
        return values

    def _read(self) -> dict[str, float]:
        known = {}
        for line in self.file.read_text(encoding="utf-8", errors="replace").splitlines() if self.file.exists() else ():
            try:
                entry = json.loads(line)
                if entry.get("check", _check(entry)) == _check(entry):  # an earlier release wrote none
                    known[entry["pair"]] = math.nan if entry["answer"] is None else float(entry["answer"])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # cut off when a process was killed, or damaged: it is asked again
        return known

    def _write(self, answers: dict[str, float]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            for key, answer in answers.items():
                # the line break comes first: it also ends a line that was cut off
                entry = {"pair": key, "answer": None if math.isnan(answer) else answer}
                file.write("\n" + json.dumps(entry | {"check": _check(entry)}))


def _check(entry: dict[str, Any]) -> str:
    return _digest([entry["pair"], entry["answer"]])[:8]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
