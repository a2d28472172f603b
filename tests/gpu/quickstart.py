"""The quickstart from nothing, all cores, the GPU shared by its stages: seconds, and its gold rewards beside the
processor's in results/reference/quickstart (samples differ, as the generators do).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from bench.records.loading import load_run
from tests.gpu.world import arguments, report

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run it, and compare."""
    small = ["--only", "arm=sft", "--only", "seed=0"] if arguments(__doc__).small else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "quickstart"
        command = [sys.executable, "-m", "bench.cli", "run", "quickstart", "--out", str(out), *small]
        command += ["--store", str(Path(folder) / "store"), "--jobs", str(os.cpu_count() or 1)]
        started = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        seconds = time.monotonic() - started
        here, there = records(out), records(ROOT / "results" / "reference" / "quickstart")
        rows = []
        for arm, cells in here.groupby("arm", sort=False):
            theirs = there[there.arm == arm]
            rows.append(
                {
                    "arm": arm,
                    "gold, here": f"{cells.gold.mean():.2f}",
                    "gold, processor": f"{theirs.gold.mean():.2f}",
                    "least and most of its seeds": f"{theirs.gold.min():.2f} to {theirs.gold.max():.2f}",
                    "ok": f"{int((cells.status == 'ok').sum())}/{len(cells)}",
                }
            )
        report({"rows": rows, "run (s)": round(seconds, 1), "processes": os.cpu_count()})


def records(folder: Path) -> pd.DataFrame:
    """One row per cell."""
    return load_run(folder).records


if __name__ == "__main__":
    main()
