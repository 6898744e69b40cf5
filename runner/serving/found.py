"""What of a run is served: its base model, its adapter, and the template that was trained. Only reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runner import hubcache
from runner import recipe as r
from runner.catalogue import run_folder
from runner.errors import StepError, UsageError
from runner.store import Store, digest, file_digest
from runner.workspace import Workspace
from runner.yaml12 import decode, parse

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Served:
    """A run that can be served. `model` is a folder or a hub id; `whole` a folder of the tuned model in one piece,
    where the run has no adapter; `template` a Jinja file, None where the model's own was trained; `four_bits` what a
    job is told of the base's four bits, empty where the adapter knows it as it is. `system` is the message that the
    model is judged with, else the one that all sources share; `sources` maps them to tool sets."""

    name: str
    folder: Path
    base: r.Model
    model: str
    adapter: Path | None
    whole: Path | None
    template: Path | None
    four_bits: dict[str, Any]
    system: str | None
    sources: dict[str, str | None]
    step: str = ""
    """The fingerprint that stands for it: of its training, or of the step that asks."""
    log: str = "serve.log"
    """The file in `logs/` that its server writes to."""


def find(run: str, workspace: Path) -> Served:
    """The run of that name in the workspace. Raises UsageError, in words, for one that cannot be served, StepError
    for one that is not what it was."""
    root = workspace.resolve()
    folder = run_folder(run, root, holds="recipe.yaml")
    recipe = _recipe(folder / "recipe.yaml")
    try:
        base = msgspec.convert(recipe.get("model"), r.Model | None)
    except msgspec.ValidationError as e:
        raise UsageError(f"{folder / 'recipe.yaml'}: model: {e}") from None
    if base is None:
        raise UsageError(f"the run {run!r} trained no model: its recipe names none")
    adapter: Path | None = folder / "adapter"
    whole: Path | None = None
    if not all((folder / "adapter" / name).is_file() for name in ADAPTER):
        adapter, whole = None, folder / "model"
        if not (whole / "config.json").is_file():
            raise UsageError(f"the run {run!r} has no adapter yet; train it: recipe run … --to train")
    beside = adapter or folder / "model"
    about = _about(beside)
    place = Workspace(root, frozenset({"paths"}))
    made = _made(root, about)
    trained_on = about.get("revision") or (made.get("model") or {}).get("revision")
    if not whole and hubcache.is_commit(trained_on):
        base = msgspec.structs.replace(base, revision=trained_on)  # what the hub's name stood for then
    model = str(whole) if whole else _model(base, place, made, run)
    template = _template(beside, about)
    four_bits = _four_bits(about, recipe)
    system, sources = _system(recipe), _sources(recipe)
    return Served(
        run,
        folder,
        base,
        model,
        adapter,
        whole,
        template,
        four_bits,
        system,
        sources,
        str(about.get("step", "")),
    )


def _recipe(path: Path) -> dict[str, Any]:
    """The recipe as it was run. Not checked anew: its data may be gone by now, and only the model is asked for."""
    data = parse(decode(path.read_bytes(), str(path)), str(path)).data
    return data if isinstance(data, dict) else {}


def _system(recipe: dict[str, Any]) -> str | None:
    if system := (recipe.get("evaluate") or {}).get("system"):
        return str(system)
    found = {(source.get("chat") or {}).get("system") for source in recipe.get("sources") or []}
    return found.pop() if len(found) == 1 else None


def _sources(recipe: dict[str, Any]) -> dict[str, str | None]:
    out = {}
    for source in recipe.get("sources") or []:
        plugin = next((k for k in source if isinstance(source[k], dict) and k not in ("chat", "tags")), "")
        options = source.get(plugin) or {}
        out[source.get("name") or plugin] = options.get("set") if plugin == "tools" else None
    return out


def _about(folder: Path) -> dict[str, Any]:
    """mirepoix.json: which template was trained, and on which weights."""
    path = folder / "mirepoix.json"
    try:
        about = json.loads(path.read_bytes())
        if isinstance(about["template"], str):
            return dict(about)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise StepError(
        "serve", f"{path} does not say which template was trained; make it anew: recipe run … --to train"
    )


def _four_bits(about: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """The fields of a job that mean the base as the adapter was trained on it."""
    said = about.get("base_weights")
    if said is None:  # adapters of the first days do not say it
        said = "nf4" if (recipe.get("adapter") or {}).get("type", "qlora") == "qlora" else ""
    kind, _, single = str(said).partition("-")
    return {"nf4": True, "quant_type": kind, "double_quant": not single} if kind in ("nf4", "fp4") else {}


def _template(folder: Path, about: dict[str, Any]) -> Path | None:
    """The template file beside the adapter. Refused where it is another one than was trained."""
    path = folder / "chat_template.jinja"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if digest(text) != about["template"]:
        what = "is not the template that was trained" if text is not None else "is missing, and was trained"
        raise StepError(
            "serve",
            f"{path} {what} (mirepoix.json beside it has another digest): served so, the model would answer otherwise "
            "than it was judged; run the recipe again, which puts it right",
        )
    return None if text is None else path


def _made(root: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What the training was made of, while the workspace's store still has it; else nothing."""
    artifact = Store(root).get(str(about.get("step", "")), verify=False)
    return artifact.manifest.ingredients if artifact else {}


def _model(model: r.Model, place: Workspace, made: dict[str, Any], run: str) -> str:
    """Where the base model is: the very one that was trained on."""
    if model.base.startswith("embedded/"):
        step = made.get("needs", {}).get("model")
        artifact = Store(place.root).get(step) if step else None
        if artifact is None:
            what = f"the base model of {run!r} is no longer in {place.root / '.mirepoix'}; make it anew: recipe run …"
            raise StepError("serve", what)
        return str(artifact.file("model"))
    folder = place.find(model.base)
    if folder is None or not folder.is_dir():
        return model.base
    trained = made.get("model", {}).get("files", {})
    for name, sha in trained.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != sha:
            what = f"{path} is not what the adapter of {run!r} was trained on; bring it back, or train anew"
            raise StepError("serve", what)
    return str(folder)
