"""A plan in the making: steps are added, each with its fingerprint; and what names the base model for good."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from typing import Any

import msgspec

from runner import hubcache, installed, library, lock, modelchecks, settings
from runner import recipe as r
from runner.fetching import InputFile
from runner.hardware import Profile, profile
from runner.load import Loaded
from runner.registry import Plugin
from runner.steps import VERSIONS, Fetch, Stage, Step, version
from runner.store import Store, canonical, digest
from runner.unchanged import digested
from runner.workspace import Workspace


def versions(names: tuple[str, ...]) -> dict[str, str]:
    return {n: version(n) for n in names}


def digests(files: dict[str, tuple[InputFile, ...]]) -> dict[str, list[list[str]]]:
    return {option: [[f.name, f.sha256] for f in found] for option, found in files.items()}


def of_plugin(plugin: Plugin, options: dict[str, Any], **beside: Any) -> dict[str, Any]:
    """What a plug-in's work hangs on, its options under its name, and what stands `beside`.

    Raises ValueError where a plug-in is named as what stands beside it: one would take the other's place, unseen.
    """
    # Not "version": the step that uses it has one of its own, and both decide.
    out: dict[str, Any] = {plugin.name: options, "plugin_version": plugin.version}
    out |= {"libraries": versions(plugin.libraries)} if plugin.libraries else {}
    if both := out.keys() & beside.keys():
        raise ValueError(f"no {plugin.kind} can be named {min(both)!r}: its options would be overwritten")
    return out | beside


def template_text(model: r.Model, workspace: Workspace) -> str | None:
    """The Jinja text of a recipe's chat template; None where the tokenizer's own is meant."""
    if model.template == "model":
        return None
    found = (
        workspace.find(model.template)
        if model.template.endswith(".jinja")
        else library.find(modelchecks.templates()[model.template])
    )
    if found is None:
        raise FileNotFoundError(model.template)
    return found.read_text(encoding="utf-8")


def moves(model: r.Model, workspace: Workspace) -> bool:
    """Whether a model is one of the hub's whose name stands for other bytes tomorrow."""
    if model.base.startswith("embedded/") or hubcache.is_commit(model.revision):
        return False
    folder = workspace.find(model.base)
    return folder is None or not folder.is_dir()


def hub_request(model: r.Model) -> dict[str, Any]:
    """What names the lock of such a model."""
    return {"model": model.base, "revision": model.revision}


def pinned(model: r.Model, workspace: Workspace) -> r.Model:
    """The model at the commit that was locked for it, where there is one."""
    if not moves(model, workspace):
        return model
    items = lock.read(Store(workspace.root).root, hub_request(model))
    known = [i.key for i in items or () if hubcache.is_commit(i.key)]
    return msgspec.structs.replace(model, revision=known[0]) if known else model


class Planner:
    """The steps of a recipe so far, and what several stages ask of it."""

    def __init__(self, loaded: Loaded, workspace: Workspace, wanted: Profile | None) -> None:
        if loaded.recipe.model is not None:
            model = pinned(loaded.recipe.model, workspace)
            loaded = replace(loaded, recipe=msgspec.structs.replace(loaded.recipe, model=model))
        self.loaded = loaded
        self.recipe, self.suites, self.workspace = loaded.recipe, loaded.suites, workspace
        self.profile = profile(wanted or loaded.recipe.compute.profile)
        self.steps: dict[str, Step] = {}
        self.fetches: dict[str, Fetch] = {}
        self.base: dict[str, Any] | None = None
        self.weights: tuple[InputFile, ...] = ()
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

    def base_model(self, model: r.Model) -> dict[str, Any]:
        """What names a base model for good: a hub id and commit, or the digests of a folder's files. Until a run has
        looked it up, the commit is what the recipe says, if anything."""
        if self.base is None:  # three steps ask; weights are large
            folder = None if model.base.startswith("embedded/") else self.workspace.find(model.base)
            if folder is None or not folder.is_dir():
                self.base = {"base": model.base, "revision": model.revision}
            else:
                files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
                self.weights = tuple(digested(f"{model.base}/{p.name}", p) for p in files)
                self.base = {"files": {f.path.name: f.sha256 for f in self.weights}}
        return self.base

    @cached_property
    def vllm(self) -> dict[str, str]:
        """The vLLM that answers, wherever it lives, and what decides its answers: distribution → version."""
        return installed.vllm(settings.load()["vllm_python"], installed.DECIDES)

    def learnt(self) -> list[Any]:
        """Whose turns are trained, and which of them."""
        return [self.recipe.train.roles, self.recipe.train.turns]
