"""The stand-in for public services, which tests of the kit talk to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / ".." / "shared"
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
UPSTREAM = Path(os.environ.get("MIREPOIX_UPSTREAM") or SHARED / "upstream" / "upstream.py")


@pytest.fixture(scope="session")
def stand_in() -> Callable[..., AbstractContextManager[str]]:
    """`with stand_in(*options) as base`: the address of a stand-in of one's own, while it runs."""
    for needed in (KIT, UPSTREAM):
        if not needed.exists():
            pytest.skip(f"{needed} is not here (set MIREPOIX_KIT, MIREPOIX_UPSTREAM)")

    @contextlib.contextmanager
    def running(*options: str) -> Iterator[str]:
        argv = [sys.executable, str(UPSTREAM), "--kit", str(KIT), "--port", "0", *options]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                word, base, *_ = process.stdout.readline().split()
                assert word == "listening"
                yield base
            finally:
                process.kill()

    return running
