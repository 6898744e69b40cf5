"""An Axolotl plug-in that seeds PyTorch before Axolotl counts the steps of a packed training; named in `plugins:`.

Axolotl packs the rows in random orders to count its steps, before anything has set a seed: without this plug-in one
recipe has a step more or less from run to run, and a training that goes on after a kill has another number of steps
than the one it began with. Only jobs import this module.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin


class SeedingPlugin(BasePlugin):
    """Is asked for data first, has none, and seeds the generator that the orders are drawn from."""

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        import torch

        torch.manual_seed(cfg.seed)
