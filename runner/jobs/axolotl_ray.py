"""`axolotl train CONFIG` by processes on a Ray cluster: `python -m runner.jobs.axolotl_ray JOB.json`.

Axolotl's own `use_ray` has Ray start a process a GPU, wherever there is one. Such a process has what Ray's own have:
the environment in which somebody started Ray, and a folder of Ray's. So Ray is told what each of ours begins with: what
a training may know, and the workspace for its folder, which the paths in the config are relative to. What is secret of
that goes in a pickle from process to process, not in Ray's account of who runs what.

We are started in an empty folder: Ray lets its workers import from the one that it was called in.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner.jobs.axolotl_node import differ, said
from runner.jobs.ray_node import on_each

CLEANER = "ray.train.v2._internal.execution.controller.placement_group_cleaner"
"""Without a dashboard, Ray says every second that it cannot ask it whether the training is still there."""
OWN = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "XFORMERS_IGNORE_FLASH_VERSION_CHECK")
"""What Axolotl's command says to PyTorch through the environment."""
WAITS = "mirepoix: waits for"
LOOK = 120.0  # seconds that a node has to say what is installed there


class TrainJob(Struct, frozen=True, forbid_unknown_fields=True):
    """`root` is the workspace, to which `config` is relative; `names` are the variables that a process of the training
    gets as they are here, or does not have; `libraries` what it must find installed; `resources` what each of `workers`
    processes wants of its node."""

    root: str
    config: str
    names: list[str]
    libraries: dict[str, str]
    resources: dict[str, float]
    workers: int


def beginning(root: str, wanted: Mapping[str, str | None]) -> Callable[[], None]:
    """What each process does first."""

    def begin() -> None:
        for name, value in wanted.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        os.chdir(root)
        logging.getLogger(CLEANER).setLevel(logging.ERROR)

    return begin


def fit(nodes: list[dict[str, Any]], resources: Mapping[str, float]) -> dict[str, int]:
    """How many processes have room on each node that is alive, by its id; none that has room for none."""
    out = {}
    for node in nodes:
        has = node["Resources"] if node["Alive"] else {}
        # A little more: 0.3 // 0.1 is 2.
        count = min(int(has.get(name, 0) / wanted + 1e-9) for name, wanted in resources.items())
        if count:
            out[node["NodeID"]] = count
    return out


def look(ray: Any, job: TrainJob) -> None:
    """Is there room, and do all that have some have the same libraries? Raises ValueError."""
    nodes = ray.nodes()
    room = fit(nodes, job.resources)
    if (many := sum(room.values())) < job.workers:
        each = ", ".join(f"{name} {n:g}" for name, n in job.resources.items())
        raise ValueError(
            f"mirepoix: {job.workers} processes are to train (compute.gpus), each with {each} of its node, and the "
            f"cluster has room for {many}: lower compute.gpus or compute.resources, or add nodes"
        )
    able = [node for node in nodes if node["NodeID"] in room]
    for host, other, silent in on_each(ray, able, LOOK, differ, job.libraries):
        if silent:
            raise ValueError(f"mirepoix: the node {host} {silent}")
        if other:
            raise ValueError(said(host, other))


def waits(free: Mapping[str, float], job: TrainJob) -> str:
    """What the training waits for, of what the cluster has and others use by now; "" where that is nothing. A line for
    the log, from which runner/train/watching.py takes it."""
    short = math.ceil(job.workers * job.resources["GPU"] - free.get("GPU", 0) - 1e-9)
    return f"{WAITS} {short} GPU{'' if short == 1 else 's'} that others use" if short > 0 else ""


def main(job: TrainJob) -> None:
    """Train, and look on. Raises ValueError where the cluster will not do."""
    import ray
    from axolotl.utils import set_misc_env, set_pytorch_cuda_alloc_conf

    # Axolotl's command sets these for itself; an H100 without them held 2.4 GiB for 0.9.
    set_pytorch_cuda_alloc_conf()
    set_misc_env()
    begin = beginning(job.root, {name: os.environ.get(name) for name in (*job.names, *OWN)})
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    # Of the variables, only this one must be there before Python starts.
    ray.init(runtime_env={"worker_process_setup_hook": begin, "env_vars": {"PYTHONHASHSEED": "0"}})
    look(ray, job)
    if words := waits(ray.available_resources(), job):
        sys.stderr.write(f"{words}\n")
    begin()
    from axolotl.cli.main import cli

    cli(["train", job.config, "--launcher", "python"])


if __name__ == "__main__":
    from runner.jobs import axolotl_ray  # so that workers find what is here by its name

    axolotl_ray.main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=axolotl_ray.TrainJob))
