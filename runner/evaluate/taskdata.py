"""Step `task.NAME`: the data set of one of lm-eval's own tasks, fetched before anything is trained, and kept.

Which commit it is stands in the artifact: whatever the hub's main branch says later, both arms, and every run in this
workspace, are asked the same documents.
"""

from __future__ import annotations

import shutil
from typing import Any

from runner import hubenv, settings
from runner.evaluate import jobs
from runner.making import Making

ONLINE = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}


def task(m: Making) -> None:
    """Fetch the splits that the task reads. Raises StepError."""
    own = m.settings or settings.load()
    wanted: dict[str, Any] = m.step.ingredients
    cache = m.work / "cache"
    m.progress(0, 0, f"fetching {wanted['path']}")
    job = {name: wanted[name] for name in ("path", "subset", "revision", "splits")}
    job |= {"settings": hubenv.addresses(own.__getitem__), "cache": str(cache), "out": str(m.out)}
    try:
        more = hubenv.environment(own.__getitem__, m.work) | ONLINE
        jobs.here(m, jobs.Part("runner.jobs.task_rows", job), more)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(m.work / "hf", ignore_errors=True)
