"""A small workspace whose data are prepared again and again, and strace, which sees and breaks what is done for it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
filters:
  - words: {min: 1}
dedup: {exact: true}
split: {validation: 0.1}
"""
RUN = [sys.executable, "-c", "from runner.cli import main; main()", "run", "r.yaml", "--to", "prepare"]
Done = subprocess.CompletedProcess[str]


class Place:
    """A workspace under a folder of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        rows = (
            {
                "messages": [
                    {"role": "user", "content": f"Say {n}, please."},
                    {"role": "assistant", "content": f"It is {n * 7}, then."},
                ]
            }
            for n in range(40)
        )
        self.input = root / "talk.jsonl"
        self.input.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (root / "r.yaml").write_text(RECIPE)

    def run(self, *before: str, **environ: str) -> Done:
        """`recipe run --to prepare`; `before` is put before the command."""
        env = {k: v for k, v in os.environ.items() if k not in environ} | environ
        argv = [*before, *RUN]
        return subprocess.run(argv, cwd=self.root, env=env, capture_output=True, text=True, timeout=120)

    def files(self, *, left: bool = False) -> dict[str, str]:
        """Every file of the artifacts and of runs/ with its digest; `left` counts what a kill left under way, too."""
        return {
            p.relative_to(self.root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for top in (".mirepoix/artifacts", "runs")
            for p in sorted((self.root / top).rglob("*"))
            if p.is_file() and (left or not (p.name.startswith(".") and p.suffix == ".tmp"))
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an unbroken run leaves."""
    place = Place(tmp_path_factory.mktemp("whole"))
    done = place.run()
    assert done.returncode == 0, done.stderr
    return place.files(left=True)


@pytest.fixture(scope="session")
def strace() -> str:
    """The program, where it may look at others."""
    found = shutil.which("strace")
    if not found or subprocess.run([found, "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace is not here, or may not look at processes")
    return found
