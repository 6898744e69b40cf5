"""Judge `tool_use`: does the model call the right tool with the right arguments, and only when
asked to?

Each metric asks more than the one before: the answer parses, names known tools, is valid against
*that probe's* schema, and is right. Validity and rightness differ on purpose: schemas let wrong values
through, and some published truths fail their own schema; so `ast_match` asks for the right call alone,
`right_call` for one that is valid as well. An answer that fails early scores 0 on all that follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from runner.errors import Problem, RecipeError
from runner.judges.tool_use.bfcl import ExpectedCall, clip, match_fault, short
from runner.judges.tool_use.schema import schema_fault
from runner.record import Answer, Metric, Probe, Score, Verdict
from runner.registry import JudgeContext, judge

__all__ = [
    "CALL_METRICS",
    "TALK_METRICS",
    "Expect",
    "ExpectedCall",
    "match_fault",
    "schema_fault",
    "tool_use",
]

# Where a call is wanted. `valid_call` is `schema_ok` by the name that gates knew first, and so is, where
# none is wanted, `no_call` for `irrelevance_ok`.
CALL_METRICS = ("parse_ok", "tool_known", "schema_ok", "valid_call", "ast_match", "right_call")
TALK_METRICS = ("irrelevance_ok", "no_call")
FACTS = ("call_probes", "no_call_probes")


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """What `expect` of a probe holds for this judge. No calls: the model should answer in words."""

    calls: list[ExpectedCall]


@judge("tool_use", version=2, metrics=(*CALL_METRICS, *TALK_METRICS, "truncated", *FACTS))
def tool_use(context: JudgeContext) -> Verdict:
    """Score tool calls: parse_ok, tool_known, schema_ok, ast_match (BFCL's rules) and right_call (valid, and a match)
    where the probe wants a call, irrelevance_ok where it wants none, and truncated for both. Wrong and truncated
    answers count as 0, missing ones as missing."""
    expected = _expectations(context.probes)
    scores: list[Score] = []
    for probe, arm, answer in context.said("tool_use"):
        calls = expected[probe.id].calls
        metrics = CALL_METRICS if calls else TALK_METRICS
        missing = "no answer" if answer is None else answer.failed or ""
        if answer is None or missing:
            scores += [Score(probe.id, arm, m, None, missing) for m in (*metrics, "truncated")]
            continue
        faults = call_faults(probe, answer, calls) if calls else (_talk_fault(answer),) * len(TALK_METRICS)
        for metric, fault in zip(metrics, faults, strict=True):
            scores.append(Score(probe.id, arm, metric, 0.0 if fault else 1.0, _writable(fault)))
        cut = answer.finish == "length"
        scores.append(Score(probe.id, arm, "truncated", float(cut), "no end within its limit" if cut else ""))
    wanted = sum(bool(e.calls) for e in expected.values())
    facts = {"call_probes": float(wanted), "no_call_probes": float(len(expected) - wanted)}
    return Verdict(scores, facts, {"truncated": Metric(better="lower")})


def _expectations(probes: Sequence[Probe]) -> dict[str, Expect]:
    found: dict[str, Expect] = {}
    problems: list[Problem] = []
    for probe in probes:
        try:
            if probe.id in found:
                raise ValueError("two probes have this id")
            found[probe.id] = msgspec.convert(probe.expect, Expect)
        except ValueError as e:  # msgspec.ValidationError is one
            problems.append(Problem("probes", 0, 0, probe.id, str(e)))
    if problems:
        raise RecipeError(problems)
    return found


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
    if fault or answer.message is None or not answer.message.tool_calls:
        return fault
    return f"called {', '.join(short(c.function.name) for c in answer.message.tool_calls)}"


def call_faults(probe: Probe, answer: Answer, expected: list[ExpectedCall]) -> tuple[str, ...]:
    """What is wrong by each of CALL_METRICS, empty where nothing is."""
    fault = _parse_fault(answer)
    if fault or answer.message is None:
        return (fault,) * len(CALL_METRICS)
    calls = [c.function for c in answer.message.tool_calls]
    tools = {t["function"]["name"]: t["function"].get("parameters", {}) for t in probe.tools}
    unknown = next((c.name for c in calls if c.name not in tools), None)
    if not calls:
        fault = "no call was made"
    elif unknown is not None:
        fault = f"{short(unknown)} is not one of {clip(', '.join(tools)) or 'no tools'}"
    if fault:
        return ("", *(fault,) * (len(CALL_METRICS) - 1))
    invalid = next((f for c in calls if (f := schema_fault(c, tools[c.name]))), "")
    unlike = match_fault(calls, expected, tools)
    return "", "", invalid, invalid, unlike, invalid or unlike


def _writable(reason: str) -> str:
    """JSON may smuggle half a character (\\ud800) into a reason, which no file could then hold."""
    return reason.encode("utf-8", "backslashreplace").decode()
