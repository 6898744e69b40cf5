"""An Axolotl plug-in that tells trackio how a training goes, named in `plugins:` where a recipe asks for it.

Transformers' own callback hands trackio an argument that the version pinned by Axolotl does not know, and names every
project "huggingface". This one sends nothing anywhere: trackio keeps its database where TRACKIO_DIR says.
Only jobs import this module.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from axolotl.utils.callbacks.trackio_ import SaveAxolotlConfigtoTrackioCallback
from transformers import TrainerCallback
from transformers.integrations import TrackioCallback


def _nobody(run: Any) -> None:
    """Who is logged in to the hub."""


class Told(TrainerCallback):
    """Logs what the trainer logs, by step, under the recipe's project and name."""

    def __init__(self, project: str, name: str) -> None:
        self.project, self.name, self.running = project, name, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            import trackio
            from trackio.run import Run

            setattr(Run, "_get_username", _nobody)  # noqa: B010 (it would ask the hub)
            trackio.init(self.project, name=self.name, resume="allow", embed=False, auto_log_gpu=False)
            self.running = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self.running:
            import trackio

            numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}
            trackio.log(numbers, step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.running:
            import trackio

            trackio.finish()  # type: ignore[no-untyped-call]
            self.running = False


class TrackioPlugin(BasePlugin):
    """Puts `Told` where Transformers' and Axolotl's own callbacks were."""

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        trainer.remove_callback(TrackioCallback)
        trainer.remove_callback(SaveAxolotlConfigtoTrackioCallback)
        trainer.add_callback(Told(cfg.trackio_project_name, cfg.trackio_run_name))
