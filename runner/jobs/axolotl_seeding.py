"""An Axolotl plug-in that seeds PyTorch before Axolotl does, named in `plugins:` of every training.

Axolotl seeds when all is built. Before that it packs the rows in random orders to count its steps, so that one recipe
would have a step more or less from run to run, and a training that goes on after a kill another number than the one it
began with; and it draws the adapter's first numbers, anew in each process. Only jobs import this module.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin


class SeedingPlugin(BasePlugin):
    """Seeds where it is asked for data, of which it has none, and again before the model is built."""

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        import torch

        torch.manual_seed(cfg.seed)

    def pre_model_load(self, cfg: Any) -> None:
        from transformers import set_seed

        set_seed(cfg.seed)
