import itertools
import multiprocessing
import os
import stat
import subprocess
import sys
import tempfile
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


def test_a_text_that_cannot_be_written_leaves_the_old_one_and_no_litter(tmp_path):
    write_atomically(tmp_path / "record.json", "{}")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "record.json", "\ud800")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["{}"]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_decides_who_may_read_and_write(tmp_path, umask):
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "store")
        with store.lock("sft", "k1"):
            locks = [path.stat().st_mode for path in (store.root / ".locks").iterdir()]
            make(store)
        write_atomically(tmp_path / "run" / "run.json", "{}")
    finally:
        os.umask(before)
    paths = [path for path in tmp_path.rglob("*") if path.name != ".locks"]
    assert len(paths) == 9 and len(locks) == 1
    for mode in (*locks, *(path.stat().st_mode for path in paths)):
        allowed = 0o777 if stat.S_ISDIR(mode) else 0o666
        assert stat.S_IMODE(mode) == allowed & ~umask


def test_a_lock_leaves_no_file_and_those_of_the_killed_are_swept(tmp_path):
    store = Store(tmp_path)
    with store.lock("sft", "k1"):
        (tmp_path / ".locks" / "sft-k2.lock").touch()
        store.sweep()
        assert [file.name for file in (tmp_path / ".locks").iterdir()] == ["sft-k1.lock"]
    assert list((tmp_path / ".locks").iterdir()) == []


def _as_nobody(function):
    """Run in a process without the rights of root; its exit status, 0 if `function` returned."""
    process = multiprocessing.get_context("fork").Process(target=_without_rights, args=(function,))
    process.start()
    process.join()
    return process.exitcode


def _without_rights(function):
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    function()


def test_a_read_only_store_serves_what_it_has_and_says_that_no_more_can_be_written(tmp_path):
    shared = Path(tempfile.gettempdir()).resolve()
    for folder in itertools.takewhile(lambda path: path != shared, (tmp_path, *tmp_path.parents[:-1])):
        folder.chmod(0o755)
    store = Store(tmp_path / "store")
    make(store)
    for path in (store.root, *store.root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)

    def serves():
        assert store.has("sft", "k1") and store.damage("sft", "k1") is None
        store.sweep()
        assert store.unwritable() == "Permission denied"

    try:
        assert _as_nobody(serves) == 0
    finally:
        for path in (store.root, *store.root.rglob("*")):
            path.chmod(0o755)
    assert store.unwritable() is None


def test_an_artifact_whose_manifest_is_gone_is_still_listed_and_others_folders_are_not(tmp_path):
    store = Store(tmp_path)
    with store.build("sft", "0" * 32) as folder:
        (folder / "model.txt").write_text("weights")
    (tmp_path / "sft" / "mine").mkdir()
    (store.path("sft", "0" * 32) / MANIFEST).unlink()
    assert list(store.artifacts()) == [("sft", "0" * 32)]
    assert store.damage("sft", "0" * 32) == "manifest.json cannot be read"
