"""What an arm is asked: the probes of a suite, with the system message that the recipe gives that arm."""

from __future__ import annotations

from pathlib import Path

import msgspec

from runner import recipe as r
from runner.making import read_rows
from runner.record import Message, Probe


def probes(path: Path, limit: int | None) -> list[Probe]:
    """The first so many probes of a file."""
    return list(read_rows(path, Probe))[:limit]


def _words(evaluate: r.Evaluate, arm: str) -> str | None:
    named = evaluate.arms.get(arm)
    return named.system if named else None


def asked_with(evaluate: r.Evaluate, arm: str) -> str | None:
    """The text that the recipe sets before an arm's probes, where they have no system message of their own."""
    return _words(evaluate, arm) or evaluate.system


def asked(probe: Probe, evaluate: r.Evaluate, arm: str) -> Probe:
    """The probe as an arm meets it.

    `evaluate.system` is for probes that have no system message. What an arm is asked for in words takes its place, and
    where a probe has a system message of its own, it is put before that: the arm is then asked in every probe.
    """
    words = _words(evaluate, arm)
    first, rest = probe.messages[0], probe.messages[1:]
    if first.role != "system":
        system, rest = asked_with(evaluate, arm), probe.messages
    else:
        system = "\n\n".join(filter(None, (words, first.content)))
    if system is None:
        return probe
    return msgspec.structs.replace(probe, messages=[Message("system", system), *rest])
