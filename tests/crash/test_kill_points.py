"""A kill at a chosen system call of `prepare`: nothing wrong is left, and the next run mends it alone.

A few points of each kind of call; every point is tried with MIREPOIX_ALL_POINTS=1, which takes a quarter of an hour.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

ALL = os.environ.get("MIREPOIX_ALL_POINTS", "") not in ("", "0")
# About 11 renames, 67 fsyncs, 145 writes and 4 links are made; see the last number of each.
POINTS = (
    [("rename", n) for n in range(1, 12)]
    + [("fsync", n) for n in range(1, 68)]
    + [("write", n) for n in range(1, 146)]
    + [("link", n) for n in range(1, 5)]
    if ALL
    else [("rename", 9), ("fsync", 12), ("write", 60), ("link", 2)]
)


def test_what_a_kill_left_half_written_goes(place: Any, whole: dict[str, str]) -> None:
    left = place.root / "runs" / "t" / ".plan.json.999999999.tmp"
    left.parent.mkdir(parents=True)
    left.write_text("{")
    assert place.run().returncode == 0
    assert place.files(left=True) == whole


@pytest.mark.parametrize(("call", "n"), POINTS)
def test_killed_at_a_call(place: Any, strace: str, whole: dict[str, str], call: str, n: int) -> None:
    how = f"inject={call}:signal=SIGKILL:when={n}"
    before = place.input.read_bytes()
    done = place.run(strace, "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", how)
    assert done.returncode in (-9, 137), "the call was never made: the points reach too far"
    assert place.input.read_bytes() == before
    made = {k: v for k, v in place.files().items() if k.startswith(".mirepoix/artifacts")}
    assert made.items() <= whole.items(), "what is there is right"
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert place.files(left=True) == whole, "nor is anything half written left"
