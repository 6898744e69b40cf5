"""What a run says of itself, where that lies, and how another process reads it."""

from __future__ import annotations

import fcntl
import os
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from runner.steps import Stage

VERSION = 1
MOST = 4 << 20
"""Bytes of such a file that are read."""
State = Literal["running", "finished", "failed", "interrupted"]
StepState = Literal["to come", "made", "kept", "running", "waits"]


class StepNow(msgspec.Struct, kw_only=True):
    """One step, or a fetch, whose `fingerprint` is empty. `took` is in seconds, of one made in this run; `why` says
    why it is made, or whom it waits for."""

    name: str
    stage: Stage
    fingerprint: str = ""
    state: StepState = "to come"
    why: str = ""
    took: float | None = None


class Now(msgspec.Struct, kw_only=True):
    """What a run says of itself. Times are seconds since 1970; `done` of `of` (0: unknown) is the progress of the step
    that runs, `log_from` where in its log this try of it begins. `engine` says on what cluster it works, in words;
    empty for this machine's cores, and until one is there."""

    now: int = VERSION
    run: str
    process: int
    to: Stage
    base: str = ""
    about: str = ""
    state: State = "running"
    began: float
    ended: float | None = None
    steps: list[StepNow] = []
    at: str = ""
    at_since: float | None = None
    done: int = 0
    of: int = 0
    what: str = ""
    log_from: int = 0
    error: str = ""
    log: str = ""
    engine: str = ""


def path(store: Path, run: str) -> Path:
    """Where a run notes what it is at; `store` is the folder `.mirepoix`."""
    return store / "runs" / f"{run}.now"


def encoded(raw: bytes) -> bytes:
    """The bytes of such a file, behind their sum."""
    return b"%08x\n%s\n" % (zlib.crc32(raw), raw)


def read(fd: int) -> tuple[Now | None, bool]:
    """What an open file of this kind says, and whether the run that writes it lives. None where it says nothing that
    can be understood: another version, a stranger's, one that is being begun."""
    held = False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except BlockingIOError:
        held = True
    for _ in range(20):
        total, _, raw = os.pread(fd, MOST, 0).rstrip(b"\n").partition(b"\n")
        if total == b"%08x" % zlib.crc32(raw):
            with suppress(msgspec.DecodeError, RecursionError):
                found = msgspec.json.decode(raw, type=Now)
                return (found if found.now == VERSION else None), held
            return None, held
        if not held:
            return None, held
        time.sleep(0.002)  # it is being written
    return None, held
