"""What a plan rests on: every raw input by its digest, and each version that decides what comes out."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner import library
from runner.fetching import InputFile
from runner.locking.written import VERSION, Dataset, Fetched, Part, RecipeLock
from runner.plan import moves
from runner.registry import Kind, plugins
from runner.steps import STAGES, VERSIONS, Plan, Step, version
from runner.store import Store, digest, file_digest
from runner.unchanged import inputs

SAYS_NOTHING = ("recipe", "description", "extends", "track", "compute")
"""Keys of a recipe that decide nothing of what comes out; parts that it extends are merged in already."""
WRITING = ("msgspec", "numpy", "pyarrow")
"""What every prepared file is written with."""


def facts(plan: Plan, store: Store) -> RecipeLock:
    """The lock of a plan, as far as that is known; `unknown` says what is not."""
    recipe = plan.loaded.recipe
    data = {k: v for k, v in plan.loaded.document.data.items() if k not in SAYS_NOTHING}
    return RecipeLock(
        lock=VERSION,
        name=recipe.name,
        recipe=json.loads(json.dumps(data)),
        template=None if plan.template is None else digest(plan.template),
        model=_model(plan),
        datasets={s.name: d for s in plan.steps if s.kind == "task" and (d := _dataset(s, store))},
        fetched={
            f.source.name: Fetched(digest(f.request), list(f.items))
            for f in plan.fetches
            if f.items is not None
        },
        stages=_stages(plan),
        tools={
            "mirepoix": version("mirepoix"),
            "python": ".".join(platform.python_version_tuple()[:2]),  # smaller ones decide nothing
        },
        turns=list(recipe.mix.asked) if recipe.mix and recipe.mix.order == "in_turn" else [],
    )


def unknown(plan: Plan, store: Store) -> list[str]:
    """What no lock can be written without, and is not known before it is fetched: in words."""
    found = [f"what {f.source.name} fetches" for f in plan.fetches if f.items is None]
    model = plan.loaded.recipe.model
    if model is not None and moves(model, plan.workspace):
        found.append(f"the commit of {model.base}")
    tasks = [s for s in plan.steps if s.kind == "task" and _dataset(s, store) is None]
    return found + [f"the data of lm-eval's {s.name.removeprefix('task.')}" for s in tasks]


def _model(plan: Plan) -> dict[str, Any] | None:
    """The base model's name, with its commit on a hub or what it is unpacked from. The files of a folder are among the
    inputs."""
    model = plan.loaded.recipe.model
    if model is None:
        return None
    if plan.weights:
        return {"base": model.base}
    made = next((s.ingredients["source"] for s in plan.steps if s.kind == "model"), None)
    return {"base": model.base, "revision": model.revision} | ({"source": made} if made else {})


def _dataset(step: Step, store: Store) -> Dataset | None:
    artifact = store.get(step.fingerprint, verify=False)
    if artifact is None:
        return None
    try:
        said = json.loads(artifact.file("facts.json").read_bytes())
    except (OSError, ValueError):
        return None
    files = {n: sha for n, sha in artifact.manifest.files.items() if n != "facts.json"}
    return Dataset(str(said.get("path")), str(said.get("commit")), files)


def _stages(plan: Plan) -> dict[str, Part]:
    out: dict[str, Part] = {}
    for stage in STAGES:
        steps = [s for s in plan.steps if s.stage == stage]
        if not steps:
            continue
        packages = {n: version(n) for n in WRITING} if stage == "prepare" else {}
        for step in steps:
            for found in _packages(step.ingredients):
                packages |= found
        files = {f.name: f.sha256 for s in steps for f in inputs(s.details)}
        if stage == "prepare":
            files |= {f.name: f.sha256 for f in plan.weights}
            files |= {f.name: f.sha256 for fetch in plan.fetches for f in inputs(fetch.files)}
        if stage == "evaluate":
            files |= {name: file_digest(path) for name, path in suites(plan).items()}
        out[stage] = Part(files, packages, _plugins(plan, stage), {s.kind: VERSIONS[s.kind] for s in steps})
    return out


def _packages(ingredients: Any) -> Iterator[dict[str, str]]:
    """Distributions and versions, wherever a step names those that decide its bytes."""
    if isinstance(ingredients, Mapping):
        for key, value in ingredients.items():
            if key in ("libraries", "vllm") and isinstance(value, Mapping):
                yield {str(n): str(v) for n, v in value.items()}
            elif key == "lm_eval" and isinstance(value, str):
                yield {"lm-eval": value}
            else:
                yield from _packages(value)
    elif isinstance(ingredients, list):
        for value in ingredients:
            yield from _packages(value)


def _plugins(plan: Plan, stage: str) -> dict[str, int]:
    recipe = plan.loaded.recipe
    named: list[tuple[Kind, str]] = []
    if stage == "prepare":
        named = [("source", s.plugin) for s in recipe.sources] + [
            ("filter", u.plugin) for u in recipe.filters
        ]
    elif stage == "evaluate":
        named = [("judge", s.judge.plugin) for s in plan.loaded.suites if s.judge]
    return {f"{kind} {name}": plugins(kind)[name].version for kind, name in named}


def suites(plan: Plan) -> dict[str, Path]:
    """The suites of a recipe as files, by the names that they have in a workspace."""
    names = [f"evals/suites/{s.common.name}.yaml" for s in plan.loaded.suites]
    return {n: path for n in names if (path := plan.workspace.find(n)) is not None}


def read_by(plan: Plan) -> list[InputFile]:
    """All input files of a plan, each once."""
    found = [f for s in plan.steps for f in inputs(s.details)]
    found += [f for fetch in plan.fetches for f in inputs(fetch.files)]
    return list(dict.fromkeys([*found, *plan.weights]))


def carried(plan: Plan) -> dict[str, Path]:
    """All files that a recipe needs beside itself, by the names under which another workspace would find them."""
    found = {Path(f.name).as_posix(): f.path for f in read_by(plan)} | suites(plan)
    model = plan.loaded.recipe.model
    if model is not None and model.template.endswith(".jinja"):
        path = plan.workspace.find(model.template)
        if path is not None:
            found[Path(model.template).as_posix()] = path
    return dict(sorted(found.items()))


def outside(plan: Plan) -> list[str]:
    """Those of them that lie where no other workspace has them: they were allowed with --trust."""
    root = plan.workspace.root.resolve()
    return [
        name
        for name, path in carried(plan).items()
        if Path(name).is_absolute()
        or ".." in Path(name).parts
        or (path.resolve() != (root / name).resolve() and library.find(name) != path.resolve())
    ]
