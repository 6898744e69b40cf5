"""mirepoix from Python: what the command line does, as functions that give typed results. docs/python.md is its page.

    from runner.api import load, plan, run, compare, open_run

    recipe = load("quickstart.yaml")          # checked; RecipeError has every problem, each with its place
    print(plan(recipe))                       # what would run, and why
    result = run(recipe, progress=True)       # Run: .verdict, .metrics, .report, .data
    compare(result, "an-older-run")           # prompt by prompt

Nothing is printed unless it is asked for, no signal is taken over, and no error ends the process: errors are those of
`runner.errors`. What the other verbs of the command line do stands in a module each, such as `runner.api.results`.
Names are looked up when they are used, so that importing this costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.api import beginnings as beginnings
    from runner.api import common as common
    from runner.api import comparisons as comparisons
    from runner.api import differing as differing
    from runner.api import evaluating as evaluating
    from runner.api import locks as locks
    from runner.api import packs as packs
    from runner.api import plans as plans
    from runner.api import recipes as recipes
    from runner.api import reports as reports
    from runner.api import results as results
    from runner.api import rows as rows
    from runner.api import running as running
    from runner.api import runs as runs
    from runner.api import serving as serving
    from runner.api import shelf as shelf
    from runner.api import signing as signing
    from runner.api import stores as stores
    from runner.api import talking as talking
    from runner.api.comparisons import Compared, Comparison, Pair, compare
    from runner.api.plans import Plan, PlannedFetch, PlannedStep, compile_to, plan
    from runner.api.recipes import Checked, Recipe, check, load
    from runner.api.running import run
    from runner.api.runs import Data, Difference, Estimate, Gate, Run, open_run

_WHERE = {
    "comparisons": ("Compared", "Comparison", "Pair", "compare"),
    "plans": ("Plan", "PlannedFetch", "PlannedStep", "compile_to", "plan"),
    "recipes": ("Checked", "Recipe", "check", "load"),
    "running": ("run",),
    "runs": ("Data", "Difference", "Estimate", "Gate", "Run", "open_run"),
}
_ROOMS = (
    "beginnings", "common", "differing", "evaluating", "locks", "packs", "reports", "results", "rows",
    "serving", "shelf", "signing", "stores", "talking", *_WHERE,
)  # fmt: skip
_MODULE = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Checked", "Compared", "Comparison", "Data", "Difference", "Estimate", "Gate", "Pair", "Plan", "PlannedFetch",
    "PlannedStep", "Recipe", "Run", "check", "compare", "compile_to", "load", "open_run", "plan", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
