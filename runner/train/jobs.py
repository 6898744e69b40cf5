"""What the steps of this stage share: jobs, and Axolotl as one."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from runner import axolotl, basemodel, process
from runner.making import Making
from runner.yaml12 import dump


def run_job(m: Making, argv: list[str], **kwargs: Any) -> None:
    try:
        process.run(argv, log=m.log, cwd=m.plan.workspace.root, **kwargs)
    except process.Failed as e:
        raise m.fail(str(e), log=True) from None


def need(m: Making, distribution: str, how: str) -> None:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise m.fail(f"{distribution} is not installed; install it with: {how}") from None


def axolotl_config(m: Making, prepared: Path, output: Path) -> dict[str, Any]:
    validation = m.inputs["rows"].file("validation.jsonl")
    paths = axolotl.Paths(
        basemodel.model_at(m),
        m.shown(m.inputs["rows"].file("train.jsonl")),
        m.shown(validation) if validation.stat().st_size else None,
        m.shown(prepared),
        m.shown(output),
    )
    return axolotl.config(m.plan.loaded.recipe, m.plan.profile, paths, m.plan.template)


def run_axolotl(m: Making, verb: str, config: dict[str, Any], watch: Any = lambda: None) -> None:
    need(m, "axolotl", "pip install 'mirepoix[train]'")
    path = m.work / "axolotl.yml"
    path.write_text(dump(config), encoding="utf-8")
    argv = [sys.executable, "-m", "axolotl.cli.main", verb, m.shown(path)]
    more: dict[str, str] = {"AXOLOTL_DATASET_NUM_PROC": "1"}
    if m.plan.profile == "cpu":
        more |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
        if verb == "train":
            argv += ["--launcher", "python"]
    if (m.plan.workspace.root / basemodel.model_at(m)).is_dir():
        more["HF_HUB_OFFLINE"] = "1"
    wandb = m.plan.loaded.recipe.track.wandb
    more["WANDB_MODE"] = wandb.mode if wandb else "disabled"
    run_job(m, argv, more=more, watch=watch)
