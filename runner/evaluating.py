"""The plan of an evaluation that no recipe asks for: a model, a run's result, or what an endpoint serves, on suites.

Its steps are those of a recipe's evaluation, so that what is answered once is never asked again, a kill costs a batch,
and the results can be compared with those of runs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner import hubcache
from runner import plan as plans
from runner import recipe as r
from runner.armchecks import compared
from runner.errors import RecipeError, UsageError
from runner.load import Loaded, load_suite
from runner.plan.planner import Planner
from runner.serving.found import find
from runner.steps import Plan
from runner.store import file_digest
from runner.suite import Suite, alike
from runner.wording import nearest
from runner.workspace import Workspace
from runner.yaml12 import dump, parse

Engine = Literal["transformers", "vllm"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Subject:
    """What is judged. `result` is the folder of what a run trained, `data` the files of what it was trained on; `arms`
    are the arms that are answered."""

    model: r.Model | None
    arms: tuple[str, ...]
    adapter: r.Adapter = field(default_factory=r.Adapter)
    result: Path | None = None
    template: str | None = None
    system: str | None = None
    more: dict[str, r.Arm] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)


def subject(model: str, endpoint: str | None, workspace: Path) -> Subject:
    """What `MODEL` means: with an endpoint the model's name there; else a folder, a run, or a hub id that is here."""
    if endpoint is not None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", endpoint) or endpoint in ("base", "tuned"):
            raise UsageError(
                f"{endpoint!r} cannot be an endpoint's name: small letters, digits and underscores"
            )
        return Subject(None, (endpoint,), more={endpoint: r.Arm(endpoint=endpoint, model=model)})
    there = [p for p in _places(model, workspace) if (p / "config.json").is_file()]
    if there:
        return Subject(_bare(str(there[0].resolve())), ("base",))
    if (workspace / "runs" / model / "recipe.yaml").is_file() and Path(model).name == model:
        return _run(model, workspace)
    if _HUB.fullmatch(model) and not (workspace / model).exists():
        commit = hubcache.commit(model)
        if commit is None:
            raise UsageError(f"the model {model!r} is not in the local cache; fetch it: hf download {model}")
        return Subject(msgspec.structs.replace(_bare(model), revision=commit), ("base",))
    known = [p.parent.name for p in (workspace / "runs").glob("*/recipe.yaml")]
    what = f"no model {model!r}: no folder with a config.json, no hub id (OWNER/NAME), and no run"
    raise UsageError(what + nearest(model, known))


def _places(model: str, workspace: Path) -> list[Path]:
    """The folders that may be meant: as a shell would read it, and in the workspace."""
    try:
        return [Path(model).expanduser(), workspace / model]
    except RuntimeError:  # `~NAME` of nobody here
        return [workspace / model]


def _bare(base: str) -> r.Model:
    return r.Model(base=base, template="model")


def _run(name: str, workspace: Path) -> Subject:
    """A run's result beside its base, with the template that was trained, on the weights that it was trained on."""
    served = find(name, workspace)
    four = served.four_bits
    kind: Any = "full" if served.whole else ("qlora" if four else "lora")
    adapter = r.Adapter(type=kind, **{k: four[k] for k in ("quant_type", "double_quant") if k in four})
    template = served.template.read_text(encoding="utf-8") if served.template else None
    # Where the base is not told apart from its template by name: the text is what counts.
    model = msgspec.structs.replace(served.base, base=served.model, template="model")
    if served.whole:
        model = msgspec.structs.replace(model, revision=None)
    arms = ("tuned",) if served.whole else ("base", "tuned")
    files = [workspace / "runs" / name / "data" / f"{part}.jsonl" for part in ("train", "validation")]
    data = {file.name: file for file in files if file.is_file()}
    trained = served.whole or served.adapter
    return Subject(model, arms, adapter, trained, template, served.system, data=data)


def plan(
    model: str,
    suites: list[str],
    workspace: Path,
    *,
    endpoint: str | None = None,
    engine: Engine = "transformers",
    system: str | None = None,
    seed: int = 17,
    name: str | None = None,
    profile: Any = None,
) -> Plan:
    """The steps that judge `model` on `suites`; `name` is the run's folder. Raises UsageError or RecipeError."""
    name = folder_name(model, endpoint) if name is None else name
    other = _other(workspace / "runs" / name, model, endpoint)
    if other:
        raise UsageError(f"{name!r} holds the evaluation of {other}; take another name")
    if (workspace / "runs" / name / "recipe.yaml").is_file() or not _NAME.fullmatch(name):
        what = "is the run of a recipe" if _NAME.fullmatch(name) else "cannot name a run"
        raise UsageError(
            f"{name!r} {what}; take another name: small letters, digits, dots, dashes, underscores"
        )
    place = Workspace(workspace.resolve())
    found = subject(model, endpoint, place.root)
    loaded = [load_suite(suite, place) for suite in dict.fromkeys(suites)]
    _fit(found, loaded, engine)
    if found.model is not None:  # the command line says where the model is; a suite names no file outside
        place = replace(place, allowed=frozenset({(place.root / found.model.base).resolve()}))
    system = found.system if system is None else system
    asked = {
        "model": model,
        "endpoint": endpoint,
        "suites": suites,
        "engine": engine,
        "system": system,
        "seed": seed,
    }
    document = parse(
        dump({"evaluation": {k: v for k, v in asked.items() if v is not None}}), "evaluation.yaml"
    )
    evaluate = r.Evaluate(suites=suites, system=system or None, arms=found.more, engine=engine)
    recipe = r.Recipe(
        name=name, description="", seed=seed, sources=[], filters=[],
        dedup=r.Dedup(exact=False, near=None), decontaminate=r.Decontaminate(), mix=None, split=r.Split(),
        fail_if=r.FailIf(), model=found.model, adapter=found.adapter, train=r.Train(), evaluate=evaluate,
        compute=r.Compute(), track=r.Track(), axolotl=r.Overrides(),
    )  # fmt: skip
    p = Planner(Loaded(recipe, document, loaded), place, profile)
    p.template = found.template
    if found.result is not None:
        files = sorted(x for x in found.result.iterdir() if x.is_file())
        digests = {x.name: file_digest(x) for x in files}
        p.add(
            "result",
            "result",
            "evaluate",
            [],
            {"files": digests},
            folder=found.result,
            as_=found.adapter.folder,
        )
    if found.data:
        plans.contaminated(p, found.data)
    plans.evaluate(p, found.model, found.arms)
    options = {"recipe": document.data | {"seed": seed}, "suites": [msgspec.to_builtins(s) for s in loaded]}
    p.add("report", "verdict", "report", list(p.steps), options)
    return Plan(p.loaded, place, p.profile, tuple(p.steps.values()), p.template, weights=p.weights)


def _other(folder: Path, model: str, endpoint: str | None) -> str:
    """What else the evaluation in this folder is of; empty where it is of the same, or there is none."""
    try:
        said: Any = parse((folder / "evaluation.yaml").read_text(encoding="utf-8"), "evaluation.yaml").data[
            "evaluation"
        ]
        before = said.get("endpoint"), said["model"]
    except (OSError, RecipeError, LookupError, TypeError, AttributeError, UnicodeDecodeError):
        return ""
    return (
        "" if before == (endpoint, model) else f"{before[1]!r}" + (f" at {before[0]!r}" if before[0] else "")
    )


def _fit(found: Subject, suites: list[Suite], engine: Engine) -> None:
    """Raises UsageError for suites that such a subject cannot be judged by."""
    for _, what in alike(suites):
        raise UsageError(f"the suites {what}")
    for suite in suites:
        name, how = suite.common.name, suite.common.decoding
        for what in compared(suite, found.arms):
            raise UsageError(f"the suite {name!r} cannot judge this: {what}")
        if found.model is None and (suite.common.lm_eval or suite.common.perplexity):
            what = "lm-eval's tasks" if suite.common.lm_eval else "a perplexity"
            raise UsageError(
                f"the suite {name!r} has {what}, which needs a model's weights: an endpoint tells none"
            )
        if found.model is not None and engine == "transformers" and (how.tool_choice != "auto" or how.strict):
            raise UsageError(f"the suite {name!r} decodes as transformers cannot; take --engine vllm")


def folder_name(model: str, endpoint: str | None) -> str:
    """The folder under runs/ that the results go to; two models of one last name have two."""
    said = re.sub(r"[^a-z0-9]+", "-", f"{endpoint or ''} {Path(model).name}".lower()).strip("-")
    mark = hashlib.sha256(f"{endpoint or ''} {model}".encode()).hexdigest()[:8]
    return f"evaluate-{said[:45].rstrip('-') or 'model'}-{mark}"
