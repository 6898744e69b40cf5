"""The verdict in words: what each gate asked, what was seen, and what to do next. Pure."""

from __future__ import annotations

import re
from typing import Any

from runner import shown
from runner.shown import finite

COUNTS = {
    "pass": "count as passed",
    "fail": "count as failed",
    "estimate": "count by the number alone",
}
_OPS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than", "==": "exactly"}


def gated(gate: dict[str, Any]) -> str:
    """The metric that a gate's text begins with."""
    found = re.match(r"\s*([^\s<>=!]+)", str(gate.get("gate") or ""))
    return found[1] if found else ""


def mark(gate: dict[str, Any]) -> dict[str, str]:
    """The verdict's word and its style."""
    word = str(gate.get("verdict") or "not decided")
    return {"word": word, "style": {"pass": "good", "inconclusive": "plain"}.get(word, "bad")}


def gate(found: dict[str, Any], unit: str) -> dict[str, Any]:
    """A gate as it is shown: its mark, what was asked and what was seen, in words."""
    return {
        **found,
        "unit": unit,
        "mark": mark(found),
        "seen": _seen(found, unit),
        "asked": _asked(found, unit),
    }


def _seen(gate: dict[str, Any], unit: str) -> str:
    """What a gate was decided on: the interval of the value, or of the difference to the arm it is compared with."""
    low, high = finite(gate.get("low")), finite(gate.get("high"))
    if low is None or high is None:
        return ""
    write = shown.measure if gate.get("against") is None else shown.change
    return f"{write(low, unit)} to {write(high, unit)}"


def _asked(gate: dict[str, Any], unit: str) -> str:
    """`at least 85.0%`, or `at least base −3.0 points`; empty where the gate's text does not say it."""
    found = re.search(r"(>=|<=|==|>|<)", str(gate.get("gate") or ""))
    threshold, margin = finite(gate.get("threshold")), finite(gate.get("margin"))
    if found is None or threshold is None:
        return ""
    if gate.get("against") is None or margin is None:
        return f"{_OPS[found[1]]} {shown.measure(threshold, unit)}"
    points = {"share": " points", "nats": " nats"}.get(unit, "")
    more = f" {shown.change(margin, unit)}{points}" if margin else ""
    return f"{_OPS[found[1]]} {gate['against']}{more}"


def outcome(report: dict[str, Any], gates: list[dict[str, Any]]) -> dict[str, str]:
    """The page's first sentence, and its style."""
    failed = sum(g.get("counts", g.get("verdict")) == "fail" for g in gates)
    unsure = sum(g.get("verdict") == "inconclusive" for g in gates)
    exit, many = report.get("exit"), len(gates)
    if gates and not failed and not unsure and exit == "pass":
        return {"say": "The one gate passed." if many == 1 else f"All {many} gates passed.", "style": "good"}
    if failed:
        return {"say": f"{failed} of {many} {'gate' if many == 1 else 'gates'} failed.", "style": "bad"}
    if unsure:
        one = (
            "The one gate is"
            if many == 1
            else f"No gate failed, {unsure} of {many} {'is' if unsure == 1 else 'are'}"
        )
        return {"say": f"{one} inconclusive.", "style": ""}
    if exit in ("no gates", "pass") or not exit:
        if report.get("suites"):
            return {"say": "No gates were set: the numbers are for you to weigh.", "style": ""}
        trained = report.get("training")
        say = "Trained; nothing was judged." if trained else "The data is ready; nothing was judged."
        return {"say": say, "style": ""}
    return {"say": str(exit), "style": "bad"}


def next_steps(report: dict[str, Any], gates: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What to do next: a sentence each, with the command that does it where there is one."""
    name = str(report.get("name") or "RUN")
    out = []
    if any(g["verdict"] not in ("pass", "inconclusive") for g in gates if g.get("verdict")):
        samples = any(s.get("samples") for s in report.get("suites") or [])
        more = ": the prompts that went worst stand first" if samples else ""
        out.append({"say": f"Read what went wrong{more}.", "to": "#samples" if samples else "#arms"})
    for g in gates:
        if g.get("verdict") == "inconclusive":
            needs = finite(g.get("needs"))
            how = f"about {shown.count(needs)} prompts would tell" if needs else "more prompts would tell"
            out.append(
                {"say": f"{gated(g)} is not decided: {how}. Add probes to its suite, or raise its limit."}
            )
    if report.get("training"):
        if not gates:
            out.append(
                {"say": "Set gates, so that a run says by itself whether it is good enough (evaluate.gates)."}
            )
        out.append({"say": "Talk to it, base beside tuned:", "code": f"recipe chat {name}"})
        out.append({"say": "Take it along:", "code": f"recipe export {name} --to FOLDER"})
    elif not report.get("suites"):
        out.append({"say": "See what became of any row:", "code": "recipe show row ID"})
        out.append({"say": "To train on this data, give the recipe a model (model.base) and run it again."})
    return out[:6]
