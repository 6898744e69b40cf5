"""`python gloo.py JOB.json`: what runner/jobs/axolotl_ray.py does, with CPUs for the GPUs that Ray only counts.

Axolotl asks Ray for GPUs and so for NCCL, which needs cards. Here processes talk by Gloo, and Accelerate is told to
take the CPU. All else is the real thing: Axolotl, Ray Train, the config, the folders.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import ray.train.torch.config as torch_config

from runner.jobs import axolotl_ray


def on_cpus(begin: Callable[..., Callable[[], None]]) -> Callable[..., Callable[[], None]]:
    def beginning(root: str, wanted: Mapping[str, str | None]) -> Callable[[], None]:
        first = begin(root, {**wanted, "ACCELERATE_USE_CPU": "true"})

        def both() -> None:
            first()
            import ray.train.torch as there
            import torch

            there.get_device = lambda: torch.device("cpu")

        return both

    return beginning


init = torch_config.TorchConfig.__init__
assert init.__defaults__ and init.__defaults__[0] is None  # the backend
init.__defaults__ = ("gloo", *init.__defaults__[1:])
axolotl_ray.beginning = on_cpus(axolotl_ray.beginning)
axolotl_ray.main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=axolotl_ray.TrainJob))
