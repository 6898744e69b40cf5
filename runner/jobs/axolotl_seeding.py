"""An Axolotl plug-in that seeds PyTorch before Axolotl does, named in `plugins:` of every training. And it looks at
what came of the schedule: only the trainer knows for sure how many steps there are.

Axolotl seeds when all is built. Before that it packs the rows in random orders to count its steps, so that one recipe
would have a step more or less from run to run, and a training that goes on after a kill another number than the one it
began with; and it draws the adapter's first numbers, anew in each process. Only jobs import this module.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin

from runner import templates


class SeedingPlugin(BasePlugin):
    """Seeds where it is asked for data, of which it has none, and again before the model is built."""

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        import torch

        templates.cap()  # Axolotl renders every record, too
        torch.manual_seed(cfg.seed)

    def pre_model_load(self, cfg: Any) -> None:
        from transformers import set_seed

        set_seed(cfg.seed)

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        args = trainer.args
        decay = (args.lr_scheduler_kwargs or {}).get("num_decay_steps") or 0
        warmup = args.get_warmup_steps(args.max_steps) if args.max_steps > 0 else 0
        if warmup + decay > args.max_steps > 0:
            # The rate would never be what the recipe says: it is a millionth of that where decay alone is as long.
            raise ValueError(
                f"mirepoix: warm-up and decay take {warmup + decay} steps, more than the whole training, "
                f"{args.max_steps}: lower train.warmup_steps or train.decay_steps, or train longer"
            )
