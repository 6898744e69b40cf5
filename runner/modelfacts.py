"""What a run's model card says, gathered from the artifacts of its steps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from itertools import compress
from pathlib import PurePath
from typing import Any

import msgspec

from runner import ledger, library, modelchecks
from runner.licences import UNKNOWN, terms
from runner.making import Making
from runner.modelcard import Base, Facts, Right, Template
from runner.recipe import Recipe
from runner.store import digest
from runner.yaml12 import dump

# Models that come as a Python package: what they are on the hub.
ON_HUB = {"embedded/smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct"}
_LANGUAGE = "language"  # the filter that says which languages are kept


def facts(m: Making, report: dict[str, Any]) -> Facts:
    """The facts, out of the data of report.json and what else the steps left. Of a recipe with a model."""
    recipe = m.plan.loaded.recipe
    model = recipe.model
    assert model is not None
    trained = m.inputs["train"]
    folder = "model" if "model/mirepoix.json" in trained.manifest.files else "adapter"
    about = json.loads(trained.file(f"{folder}/mirepoix.json").read_bytes())
    rights = _rights(m)
    used = {right.source for right in rights}
    under: dict[str, list[str]] = {model.license or UNKNOWN: [f"{model.base} (model)"]}
    for right in rights:
        if right.source not in (names := under.setdefault(right.licence or UNKNOWN, [])):
            names.append(right.source)
    return Facts(
        name=recipe.name,
        description=recipe.description,
        base=_base(m, about["base_weights"]),
        template=Template(
            name=model.template,
            sha256=None if m.plan.template is None else about["template"],
            own=m.plan.template is not None,
            end_of_turn=model.end_of_turn,
            tool_parser=_tool_parser(model.template),
        ),
        max_length=model.max_length,
        adapter=msgspec.to_builtins(recipe.adapter),
        train=msgspec.to_builtins(recipe.train) | {"seed": recipe.seed, "precision": _precision(m)},
        languages=languages(recipe),
        datasets=of_hub(recipe, used),
        revisions=_revisions(m, used),
        tools=any(s.plugin == "tools" for s in recipe.sources),
        rights=rights,
        terms=terms(under),
        rows=report["rows"],
        mix=report["mix"],
        training={k: v for k, v in report["training"].items() if k != "settings"},
        proof=report["proof"] or {},
        suites=[{k: s[k] for k in _SUITE if k in s} for s in report["suites"]],
        gates=report["gates"],
        profile=m.plan.profile,
        versions=report["versions"],
        recipe_yaml=dump(_without_paths(m.plan.loaded.document.data)),
        recipe_sha256=digest(m.plan.loaded.document.data),
        step=about["step"],
    )


_SUITE = ("name", "description", "metrics", "facts", "decoding", "failed")


def _base(m: Making, weights: str) -> Base:
    model = m.plan.loaded.recipe.model
    assert model is not None
    local = m.plan.workspace.find(model.base)
    hub, origin = model.base, ""
    if model.base in modelchecks.EMBEDDED:
        known = modelchecks.EMBEDDED[model.base]
        hub = ON_HUB.get(model.base, "")
        origin = f"{known['file']} of the package {known['distribution']} {known['version']}, sha256 {known['sha256']}"
    elif local is not None and local.is_dir():
        hub = ""
    return Base(
        name=model.base,
        hub=hub or None,
        revision=model.revision,
        license=model.license,
        weights=weights,
        origin=origin,
    )


def _precision(m: Making) -> str:
    """What the recipe's `precision` came to. On a GPU `auto` stays: which it is, the GPU decided as it trained."""
    config = m.plan.step("train").ingredients["config"]
    if config["bf16"] == "auto":
        return "auto: bf16, or fp16 on a GPU without it"
    return "bf16" if config["bf16"] else "fp16" if config["fp16"] else "fp32"


def _tool_parser(template: str) -> str | None:
    """What vLLM calls the form of a shipped template's tool calls."""
    table = library.find("recipes/base/templates.json")
    known = json.loads(table.read_bytes()).get(template, {}) if table else {}
    return known.get("tool_parser")


def of_hub(recipe: Recipe, used: Collection[str]) -> list[str]:
    """The hub's ids of the data sets that the sources `used` are of."""
    return sorted({s.options["path"] for s in recipe.sources if s.plugin == "hub" and s.name in used})


def _revisions(m: Making, used: Collection[str]) -> dict[str, str]:
    """The commit of each of them, as it was fetched."""
    return {
        f.source.options["path"]: commit
        for f in m.plan.fetches
        if f.source.plugin == "hub" and f.source.name in used
        for item in f.items or ()
        if (commit := item.meta.get("revision"))
    }


def languages(recipe: Recipe) -> list[str]:
    """Those that the recipe keeps, as a detector saw them; none where it does not say."""
    kept = [set(use.options["keep"]) for use in recipe.filters if use.plugin == _LANGUAGE]
    return sorted(set.intersection(*kept)) if kept else []


def _rights(m: Making) -> list[Right]:
    """How many rows were used under which licence, of which source, with which attribution."""
    import pyarrow.parquet as pq

    count = Counter[tuple[str, str, str]]()
    names = ["license", "source", "attribution", "fate"]
    with pq.ParquetFile(m.inputs["split"].file("ledger.parquet")) as file:
        for block in file.iter_batches(ledger.BLOCK, columns=names):
            licence, source, by, fate = (block.column(name).to_pylist() for name in names)
            used = [what in ledger.USED for what in fate]
            count.update(compress(zip(licence, source, by, strict=True), used))
    return [Right(licence=a, source=b, attribution=c, rows=n) for (a, b, c), n in sorted(count.items())]


def _without_paths(data: Any) -> Any:
    """A recipe without the folders of this machine that it may name by `--trust paths`."""
    if isinstance(data, dict):
        return {key: _without_paths(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_paths(value) for value in data]
    if isinstance(data, str) and data.startswith("/") and not set(data) & set(" \n") and PurePath(data).name:
        return f"…/{PurePath(data).name}"
    return data
