"""Recipe → Plan: frozen steps, each with the fingerprint of all that decides its bytes. Pure but for reading inputs.

A fingerprint is sha256 over canonical JSON of a step's ingredients: its name and version, its options, the
digests of its input files, the fingerprints of the steps it needs, the seed, and the versions of libraries
that decide its output. Never a time, an absolute path or a worker count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner import axolotl, checks, library
from runner import recipe as r
from runner.hardware import Profile, profile
from runner.load import Loaded
from runner.registry import InputFile, Plugin, plugins
from runner.store import canonical, digest, file_digest
from runner.workspace import Workspace

Stage = Literal["prepare", "train", "evaluate", "report"]
STAGES: tuple[Stage, ...] = ("prepare", "train", "evaluate", "report")
ARMS = ("base", "tuned")

# Raise a step's number when its code comes to mean something else: old artifacts are then made anew.
VERSIONS = {
    "model": 1, "source": 1, "filter": 1, "dedup": 1, "decontaminate": 1, "render": 1, "mix": 1,
    "split": 1, "rows": 1, "preprocess": 1, "proof": 1, "train": 1, "generate": 1, "judge": 1, "lm_eval": 1,
    "perplexity": 1, "report": 1,
}  # fmt: skip
RENDERING = ("transformers", "tokenizers", "jinja2")
TRAINING = ("axolotl", "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "datasets")
JUDGING = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class Step:
    """One unit of work. `kind` says which function makes it; `needs` are the names of other steps."""

    name: str
    kind: str
    stage: Stage
    needs: tuple[str, ...]
    ingredients: dict[str, Any]
    fingerprint: str
    details: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Plan:
    loaded: Loaded
    workspace: Workspace
    profile: Profile
    steps: tuple[Step, ...]
    template: str | None

    def step(self, name: str) -> Step:
        return next(s for s in self.steps if s.name == name)


@cache
def version(distribution: str) -> str:
    """The installed version of a distribution, "absent" where it is not installed. Imports nothing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    return {n: version(n) for n in names}


def _digests(files: dict[str, tuple[InputFile, ...]]) -> dict[str, list[list[str]]]:
    return {option: [[f.name, f.sha256] for f in found] for option, found in files.items()}


def _plugin(plugin: Plugin, options: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {plugin.name: options, "version": plugin.version}
    return out | ({"libraries": _versions(plugin.libraries)} if plugin.libraries else {})


def template_text(model: r.Model, workspace: Workspace) -> str | None:
    """The Jinja text of a recipe's chat template; None where the tokenizer's own is meant."""
    if model.template == "model":
        return None
    found = (
        workspace.find(model.template)
        if model.template.endswith(".jinja")
        else library.find(checks.templates()[model.template])
    )
    if found is None:
        raise FileNotFoundError(model.template)
    return found.read_text(encoding="utf-8")


class _Planner:
    def __init__(self, loaded: Loaded, workspace: Workspace, wanted: Profile | None) -> None:
        self.recipe, self.suites, self.workspace = loaded.recipe, loaded.suites, workspace
        self.profile = profile(wanted or loaded.recipe.compute.profile)
        self.steps: dict[str, Step] = {}
        self.base: dict[str, Any] | None = None
        self.template = template_text(self.recipe.model, workspace) if self.recipe.model else None

    def add(
        self,
        name: str,
        kind: str,
        stage: Stage,
        needs: list[str],
        ingredients: dict[str, Any],
        **details: Any,
    ) -> str:
        whole = {
            "step": kind,
            "version": VERSIONS[kind],
            "needs": {n: self.steps[n].fingerprint for n in needs},
        } | ingredients
        whole = json.loads(canonical(whole))  # as the next run will read it: tuples are lists there
        self.steps[name] = Step(name, kind, stage, tuple(needs), whole, digest(whole), details)
        return name

    # -- prepare ------------------------------------------------------------------------------

    def prepare(self) -> str:
        recipe = self.recipe
        sources = [self._source(s) for s in recipe.sources]
        filters = [_plugin(plugins("filter")[u.plugin], u.options) for u in recipe.filters]
        last = self.add("filter", "filter", "prepare", sources, {"filters": filters})
        last = self.add("dedup", "dedup", "prepare", [last], {"dedup": msgspec.to_builtins(recipe.dedup)})
        last = self._decontaminate(last)
        if recipe.model:
            last = self._render(recipe.model, last)
        mix = {"mix": msgspec.to_builtins(recipe.mix), "seed": recipe.seed}
        last = self.add("mix", "mix", "prepare", [last], mix)
        split = {"split": msgspec.to_builtins(recipe.split), "seed": recipe.seed}
        before = [n for n in self.steps if self.steps[n].stage == "prepare" and n != "model"]
        return self.add("split", "split", "prepare", before, split)

    def _source(self, source: r.Source) -> str:
        plugin = plugins("source")[source.plugin]
        files = {
            option: self.workspace.inputs(how, source.options[option])
            for option, how in plugin.file_options.items()
        }
        ingredients = _plugin(plugin, source.options) | {
            "name": source.name,
            "common": msgspec.to_builtins(source.common),
            "files": _digests(files),
            "seed": self.recipe.seed,
        }
        name = f"source.{source.name}"
        return self.add(name, "source", "prepare", [], ingredients, source=source, files=files)

    def _decontaminate(self, last: str) -> str:
        against: list[InputFile] = []
        if self.recipe.decontaminate.against == "evals":
            for suite in self.suites:
                names = [suite.common.probes] if suite.common.probes else []
                against += [f for n in names for f in self.workspace.inputs("evals", n)]
                for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
                    against += task_files(task, self.workspace)
        files = {"against": tuple(dict.fromkeys(against))}
        options = {
            "decontaminate": msgspec.to_builtins(self.recipe.decontaminate),
            "files": _digests(files),
        }
        return self.add("decontaminate", "decontaminate", "prepare", [last], options, files=files)

    def _render(self, model: r.Model, last: str) -> str:
        needs = [last]
        if model.base.startswith("embedded/"):
            options = {
                "embedded": model.base,
                "source": checks.EMBEDDED[model.base],
                "template": digest(self.template),
                "libraries": _versions(("gguf", *RENDERING, "torch")),
            }
            needs.append(self.add("model", "model", "prepare", [], options))
        return self.add(
            "render",
            "render",
            "prepare",
            needs,
            {
                "model": self._model(model),
                "template": digest(self.template),
                "max_length": model.max_length,
                "end_of_turn": model.end_of_turn,
                "libraries": _versions(RENDERING),
            },
        )

    def _model(self, model: r.Model) -> dict[str, Any]:
        """What names a base model for good: a hub id and revision, or the digests of a folder's files."""
        if self.base is None:  # three steps ask; weights are large
            folder = None if model.base.startswith("embedded/") else self.workspace.find(model.base)
            if folder is None or not folder.is_dir():
                self.base = {"base": model.base, "revision": model.revision}
            else:
                files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
                self.base = {"files": {p.name: file_digest(p) for p in files}}
        return self.base

    # -- train --------------------------------------------------------------------------------

    def train(self, model: r.Model, data: str) -> str:
        base = ["model"] if "model" in self.steps else []
        batch = self.recipe.train.micro_batch if self.recipe.train.group_by_length else None
        rows = self.add("rows", "rows", "train", [data], {"batch": batch, "seed": self.recipe.seed})
        config = axolotl.config(
            self.recipe,
            self.profile,
            axolotl.Paths("MODEL", "TRAIN", "VALIDATION", "PREPARED", "OUTPUT"),
            self.template,
        )
        track = ("use_wandb", "wandb_project", "wandb_mode")
        of_data = ("base_model", "revision_of_model", "chat_template", "chat_template_jinja", "eot_tokens",
                   "datasets", "test_datasets", "sequence_len", "sample_packing", "seed")  # fmt: skip
        common = {"model": self._model(model), "libraries": _versions(TRAINING)}
        data_config = {k: v for k, v in config.items() if k in of_data}
        needs = [rows, *base]
        last = self.add("preprocess", "preprocess", "train", needs, {"config": data_config} | common)
        versions = {"libraries": _versions(RENDERING)}
        last = self.add("proof", "proof", "train", [last, data, *base], versions)
        whole = {k: v for k, v in config.items() if k not in track}
        return self.add("train", "train", "train", [last, "preprocess", *needs], {"config": whole} | common)

    # -- evaluate -----------------------------------------------------------------------------

    def evaluate(self, model: r.Model) -> None:
        base = ["model"] if "model" in self.steps else []
        judged = [s for s in self.suites if s.judge]
        files = {
            s.common.name: self.workspace.inputs("evals", s.common.probes) for s in judged if s.common.probes
        }
        tasks = {t: s.common.lm_eval for s in self.suites if s.common.lm_eval for t in s.common.lm_eval.tasks}
        task_inputs = {t: tuple(task_files(t, self.workspace)) for t in tasks}
        texts = {
            f"{s.common.name}/{group}": self.workspace.inputs("glob", globs)
            for s in self.suites
            if s.common.perplexity
            for group, globs in s.common.perplexity.texts.items()
        }
        wanted = [msgspec.to_builtins(s.common.perplexity) for s in self.suites if s.common.perplexity]
        common = {
            "model": self._model(model),
            "template": digest(self.template),
            "end_of_turn": model.end_of_turn,
            "libraries": _versions(JUDGING),
            "profile": self.profile,
        }
        for arm in ARMS:
            needs = base + (["train"] if arm == "tuned" else [])
            if judged:
                options: dict[str, Any] = {
                    "arm": arm,
                    "system": self.recipe.evaluate.system,
                    "probes": _digests(files),
                    "limits": {s.common.name: [s.common.max_new_tokens, s.common.limit] for s in judged},
                    "decoding": "greedy",
                }
                self.add(
                    f"answers.{arm}", "generate", "evaluate", needs, options | common, files=files, arm=arm
                )
            if tasks:
                options = {
                    "arm": arm,
                    "tasks": {t: msgspec.to_builtins(o) for t, o in tasks.items()},
                    "files": _digests(task_inputs),
                    "lm_eval": version("lm-eval"),
                    "seed": self.recipe.seed,
                }
                self.add(
                    f"lm-eval.{arm}", "lm_eval", "evaluate", needs, options | common, tasks=tasks, arm=arm
                )
            if texts:
                options = {"arm": arm, "files": _digests(texts), "suites": wanted}
                self.add(
                    f"perplexity.{arm}",
                    "perplexity",
                    "evaluate",
                    needs,
                    options | common,
                    files=texts,
                    arm=arm,
                )
        for suite in judged:
            self._judge(suite, files[suite.common.name])

    def _judge(self, suite: r.Suite, probes: tuple[InputFile, ...]) -> None:
        assert suite.judge is not None
        plugin = plugins("judge")[suite.judge.plugin]
        files = {
            option: self.workspace.inputs(how, suite.judge.options[option])
            for option, how in plugin.file_options.items()
        }
        options = _plugin(plugin, suite.judge.options) | {"files": _digests(files), "seed": self.recipe.seed}
        needs = [f"answers.{arm}" for arm in ARMS]
        name = f"judge.{suite.common.name}"
        self.add(name, "judge", "evaluate", needs, options, files=files, suite=suite, probes=probes)

    def report(self, loaded: Loaded) -> None:
        needs = [n for n, s in self.steps.items() if n != "model"]
        options = {
            "recipe": loaded.document.data,
            "gates": self.recipe.evaluate.gates,
            "suites": [msgspec.to_builtins(s) for s in self.suites],
        }
        self.add("report", "report", "report", needs, options)


def task_files(task: str, workspace: Workspace) -> list[InputFile]:
    """The files of an lm-eval task: its YAML and the data of the same shelf that the YAML names."""
    from runner.yaml12 import decode, parse

    found = list(workspace.inputs("evals", f"tasks/{task}.yaml"))
    for file in found[:1]:
        doc = parse(decode(file.path.read_bytes(), file.name), file.name)
        options = doc.data.get("dataset_kwargs") if isinstance(doc.data, dict) else None
        data = options.get("data_files") or {} if isinstance(options, dict) else {}
        names = data.values() if isinstance(data, dict) else [data]
        found += [f for n in names for f in workspace.inputs("evals", f"tasks/{Path(str(n)).name}")]
    return found


def plan(loaded: Loaded, workspace: Workspace, wanted: Profile | None = None) -> Plan:
    """All steps of a recipe, in the order in which they can run. Reads inputs to digest them; writes nothing."""
    p = _Planner(loaded, workspace, wanted)
    data = p.prepare()
    model = loaded.recipe.model
    if model:
        p.train(model, data)
        if loaded.suites:
            p.evaluate(model)
    p.report(loaded)
    return Plan(loaded, workspace, p.profile, tuple(p.steps.values()), p.template)
