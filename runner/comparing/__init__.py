"""`recipe compare`: the runs of a workspace against each other, prompt by prompt, where they answered the same prompts.

Only artifacts and reports are read. What two runs do not share (the template, how answers are drawn, the judge) makes
numbers that cannot be compared; it is named, and `force` compares them all the same. docs/verdict.md says more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runner import stats
from runner.comparing.conditions import differences, of_suites
from runner.comparing.found import Side, find
from runner.errors import UsageError
from runner.findings import changes, moves
from runner.metrics import Measured

__all__ = ["Side", "compare", "find"]

VERSION = 1
UNKNOWN = ("how one of the two came about, which is not known", True)
LISTED = 10  # prompts that changed most


def compare(sides: Sequence[Side], force: bool = False) -> dict[str, Any]:
    """The first side against each other one, as plain data. Of p-values Holm's are given too, over all metrics here.

    Raises UsageError where one is named twice.
    """
    labels = [side.label for side in sides]
    if len(set(labels)) < len(labels):
        raise UsageError(f"{next(x for x in labels if labels.count(x) > 1)} is named twice")
    pairs = [_pair(sides[0], other, force) for other in sides[1:]]
    rows = [m for p in pairs for s in p["suites"] for m in s["metrics"] if m["difference"]["p"] is not None]
    for row, p in zip(rows, stats.holm([m["difference"]["p"] for m in rows]), strict=True):
        row["difference"]["p_holm"] = p
    for one in (m for p in pairs for s in p["suites"] for m in s["metrics"]):
        one["verdict"] = _word(one)
    return {
        "compare": VERSION,
        "sides": [{"label": s.label, "run": s.run, "arm": s.arm} for s in sides],
        "pairs": pairs,
    }


def _pair(first: Side, second: Side, force: bool) -> dict[str, Any]:
    suites: list[dict[str, Any]] = []
    apart: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for name, mine in first.findings.items():
        other = second.findings.get(name)
        if other is None:
            apart.append({"suite": name, "part": "all", "differs": [f"{second.label} has no such suite"]})
            continue
        for part in mine.parts:
            metrics = list(_shared(first, second, mine.parts[part], other.parts.get(part, [])))
            if not metrics:
                continue
            found = list(_conditions(part, name, first, second))
            against = [what for what, blocks in found if blocks]
            if against and not force:
                apart.append({"suite": name, "part": part, "differs": against})
                continue
            rows = [m.row() for m in metrics]
            for row in rows:
                for key in ("base", "tuned"):  # names of arms, which here are runs
                    del row[key]
                row["difference"] = row.pop("differences")[first.label]
            notes = [what for what, blocks in found if not blocks]
            suites.append(
                {"suite": name, "part": part, "metrics": rows, "forced": against, "also_differs": notes}
            )
            if part == "judge":
                changed += _changed(name, metrics, first, second)
    missing = [n for n in second.findings if n not in first.findings]
    apart += [{"suite": n, "part": "all", "differs": [f"{first.label} has no such suite"]} for n in missing]
    changed.sort(key=lambda c: (-c["moved"], -abs(c["change"]), c["suite"], c["id"]))
    return {
        "first": first.label,
        "second": second.label,
        "suites": suites,
        "not_comparable": apart,
        "changed": changed[:LISTED],
    }


def _conditions(part: str, suite: str, first: Side, second: Side) -> Iterator[tuple[str, bool]]:
    """What differs between the steps that a part of a suite came of."""
    both = [side.findings[suite].suite for side in (first, second)]
    for made in zip(first.made(part, suite), second.made(part, suite), strict=True):
        if not all(made):
            yield UNKNOWN
            continue
        a, b = (of_suites(part, both, one, own) for one, own in zip(made, both, strict=True))
        yield from differences(part, suite, a, b)
    if part == "judge" and first.run != second.run and _rival(first, suite) != _rival(second, suite):
        yield "whom each is compared with: a win over other answers is another win", True


def _rival(side: Side, suite: str) -> list[str] | None:
    """Digests of the answers that a judge held an arm's against, where it compares two arms."""
    judge = side.findings[suite].suite.judge
    options = judge.options if judge else {}
    if "arm" not in options or "against" not in options:
        return None
    rival = options["against"] if side.arm == options["arm"] else options["arm"]
    step = side.steps.get(f"answers.{rival}.{suite}")
    files = step.manifest.files if step else {}
    return sorted(sha256 for name, sha256 in files.items() if name.endswith(".jsonl"))


def _shared(
    first: Side, second: Side, mine: Sequence[Measured], theirs: Sequence[Measured]
) -> Iterator[Measured]:
    """The metrics that both sides have, each with the two as its arms."""
    others = {m.name: m for m in theirs}
    for m in mine:
        if m.name not in others or first.arm not in m.names or second.arm not in others[m.name].names:
            continue
        both, arms = (m, others[m.name]), ((first.label, first.arm), (second.label, second.arm))
        if all(one.wholes for one in both):
            wholes = {label: one.wholes[arm] for one, (label, arm) in zip(both, arms, strict=True)}
            yield Measured(m.name, m.unit, m.better, {}, wholes=wholes)
        elif not any(one.wholes for one in both):
            scores = {label: one.scores[arm] for one, (label, arm) in zip(both, arms, strict=True)}
            yield Measured(m.name, m.unit, m.better, scores, m.families, m.seed)


def _changed(suite: str, metrics: Sequence[Measured], first: Side, second: Side) -> Iterator[dict[str, Any]]:
    """The prompts of one suite whose scores are not the same, with both answers."""
    sides = [
        {s["id"]: s for s in (side.findings[suite].judged or {}).get("samples", [])}
        for side in (first, second)
    ]
    moved = moves(metrics, first.label)
    for id, change in changes(metrics, first.label).items():
        if not moved[id] or any(id not in side for side in sides):
            continue
        said = [side[id] for side in sides]
        yield {
            "suite": suite,
            "id": id,
            "change": change,
            "moved": moved[id],
            "prompt": said[0]["prompt"],
            "answers": {
                of.label: one["answers"].get(of.arm) for of, one in zip((first, second), said, strict=True)
            },
            "scores": {
                of.label: {name: by.get(of.arm) for name, by in one["scores"].items()}
                for of, one in zip((first, second), said, strict=True)
            },
            "reasons": {
                of.label: {name: by[of.arm] for name, by in one["reasons"].items() if of.arm in by}
                for of, one in zip((first, second), said, strict=True)
            },
        }


def _word(metric: dict[str, Any]) -> str:
    """Better, worse or no clear difference: the interval must leave out 0, and Holm's p-value agree."""
    difference = metric["difference"]
    low, high, p = difference["low"], difference["high"], difference.get("p_holm")
    if low is None or high is None:
        return ""
    if low <= 0 <= high or (p is not None and p >= 0.05):
        return "no clear difference"
    if metric["better"] is None:
        return "differs"
    return "better" if (low > 0) == (metric["better"] == "higher") else "worse"
