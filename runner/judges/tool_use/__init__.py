"""Judge `tool_use`: does the model call the right tool with the right arguments, and only when
asked to?

Each metric asks more than the one before: the answer parses, names known tools, is valid against
*that probe's* schema, and is right. Validity and rightness differ on purpose: schemas let wrong values
through, and some published truths fail their own schema; so `ast_match` asks for the right call alone,
`right_call` for one that is valid as well. An answer that fails early scores 0 on all that follows.

Of a talk (a probe with a recorded world, or with a user who goes on) all calls of one of the user's turns are judged
together, and besides whether it came to an end in words (`finished`), and whether all that was to be called was,
whatever else was tried on the way (`reached`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from runner import toolschema
from runner.judges.tool_use.bfcl import ExpectedCall, clip, match_fault, missing_fault, short
from runner.judges.tool_use.schema import schema_fault
from runner.judges.tool_use.sound import faulty_call
from runner.record import Answer, FunctionCall, Metric, Probe, Score, Verdict
from runner.registry import Given, JudgeContext, Wanted, judge, wants_of

__all__ = [
    "CALL_METRICS",
    "TALK_METRICS",
    "Expect",
    "ExpectedCall",
    "match_fault",
    "schema_fault",
    "tool_use",
    "wants",
]

# Where a call is wanted. `valid_call` is `schema_ok` by the name that gates knew first, and so is, where
# none is wanted, `no_call` for `irrelevance_ok`.
CALL_METRICS = ("parse_ok", "tool_known", "schema_ok", "valid_call", "ast_match", "right_call")
TALK_METRICS = ("irrelevance_ok", "no_call")
TURN_METRICS = ("finished", "reached")
FACTS = ("call_probes", "no_call_probes")


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """What `expect` of a probe holds for this judge: the right `calls`, or those of each of the user's `turns`. No
    calls: the model should answer in words. `tells` is for the judge groundedness, which may have the same probes."""

    calls: list[ExpectedCall] | None = None
    turns: list[list[ExpectedCall]] | None = None
    tells: list[str] = []

    def of(self, probe: Probe) -> list[list[ExpectedCall]]:
        """The calls of each turn. Raises ValueError where they are not said, or of more or fewer turns."""
        if (self.calls is None) == (self.turns is None):
            raise ValueError("give calls, or turns with the calls of each")
        turns = [self.calls] if self.calls is not None else self.turns or []
        if len(turns) != 1 + len(probe.then):
            raise ValueError(
                f"the user has {1 + len(probe.then)} turns here, and calls are told of {len(turns)}"
            )
        return turns


METRICS = dict.fromkeys((*CALL_METRICS, *TALK_METRICS, *TURN_METRICS), Metric()) | {
    "truncated": Metric(better="lower")
}


def wants(probe: Probe) -> Wanted:
    """The right calls of each turn. Raises ValueError where the probe does not say them, or where none could be right:
    a call of a tool that it lacks, an argument that the tool does not take or that leaves out one that it needs."""
    try:
        turns = msgspec.convert(probe.expect, Expect).of(probe)
    except msgspec.ValidationError as e:
        raise ValueError(f"expect: {e}") from None
    if fault := next(filter(None, map(toolschema.unfit, probe.tools)), ""):
        raise ValueError(fault)
    tools = _parameters(probe)
    if fault := next(filter(None, (faulty_call(c, tools) for turn in turns for c in turn)), ""):
        raise ValueError(fault)
    metrics = (*(CALL_METRICS if any(turns) else TALK_METRICS), *(TURN_METRICS if probe.talks else ()))
    return Wanted(turns, "call" if any(turns) else "no call", frozenset((*metrics, "truncated")))


@judge("tool_use", version=4, metrics=METRICS | dict.fromkeys(FACTS), wants=wants)
def tool_use(context: JudgeContext) -> Verdict:
    """Score tool calls: parse_ok, tool_known, schema_ok, ast_match (BFCL's rules) and right_call (valid, and a match)
    where the probe wants a call, irrelevance_ok where it wants none, and truncated for both. Wrong and truncated
    answers count as 0, missing ones as missing."""
    expected = wants_of(context.probes, wants)
    pieces = context.mapped(Scoring(expected), context.pieces("tool_use"))
    scores = [score for some in pieces for score in some]
    calls = sum(one.group == "call" for one in expected.values())
    facts = {"call_probes": float(calls), "no_call_probes": float(len(expected) - calls)}
    return Verdict(scores, facts, METRICS)


class Scoring:
    """The work of one process: answers → their scores."""

    def __init__(self, expected: Mapping[str, Wanted]) -> None:
        self.expected = expected

    def __call__(self, given: list[Given]) -> list[Score]:
        return [score for one in given for score in self._scores(*one)]

    def _scores(self, probe: Probe, arm: str, answer: Answer | None) -> Iterator[Score]:
        wanted = self.expected[probe.id]
        metrics = [m for m in METRICS if m != "truncated" and wanted.counts(m)]
        missing = "no answer" if answer is None else answer.failed or ""
        if answer is None or missing:
            yield from (Score(probe.id, arm, m, None, missing) for m in (*metrics, "truncated"))
            return
        for metric, fault in zip(metrics, _faults(probe, answer, wanted.expect), strict=True):
            yield Score(probe.id, arm, metric, 0.0 if fault else 1.0, _writable(fault))
        cut = answer.finish == "length"
        yield Score(probe.id, arm, "truncated", float(cut), "no end within its limit" if cut else "")


def _faults(probe: Probe, answer: Answer, turns: list[list[ExpectedCall]]) -> tuple[str, ...]:
    """What is wrong by each metric of this probe, empty where nothing is."""
    talk = () if any(turns) else (_talk_fault(answer),) * len(TALK_METRICS)
    faults = talk or call_faults(probe, answer, turns)
    return (*faults, *turn_faults(probe, answer, turns)) if probe.talks else faults


def _parse_fault(answer: Answer) -> str:
    if answer.finish == "length":
        return "truncated"
    if answer.parse_error or answer.message is None:
        return f"does not parse: {answer.parse_error or 'no message'}"
    return ""


def _talk_fault(answer: Answer) -> str:
    """Why this is not a plain answer in words. A call too broken to parse was still an attempt at
    one."""
    fault = _parse_fault(answer)
    if fault or not answer.calls:
        return fault
    return f"called {', '.join(short(c.name) for c in answer.calls)}"


def call_faults(probe: Probe, answer: Answer, turns: list[list[ExpectedCall]]) -> tuple[str, ...]:
    """What is wrong by each of CALL_METRICS, empty where nothing is."""
    fault = _parse_fault(answer)
    if fault:
        return (fault,) * len(CALL_METRICS)
    calls = answer.calls
    tools = _parameters(probe)
    unknown = next((c.name for c in calls if c.name not in tools), None)
    if not calls:
        fault = "no call was made"
    elif unknown is not None:
        fault = f"{short(unknown)} is not one of {clip(', '.join(tools)) or 'no tools'}"
    if fault:
        return ("", *(fault,) * (len(CALL_METRICS) - 1))
    invalid = next((f for c in calls if (f := schema_fault(c, tools[c.name]))), "")
    unlike = _by_turn(answer, turns, lambda made, wanted: match_fault(made, wanted, tools))
    return "", "", invalid, invalid, unlike, invalid or unlike


def turn_faults(probe: Probe, answer: Answer, turns: list[list[ExpectedCall]]) -> tuple[str, ...]:
    """What is wrong by each of TURN_METRICS, empty where nothing is."""
    fault = _parse_fault(answer)
    if fault or answer.message is None:
        return fault, fault
    unsaid = ""
    if answer.message.tool_calls:
        unsaid = "it ended with calls, not in words"
    elif not (answer.message.content or "").strip():
        unsaid = "it ended with an empty answer"
    elif len(_turns(answer)) < len(turns):
        unsaid = f"it ended in turn {len(_turns(answer))} of {len(turns)}"
    tools = _parameters(probe)
    missed = _by_turn(answer, turns, lambda made, wanted: missing_fault(made, wanted, tools))
    return unsaid, unsaid or missed


def _parameters(probe: Probe) -> dict[str, Any]:
    return {t["function"]["name"]: t["function"].get("parameters", {}) for t in probe.tools}


def _turns(answer: Answer) -> list[list[FunctionCall]]:
    """The calls that were made in each of the user's turns."""
    out: list[list[FunctionCall]] = [[]]
    for m in [*answer.talk, *([answer.message] if answer.message else [])]:
        if m.role == "user":
            out.append([])
        out[-1] += [c.function for c in m.tool_calls]
    return out


def _by_turn(
    answer: Answer,
    turns: list[list[ExpectedCall]],
    fault_of: Callable[[list[FunctionCall], list[ExpectedCall]], str],
) -> str:
    """The first turn's fault; calls of a turn that was not come to were not made."""
    made = _turns(answer)
    for n, wanted in enumerate(turns):
        if fault := fault_of(made[n] if n < len(made) else [], wanted):
            return f"turn {n + 1}: {fault}" if len(turns) > 1 else fault
    return ""


def _writable(reason: str) -> str:
    """JSON may smuggle half a character (\\ud800) into a reason, which no file could then hold."""
    return reason.encode("utf-8", "backslashreplace").decode()
