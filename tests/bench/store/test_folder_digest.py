"""A folder's digest is of its bytes."""

import os

from bench.store.folder_digest import folder_digest


def test_other_bytes_of_equal_size_and_time_are_noticed_and_a_touch_is_not(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    first, state = folder_digest(tmp_path), weights.stat()
    os.utime(weights, ns=(0, 0))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("x")
    assert folder_digest(tmp_path) == first
    weights.write_bytes(b"two")
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert folder_digest(tmp_path) != first
