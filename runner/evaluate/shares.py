"""Answers that several jobs give together, where there is room for more than one model.

Each job answers a part of the probes; what it is (runner/jobs/share.py) decides no byte, nor does how many there are:
a run that goes on with more or fewer of them takes over all that was answered. Here they are started and watched, and
what they say of themselves is compared: nodes that would not answer alike end the step at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner import installed
from runner.evaluate import jobs
from runner.making import Making

LATE = 60.0  # seconds after which a shared folder shows what is there (NFS looks again after 30 to 60)
Sets = list[dict[str, Any]]
"""Of each set of probes what a job is told of it."""


def many(m: Making, counts: Sequence[int], piece: int) -> int:
    """How many jobs have something to do, where work is cut into pieces of so many answers. Raises StepError."""
    return max(1, min(m.replicas(), sum(-(-n // piece) for n in counts)))


def answered(
    m: Making, sets: Sets, total: int, of: int, part: Callable[[dict[str, int], str], jobs.Part]
) -> None:
    """Have `of` jobs give the `total` answers together. `part` is told which it is, and its name. Raises StepError."""
    shares = [{"number": n, "of": of} for n in range(of)]
    names = [f"{n + 1}of{of}" for n in range(of)]
    look = Agreement(m, [Path(one["out"]) for one in sets], names)
    jobs.place(m, *(part(s, name) for s, name in zip(shares, names, strict=True)), of=total, also=look)
    look.until_told()
    only = ("probes", "out", "repeats")
    job = {"sets": [{key: one[key] for key in only} for one in sets], "of": of}
    jobs.here(m, jobs.Part("runner.jobs.join", job, "join"))


def forget(sets: Sets) -> None:
    """Remove what jobs told of themselves in a run that was ended; what they answered stays."""
    for out in (Path(one["out"]) for one in sets):
        out.parent.mkdir(parents=True, exist_ok=True)
        for pattern in ("facts.*of*.json", f"{out.name}.*of*.failed"):
            for left in out.parent.glob(pattern):
                left.unlink()


class Agreement:
    """Looks whether jobs that share the work would answer alike, as far as they have told by now."""

    def __init__(self, m: Making, outs: Sequence[Path], names: Sequence[str]) -> None:
        self.m, self.outs = m, outs
        self.first: dict[Path, dict[str, Any]] = {}
        self.untold = [(out, out.with_name(f"facts.{name}.json")) for out in outs for name in names]

    def __call__(self) -> None:
        """Raises StepError that names what differs, and where."""
        left = []
        for out, file in self.untold:
            try:
                told = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
            except FileNotFoundError:
                left.append((out, file))
                continue
            first = self.first.setdefault(out, told)
            if why := installed.unlike(first, told):
                raise self.m.fail(why)
        self.untold = left

    def until_told(self) -> None:
        """Wait for what jobs that are done have told: a shared folder may show it late, and for longer where its name
        was asked for before it was there, unless the folder is listed. Raises StepError."""
        until = time.monotonic() + LATE
        while True:
            for folder in {file.parent for _, file in self.untold}:
                list(folder.iterdir())
            self()
            if not self.untold:
                return
            if time.monotonic() > until:
                file = self.untold[0][1]
                raise self.m.fail(
                    f"{self.m.shown(file)} is not seen here, {LATE:g} seconds after the job that writes it was done: "
                    "see that all nodes share the workspace, and run it again; what was answered is kept"
                )
            time.sleep(0.5)
