"""What is known of the runs of a workspace: state, verdict, numbers. Read anew where a file has changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from runner import noting
from runner.noting import Now
from runner.shown import finite
from runner.watching import reading

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""What a run may be called here; the names of recipes are a part of these."""
HEADLINES = 3


@dataclass(frozen=True)
class Headline:
    """One number of a run: of its tuned model, or of the last arm that was judged; shares are of one."""

    metric: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    base: float | None
    gate: str = ""  # pass, fail, inconclusive; empty for what no gate asks about


@dataclass(frozen=True)
class Run:
    """One run. `state` is running, finished, failed, interrupted, or unknown where nothing says how it ended; `when`
    is in seconds since 1970, of its last word or of its report; `verdict` and what follows are of the report, which is
    an earlier one's where the run did not come to its end."""

    name: str
    state: str
    when: float | None
    now: Now | None
    reported: bool
    verdict: str = ""
    about: str = ""
    base: str = ""
    rows: int | None = None
    gates: int = 0
    failed: int = 0
    headlines: list[Headline] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether what its report says is what it came to."""
        return self.reported and self.state in ("finished", "unknown")


def names(workspace: Path) -> list[str]:
    """The runs that are there: those of which anything is laid out, or noted."""
    return [n for n in reading.folders(workspace, "runs") if NAME.fullmatch(n) and _is_run(workspace, n)]


def _is_run(workspace: Path, name: str) -> bool:
    said = (("runs", name, "plan.json"), ("runs", name, "report.json"), (".mirepoix", "runs", f"{name}.now"))
    return any(reading.state(workspace, *one) for one in said)


def find(workspace: Path, name: str) -> Run | None:
    """A run by its name; None where there is none."""
    if not NAME.fullmatch(name) or name not in reading.folders(workspace, "runs"):
        return None
    if not _is_run(workspace, name):
        return None
    now, lives = _now(workspace, name)
    report = reading.state(workspace, "runs", name, "report.json")
    found = _reported(workspace, name, report) if report else {}
    if now is None:
        state, when = "running" if lives else "finished" if found else "unknown", None
    elif now.state == "running":
        state, when = "running" if lives else "interrupted", now.began
    else:
        state, when = now.state, now.ended
    if when is None and report:
        when = report[2] / 1e9
    if now is not None and not found:
        found = {"base": now.base, "about": now.about}
    return Run(name=name, state=state, when=when, now=now, reported=bool(report), **found)


def every(workspace: Path) -> list[Run]:
    """All runs: those that go on first, then the newest."""
    found = [run for name in names(workspace) if (run := find(workspace, name))]
    return sorted(found, key=lambda r: (r.state != "running", -(r.when or 0), r.name))


def _now(workspace: Path, name: str) -> tuple[Now | None, bool]:
    try:
        with reading.opened(workspace, ".mirepoix", "runs", f"{name}.now") as fd:
            return noting.read(fd)
    except OSError:
        return None, False


@lru_cache(maxsize=512)
def _reported(workspace: Path, name: str, state: tuple[int, int, int]) -> dict[str, Any]:
    """What a report says of its run, as far as it is what a report would say."""
    report = reading.data(workspace, "runs", name, "report.json")
    if not report:
        return {}
    rows, training = _of(report, "rows", dict), _of(report, "training", dict)
    gates = [g for g in _of(report, "gates", list) if isinstance(g, dict)]
    settings = _of(training, "settings", dict)
    trained = finite(rows.get("trained"))
    return {
        "verdict": _of(report, "exit", str),
        "about": _of(report, "description", str),
        "base": _of(settings, "base", str),
        "rows": None if trained is None else round(trained),
        "gates": len(gates),
        "failed": sum(g.get("counts") == "fail" for g in gates),
        "headlines": list(_headlines(report, gates)),
    }


def _of(data: dict[str, Any], key: str, kind: type) -> Any:
    found = data.get(key)
    return found if isinstance(found, kind) else kind()


def _headlines(report: dict[str, Any], gates: list[dict[str, Any]]) -> list[Headline]:
    """The metrics that gates ask about, then the first of each suite; a few."""
    suites = [s for s in _of(report, "suites", list) if isinstance(s, dict)]
    listed = [[m for m in _of(s, "metrics", list) if isinstance(m, dict)] for s in suites]
    known = {str(m.get("metric")): m for some in listed for m in some}
    wanted = [str(g.get("metric")) for g in gates] + [str(some[0].get("metric")) for some in listed if some]
    verdicts = {str(g.get("metric")): _of(g, "verdict", str) for g in gates}
    found = [known[name] for name in dict.fromkeys(wanted) if name in known][:HEADLINES]
    return [_headline(m, verdicts.get(str(m.get("metric")), "")) for m in found]


def _headline(metric: dict[str, Any], gate: str) -> Headline:
    arms = _of(metric, "arms", dict) or {k: metric[k] for k in ("base", "tuned") if metric.get(k)}
    cells = {name: cell for name, cell in arms.items() if isinstance(cell, dict)}
    own = cells.get("tuned") or (list(cells.values()) or [{}])[-1]
    value, low, high = (finite(own.get(key)) for key in ("value", "low", "high"))
    base = finite(_of(cells, "base", dict).get("value")) if "tuned" in cells else None
    return Headline(str(metric.get("metric", "")), str(metric.get("unit", "")), value, low, high, base, gate)


def described(run: Run) -> dict[str, Any]:
    """A run as the API gives it."""
    out: dict[str, Any] = msgspec.to_builtins(run)
    out.pop("now")
    now = run.now
    if now is not None:
        done = sum(s.state in ("made", "kept") for s in now.steps)
        out |= {"to": now.to, "began": now.began, "step": now.at, "steps": len(now.steps), "steps_done": done}
        out |= {"error": now.error, "log": now.log}
    return out
