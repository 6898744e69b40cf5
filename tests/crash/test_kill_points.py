"""A kill at a chosen system call of `prepare`: nothing wrong is left, and the next run mends it alone.

One point of each kind of call; every call of the main thread is tried with MIREPOIX_ALL_POINTS=1, which takes a quarter
of an hour.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ALL = os.environ.get("MIREPOIX_ALL_POINTS", "") not in ("", "0")
CALLS = ("rename", "fsync", "write", "link")
_CALL = re.compile(r"(\d+) +(\w+)\(")


def test_what_a_kill_left_half_written_goes(place: Any, whole: dict[str, str]) -> None:
    left = place.root / "runs" / "t" / ".plan.json.999999999.tmp"
    left.parent.mkdir(parents=True)
    left.write_text("{")
    assert place.run().returncode == 0
    assert place.files(left=True) == whole


def killed_at(place: Any, strace: str, whole: dict[str, str], call: str, n: int) -> None:
    how = f"inject={call}:signal=SIGKILL:when={n}"
    before = place.input.read_bytes()
    done = place.run(strace, "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", how)
    at = f"{call} {n}"
    assert done.returncode in (-9, 137), f"{at} was never made"
    assert place.input.read_bytes() == before, at
    made = {k: v for k, v in place.files().items() if k.startswith(".mirepoix/artifacts")}
    assert made.items() <= whole.items(), f"{at}: what is there is right"
    done = place.run()
    assert done.returncode == 0, (at, done.stderr)
    assert place.files(left=True) == whole, f"{at}: nor is anything half written left"


@pytest.mark.parametrize(("call", "n"), [("rename", 9), ("fsync", 12), ("write", 60), ("link", 2)])
def test_killed_at_a_call(place: Any, strace: str, whole: dict[str, str], call: str, n: int) -> None:
    killed_at(place, strace, whole, call, n)


@pytest.mark.skipif(not ALL, reason="takes a quarter of an hour: MIREPOIX_ALL_POINTS=1")
def test_killed_at_every_call(place: Any, tmp_path: Path, strace: str, whole: dict[str, str]) -> None:
    trace = place.root / "trace"
    assert place.run(strace, "-f", "-qq", "-e", f"trace={','.join(CALLS)}", "-o", str(trace)).returncode == 0
    seen = [m.groups() for x in trace.read_text(errors="replace").splitlines() if (m := _CALL.match(x))]
    many = Counter(call for pid, call in seen if pid == seen[0][0])
    assert many.keys() == set(CALLS)
    for call in CALLS:
        for n in range(1, many[call] + 1):
            one = type(place)(tmp_path / f"{call}{n}")
            killed_at(one, strace, whole, call, n)
            shutil.rmtree(one.root)
    sys.stdout.write(f"{many.total()} kills: {dict(many)}\n")
