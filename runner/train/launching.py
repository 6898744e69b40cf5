"""How Axolotl's processes are started: which launcher, on which devices, and with what they may know."""

from __future__ import annotations

import json
import os

from runner.hardware import gpus
from runner.making import Making
from runner.sharing import processes

INSTALL = {"zero2": "deepspeed", "zero3": "deepspeed"}


def devices(m: Making) -> str:
    """What the training may see of the GPUs: as many as the recipe says, the first ones that are there.

    All that are visible would all be used: by DataParallel where one process was started, and by a launcher that
    starts one for each. The batch of a step would grow with the machine.
    """
    if m.plan.profile == "cpu":
        return ""
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
