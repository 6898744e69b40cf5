"""Gates: conditions on the judged arm's metrics that decide the exit code. What a verdict means: docs/verdict.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runner import stats
from runner.metrics import REACH, TUNED, Measured
from runner.recipe import GATE
from runner.wording import nearest

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2  # of one side

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Gate:
    """`against` is the arm that it refers to, None where it names a number. `margin` is that number, or what the
    difference to the arm is compared with."""

    text: str
    metric: str
    op: str
    against: str | None
    margin: float

    @property
    def above(self) -> bool:
        return self.op.startswith(">")

    @property
    def strict(self) -> bool:
        return self.op in ("<", ">")

    @property
    def claims(self) -> bool:
        """Whether it asks the arm to be better than another, not merely not worse by more than a margin."""
        return self.against is not None and (self.margin >= 0 if self.above else self.margin <= 0)

    def at_end(self, unit: str) -> bool:
        """Whether it asks of a number in this unit to be the best there can be, or the worst: `>= 1` of a share."""
        reach = REACH.get(unit)
        return (
            reach is not None
            and not self.strict
            and self.against is None
            and self.margin == reach[self.above]
        )

    def met(self, value: float) -> bool:
        """By the estimate alone."""
        return stats.clears(value, self.margin, self.above, self.strict)


def parse(text: str) -> Gate:
    match = re.match(GATE, text)
    assert match, text
    metric, op, against, sign, delta, number = match.groups()
    margin = float(number) if against is None else float(delta or 0) * (-1 if sign == "-" else 1)
    return Gate(text, metric, op, against, margin)


@dataclass
class _Case:
    """A gate with what was found of its metric: `spread` is of the value, or of the difference to the arm."""

    gate: Gate
    out: dict[str, Any]
    spread: stats.Spread | None = None
    limits: tuple[float, float] | None = None  # were what is missing the worst, and the best
    passes: float = 1.0  # one-sided p-values of "it is met" and "it is not met"
    fails: float = 1.0
    confidence: float = CONFIDENCE
    missing: int = 0
    claims: bool = field(default=False)


def decide(
    texts: Sequence[str],
    measured: Mapping[str, Measured],
    facts: Mapping[str, float],
    inconclusive: str = "say",
) -> list[dict[str, Any]]:
    """The verdict of each gate, with what it rests on. `inconclusive` is the recipe's: how such a one counts."""
    cases = [_case(parse(text), measured, facts) for text in texts]
    open_ones = [c for c in cases if c.spread is not None]
    claims = [c for c in open_ones if c.claims]
    # What is claimed of several at once must hold for all: Holm over the gates that claim a difference.
    passes = stats.holm([c.passes for c in claims])
    fails = stats.holm([c.fails for c in claims])
    for c, p, q in zip(claims, passes, fails, strict=True):
        c.passes, c.fails, c.confidence = p, q, 1 - 2 * LEVEL / len(claims)
    for c in open_ones:
        _settle(c)
    for c in cases:
        c.out["counts"] = _counts(c, inconclusive)
    return [c.out for c in cases]


def outcome(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """What the gates of a run come to, as report.json says it."""
    counts = {v["counts"] for v in verdicts}
    if "fail" in counts:
        return "gate failed"
    return "inconclusive" if "inconclusive" in counts else "pass" if verdicts else "no gates"


def facts_of(suites: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What judges say of themselves, by the names that gates use."""
    return {
        f"{suite['name'].replace('-', '_')}.{name}": value
        for suite in suites
        for name, value in suite["facts"].items()
    }


def _case(gate: Gate, measured: Mapping[str, Measured], facts: Mapping[str, float]) -> _Case:
    out: dict[str, Any] = {
        "gate": gate.text, "metric": gate.metric, "verdict": "fail", "why": "", "value": None, "threshold": None,
        "against": gate.against, "margin": gate.margin, "difference": None, "low": None, "high": None, "p": None,
        "n": 0, "missing": 0, "needs": None, "mde": None,
    }  # fmt: skip
    case = _Case(gate, out, claims=gate.claims)
    if gate.metric in facts and gate.metric not in measured:
        _fact(case, facts[gate.metric])
        return case
    if gate.metric not in measured:
        out["why"] = f"no metric {gate.metric!r}{nearest(gate.metric, [*measured, *facts])}"
        return case
    found = measured[gate.metric]
    if found.names and found.judged != TUNED:  # of a judge that compares two other arms
        out["why"] = (
            f"{gate.metric} has no value: it was scored for {', '.join(found.names)}, not for {TUNED}"
        )
        return case
    if gate.against is not None and gate.against not in found.arms:
        arms = [a for a in found.arms if a != found.judged]
        out["why"] = (
            f"{gate.metric} has no arm {gate.against!r} to be compared with{nearest(gate.against, arms)}"
        )
        return case
    if gate.against is None:
        _value(case, found)
    else:
        _difference(case, found, found.against[gate.against] if gate.against != found.judged else None)
    return case


def _fact(case: _Case, value: float) -> None:
    """What a judge says of itself is the same in all arms, and is compared as it is."""
    gate = case.gate
    threshold = gate.margin if gate.against is None else value + gate.margin
    met = stats.clears(value, threshold, gate.above, gate.strict)
    why = "" if met else f"{gate.metric} is {value:.4g}, not {gate.op} {threshold:.4g}"
    case.out |= {"value": value, "threshold": threshold, "verdict": "pass" if met else "fail", "why": why}


def _value(case: _Case, found: Measured) -> None:
    arm = found.arms.get(found.judged)
    if arm is None or arm.value is None:
        _nothing(case, found, arm.missing if arm else 0)
        return
    case.out |= {"value": arm.value, "threshold": case.gate.margin}
    if isinstance(arm, stats.Arm) and case.gate.at_end(found.unit):
        _seen(case, arm)
    else:
        _tested(case, arm)


def _seen(case: _Case, arm: stats.Arm) -> None:
    """A gate at the end of what there can be (`<= 0`, `>= 1`) asks that nothing else was seen on these prompts: how it
    would be on others, no number of them could say for certain."""
    gate, n = case.gate, arm.n
    case.missing, case.limits = arm.missing, arm.limits
    case.out |= {"n": n, "missing": arm.missing}
    if arm.spread is not None:
        low, high = arm.spread.limits(CONFIDENCE)
        case.out |= {"low": low, "high": high}
    others = sum(not gate.met(v) for v in arm.values.values())
    if others:
        what = f"{gate.metric} is {arm.value:.4g}, not {gate.op} {gate.margin:.4g}: {others} of {n:,} prompts are"
        case.out |= {"verdict": "fail", "why": what}
    elif arm.missing:
        lost = f"{arm.missing} {'is' if arm.missing == 1 else 'are'} missing"
        what = (
            f"{gate.metric} is {arm.value:.4g} on all of {n:,} prompts, but {lost}, which could be otherwise"
        )
        case.out |= {"verdict": "inconclusive", "why": what}
    else:
        case.out["verdict"] = "pass"


def _difference(case: _Case, found: Measured, pairs: stats.Pairs | stats.WholePairs | None) -> None:
    if pairs is None or not pairs.n:
        _nothing(case, found, pairs.missing if pairs else 0)
        return
    reference, value = pairs.ends
    case.out |= {"value": value, "threshold": reference + case.gate.margin, "difference": value - reference}
    _tested(case, pairs)
    # Pass and fail without a margin have an exact test; limits and test must both say so.
    if not case.gate.margin and (exact := pairs.better(case.gate.above)) is not None:
        case.passes = max(case.passes, exact)
        case.fails = max(case.fails, pairs.better(not case.gate.above) or 0.0)


def _nothing(case: _Case, found: Measured, missing: int) -> None:
    lost = f" ({missing} missing)" if missing else ""
    reasons = {s.reason for s in found.scores.get(found.judged, ())}
    why = next(iter(reasons)) if len(reasons) == 1 else ""  # of a judge that is not admitted, say
    what = f"{case.gate.metric} has no value: nothing was scored{lost}{': ' if why else ''}{why}"
    case.out |= {"why": what, "missing": missing}


def _tested(case: _Case, found: stats.Arm | stats.Whole | stats.Pairs | stats.WholePairs) -> None:
    gate, spread, n = case.gate, found.spread, found.n
    case.spread, case.missing, case.limits = spread, found.missing, found.limits
    case.out |= {"n": n, "missing": found.missing}
    if spread is None:
        why = f"{gate.metric} rests on a single prompt, which says nothing of the next"
        if isinstance(found, stats.Whole | stats.WholePairs):
            why = f"{gate.metric} has no interval: {found.why}"
        elif n > 1:
            why = f"{gate.metric} is the same on all of {n:,} prompts, and nothing tells how far others may differ"
        case.out |= {"verdict": "inconclusive", "why": why}
        return
    low, high = spread.limits(CONFIDENCE)
    case.out |= {"low": low, "high": high, "mde": stats.detectable(spread.error)}
    case.passes = stats.chance(spread, gate.margin, gate.above, gate.strict)
    case.fails = stats.chance(spread, gate.margin, not gate.above, not gate.strict)


def _settle(case: _Case) -> None:
    """Pass, fail or inconclusive, of a gate whose metric has a spread; and why, in words."""
    gate, out, spread = case.gate, case.out, case.spread
    assert spread is not None
    verdict: Verdict = "pass" if case.passes <= LEVEL else "fail" if case.fails <= LEVEL else "inconclusive"
    what = f"{gate.metric} is {out['value']:.4g}"
    if gate.against is not None:
        what = f"{gate.metric}: {out['difference']:+.4g} against {gate.against}"
    what += f" ({out['low']:.4g} to {out['high']:.4g})"
    asked = f"{gate.op} {gate.margin:.4g}"
    out["p"] = min(case.passes, case.fails)
    if verdict == "fail":
        out["why"] = f"{what}, not {asked}"
    elif verdict == "inconclusive":
        side = gate.above if gate.met(spread.value) else not gate.above
        out["needs"] = stats.needed(spread, gate.margin, side, case.confidence)
        how = (
            f"some {_round(out['needs'])} prompts like these would tell, there were {out['n']:,}"
            if out["needs"]
            else "it lies too near for any number of prompts to tell"
        )
        out["why"] = f"{what}, neither clearly {asked} nor clearly not; {how}"
    if case.missing and verdict != "inconclusive" and (end := _otherwise(case, verdict)) is not None:
        verdict = "inconclusive"
        lost = f"{case.missing} {'is' if case.missing == 1 else 'are'} missing"
        out["why"] = f"{what}, but {lost}, which could make it {end:.4g}; {asked} is neither met nor missed"
    out["verdict"] = verdict


def _otherwise(case: _Case, verdict: Verdict) -> float | None:
    """What the number could be had nothing been missing, where that would turn the verdict."""
    assert case.limits is not None  # it is only of a metric of which nothing was scored
    low, high = case.limits
    end = low if (verdict == "pass") == case.gate.above else high
    return end if case.gate.met(end) != (verdict == "pass") else None


def _round(n: int | None) -> str:
    """Two digits say all that is known of such a number."""
    return "" if n is None else f"{float(f'{n:.1e}'):,.0f}"


def _counts(case: _Case, inconclusive: str) -> Verdict:
    verdict: Verdict = case.out["verdict"]
    if verdict != "inconclusive" or inconclusive == "say":
        return verdict
    if inconclusive == "estimate":
        ends = {case.gate.met(end) for end in case.limits or ()}
        if case.missing and len(ends) != 1:  # what is missing decides it, not what was seen
            return "inconclusive"
        value = case.out["value" if case.gate.against is None else "difference"]
        return "pass" if case.gate.met(value) else "fail"
    return "pass" if inconclusive == "pass" else "fail"
