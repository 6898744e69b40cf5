"""Put the answers of several jobs together: `python -m runner.jobs.join JOB.json`.

Of each set, `facts.json` and then `out` are written, as one job alone would have. Lines are known by their probes, so
neither how many jobs there were nor which of them gave an answer decides a byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from runner.errors import StepError
from runner.installed import unlike
from runner.jobs.job import command, read_rows
from runner.jobs.journal import Journal, line_key, lines_of
from runner.jobs.share import Share, Told, failed_at, tell, told_at
from runner.record import Answer, Probe


class JoinSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As a `ProbeSet`."""

    probes: str
    out: str
    repeats: Annotated[int, Meta(ge=1)]


class JoinJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`of` is how many jobs there were."""

    sets: Annotated[list[JoinSet], Meta(min_length=1)]
    of: Annotated[int, Meta(ge=2)]


def join(job: JoinJob) -> None:
    """Write the answers of `job`. Raises StepError where some are not there."""
    shares = [Share(number=n, of=job.of) for n in range(job.of)]
    for one in job.sets:
        out = Path(one.out)
        told = [msgspec.json.decode(told_at(out, s).read_bytes(), type=Told) for s in shares]
        first, *others = map(msgspec.to_builtins, told)
        for other in others:  # as they are in the end: a share whose node died was done again elsewhere
            if why := unlike(first, other):
                raise StepError("join", why)
        if len({t.work for t in told}) > 1:
            raise StepError("join", f"{out}: the jobs that shared these answers were asked different things")
        journal = Journal(out, told[0].work)
        failed = {k: line for s in shares for k, line in lines_of(failed_at(out, s)).items()}
        if failed and not journal.done:
            last = msgspec.json.decode([*failed.values()][-1], type=Answer)
            raise StepError(
                "ask",
                f"none of {len(failed)} answers could be had, the last for: {last.failed}; run it again",
            )
        journal.done = failed | journal.done
        order = [line_key(p.id, n) for p in read_rows(one.probes, Probe) for n in range(one.repeats)]
        if missing := [key for key in order if key not in journal.done]:
            raise StepError("join", f"{out}: {len(missing)} answers are missing, the first to {missing[0]}")
        tell(out, told[0].facts, Share(), told[0].work, {})
        journal.finish(order)
        for s in shares:
            failed_at(out, s).unlink(missing_ok=True)
            told_at(out, s).unlink()


def run(raw: bytes) -> None:
    join(msgspec.json.decode(raw, type=JoinJob))


if __name__ == "__main__":
    command("join", run)
