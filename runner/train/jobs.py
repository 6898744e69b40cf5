"""What the steps of this stage share: jobs, and Axolotl as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from runner import axolotl, basemodel, extras, hardware, process, scrub, trouble
from runner.making import Making
from runner.train import launching, targets, tracking
from runner.yaml12 import dump


def run_job(
    m: Making,
    arguments: Sequence[str],
    more: Mapping[str, str],
    watch: Callable[[], None] = lambda: None,
    network: bool = False,
) -> None:
    """A Python of ours on this machine, to its end. Raises StepError."""
    with _told(m):
        process.Job(tuple(arguments), m.log, m.plan.workspace.root, more, network).run(watch)


@contextmanager
def _told(m: Making) -> Iterator[None]:
    """What went wrong with a job, as the step's error."""
    try:
        yield
    except process.Failed as e:
        raise m.fail(trouble.words(e.said, about(m), e.code) or str(e), log=True) from None


def about(m: Making) -> trouble.About:
    """What a recipe asked for, for sentences about what went wrong."""
    recipe = m.plan.loaded.recipe
    model, train = recipe.model, recipe.train
    assert model is not None
    return trouble.About(
        base=model.base,
        revision=model.revision,
        micro_batch=train.micro_batch,
        max_length=model.max_length,
        gradient_checkpointing=bool(train.gradient_checkpointing),
        packing=train.packing,
        adapter=recipe.adapter.type,
        optimizer=train.optimizer,
        attention=train.attention,
        gpu=m.plan.profile == "gpu",
        free=shutil.disk_usage(m.work).free,
    )


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
    recipe = m.plan.loaded.recipe
    engine: Any = "ray" if m.spread else "local"  # that of this run, whatever the recipe says
    recipe = msgspec.structs.replace(recipe, compute=msgspec.structs.replace(recipe.compute, engine=engine))
    bf16 = hardware.bf16(m.plan.profile)
    return axolotl.config(recipe, m.plan.profile, paths, m.plan.template, bf16=bf16)


def no_variables(m: Making, package: Path | None) -> None:
    """Raises StepError where the workspace holds a file that Axolotl would take for its environment: it reads the first
    `.env` of all folders above its own (python-dotenv), which a workspace is that holds the Python that we run on."""
    root = m.plan.workspace.root.resolve()
    found = next((p / ".env" for p in (package.parents if package else ()) if (p / ".env").exists()), None)
    if found is not None and found.parent.is_relative_to(root):
        raise m.fail(
            f"the workspace holds {m.shown(found)}, which Axolotl would take for its environment; take it away"
        )


def run_axolotl(m: Making, verb: str, config: dict[str, Any], watch: Any = lambda: None) -> None:
    need(m, "axolotl", extras.install("train"))
    found = find_spec("axolotl")
    no_variables(m, Path(found.origin) if found and found.origin else None)
    targets.check(m)
    path = m.work / "axolotl.yml"
    more: dict[str, str] = {"AXOLOTL_DATASET_NUM_PROC": "1"}
    if verb == "train":
        if library := launching.INSTALL.get(m.plan.loaded.recipe.compute.strategy):
            need(m, library, f"pip install {library}")
        more |= tracking.environment(m)
    else:  # rows are the same however many train on them, and whoever is told
        config = axolotl.alone(config)
    path.write_text(dump(config), encoding="utf-8")
    if m.plan.profile == "cpu":
        more["ACCELERATE_USE_CPU"] = "true"
    here = (m.plan.workspace.root / basemodel.model_at(m)).is_dir()
    if here:
        more["HF_HUB_OFFLINE"] = "1"
    online = not here or more.get("WANDB_MODE") == "online"
    if m.spread:
        passed = (*process.ELSEWHERE, *process.NETWORK) if online else process.ELSEWHERE
        more |= {name: os.environ[name] for name in passed if name in os.environ}
    if not launching.placed(m):
        more["CUDA_VISIBLE_DEVICES"] = launching.devices(m)
    arguments = [verb, m.shown(path), *launching.arguments(m, verb)]
    try:
        _run(m, arguments, more, watch, online)
    finally:  # trackers write down a lot, and libraries their environment
        tracking.settle(tracking.folder(m))
        scrub.known(more, m.settings).folder(tracking.folder(m))


def _run(
    m: Making, arguments: list[str], more: Mapping[str, str], watch: Callable[[], None], online: bool
) -> None:
    """Axolotl, wherever the recipe wants it: here, on one node of a cluster, or by Ray on many."""
    if not m.spread:
        run_job(m, ["-m", "axolotl.cli.main", *arguments], more, watch, online)
        return
    with _told(m):
        if arguments[0] == "train" and launching.placed(m):
            replace(launching.on_cluster(m, arguments[1], more), network=online).run(watch)
            return
        argv = ("-m", "runner.jobs.axolotl_node", str(launching.libraries(m)), *arguments)
        root = m.plan.workspace.root.absolute()
        m.run(process.Job(argv, m.log.absolute(), root, more, online), watch=watch)
