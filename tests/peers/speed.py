"""Seconds per step of PPO, this project's trainer and TRL 1.12.0's in turn: ``python speed.py --peer PYTHON``.

One step is 128 rollouts of 34 tokens, 6 of them the prompt's, with 2 epochs of 2 mini-batches of 64; critic and reward
model are as large as the policy; one thread, which keeps the memory that it frees. The policy's vocabulary has no end
of sequence, so that every completion has its full length on either side. TRL is timed with and without its two calls of
`gc.collect` per step, and both on the same model (activation `gelu_pytorch_tanh`) and on what `GPT2Config` makes by
default (`gelu_new`, the same function from slower kernels). The matrix products alone are the floor.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from common import OURS, RESULTS, TRL, Job, versions
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

from bench.analysis.layout import markdown

PROMPT, COMPLETION, WORDS, HEADS = 6, 28, 64, 4
SIZES = {"108k": {"n_layer": 2, "n_embd": 64, "rounds": 16}, "0.8M": {"n_layer": 4, "n_embd": 128, "rounds": 8}}
WARM_UP = 2
FUSED, DEFAULT = "gelu_pytorch_tanh", "gelu_new"
CLOCK, CPU = "seconds", "cpu_seconds"
Seconds = tuple[float, float]  # by the clock, and of the processor
FLOOR = "matrix products alone"
ABOUT = " ".join(str(__doc__).split("\n\n", 1)[1].split())
# arm: side, activation, the line that its process is sent
ARMS = {
    OURS: (OURS, FUSED, "go"),
    TRL: (TRL, FUSED, "go"),
    f"{TRL}, no gc": (TRL, FUSED, "no gc"),
    f"{TRL}, gelu_new": (TRL, DEFAULT, "go"),
    f"{TRL}, gelu_new, no gc": (TRL, DEFAULT, "no gc"),
}


def make_world(folder: Path, layers: int, width: int, activation: str) -> dict[str, str]:
    """A tokenizer, an untrained policy without EOS in its vocabulary, a reward model, prompts of one length."""
    words = [f"w{i}" for i in range(WORDS)]
    vocabulary = {f"▁{word}": i for i, word in enumerate(words)} | {"<eos>": WORDS}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<eos>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<eos>", eos_token="<eos>")

    def config(size: int) -> GPT2Config:
        shape = {"vocab_size": size, "n_positions": 64, "n_layer": layers, "n_embd": width, "n_head": HEADS}
        ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), WORDS)
        return GPT2Config(**shape, **ids, activation_function=activation, num_labels=1)

    torch.manual_seed(0)
    places = {name: str(folder / name) for name in ("tokenizer", "policy", "reward_model", "prompts")}
    tokenizer.save_pretrained(places["tokenizer"])
    GPT2LMHeadModel(config(WORDS)).save_pretrained(places["policy"])
    GPT2ForSequenceClassification(config(WORDS + 1)).save_pretrained(places["reward_model"])
    draw = random.Random(0)
    prompts = [" ".join(draw.choices(words, k=PROMPT)) for _ in range(512)]
    Path(places["prompts"]).write_text(json.dumps(prompts), encoding="utf-8")
    return places


def products(job: Job, layers: int, width: int) -> Counter[tuple[int, int, int, int]]:
    """The matrix products of one step, (batch, m, k, n) → how often: nothing done twice, logits only where needed."""
    head = width // HEADS
    found: Counter[tuple[int, int, int, int]] = Counter()

    def linear(times: int, rows: int, outputs: int, inputs: int, backward: bool) -> None:
        found[1, rows, inputs, outputs] += times
        if backward:
            found[1, rows, outputs, inputs] += times  # the gradient of the input
            found[1, inputs, rows, outputs] += times  # and of the weights

    def forward(times: int, sequences: int, queries: int, keys: int, backward: bool = False) -> None:
        for inputs, outputs in ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)):
            linear(times * layers, sequences * queries, outputs, inputs, backward)
        again = 3 if backward else 1
        found[sequences * HEADS, queries, head, keys] += times * layers * again
        found[sequences * HEADS, queries, keys, head] += times * layers * again

    length, size = PROMPT + COMPLETION, job.rollouts // job.minibatches
    updates = job.epochs * job.minibatches
    forward(1, job.rollouts, PROMPT, PROMPT)
    for token in range(1, COMPLETION):
        forward(1, job.rollouts, 1, PROMPT + token)
    linear(COMPLETION, job.rollouts, WORDS, width, backward=False)
    forward(3, job.rollouts, length, length)  # reference, reward model, critic
    linear(1, job.rollouts * COMPLETION, WORDS, width, backward=False)
    forward(2 * updates, size, length, length, backward=True)  # policy, critic
    linear(updates, size * COMPLETION, WORDS, width, backward=True)
    return found


def seconds_of(shapes: Counter[tuple[int, int, int, int]]) -> Seconds:
    """Seconds to multiply matrices of these shapes, making them left out."""
    clock = processor = 0.0
    for (batch, m, k, n), times in shapes.items():
        left, right, out = torch.randn(batch, m, k), torch.randn(batch, k, n), torch.empty(batch, m, n)
        if batch == 1:
            left, right, out = left[0], right[0], out[0]
        torch.matmul(left, right, out=out)
        started = (time.perf_counter(), time.process_time())
        for _ in range(times):
            torch.matmul(left, right, out=out)
        clock += time.perf_counter() - started[0]
        processor += time.process_time() - started[1]
    return clock, processor


def answer(process: subprocess.Popen[str], word: str) -> list[str]:
    """The next line of the process that starts with `word`, split; its log lines are passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.split()
    raise SystemExit(f"a side ended with {process.wait()}: see its log")


def step(process: subprocess.Popen[str], line: str) -> Seconds:
    """Have one step done; its seconds."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    _, clock, processor, _ = answer(process, "seconds")
    return float(clock), float(processor)


def measure(size: str, peer: str, folder: Path) -> list[dict[str, Any]]:
    """All arms in turn, round after round."""
    layers, width, rounds = SIZES[size]["n_layer"], SIZES[size]["n_embd"], SIZES[size]["rounds"]
    processes: dict[tuple[str, str], subprocess.Popen[str]] = {}
    rows = []
    with (folder / f"{size}.log").open("w", encoding="utf-8") as log:
        try:
            for side, activation in dict.fromkeys((side, activation) for side, activation, _ in ARMS.values()):
                here = folder / f"{size}-{side}-{activation}"
                world = make_world(here, layers, width, activation)
                steps = 2 * (rounds + WARM_UP) + 1  # a process may serve two arms
                job = Job(**world, out=str(here), seed=0, steps=steps, completion_tokens=COMPLETION, paced=True)
                processes[side, activation] = job.start(side, peer, log)
            for process in processes.values():
                answer(process, "ready")
            floor = products(job, layers, width)
            flops = sum(2 * b * m * k * n * times for (b, m, k, n), times in floor.items())
            print(f"{size}: {flops / 1e9:.1f} GFLOP of matrix products per step", flush=True)
            for number in range(1 - WARM_UP, rounds + 1):
                times = {arm: step(processes[side, kind], line) for arm, (side, kind, line) in ARMS.items()}
                times[FLOOR] = seconds_of(floor)
                print(
                    f"{size} {number}/{rounds}: " + ", ".join(f"{a} {s[1]:.2f}" for a, s in times.items()), flush=True
                )
                if number > 0:
                    rows += [
                        {"model": size, "arm": a, "round": number, CLOCK: s[0], CPU: s[1]} for a, s in times.items()
                    ]
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    return rows


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Seconds per step and how ours compare."""
    rows = []
    for size in SIZES:
        here = frame[frame.model == size]
        clock, cpu = (here.pivot(index="round", columns="arm", values=column) for column in (CLOCK, CPU))
        rows += [
            {
                "model": size,
                "arm": arm,
                "least (s)": f"{clock[arm].min():.3f}",
                "least CPU (s)": f"{cpu[arm].min():.3f}",
                "median CPU (s)": f"{cpu[arm].median():.3f}",
                "ours / this, least CPU": f"{cpu[OURS].min() / cpu[arm].min():.2f}",
                "median by round": f"{(cpu[OURS] / cpu[arm]).median():.2f}",
            }
            for arm in [*ARMS, FLOOR]
        ]
    return pd.DataFrame(rows)


def page(frame: pd.DataFrame) -> str:
    """The results as Markdown."""
    releases = ", ".join(f"{name} {release}" for name, release in versions().items() if name != "trl")
    rounds = ", ".join(f"{shape['rounds']} ({size})" for size, shape in SIZES.items())
    return f"""# Seconds per step of PPO: ours and TRL 1.12.0's

{ABOUT}

{markdown(table(frame))}

{releases}. Least and median of {rounds} rounds, in each of which every arm did one step; warm-up left out. By the clock
and in processor time, which other programs on the machine lengthen less. A ratio below 1 means that ours is quicker.
Every round: [speed.csv](speed.csv). Again: `make -C tests/peers speed`.
"""


def main() -> None:
    """Measure, print, and write ``speed.csv`` and ``speed.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="the Python of the virtual environment that has TRL 1.12.0")
    peer = parser.parse_args().peer
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame([row for size in SIZES for row in measure(size, peer, Path(folder))])
    RESULTS.mkdir(parents=True, exist_ok=True)
    frame.round({CLOCK: 4, CPU: 4}).to_csv(RESULTS / "speed.csv", index=False)
    (RESULTS / "speed.md").write_text(page(frame), encoding="utf-8")
    print(table(frame).to_string(index=False))


if __name__ == "__main__":
    main()
