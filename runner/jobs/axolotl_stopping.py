"""An Axolotl plug-in for early stopping that outlives a kill, named in `plugins:` where a recipe asks for it.

Transformers' own callback counts in memory: killed and gone on, a training has all its patience again, and the
evaluation at the restart is counted as one more without a lower loss. This one counts what the trainer's log
says, which is saved with each checkpoint. Only jobs import this module.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import EarlyStoppingCallback, TrainerCallback

from runner.jobs.patience import in_vain


class Patience(TrainerCallback):
    """Stops the training after so many evaluations in vain."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if in_vain(state.log_history) >= self.patience:
            control.should_training_stop = True


class StoppingPlugin(BasePlugin):
    """Puts `Patience` where Transformers' own callback was."""

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        trainer.remove_callback(EarlyStoppingCallback)
        trainer.add_callback(Patience(cfg.early_stopping_patience))
