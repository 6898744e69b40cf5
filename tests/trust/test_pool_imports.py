"""Processes that share our work import what is installed, and nothing of the folder that we work in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# As the program `recipe` starts: Python's own path without the current folder, and no word of it in the environment.
WORK = """
import sys
sys.path[:] = [p for p in sys.path if p]
from runner import pool
pool.PATIENCE = -1
print(list(pool.mapped(abs, [-1, -2, -3], 2)))
"""


@pytest.mark.parametrize("name", ["multiprocessing", "signal", "struct"])
def test_workers_and_their_server_take_no_module_of_a_workspace(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')\n")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert not (tmp_path / "PWNED").exists()
    assert done.returncode == 0 and done.stdout.strip() == "[1, 2, 3]", done.stderr
