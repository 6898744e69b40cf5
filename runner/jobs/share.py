"""One of several jobs that answer the same probes, and what it tells whoever puts their answers together.

What an answer is does not hang on who gives it: work is cut into pieces (batches, single answers) before it is dealt
out, in one order, and each job takes every so-manieth piece. Each writes beside `out`: OUT.2of3.partial, its journal;
OUT.2of3.failed, answers that failed; facts.2of3.json, a `Told`. `runner.jobs.join` makes `out` and facts.json of them.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runner.store import write_atomic


class Share(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of how many jobs one is, from 0."""

    number: Annotated[int, Meta(ge=0)] = 0
    of: Annotated[int, Meta(ge=1)] = 1

    @property
    def name(self) -> str:
        """Of its files; empty for the only one."""
        return f"{self.number + 1}of{self.of}" if self.of > 1 else ""

    def has(self, piece: int) -> bool:
        """Whether it is to do the piece of that number, from 0."""
        return piece % self.of == self.number


class Told(Struct, frozen=True, kw_only=True):
    """`facts` are those that one job alone would state; `work` is the digest of what decides the lines; `by` maps what
    else the answers hang on, versions and the kind of processor, as it is on `node`."""

    facts: dict[str, Any]
    work: str
    by: dict[str, str]
    node: str


def tell(out: Path, facts: dict[str, Any], share: Share, work: str, by: dict[str, str]) -> None:
    """Write facts.json beside `out`, or of a share what is to become it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if not share.name:
        write_atomic(out.with_name("facts.json"), msgspec.json.encode(facts) + b"\n")
        return
    told = Told(facts=facts, work=work, by=by, node=platform.node())
    write_atomic(told_at(out, share), msgspec.json.encode(told) + b"\n")


def told_at(out: Path, share: Share) -> Path:
    """Where the job of a share writes its `Told`."""
    return out.with_name(f"facts.{share.name}.json")


def failed_at(out: Path, share: Share) -> Path:
    """Where it writes the answers that failed, a line each."""
    return out.with_name(f"{out.name}.{share.name}.failed")
