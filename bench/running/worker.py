"""The worker: imports the libraries once, then forks a fresh process for every stage.

Talks JSON lines: jobs come in on standard input, events go out on standard output. A fresh process per stage keeps
stages from seeing one another's random state, and lets one run out of memory without taking the others down; the fork
saves it the seconds that importing takes. When the parent goes away, so does everything here.

By hand, because an executor of `concurrent.futures` gives up all its jobs when one process is killed, and those that do
not fork run the user's script again, which calls `bench.run`.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError, Diverged, Skipped
from bench.stages.artifact import INFO
from bench.store.source import imported_from_elsewhere, source_digest
from bench.store.store import Store

if TYPE_CHECKING:
    from bench.stages.job import Job

_REPORT_EVERY = 0.2  # seconds between two progress events of a job
_MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")

Emit = Callable[..., None]


def main() -> None:
    """Serve jobs until standard input closes."""
    events = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _quiet_libraries()
    import bench.stages.all_stages  # noqa: F401 (before any fork: every stage finds it imported)

    gc.collect()
    gc.freeze()  # or every full collection of every stage walks, and copies, what was imported: a quarter of a second
    running: dict[int, str] = {}
    buffer = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.05)
        if readable:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                job = json.loads(line)
                running[_fork(job, events)] = job["key"]
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _send(events, {"event": "exit", "key": running.pop(pid), "code": os.waitstatus_to_exitcode(status)})
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _send(handle: int, message: dict[str, Any]) -> None:
    os.write(handle, json.dumps(message).encode() + b"\n")  # short lines: written whole even from several processes


def _fork(job: dict[str, Any], events: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
        _redirect(Path(job["log"]))

        def emit(event: str, **fields: Any) -> None:
            _send(events, {"event": event, "key": job["key"], **fields})

        _make_artifact(job, emit)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _redirect(log: Path) -> None:
    """Everything the stage and its libraries print goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _quiet_libraries() -> None:
    import datasets
    import torch

    torch.set_num_threads(1)
    datasets.disable_caching()  # a cache on disk would outlive the store and be shared between runs
    datasets.disable_progress_bars()


def _make_artifact(job: dict[str, Any], emit: Emit) -> None:
    """Have the job's artifact in the store, unless another run was faster; tell what came of it."""
    store = Store(Path(job["store"]))
    kind, key = job["kind"], job["key"]
    with store.lock(kind, key):
        if store.has(kind, key) and store.damage(kind, key) is None:
            emit("done", built=False)
            return
        try:
            for role, (parent_kind, parent_key) in job["parents"].items():
                if damage := store.damage(parent_kind, parent_key):
                    raise BenchError(f"the {role} artifact was damaged meanwhile ({damage}): run again")
            with store.build(kind, key) as directory:
                _run_stage(job, store, directory, emit)
        except Skipped as reason:
            emit("skipped", reason=str(reason))
        except BenchError as error:
            emit("failed", reason=str(error)[:2000])
        except Exception as error:
            traceback.print_exc()
            emit("failed", reason=_one_line(error))
        else:
            emit("done", built=True)


def _run_stage(job: dict[str, Any], store: Store, directory: Path, emit: Emit) -> None:
    from bench.stages.all_stages import RUN
    from bench.stages.job import Job

    started = time.perf_counter()
    with store.scratch() as scratch:
        # what libraries write goes with the scratch folder, also where this process is killed
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        stage_job = Job(
            spec=job["spec"],
            directory=directory,
            parents={role: store.path(*artifact) for role, artifact in job["parents"].items()},
            scratch=scratch,
            progress=_throttled(emit),
        )
        info: dict[str, Any] = {}
        try:
            _require_the_code_of_the_key(stage_job)
            info = RUN[job["kind"]](stage_job)
        except Diverged as divergence:
            traceback.print_exc()
            info = {"diverged": str(divergence), "step": divergence.step}
    # this process read the source after the key was made from it; under that key nothing else may be kept
    _require_the_code_of_the_key(stage_job)
    if source_digest(map(Path, job["spec"]["sources"])) != job["spec"]["source_digest"]:
        raise BenchError("the source was changed while this ran: run again")
    _require_the_data_of_the_key(stage_job)
    info["seconds"] = time.perf_counter() - started
    info["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_PER_MB
    (directory / INFO).write_text(json.dumps(info, indent=1), encoding="utf-8")


def _require_the_code_of_the_key(job: Job) -> None:
    """Are the modules of this process the files that the stage's key was made from?"""
    stage, *plugin_files = (Path(file) for file in job.spec["sources"])
    if stray := imported_from_elsewhere(stage.resolve().parents[2]):
        raise BenchError(f"{stray} was imported, and the run is of the code in {stage.resolve().parents[2]}")
    plugins = [type(job.task), *([type(job.method)] if "method" in job.spec else []), *job.measures]
    for plugin, named in zip(plugins, plugin_files, strict=True):
        if (file := Path(inspect.getfile(plugin))).resolve() != named.resolve():
            raise BenchError(f"{plugin.name!r} was imported from {file}, and the run is of the code in {named}")


def _require_the_data_of_the_key(job: Job) -> None:
    """Are the files that the task reads as they were when the stage's key was made? (A hub's data set is not asked.)"""
    if getattr(job.task, "hub", None) is None and job.task.content_digest() != job.spec["data_digest"]:
        raise BenchError("the task's data was changed since the run began: run again")


def _throttled(emit: Emit) -> Callable[[int, int], None]:
    last = 0.0

    def progress(step: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_EVERY or step >= total:
            last = now
            emit("progress", step=step, total=total)

    return progress


def _one_line(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, MemoryError) or any(words in text.lower() for words in _NO_MEMORY):
        text = f"out of memory: {text}"
    return text[:500]


if __name__ == "__main__":
    main()
