"""What a search leaves: the tuned matrix, all trials as a table, and how they were made."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.layout import print_frame, wide_console
from bench.contracts.escaping import in_rich, visible
from bench.contracts.yaml import write_yaml
from bench.matrix.reading import load_matrix
from bench.records.provenance import commit, versions
from bench.records.record import OK, SKIPPED
from bench.store.store import write_atomically
from bench.tuning.search import STARTUP_TRIALS
from bench.tuning.tune import Tuned, TunedArm

CAUTION = "Values are means over the tuning seeds, and the best of several flatters itself: compare arms by running it."


def write_search(tuned: Tuned, directory: Path) -> list[Path]:
    """Write ``<matrix>-tuned.yaml``, ``search.csv`` (one row per trial) and ``search.json``.

    The matrix is read back before anybody is told of it.
    """
    files = {
        directory / f"{tuned.matrix.name}-tuned.yaml": matrix_text(tuned),
        directory / "search.csv": trials_frame(tuned).to_csv(index=False, lineterminator="\n"),
        directory / "search.json": json.dumps(_description(tuned), indent=1, ensure_ascii=False),
    }
    for file, text in files.items():
        write_atomically(file, text)
    load_matrix(next(iter(files)))
    return list(files)


def matrix_text(tuned: Tuned) -> str:
    """The matrix with the chosen hyper-parameters, and above each arm what they gained.

    Two arms of which the search made the same method would be refused as duplicates: the later stays as a comment.
    """
    lines = [
        f"# {tuned.matrix.name}, tuned: {tuned.trials} trials per arm on {_seeds(tuned)}, by {tuned.objective}",
        "# Trial 1 of each arm is its defaults; what the untuned matrix sets was kept as it is.",
        f"# {CAUTION}",
    ]
    chosen = tuple(arm.chosen for arm in tuned.arms)
    matrix = replace(tuned.matrix, name=f"{tuned.matrix.name}-tuned", arms=chosen)
    for section, value in matrix.description(defaults=False).items():
        if section != "methods":
            lines += write_yaml({section: _short(section, value)}).splitlines() if value else []
            continue
        lines.append("methods:")
        seen: dict[str, str] = {}
        for arm, now in zip(tuned.arms, chosen, strict=True):
            lines.append(f"  # {visible(outcome(arm, tuned), one_line=True)}")
            same = seen.setdefault(repr(replace(now, label="")), now.label)
            if same != now.label:
                lines.append(f"  # left out, as with these settings it is the same method as {same!r}:")
            entry = write_yaml(_short("methods", {now.label: value[now.label]})).splitlines()
            lines += [f"  {'' if same == now.label else '# '}{line}" for line in entry]
    return "\n".join(lines) + "\n"


def outcome(arm: TunedArm, tuned: Tuned) -> str:
    """What a search came to, in one line."""
    if not arm.space:
        return "nothing to tune"
    first, label = arm.trials[0], tuned.objective.info.label
    if first.status == SKIPPED:
        return f"not tuned, as it cannot run: {first.reason}"
    bad = Counter(trial.status for trial in arm.trials if trial.status != OK)
    ended = "".join(f"; {count} of {len(arm.trials)} trials {status}" for status, count in sorted(bad.items()))
    default = number(first.value) if first.status == OK else f"{first.status} ({_line(first.reason)})"
    if arm.best is None:
        why = "no trial ended well" if bad.total() == len(arm.trials) else "no trial kept to the limit on KL"
        return f"left as it was: {why}; {label} with its defaults: {default}{ended}"
    if arm.best.number == 0:
        return f"{label} {default} with its defaults, which no other trial surpassed{ended}"
    return f"{label} {number(arm.best.value)} in trial {arm.best.number + 1}; with its defaults: {default}{ended}"


def trials_frame(tuned: Tuned) -> pd.DataFrame:
    """One row per trial: arm, method, trial (from 1), settings, value and what it cost; see `Trial`."""
    return pd.DataFrame(
        [
            {
                "arm": arm.arm.label,
                "method": arm.arm.method.name,
                "trial": trial.number + 1,
                "status": trial.status,
                "reason": trial.reason,
                "measure": tuned.objective.measure,
                "value": trial.value,
                "kl": trial.kl,
                "within_limit": trial.status == OK and tuned.objective.within_limit(trial),
                "chosen": trial == arm.best,
                "settings": json.dumps(trial.settings),
                "seeds": json.dumps(tuned.seeds),
                "values": json.dumps(trial.values),
                "seconds": trial.seconds,
                "tokens_sampled": trial.tokens_sampled,
                "tokens_trained": trial.tokens_trained,
            }
            for arm in tuned.arms
            for trial in arm.trials
        ]
    )


def print_search(tuned: Tuned) -> None:
    """Print one row per arm: its trials, the value of its defaults, the best one, the chosen hyper-parameters."""
    label = tuned.objective.info.label
    rows = []
    for arm in tuned.arms:
        first, best = (arm.trials[0] if arm.trials else None), arm.best
        bad = Counter(trial.status for trial in arm.trials if trial.status != OK)
        ended = "".join(f", {count} {status}" for status, count in sorted(bad.items()))
        settings = ", ".join(f"{name}={value}" for name, value in best.settings.items()) if best else ""
        rows.append(
            {
                "arm": arm.arm.label,
                "trials": f"{len(arm.trials)}{ended}" if arm.space else "nothing to tune",
                f"{label}, defaults": number(first.value) if first and first.status == OK else "",
                f"{label}, best": number(best.value) if best else "",
                "chosen": ("defaults: " if best and best.number == 0 else "") + settings,
            }
        )
    console = wide_console()
    print_frame(f"{tuned.matrix.name}: {tuned.objective}; on {_seeds(tuned)}", pd.DataFrame(rows), console)
    console.print(in_rich(CAUTION, "dim"))


def number(value: float) -> str:
    """Three digits after the first: enough to tell trials apart."""
    return f"{value:.4g}"


def _description(tuned: Tuned) -> dict[str, Any]:
    return {
        "matrix": tuned.matrix.description(),
        "objective": asdict(tuned.objective) | {"maximise": tuned.objective.maximise},
        "trials": tuned.trials,
        "seeds": tuned.seeds,
        "sampler": {"name": "TPESampler", "seed": tuned.sampler_seed, "startup_trials": STARTUP_TRIALS},
        "arms": {
            arm.arm.label: {
                "method": arm.arm.method.name,
                "kept": arm.arm.method.model_dump(mode="json", exclude_unset=True),
                "space": {name: {"kind": type(knob).__name__, **asdict(knob)} for name, knob in arm.space.items()},
                "trials": len(arm.trials),
                "not_ok": sum(trial.status != OK for trial in arm.trials),
                "best_trial": arm.best.number + 1 if arm.best else None,
                "chosen": arm.best.settings if arm.best else {},
                "outcome": outcome(arm, tuned),
            }
            for arm in tuned.arms
        },
        "versions": versions() | {"optuna": version("optuna")},
        "commit": commit(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _short(section: str, entries: Any) -> Any:
    """Without the key `task`, `model` or `method` where the label says the same."""
    kind = section.removesuffix("s")
    if kind not in ("task", "model", "method"):
        return entries
    return {label: {k: v for k, v in own.items() if k != kind or v != label} for label, own in entries.items()}


def _seeds(tuned: Tuned) -> str:
    return f"tuning seed{'s' if len(tuned.seeds) > 1 else ''} {', '.join(map(str, tuned.seeds))}"


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
