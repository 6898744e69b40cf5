"""How Axolotl's processes are started: which launcher, on which devices, and with what they may know."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from runner import process, sharing
from runner.hardware import gpus
from runner.making import Making, write_json
from runner.sharing import processes
from runner.steps import TRAINING, version

INSTALL = {"zero2": "deepspeed", "zero3": "deepspeed"}


def devices(m: Making) -> str:
    """What the training may see of the GPUs: as many as the recipe says, the first ones that are there.

    All that are visible would all be used: by DataParallel where one process was started, and by a launcher that
    starts one for each. The batch of a step would grow with the machine.
    """
    if m.plan.profile == "cpu":
        return ""
    assert not m.spread  # there Ray says which
    wanted = m.plan.loaded.recipe.compute.gpus
    there = gpus(os.environ)
    if len(there) < wanted:
        seen = f"{len(there)} GPU{'s' if len(there) != 1 else ''}"
        raise m.fail(
            f"the recipe trains on {wanted} GPUs (compute.gpus) and {seen} can be seen here; set it to that"
        )
    return ",".join(there[:wanted])


def arguments(m: Making, verb: str) -> list[str]:
    """Arguments of `axolotl VERB CONFIG`, after the config."""
    if placed(m) and verb == "train":
        return []
    if verb != "train":  # else it prints a row drawn at random, which fails where there is only one
        return ["--debug-num-examples", "0"]
    count = processes(m.plan.loaded.recipe, m.plan.profile)
    if count == 1:
        return ["--launcher", "python"]
    # Given whole, so that the user's own accelerate settings, for other trainings, decide nothing. A JSON file is
    # YAML too, and accelerate goes by the name's end.
    path = m.work / "accelerate.json"
    path.write_text(json.dumps(_accelerate(count), indent=1) + "\n", encoding="utf-8")
    return ["--launcher", "accelerate", "--", "--config_file", str(path)]


def placed(m: Making) -> bool:
    """Whether Axolotl has Ray place the processes that train. Without GPUs it cannot: it asks for one each."""
    return m.spread and m.plan.profile == "gpu"


def libraries(m: Making) -> Path:
    """A file that says what a node must have installed to train."""
    path = m.work / "libraries.json"
    write_json(path, _libraries(m))
    return path.absolute()


def _libraries(m: Making) -> dict[str, str]:
    wanted = [*TRAINING, INSTALL.get(m.plan.loaded.recipe.compute.strategy, "torch")]
    return {name: version(name) for name in wanted if version(name) != "absent"}


def on_cluster(m: Making, config: str, more: Mapping[str, str]) -> process.Job:
    """The job that has Axolotl train on the cluster; it only looks on, and needs no GPU. `more` is what the processes
    that train get to know besides what each job does."""
    assert m.engine is not None
    path, empty = (m.work / "job.json").absolute(), (m.work / "empty").absolute()
    empty.mkdir(exist_ok=True)
    names = {*process.QUIET, *process.WITHOUT, *process.NETWORK, *more} - {"PYTHONHASHSEED"}
    # Ray Train asks who is alive: without an address, the newest of the machine's clusters.
    names.add("RAY_ADDRESS")
    recipe = m.plan.loaded.recipe
    write_json(
        path,
        {
            "root": str(m.plan.workspace.root.absolute()),
            "config": config,
            "names": sorted(names),
            "libraries": _libraries(m),
            "resources": sharing.placed(recipe)["resources_per_worker"],
            "workers": recipe.compute.gpus,
        },
    )
    arguments = ("-m", "runner.jobs.axolotl_ray", str(path))
    return process.Job(arguments, m.log.absolute(), empty, {**more, **m.engine.joining()})


def _accelerate(count: int) -> dict[str, object]:
    return {
        "compute_environment": "LOCAL_MACHINE",
        "debug": False,
        "distributed_type": "MULTI_GPU",
        "machine_rank": 0,
        "main_process_port": 0,  # a free one
        "main_training_function": "main",
        "mixed_precision": "no",  # Axolotl sets it, by its own config
        "num_machines": 1,
        "num_processes": count,
        "use_cpu": False,
    }
