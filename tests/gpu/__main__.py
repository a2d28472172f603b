"""What has to be seen on a machine with a GPU and no network: ``python -m tests.gpu --out DIR --model DIR``.

Each part is a process of its own under a time limit of its own, in the order of its worth, and writes its figures as it
ends, so that whatever ends the whole early leaves the parts before it. ``--small`` makes each part a matter of seconds,
to be tried where there is no GPU: the parts then run on the processor.
"""

from __future__ import annotations

import argparse
import ast
import json
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = {"parity": 90, "ppo_step": 100, "quickstart": 130}
"""The parts, in the order of their worth, with the most that each may take."""


def main() -> None:
    """Run the parts, write ``gpu.json`` and ``gpu.md``, exit with 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=" ".join(str(__doc__).split()))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the figures go")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="SmolLM2-135M-Instruct, or its GGUF")
    parser.add_argument("--peer", metavar="PYTHON", help="a Python that has TRL 1.12.0, to be timed beside ours")
    parser.add_argument("--only", metavar="PART", action="append", choices=list(SECONDS), help="these parts alone")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, for a machine without a GPU")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, dict] = {"machine": machine()}
    for part in chosen.only or SECONDS:
        command = [sys.executable, "-m", f"tests.gpu.{part}", "--model", str(chosen.model.resolve())]
        command += ["--small"] if chosen.small else []
        command += ["--peer", chosen.peer] if chosen.peer and part == "ppo_step" else []
        print(f"{part}: at most {SECONDS[part]} s", flush=True)
        figures[part] = one_part(command, SECONDS[part], chosen.out / f"{part}.log")
        print(json.dumps(figures[part], indent=1), flush=True)
        (chosen.out / "gpu.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (chosen.out / "gpu.md").write_text(page(figures), encoding="utf-8")
    sys.exit(any("failed" in part for part in figures.values()))


def one_part(command: list[str], seconds: int, log: Path) -> dict:
    """What a part printed as its last line, with its seconds; the reason instead, if it failed."""
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            printed, _ = process.communicate(timeout=seconds)
            reason = f"exit status {process.returncode}" if process.returncode else None
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
            reason = f"not done in {seconds} s"
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    found: dict = json.loads(lines[-1]) if lines else {}  # a part prints what it has, again and again
    if reason:
        tail = log.read_text(encoding="utf-8").strip().splitlines()[-12:]
        found |= {"failed": f"{reason}: " + " / ".join(tail)}
    return found | {"seconds": round(time.monotonic() - started, 1)}


def machine() -> dict:
    """The card and the releases."""
    import torch

    named = ("torch", "transformers", "trl", "datasets", "accelerate")
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"GPU": card, "Python": platform.python_version()} | {name: version(name) for name in named}


def page(figures: dict[str, dict]) -> str:
    """The figures as Markdown: a table for each part."""
    lines = ["# On a GPU", "", ", ".join(f"{name} {value}" for name, value in figures["machine"].items()) + ".", ""]
    for part in [name for name in SECONDS if name in figures]:
        found = dict(figures[part])
        rows = found.pop("rows", [])
        lines += [f"## {part}", "", _about(part), ""]
        if rows:
            names = list(rows[0])
            lines += ["| " + " | ".join(names) + " |", "|:---|" + "---:|" * (len(names) - 1)]
            lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows] + [""]
        lines += [", ".join(f"{name}: {value}" for name, value in found.items()) + ".", ""]
    return "\n".join([*lines, "Again: `python -m tests.gpu --out DIR --model DIR`.", ""])


def _about(part: str) -> str:
    """The first paragraph of what a part says of itself."""
    text = ast.get_docstring(ast.parse((HERE / f"{part}.py").read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    main()
