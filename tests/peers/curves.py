"""Learning curves of PPO, this project's trainer and TRL 1.12.0's: ``python curves.py --peer PYTHON``.

Both train the same π0 on the same prompts (task `reviews`, model `tiny`) against the same reward model with the same
settings, five seeds; π0 and reward model are the seed's own. The trained policies are then sampled and scored by one
function, on held-out prompts. They agree where the mean difference is within the seeds' spread (the pooled standard
deviation over seeds) and the paired 95 % interval of the difference contains 0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import OURS, RESULTS, SCRIPTS, TRL, Job

import bench
from bench.analysis.layout import markdown
from bench.analysis.statistics import mean_interval, paired_difference
from bench.contracts.task import Task
from bench.matrix.cells import Matrix
from bench.matrix.reading import parse_matrix
from bench.models.learned_reward import RewardModel
from bench.models.loading import load_classifier, load_model
from bench.models.sequence_scores import sequence_scores
from bench.models.tokenizers import load_tokenizer
from bench.running.run import store_at
from bench.stages.graph import stages_of
from bench.store.source import source_digest
from bench.workbench.policy import ModelPolicy

ABOUT = " ".join(str(__doc__).split("\n\n", 1)[1].split())
START = "π0"
SEEDS, STEPS, PROMPTS, SAMPLES = 5, 60, 128, 4
MEASURES = {"reward": "proxy reward", "kl": "KL (nats)", "gold": "gold reward", "length": "tokens", "finished": "ended"}
NOT_ALIKE = """\
- TRL gives the score one token after the end of sequence, and has a value for the state there as well: λ weighs the
  score once more, and the value loss is over one more token per completion. Here an episode ends with its last token.
- A completion cut off at the token limit is scored as it is by TRL; here the reward model is given text, with an end of
  sequence behind it, as when it was trained. (`ended` is the share of completions that were not cut off.)
- TRL whitens advantages by the unbiased variance, here it is the population's; and prompts come in another order.
- TRL's loop does not clip gradients, steps the learning rate once per batch of rollouts, and has one rate for policy
  and critic: so there is no clipping here, a constant rate, and one rate."""


@dataclass(frozen=True)
class World:
    """What both sides are given, and what judges them, for one seed."""

    seed: int
    task: Task
    tokenizer: Path
    policy: Path
    reward_model: Path


def make_worlds(folder: Path) -> list[World]:
    """π0 and reward model of every seed, from the store or trained now."""
    matrix: Matrix = parse_matrix({"tasks": "reviews", "models": "tiny", "methods": "sft", "seeds": SEEDS}, "peers")
    bench.run(matrix, out=folder / "run")
    store, worlds = store_at(), []
    for cell in matrix.cells():
        stages = stages_of(cell, matrix, "cpu")
        base, policy, reward_model = (store.path(r, stages[r].key) for r in ("base", "sft", "reward_model"))
        worlds.append(World(cell.seed, cell.task.task, base, policy, reward_model))
    return worlds


def train(side: str, world: World, peer: str, folder: Path) -> tuple[Job, dict[str, Any]]:
    """Have one side train, unless it did so with the same job and source; the job and the log."""
    prompts, out = folder / "prompts.json", folder / f"{side}-{world.seed}"
    prompts.write_text(json.dumps(list(world.task.prompts("train")["prompt"])), encoding="utf-8")
    job = Job(
        tokenizer=str(world.tokenizer),
        policy=str(world.policy),
        reward_model=str(world.reward_model),
        prompts=str(prompts),
        out=str(out),
        seed=world.seed,
        steps=STEPS,
        completion_tokens=world.task.max_completion_tokens,
    )
    done, made_of = out / "source.txt", f"{job} {source_digest([SCRIPTS[side]])}"
    if not (done.is_file() and done.read_text(encoding="utf-8") == made_of):
        said = folder / f"{side}-{world.seed}.txt"
        with said.open("w", encoding="utf-8") as log:
            process = job.start(side, peer, log)
            process.communicate()
        if process.returncode:
            raise SystemExit(f"{side}, seed {world.seed}, ended with {process.returncode}:\n{said.read_text()[-3000:]}")
        done.write_text(made_of, encoding="utf-8")
    return job, json.loads((out / "log.json").read_text(encoding="utf-8"))


def score(directory: str | Path, world: World) -> dict[str, float]:
    """Means over samples of the policy in `directory` on held-out prompts: the same function for both sides."""
    tokenizer = load_tokenizer(world.tokenizer)
    model, reference = load_model(directory, tokenizer), load_model(world.policy, tokenizer)
    prompts = [p for p in world.task.prompts("test")["prompt"][:PROMPTS] for _ in range(SAMPLES)]
    samples = ModelPolicy(model, tokenizer, world.task.max_completion_tokens).sample(prompts, seed=world.seed)
    scores = sequence_scores(model, reference, samples.prompt_ids, samples.completion_ids, batch_size=128)
    proxy = RewardModel(load_classifier(world.reward_model, tokenizer), tokenizer)
    figures = {
        "reward": proxy(samples.prompts, samples.completions),
        "kl": scores["kl"],
        "gold": world.task.gold(samples.prompts, samples.completions),
        "length": scores["length"],
        "finished": samples.finished,
    }
    return {name: float(np.mean(np.asarray(values, float))) for name, values in figures.items()}


def agreement(final: pd.DataFrame) -> pd.DataFrame:
    """Final figures of both sides, their paired difference, and the two tests."""
    rows = []
    for measure, title in MEASURES.items():
        start, ours, theirs = (final[final.side == side].set_index("seed")[measure] for side in (START, OURS, TRL))
        gap = paired_difference(ours.to_dict(), theirs.to_dict())
        spread = float(np.sqrt((ours.var() + theirs.var()) / 2))
        means = {side: mean_interval(values) for side, values in ((START, start), (OURS, ours), (TRL, theirs))}
        rows.append(
            {"measure": title}
            | {side: f"{mean.mean:.3f} ± {mean.half:.3f}" for side, mean in means.items()}
            | {
                "difference, paired": f"{gap.difference.mean:+.3f} ± {gap.difference.half:.3f}",
                "p": f"{gap.p:.2f}",
                "seeds' spread": f"{spread:.3f}",
                "within it": "yes" if abs(gap.difference.mean) <= spread else "no",
                "interval contains 0": "yes" if gap.difference.low <= 0 <= gap.difference.high else "no",
            }
        )
    return pd.DataFrame(rows)


def listed(values: Mapping[str, Any]) -> str:
    """Names and values in a row."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def page(final: pd.DataFrame, curves: pd.DataFrame, settings: dict[str, Any]) -> str:
    """The results as Markdown."""
    every = 10
    steps = [1, *range(every, STEPS + 1, every)]
    means = curves[curves.step.isin(steps)].groupby(["side", "step"])[["reward", "kl"]].mean().map("{:.2f}".format)
    along = means.unstack("side").reset_index().astype(str)
    along.columns = [" ".join(part for part in name if part) for name in along.columns]
    releases = "; ".join(f"{side}: {listed(settings['versions'][side])}" for side in (OURS, TRL))
    return f"""# Learning curves of PPO: ours and TRL 1.12.0's

{ABOUT}

{markdown(agreement(final))}

Mean over {SEEDS} seeds ± half the 95 % interval (Student's t), {STEPS} steps, {PROMPTS} held-out prompts × {SAMPLES}
samples. Every seed: [final.csv](final.csv).

As each side logs it while it trains, mean over seeds (every step and seed: [curves.csv](curves.csv)):

{markdown(along)}

What no setting makes alike, or only a setting on the other side:

{NOT_ALIKE}

Settings of both: {listed(settings["settings"])}. {releases}.
Again: `make -C tests/peers curves`.
"""


def main() -> None:
    """Train both sides, score them, and write ``curves.csv``, ``final.csv``, ``curves.json`` and ``curves.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="the Python of the virtual environment that has TRL 1.12.0")
    parser.add_argument("--work", type=Path, default=Path("results/peers"), help="folder for what is trained")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    final, curves = [], []
    settings: dict[str, Any] = {}
    for world in make_worlds(options.work):
        final.append({"side": START, "seed": world.seed} | score(world.policy, world))
        for side in (OURS, TRL):
            job, log = train(side, world, options.peer, options.work)
            figures = score(job.out, world)
            print(f"seed {world.seed}, {side}: " + ", ".join(f"{n} {v:.3f}" for n, v in figures.items()), flush=True)
            final.append({"side": side, "seed": world.seed} | figures)
            curves += [{"side": side, "seed": world.seed} | row for row in log["log"]]
            settings = {"settings": job.settings(), "versions": settings.get("versions", {}) | {side: log["versions"]}}
    ended, along = pd.DataFrame(final), pd.DataFrame(curves)
    RESULTS.mkdir(parents=True, exist_ok=True)
    ended.round(4).to_csv(RESULTS / "final.csv", index=False)
    along.round(4).to_csv(RESULTS / "curves.csv", index=False)
    (RESULTS / "curves.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "curves.md").write_text(page(ended, along, settings), encoding="utf-8")
    print(agreement(ended).to_string(index=False))


if __name__ == "__main__":
    main()
