"""Whether the base model has the modules that an adapter is asked for.

PEFT takes a list of names and is content when one of them is found: the others vanish without a word. A base whose
folder is here says in its safetensors files what it has; where a name is not among those, the model itself is built
without weights (a job), since some architectures name modules otherwise than their files do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from runner import basemodel, process
from runner.making import Making
from runner.train.checkpoints import safetensors_header
from runner.wording import nearest


def check(m: Making) -> None:
    """Raise StepError where the recipe names a target that its base does not have."""
    recipe = m.plan.loaded.recipe
    if recipe.adapter.type == "full":
        return
    folder = m.plan.workspace.root / basemodel.model_at(m)
    if not (folder / "config.json").is_file():
        return  # on the hub: Axolotl's own message will have to do
    wanted = [t for t in recipe.adapter.targets if not t.startswith("all")]
    if not (missing := lacking(wanted, layers(folder))):
        return
    built = _built(m, folder)
    if not (missing := lacking(wanted, built) if built else missing):
        return
    names = sorted({n.rpartition(".")[2] for n in built or layers(folder)})
    said = "; ".join(f"{name!r}{nearest(name, names)}" for name in missing)
    assert recipe.model is not None
    raise m.fail(f"adapter.targets: {recipe.model.base!r} has no module {said}")


def lacking(targets: Iterable[str], modules: Iterable[str]) -> list[str]:
    """The targets that fit no module, as PEFT fits them: the whole name, or its end after a dot."""
    there = list(modules)
    return [t for t in targets if not any(n == t or n.endswith(f".{t}") for n in there)]


def layers(folder: Path) -> list[str]:
    """Modules with a matrix of weights, by a model folder's safetensors files; a damaged file names none."""
    out = set()
    for file in sorted(folder.glob("*.safetensors")):
        try:
            tensors = safetensors_header(file)
        except (OSError, ValueError):
            continue
        for name, tensor in tensors.items():
            module, _, kind = name.rpartition(".")
            if kind == "weight" and isinstance(tensor, dict) and len(tensor.get("shape", ())) >= 2:
                out.add(module)
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        config = {}
    if config.get("tie_word_embeddings"):
        out.add("lm_head")  # the embedding's own weights: there is one, and no tensor of that name
    return sorted(out)


def _built(m: Making, folder: Path) -> list[str]:
    """Module names of the model as it is built; none where it cannot be."""
    out = m.work / "modules.json"
    out.unlink(missing_ok=True)
    try:
        argv = [sys.executable, "-m", "runner.jobs.modules", str(folder.resolve()), str(out)]
        process.run(argv, log=m.log, cwd=m.plan.workspace.root, more={"HF_HUB_OFFLINE": "1"})
        return [str(n) for n in json.loads(out.read_bytes())]
    except (process.Failed, OSError, ValueError):
        return []
