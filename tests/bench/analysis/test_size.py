"""Ten thousand records become a table in seconds and within a gigabyte; the promise, with slack for a busy machine, is
10 s and 1 GB."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from bench.measures.registry import MEASURES
from bench.records.files import RECORDS

AGGREGATE = """
import resource, sys, time
from bench.records.loading import load_run
from bench.analysis.tables.main_table import summarise
started = time.process_time()
rows = summarise(load_run(sys.argv[1]))
print(len(rows), time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_ten_thousand_records_are_aggregated_in_ten_seconds_and_a_gigabyte(tmp_path):
    rng = np.random.default_rng(0)
    curve = [{"step": step, "accuracy": 0.7, "ece": 0.01, "nll": 0.6} for step in range(10)]
    with gzip.open(tmp_path / RECORDS, "wt", compresslevel=1) as file:
        for index in range(10_000):
            arm, seed = divmod(index, 10)
            measures = dict(zip(MEASURES, rng.normal(size=len(MEASURES)).tolist(), strict=True))
            cell = {"id": f"c{index}", "index": index, "task": f"task {arm // 125}", "model": "tiny", "seed": seed}
            cell |= {"arm": f"arm {arm % 125}", "method": "ppo", "hyperparameters": {f"h{i}": i for i in range(40)}}
            record = {"schema": 1, "cell": cell, "status": "ok", "judge": "gold", "measures": measures,
                      "reward_models": {"reward_model": {"curve": curve}}, "cost": {"seconds": 30.0}}  # fmt: skip
            file.write(json.dumps(record) + "\n")
    out = subprocess.run([sys.executable, "-c", AGGREGATE, tmp_path], capture_output=True, text=True, check=True).stdout
    rows, seconds, megabytes = map(float, out.split())
    assert rows >= 1000 * (len(MEASURES) - 1)  # but for the hypervolume, which comes from curves
    assert seconds < 20
    assert megabytes < 1000
