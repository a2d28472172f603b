import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.store.store import MANIFEST, Store, write_atomically


def make(store: Store, text: str = "weights") -> Path:
    with store.build("sft", "k1") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "model.txt").write_text(text)
    return store.path("sft", "k1")


def test_an_artifact_is_whole_with_a_checksum_for_every_file(tmp_path):
    store = Store(tmp_path)
    assert not store.has("sft", "k1")
    folder = make(store)
    assert store.has("sft", "k1")
    assert store.damage("sft", "k1") is None
    assert (folder / "deep" / "model.txt").read_text() == "weights"


def test_a_build_that_fails_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.build("sft", "k1") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not store.has("sft", "k1")
    assert list((tmp_path / ".building").iterdir()) == []


@pytest.mark.parametrize("harm", ["alter", "truncate", "remove", "manifest"])
def test_damage_is_seen_and_a_new_build_replaces_it(tmp_path, harm):
    store = Store(tmp_path)
    folder = make(store)
    file = folder / "deep" / "model.txt"
    if harm == "alter":
        file.write_text("weightz")
    elif harm == "truncate":
        os.truncate(file, 3)
    elif harm == "remove":
        file.unlink()
    else:
        (folder / MANIFEST).write_text("{")
    assert (MANIFEST if harm == "manifest" else "model.txt") in str(store.damage("sft", "k1"))
    make(store, "again")
    assert store.damage("sft", "k1") is None
    assert file.read_text() == "again"


def test_what_a_killed_process_left_is_swept_and_a_living_ones_is_not(tmp_path):
    store = Store(tmp_path)
    code = f"""
import os, signal
from pathlib import Path
from bench.store.store import Store
with Store(Path({str(tmp_path)!r})).build("sft", "k1") as folder:
    (folder / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    with store.build("sft", "k2") as mine:
        assert len(list((tmp_path / ".building").iterdir())) == 2
        store.sweep()
        assert list((tmp_path / ".building").iterdir()) == [mine]
    assert not store.has("sft", "k1")
    assert store.has("sft", "k2")


def _hold(root: Path, log: Path) -> None:
    with Store(root).lock("sft", "k1"):
        with log.open("a") as file:
            file.write("in ")
        time.sleep(0.3)
        with log.open("a") as file:
            file.write("out ")


def test_two_processes_never_build_the_same_artifact_at_once(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_hold, args=(tmp_path, log)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert log.read_text() == "in out in out "


def test_a_text_file_is_written_whole(tmp_path):
    file = tmp_path / "new" / "record.json"
    write_atomically(file, "{}")
    write_atomically(file, "[1]")
    assert file.read_text() == "[1]"
    assert [entry.name for entry in file.parent.iterdir()] == ["record.json"]
