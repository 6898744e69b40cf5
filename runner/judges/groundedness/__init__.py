"""Judge `groundedness`: does an answer say only what the tools' results, the user or the system text say?

Probes hold the conversation up to the result, and the answer is what the model then says; or they have a recorded
world, and the answer is a talk, each message of which is judged by what was told before it. Every number, time, date
and name in it must stand there, or follow by rounding or by a conversion of units, and a number must be told of the
day, hour, place and quantity that it is the number of. What a sentence means beyond its numbers and names is not
judged, nor whether a sky called clear is clear.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from runner.judges.groundedness.claims import claimed
from runner.judges.groundedness.grounding import Check, Findings, told_by
from runner.judges.groundedness.names import small_words
from runner.judges.groundedness.telling import Told, told, words_in
from runner.record import Answer, FunctionCall, Message, Metric, Probe, Score, ToolCall, Verdict
from runner.recorded import World
from runner.registry import Given, JudgeContext, Wanted, judge, wants_of

LONGEST = 6_000  # characters; an answer on the weather has some hundreds


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """What `expect` of a probe may hold: the fields of the result that the answer must tell, by their keys. `calls` and
    `turns` are for the judge tool_use, which may have the same probes."""

    tells: list[str] = []
    calls: list[Any] | None = None
    turns: list[list[Any]] | None = None

    @property
    def no_call(self) -> bool:
        """Whether it is said that nothing is to be called: then there is nothing that only a tool could tell."""
        return self.calls == [] or (self.turns is not None and not any(self.turns))


METRICS = dict.fromkeys(("grounded", "used_output", "after_error"), Metric()) | {
    "truncated": Metric(better="lower")
}


def wants(probe: Probe) -> Wanted:
    """What of the tools' results must be told, and whether there are any. Raises ValueError where `expect` is none."""
    try:
        expect = msgspec.convert(probe.expect, Expect)
    except msgspec.ValidationError as e:
        raise ValueError(f"expect: {e}") from None
    world = told(foreseen(probe))
    if not (world.failed or world.facts) or (probe.talks and expect.no_call):
        return Wanted(expect, "nothing told by a tool", frozenset(("grounded", "truncated")))
    group, use = ("after an error", "after_error") if world.failed else ("after a result", "used_output")
    return Wanted(expect, group, frozenset(("grounded", use, "truncated")))


@judge(
    "groundedness",
    version=4,
    metrics=METRICS | dict.fromkeys(("probes_after_an_error", "inventions")),
    wants=wants,
)
def groundedness(
    context: JudgeContext,
    *,
    names: Annotated[
        list[str],
        Meta(
            description="Names that answers may always say, such as the persona's own.",
            examples=[["Captain Elias Tuttle"]],
        ),
    ] = [],  # noqa: B006
) -> Verdict:
    """Score answers after a tool's result: grounded (nothing in them is invented), used_output (something is told that
    only a tool said; where the probe names fields, those), after_error (nothing told where tools only failed), and
    truncated. Wrong and truncated answers count as 0, missing ones as missing."""
    expected = wants_of(context.probes, wants)
    common = small_words(
        [a.text for a in context.answers] + [m.content or "" for p in context.probes for m in p.messages]
    )
    work = Checking(expected, context.system, common, words_in(" ".join(names)))
    scores: list[Score] = []
    faults, after_an_error = 0, set[str]()
    for found in context.mapped(work, context.pieces("groundedness")):
        scores += found.scores
        faults += found.faults
        after_an_error |= found.after_an_error
    facts = {"probes_after_an_error": float(len(after_an_error)), "inventions": float(faults)}
    return Verdict(scores, facts, METRICS)


class Checked(NamedTuple):
    """What came of some answers: their scores, how many things they invented, and to which probes tools only failed."""

    scores: list[Score]
    faults: int
    after_an_error: set[str]


class Checking:
    """The work of one process: answers → what is found in them. `common` are words that are no names, `allowed` those
    that may always be said."""

    def __init__(
        self, expected: Mapping[str, Wanted], system: str | None, common: frozenset[str], allowed: set[str]
    ) -> None:
        self.expected, self.system, self.common, self.allowed = expected, system, common, allowed
        self.worlds: dict[str, Told] = {}  # by probe, which every arm has

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"worlds": {}}

    def __call__(self, given: list[Given]) -> Checked:
        scores: list[Score] = []
        faults, after_an_error = 0, set[str]()
        for probe, arm, answer in given:
            if probe.id not in self.worlds:
                self.worlds[probe.id] = told(foreseen(probe), self.system)
            if self.worlds[probe.id].failed:
                after_an_error.add(probe.id)
            some, invented = self._checked(probe, arm, answer)
            scores += some
            faults += invented
        return Checked(scores, faults, after_an_error)

    def _checked(self, probe: Probe, arm: str, answer: Answer | None) -> tuple[list[Score], int]:
        wanted = self.expected[probe.id]
        metrics = [m for m in METRICS if m != "truncated" and wanted.counts(m)]
        missing = "no answer" if answer is None else answer.failed or ""
        if answer is None or missing:
            return [Score(probe.id, arm, m, None, missing) for m in (*metrics, "truncated")], 0
        cut = answer.finish == "length"
        unfit = _unfit(answer)
        found = Findings()
        for heard, text in () if unfit else _said(probe, answer, self.worlds[probe.id], self.system):
            one = Check(heard).answer(text, self.common, heard.words | self.allowed)
            found = Findings([*found.faults, *one.faults], [*found.used, *one.used])
        reasons = {
            "grounded": unfit or "; ".join(found.faults),
            "used_output": unfit or _unused(found, wanted.expect),
            "after_error": unfit or "; ".join(found.faults) or claimed(answer.text),
        }
        why = {metric: _writable(reasons[metric]) for metric in metrics}
        scores = [
            Score(probe.id, arm, metric, 0.0 if why[metric] else 1.0, why[metric]) for metric in metrics
        ]
        scores.append(Score(probe.id, arm, "truncated", float(cut), "no end within its limit" if cut else ""))
        return scores, len(found.faults)


def foreseen(probe: Probe) -> Probe:
    """The probe with all that its world could answer: what there is to be told, if the model asks for it."""
    calls = [
        ToolCall(f"world_{n}", FunctionCall(r.name, json.dumps(r.arguments)))
        for n, r in enumerate(probe.world)
    ]
    if not calls:
        return probe
    said = Message("assistant", None, calls)
    return replace(probe, messages=[*probe.messages, said, *World(probe.world).answered(said)])


def _said(probe: Probe, answer: Answer, world: Told, system: str | None) -> Iterator[tuple[Told, str]]:
    """What the model said in words, each with all that had been told by then."""
    if not probe.talks:
        yield world, answer.text
        return
    last = answer.message or Message("assistant", answer.raw)
    for n, m in enumerate([*answer.talk, last]):
        if m.role == "assistant" and (m.content or "").strip():
            before = replace(probe, messages=[*probe.messages, *answer.talk[:n]])
            yield told(before, system), m.content or ""


def _unfit(answer: Answer) -> str:
    """Why this is no answer in words at all."""
    if answer.finish == "length":
        return "truncated"
    if answer.parse_error:
        return f"does not parse: {answer.parse_error}"
    message = answer.message
    if not (message.content or "" if message else answer.raw).strip():
        calls = message.tool_calls if message else []
        return (
            f"called {', '.join(c.function.name for c in calls)} instead of answering"
            if calls
            else "empty answer"
        )
    return f"longer than {LONGEST} characters" if len(answer.text) > LONGEST else ""


def _unused(found: Findings, expect: Expect) -> str:
    if expect.tells:
        untold = [name for name in expect.tells if not told_by(name, found.used)]
        return f"does not tell {', '.join(untold)}" if untold else ""
    return "" if found.used else "tells nothing that only a tool said"


def _writable(reason: str) -> str:
    text = reason if len(reason) <= 500 else reason[:499] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


__all__ = ["Check", "Expect", "Told", "groundedness", "told"]
