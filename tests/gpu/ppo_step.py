"""One step of PPO on SmolLM2, ours and TRL 1.12.0's in turn: 16 rollouts of 20 + 32 tokens, 2 epochs of 2 mini-batches.

Float32, critic and reward model as large as the policy. Least and median seconds of the rounds after a warm-up, and the
most memory of the GPU that PyTorch had allocated (without a GPU: resident).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

from bench.models.loading import load_classifier
from tests.gpu.world import DEVICE, arguments, as_directory, prompts_of, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from common import OURS, TRL, Job
from speed import answer

WARM_UP, ROUNDS = 2, 8
PROMPT, COMPLETION = 20, 32


def main() -> None:
    """Time the sides that are here."""
    chosen = arguments(__doc__)
    folder, rounds = as_directory(chosen.model), 1 if chosen.small else ROUNDS
    arms = {OURS: "go"} | ({TRL: "go", f"{TRL}, no gc": "no gc"} if chosen.peer else {})
    processes: dict[str, subprocess.Popen[str]] = {}
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "log").open("w+", encoding="utf-8") as log:
        try:
            places = make_world(folder, Path(scratch))
            for side in [OURS, TRL] if chosen.peer else [OURS]:
                job = Job(
                    **places,
                    out=str(Path(scratch) / side),
                    seed=0,
                    steps=2 * (rounds + WARM_UP) + 1,
                    completion_tokens=4 if chosen.small else COMPLETION,
                    rollouts=4 if chosen.small else 16,
                    learning_rate=1e-5,
                    paced=True,
                    device=DEVICE,
                )
                processes[side] = job.start(side, chosen.peer, log)
            for process in processes.values():
                answer(process, "ready")
            found: dict[str, list[tuple[float, int]]] = {arm: [] for arm in arms}
            for number in range(1 - (1 if chosen.small else WARM_UP), rounds + 1):
                for arm, line in arms.items():
                    seconds, most = step(processes[OURS if arm == OURS else TRL], line)
                    if number > 0:
                        found[arm].append((seconds, most))
                if number > 0:
                    report({"rows": [row(arm, each) for arm, each in found.items()], "device": DEVICE})
        except SystemExit:
            log.seek(0)
            print(log.read()[-3000:], file=sys.stderr)
            raise
        finally:
            for process in processes.values():
                process.kill()
                process.wait()


def make_world(folder: Path, scratch: Path) -> dict[str, str]:
    """SmolLM2 as policy, an untrained classifier on top of it as reward model, prompts of one length."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    load_classifier(folder, tokenizer).save_pretrained(scratch / "reward_model")
    prompts = scratch / "prompts.json"
    prompts.write_text(json.dumps(prompts_of(tokenizer, PROMPT, 128)), encoding="utf-8")
    places = {"tokenizer": folder, "policy": folder, "reward_model": scratch / "reward_model", "prompts": prompts}
    return {name: str(place) for name, place in places.items()}


def step(process: subprocess.Popen[str], line: str) -> tuple[float, int]:
    """Have one step done: its seconds by the clock, and the most bytes held so far."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    _, clock, _, most = answer(process, "seconds")
    return float(clock), int(most)


def row(arm: str, found: list[tuple[float, int]]) -> dict[str, str]:
    """An arm's line of the table."""
    seconds = [each for each, _ in found]
    return {
        "trainer": arm,
        "least (s)": f"{min(seconds):.3f}",
        "median (s)": f"{statistics.median(seconds):.3f}",
        "memory (GB)": f"{max(most for _, most in found) / 1e9:.2f}",
    }


if __name__ == "__main__":
    main()
