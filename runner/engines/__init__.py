"""Where batch functions run: on this machine's cores, or on a Ray cluster. One engine a file.

An engine maps a function over pieces and gives what comes out in the order of the pieces, never in that of their
arrival. So which engine it was, how many worked and who died meanwhile decide no byte. A function may be called where
the workspace is not seen (runner/staging): it opens nothing but below `Path`s that came with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path

from runner.making import Engine
from runner.recipe.running import Engine as Name
from runner.settings import Settings
from runner.steps import Plan, Stage

MODULES: dict[Name, str] = {"local": "runner.engines.local", "ray": "runner.engines.ray"}
"""Each has a function `opened`, as the one below but for `name`; what it needs is imported when it is asked for."""


def opened(
    plan: Plan,
    to: Stage,
    settings: Settings,
    log: Path,
    name: Name | None = None,
    say: Callable[[str, str], None] = lambda name, words: None,
) -> AbstractContextManager[Engine]:
    """The engine that a run up to the stage `to` asks for: `name`, or what the recipe says. What it starts it starts
    when first it is needed, and ends with this; what is there it looks at now. `log` takes what its processes say;
    `say` is told its name, and in words where the work is done, once that is known, where that is not here.

    Raises UsageError for settings that are none, StepError for a cluster that is not there or would not do.
    """
    chosen = name or plan.loaded.recipe.compute.engine
    found: AbstractContextManager[Engine] = import_module(MODULES[chosen]).opened(
        plan, to, settings, log, lambda words: say(chosen, words)
    )
    return found
