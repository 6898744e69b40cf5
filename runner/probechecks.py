"""The probes of a suite before anything runs: what is wrong with them, and how many each metric is scored on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from runner import toolschema
from runner.errors import Problem
from runner.record import Probe
from runner.recorded import World
from runner.registry import Wanted, plugins
from runner.suite import Suite
from runner.wording import nearest
from runner.workspace import Workspace


@dataclass(frozen=True)
class Counted:
    """A probe as it counts: its family (its own where it names none), and what the suite's judge wants of it."""

    id: str
    family: str
    wanted: Wanted


def wrong(suite: Suite, workspace: Workspace) -> Iterator[Problem]:
    """Probes are read hours after they are named, so what is wrong with them is said now, each at its line: what is no
    probe, what no model could be asked, and what the suite's judge could not judge, or no answer satisfy."""
    assert suite.common.probes is not None
    wants = plugins("judge")[suite.judge.plugin].wants if suite.judge else None
    seen: set[str] = set()
    for shown, path in workspace.named("evals", suite.common.probes).items():
        empty = True
        for n, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if not line.strip():
                continue
            empty = False
            try:
                probe = msgspec.json.decode(line, type=Probe)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
                yield Problem(shown, n, 1, "", f"not a probe: {e}")
                continue
            if not probe.messages:
                yield Problem(shown, n, 1, "", "not a probe: no messages")
            elif probe.messages[-1].role in ("assistant", "system"):
                what = f"probe {probe.id!r} asks nothing: its last message is the {probe.messages[-1].role}'s"
                yield Problem(shown, n, 1, "", what)
            if not all(text.strip() for text in probe.then):
                yield Problem(shown, n, 1, "", f"probe {probe.id!r}: a turn of `then` says nothing")
            try:
                World(probe.world)
            except ValueError as e:
                yield Problem(shown, n, 1, "", f"the world of {probe.id!r} is none: {e}")
                continue
            if probe.id in seen:
                yield Problem(shown, n, 1, "", f"the id {probe.id!r} is there twice")
            seen.add(probe.id)
            if fault := next(filter(None, map(toolschema.unfit, probe.tools)), ""):
                yield Problem(shown, n, 1, "", f"probe {probe.id!r}: {fault}")
                continue
            tools = [str(t["function"]["name"]) for t in probe.tools]
            if other := next((r.name for r in probe.world if r.name not in tools), None):
                what = f"probe {probe.id!r}: its world records the tool {other!r}, which it has not"
                yield Problem(shown, n, 1, "", what + nearest(other, tools))
            try:
                if wants and probe.messages:
                    wants(probe)
            except ValueError as e:
                yield Problem(shown, n, 1, "", f"probe {probe.id!r}: {e}")
        if empty:
            yield Problem(shown, 1, 1, "", "there is no probe in it")


def counted(suite: Suite, workspace: Workspace) -> list[Counted]:
    """The probes that a checked suite asks, in their order; none where it has no probes."""
    if suite.common.probes is None or suite.judge is None:
        return []
    wants = plugins("judge")[suite.judge.plugin].wants
    (path,) = workspace.named("evals", suite.common.probes).values()
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    probes = [msgspec.json.decode(line, type=Probe) for line in lines][: suite.common.limit]
    return [Counted(p.id, p.family or f"probe {p.id}", wants(p)) for p in probes]
