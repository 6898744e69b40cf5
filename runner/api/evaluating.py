"""A model judged without a recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from runner.api.common import Name, folder_of, settings_of, told
from runner.api.plans import Profile
from runner.api.runs import Run


@told
def evaluate(
    model: str,
    suites: Collection[str],
    *,
    engine: Literal["transformers", "vllm"] = "transformers",
    endpoint: str | None = None,
    system: str | None = None,
    name: str | None = None,
    seed: int = 17,
    profile: Profile | None = None,
    progress: bool | Callable[..., None] = False,
    allow: Collection[str] = (),
    workspace: Name = ".",
) -> Run:
    """Judge `model` on suites: a folder, a hub's id that is here already, a run, or what an endpoint of your settings
    calls so. A run's result is judged beside its base. The Run that comes of it can be compared.

    `system` is the message of probes that have none, `name` the run's. Raises UsageError, RecipeError, StepError.
    """
    from runner import run as runs
    from runner.api.running import result, told_of
    from runner.evaluating import plan

    folder = folder_of(workspace)
    settings = settings_of(allow)
    planned = plan(
        model,
        list(suites),
        Path(folder),
        endpoint=endpoint,
        engine=engine,
        system=system,
        seed=seed,
        name=name,
        profile=profile,
    )
    with told_of(planned, progress) as tell:
        return result(planned, runs.run(planned, tell=tell, settings=settings))
