"""Where batch functions run: on this machine's cores, or on a Ray cluster. One engine a file.

An engine maps a function over pieces and gives what comes out in the order of the pieces, never in that of their
arrival. So which engine it was, how many worked and who died meanwhile decide no byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from runner.making import Engine
from runner.settings import Settings
from runner.steps import Plan

Name = Literal["local", "ray"]


@contextmanager
def opened(
    plan: Plan,
    settings: Settings,
    log: Path,
    name: Name | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Iterator[Engine]:
    """The engine that a run asks for: `name`, or what the recipe says. What it starts it starts when first it is
    needed, and ends with this; what is there it looks at now. `log` takes what its processes say, `say` is told in
    words where the work is done, once that is known, where that is not here."""
    from runner.engines.local import Local

    compute = plan.loaded.recipe.compute
    if (name or compute.engine) == "local":
        yield Local(settings.workers)
        return
    from runner.engines.ray import Ray

    workers = compute.workers or settings.workers
    with Ray(settings["ray_address"], workers, plan.workspace.root, log, say) as engine:
        yield engine
