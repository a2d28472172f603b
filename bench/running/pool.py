"""The parent's side of the worker: start it, hand it jobs, read its events."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


class WorkerDied(Exception):
    """The worker process itself ended, so no more events will come."""


class Pool:
    """One worker process that forks a process per job.

    Args:
        offline: forbid the libraries any network call (the matrix names nothing on the hub).
        log: where the worker's own messages go.
        temporary: the folder for what libraries leave in the system's temporary folder.
    """

    def __init__(self, offline: bool, log: Path, temporary: Path) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(_import_path()),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(temporary),
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            # freed memory is kept for the next step, not given back and fetched again page by page (glibc)
            "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
            "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "TRANSFORMERS_VERBOSITY": "warning",
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for a GPU must not open it before the fork
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        }
        if offline:
            environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                # -P: without it Python would import from the working folder before all else
                [sys.executable, "-P", "-m", "bench.running.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends this one
            )
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def submit(self, job: dict[str, Any]) -> None:
        """Start a job: ``kind``, ``key``, ``spec``, ``parents``, ``store``, ``log``. Events name it by its ``key``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerDied from None

    def event(self, timeout: float) -> dict[str, Any] | None:
        """The next event, or None after `timeout` seconds without one."""
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event is None:
            raise WorkerDied
        return event

    def close(self) -> None:
        """End the worker and whatever it still runs."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _import_path() -> list[str]:
    """Where the worker imports from: the places that this process imports from, in their order.

    The folder that this package lies in comes last, for a process that has since left the folder it found it in.
    """
    return [*(path or os.getcwd() for path in sys.path), str(Path(__file__).resolve().parents[2])]
