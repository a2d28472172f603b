"""The comparison with TRL 1.12.0 starts, though its own environment is not here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parent / "peers"


@pytest.mark.parametrize("script", ["speed.py", "curves.py"])
def test_a_script_says_what_it_measures(script):
    command = [sys.executable, str(PEERS / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}, check=False)
    assert done.returncode == 0, done.stderr
    assert "--peer" in done.stdout and "TRL 1.12.0" in done.stdout
