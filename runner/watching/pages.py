"""The pages: templates of this folder, in the style of the report. All text in them is made visible and escaped."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from runner import shown
from runner.page import charts, environment, stylesheet
from runner.page.view import words
from runner.watching.going import Going
from runner.watching.runs import Run

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
LIST_EVERY, RUN_EVERY, STILL_EVERY = 2, 1, 4
"""Seconds between two looks: at the list, at a run that goes on, at one that does not."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@cache
def style_sheet() -> str:
    """The style of these pages, as it stands between its tags."""
    return "\n" + stylesheet() + (HERE / "watch.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """The script of these pages, as it stands between its tags."""
    return "\n" + (HERE / "watch.js").read_text(encoding="utf-8")


def digest(text: str) -> str:
    """A text's digest as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def policy() -> str:
    """What these pages may do: their own style and script, a look at this server, and nothing else."""
    return (
        f"default-src 'none'; style-src {digest(style_sheet())}; script-src {digest(script())}; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@cache
def _templates() -> Environment:
    from markupsafe import Markup

    env = environment(HERE)
    env.filters |= {"when": when, "iso": iso, "cut": shown.cut}
    env.globals |= {
        "style_sheet": Markup(style_sheet()),
        "watch_script": Markup(script()),
        "reach": lambda metric: Markup(reach(metric)),
        "drawn": lambda css, cell, domain: Markup(_drawn(css, cell, domain)),
        "axis": lambda domain, unit: Markup(charts.scale(domain, shown.coarse(unit))),
    }
    return env


def when(seconds: float) -> str:
    """A moment by the clock of this machine: 26 Nov 2026, 13:43."""
    try:
        at = datetime.fromtimestamp(seconds)
    except (ValueError, OverflowError, OSError):
        return shown.NONE
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}, {at:%H:%M}"


def iso(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def reach(metric: dict[str, Any]) -> str:
    """A share with its interval, drawn from 0 to 1; other units have no axis of their own here."""
    value, low, high = (shown.finite(metric[key]) for key in ("value", "low", "high"))
    if metric["unit"] != "share" or value is None or low is None or high is None:
        return ""
    return charts.interval("tuned", value, (low, high), (0.0, 1.0))


def _drawn(css: str, cell: dict[str, Any], domain: tuple[float, float]) -> str:
    value, low, high = (shown.finite(cell.get(key)) for key in ("value", "low", "high"))
    limits = (low, high) if low is not None and high is not None else None
    return charts.interval(css, value, limits, domain)


def _domain(metric: dict[str, Any]) -> tuple[float, float]:
    """The common axis of a metric's sides: 0 to 1 for shares, else what is needed."""
    every = [
        shown.finite(cell.get(key)) for cell in metric["arms"].values() for key in ("value", "low", "high")
    ]
    known = [v for v in every if v is not None]
    if metric["unit"] == "share" and all(0 <= v <= 1 for v in known):
        return 0.0, 1.0
    marks = charts.ticks(min(known), max(known), 3) if known else [0.0, 1.0]
    return marks[0], marks[-1]


def _page(template: str, workspace: Path, **what: Any) -> str:
    folder = workspace.resolve()
    common = {"folder": str(folder), "folder_name": folder.name or "Runs"}
    return _templates().get_template(template).render(shown.clean(common | what)) + "\n"


def _plain(run: Run) -> dict[str, Any]:
    return {**msgspec.to_builtins(run), "finished": run.finished}


def list_page(workspace: Path, runs: list[Run]) -> str:
    """All runs."""
    return _page("runs.html.j2", workspace, runs=[_plain(r) for r in runs], every=LIST_EVERY, at="/")


def run_page(workspace: Path, run: Run, here: Going, log: str = "") -> str:
    """One run as it stands."""
    every = RUN_EVERY if run.state == "running" else STILL_EVERY
    data = msgspec.to_builtins(here)
    at = f"/runs/{run.name}/live" + (f"?log={quote(log)}" if log in here.logs and log else "")
    return _page("run.html.j2", workspace, run=_plain(run), here=data, every=every, at=at)


def compare_page(workspace: Path, found: dict[str, Any]) -> str:
    """Runs side by side."""
    sides = found["sides"]
    alike = {key: len({s[key] for s in sides}) == 1 for key in ("run", "arm")}
    short = "arm" if alike["run"] else "run" if alike["arm"] else "label"
    names = {s["label"]: s[short] for s in sides}
    runs = {s["label"]: s["run"] for s in sides}
    pairs = [
        {
            **pair,
            "run_a": runs[pair["first"]],
            "run_b": runs[pair["second"]],
            "changed": [{**one, "title": _title(one)} for one in pair["changed"]],
            "suites": [
                {**suite, "metrics": [{**m, "domain": _domain(m)} for m in suite["metrics"]]}
                for suite in pair["suites"]
            ],
        }
        for pair in found["pairs"]
    ]
    return _page("compare.html.j2", workspace, sides=sides, names=names, pairs=pairs)


def _title(one: dict[str, Any]) -> str:
    asked = [m.get("content") for m in one["prompt"] if m.get("role") == "user"]
    return words(asked[-1]) if asked else str(one["id"])


def said_page(workspace: Path, title: str, what: str) -> str:
    """A page that says one thing: what is wrong."""
    return _page("said.html.j2", workspace, title=title, what=what)
