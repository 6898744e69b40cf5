"""Answers that several jobs give together, where there is room for more than one model.

Each job answers a part of the probes; what it is (runner/jobs/share.py) decides no byte, nor does how many there are:
a run that goes on with more or fewer of them takes over all that was answered. Here they are started and watched, and
what they say of themselves is compared: nodes that would not answer alike end the step at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.evaluate import jobs
from runner.making import Making

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
    look()
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
            if other := differing(first, told):
                raise self.m.fail(
                    f"the node {told['node']} would answer otherwise than {first['node']}: {', '.join(other)}; have "
                    "the same on all nodes that evaluate, and run it again"
                )
        self.untold = left


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What decides answers and is not the same. How far an adapter moves a logit is: processors round otherwise."""
    a, b = (_flat(told["by"]) | _flat(_unproved(told["facts"])) for told in (one, other))
    return [
        f"{k} {b.get(k, 'absent')} instead of {a.get(k, 'absent')}" for k in a | b if a.get(k) != b.get(k)
    ]


def _unproved(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"adapter_proof": facts["adapter_proof"] is not None}


def _flat(data: dict[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return out
