"""Recipe → Plan: frozen steps, each with the fingerprint of all that decides its bytes. Pure but for reading inputs.

A fingerprint is sha256 over canonical JSON of a step's ingredients: its name and version, its options, the
digests of its input files, the fingerprints of the steps it needs, the seed, and the versions of libraries
that decide its output. Never a time, an absolute path or a worker count.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from runner import axolotl, checks, library, lock
from runner import recipe as r
from runner.errors import RecipeError
from runner.fetching import InputFile
from runner.hardware import Profile, profile
from runner.load import Loaded
from runner.registry import Plugin, plugins
from runner.steps import ARMS, JUDGING, RENDERING, TRAINING, VERSIONS, Fetch, Plan, Stage, Step, version
from runner.store import Store, canonical, digest, file_digest
from runner.suite import Suite
from runner.trainchecks import machine
from runner.workspace import Workspace


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    return {n: version(n) for n in names}


def _digests(files: dict[str, tuple[InputFile, ...]]) -> dict[str, list[list[str]]]:
    return {option: [[f.name, f.sha256] for f in found] for option, found in files.items()}


def _plugin(plugin: Plugin, options: dict[str, Any]) -> dict[str, Any]:
    # Not "version": the step that uses it has one of its own, and both decide.
    out: dict[str, Any] = {plugin.name: options, "plugin_version": plugin.version}
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


def _needs(shelf: list[str], last: str) -> list[str]:
    return shelf if last in shelf else [*shelf, last]


def _without_weight(mix: r.Mix) -> list[str]:
    return sorted(name for name, share in mix.asked.items() if not share)


class _Planner:
    def __init__(self, loaded: Loaded, workspace: Workspace, wanted: Profile | None) -> None:
        self.recipe, self.suites, self.workspace = loaded.recipe, loaded.suites, workspace
        self.profile = profile(wanted or loaded.recipe.compute.profile)
        self.steps: dict[str, Step] = {}
        self.fetches: dict[str, Fetch] = {}
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
        known = plugins("filter")
        uses = [(known[u.plugin], u.options) for u in recipe.filters]
        # Those that count tokens wait until the model's own tokenizer has counted them.
        # Where each stands in the recipe is part of what the ledger says of it.
        late = [{"at": i} | _plugin(p, o) for i, (p, o) in enumerate(uses) if p.needs]
        filters = [{"at": i} | _plugin(p, o) for i, (p, o) in enumerate(uses) if not p.needs]
        options: dict[str, Any] = {"filters": filters}
        # What only serves as material (for a teacher, say) must not make others its duplicates.
        if recipe.mix and recipe.mix.by == "source" and (none := _without_weight(recipe.mix)):
            options["left_out"] = none
        # Every step from here on reads the records where the sources and the filters left them.
        shelf = [*sources, self.add("filter", "filter", "prepare", sources, options)]
        last = self._dedup(shelf)
        last = self._decontaminate(shelf, last)
        if recipe.model:
            last = self._render(recipe.model, shelf, last, late)
        split = {"split": msgspec.to_builtins(recipe.split), "seed": recipe.seed}
        # What is held out is decided with the mix: it is never repeated.
        mix = {"mix": msgspec.to_builtins(recipe.mix)} | split
        last = self.add("mix", "mix", "prepare", _needs(shelf, last), mix)
        before = [n for n in self.steps if self.steps[n].stage == "prepare" and n != "model"]
        return self.add("split", "split", "prepare", before, split)

    def _dedup(self, shelf: list[str]) -> str:
        wanted = self.recipe.dedup
        if not wanted.exact and wanted.near is None:
            return shelf[-1]
        files = {"against": self.workspace.inputs("glob", wanted.against) if wanted.against else ()}
        options = {"dedup": msgspec.to_builtins(wanted), "files": _digests(files)}
        return self.add("dedup", "dedup", "prepare", shelf, options, files=files)

    def _source(self, source: r.Source) -> str:
        plugin = plugins("source")[source.plugin]
        files = {
            option: self.workspace.inputs(how, source.options[option])
            for option, how in plugin.file_options.items()
            if source.options[option] is not None
        }
        ingredients = _plugin(plugin, source.options) | {
            "name": source.name,
            "common": msgspec.to_builtins(source.common),
            "files": _digests(files),
            "seed": self.recipe.seed,
        }
        fetch = (
            self._fetch(source, plugin, files) if plugin.fetch and plugin.fetches(source.options) else None
        )
        needs = [fetch.needs] if fetch and fetch.needs else []
        if fetch:
            ingredients["fetched"] = None if fetch.items is None else digest(msgspec.to_builtins(fetch.items))
        name = f"source.{source.name}"
        return self.add(
            name, "source", "prepare", needs, ingredients, source=source, files=files, fetch=fetch
        )

    def _fetch(self, source: r.Source, plugin: Plugin, files: dict[str, tuple[InputFile, ...]]) -> Fetch:
        named = [source.options[o] for o in plugin.source_options if source.options[o] is not None]
        needs = f"source.{named[0]}" if named else None
        taken = plugin.bind_fetch(source.options)
        request = {
            "source": plugin.name,
            "version": plugin.version,
            "options": {k: v for k, v in source.options.items() if k in taken},
            "files": _digests({k: v for k, v in files.items() if k in taken}),
            "seed": self.recipe.seed,
            "of": self.steps[needs].fingerprint if needs else None,
        }
        request = json.loads(canonical(request))
        pending = needs is not None and self._pending(needs)
        items = None if pending else lock.read(Store(self.workspace.root).root, request)
        fetch = Fetch(f"fetch.{source.name}", source, request, files, needs, items)
        self.fetches[source.name] = fetch
        return fetch

    def _pending(self, step: str) -> bool:
        """Whether a source's step is not known yet, because something is still to be fetched for it."""
        fetch: Fetch | None = self.steps[step].details["fetch"]
        return fetch is not None and fetch.items is None

    def _decontaminate(self, shelf: list[str], last: str) -> str:
        against: list[InputFile] = []
        texts: list[InputFile] = []
        if self.recipe.decontaminate.against == "evals":
            for suite in self.suites:
                names = [suite.common.probes] if suite.common.probes else []
                against += [f for n in names for f in self.workspace.inputs("evals", n)]
                for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
                    against += task_files(task, self.workspace)
                for globs in suite.common.perplexity.texts.values() if suite.common.perplexity else []:
                    texts += self.workspace.inputs("glob", globs)
        if not against and not texts:
            return last
        files = {"against": tuple(dict.fromkeys(against)), "texts": tuple(dict.fromkeys(texts))}
        options = {
            "decontaminate": msgspec.to_builtins(self.recipe.decontaminate),
            "files": _digests(files),
        }
        return self.add(
            "decontaminate", "decontaminate", "prepare", _needs(shelf, last), options, files=files
        )

    def _render(self, model: r.Model, shelf: list[str], last: str, late: list[dict[str, Any]]) -> str:
        needs = _needs(shelf, last)
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
                "over_length": model.over_length,
                "end_of_turn": model.end_of_turn,
                "learnt": self._learnt(),
                "libraries": _versions(RENDERING),
            }
            | ({"filters": late} if late else {}),
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

    def _learnt(self) -> list[Any]:
        """Whose turns are trained, and which of them."""
        return [self.recipe.train.roles, self.recipe.train.turns]

    # -- train --------------------------------------------------------------------------------

    def train(self, model: r.Model, data: str) -> str:
        base = ["model"] if "model" in self.steps else []
        batch = self.recipe.train.micro_batch if self.recipe.train.group_by_length else None
        order = {"batch": batch, "seed": self.recipe.seed, "learnt": self._learnt()}
        rows = self.add("rows", "rows", "train", [data], order)
        config = axolotl.config(
            msgspec.structs.replace(self.recipe, track=r.Track()),  # who is told decides nothing
            self.profile,
            axolotl.Paths("MODEL", "TRAIN", "VALIDATION", "PREPARED", "OUTPUT"),
            self.template,
        )
        of_data = ("base_model", "revision_of_model", "chat_template", "chat_template_jinja", "eot_tokens",
                   "datasets", "test_datasets", "sequence_len", "sample_packing", "eval_sample_packing",
                   "seed")  # fmt: skip
        common = {"model": self._model(model), "libraries": _versions(TRAINING)}
        data_config = {k: v for k, v in config.items() if k in of_data}
        needs = [rows, *base]
        last = self.add("preprocess", "preprocess", "train", needs, {"config": data_config} | common)
        proven = {"libraries": _versions(RENDERING), "learnt": self._learnt()}
        last = self.add("proof", "proof", "train", [last, data, *base], proven)
        return self.add("train", "train", "train", [last, "preprocess", *needs], {"config": config} | common)

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

    def _judge(self, suite: Suite, probes: tuple[InputFile, ...]) -> None:
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
    if loaded.recipe.model and (bad := list(machine(loaded.document, loaded.recipe.train, p.profile))):
        raise RecipeError(bad)
    data = p.prepare()
    model = loaded.recipe.model
    if model:
        p.train(model, data)
        if loaded.suites:
            p.evaluate(model)
    p.report(loaded)
    fetches = tuple(p.fetches.values())
    return Plan(loaded, workspace, p.profile, tuple(p.steps.values()), p.template, fetches)
