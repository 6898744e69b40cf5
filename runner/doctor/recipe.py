"""A recipe on this machine: is it right, what is not installed or set for it, is its model here, is there room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from runner import hardware, hubcache
from runner.doctor import hosts, needs
from runner.doctor.findings import Finding
from runner.errors import NeedsTrust, RecipeError
from runner.forecast import forecast
from runner.hosts import still
from runner.load import Loaded, load_recipe, located
from runner.modelchecks import EMBEDDED
from runner.plan import plan
from runner.settings import Settings
from runner.shown import size
from runner.steps import Plan
from runner.store import Store
from runner.unset import of_recipe
from runner.workspace import Workspace


def recipe(path: Path, workspace: Workspace, settings: Settings, online: bool) -> tuple[list[Finding], str]:
    """All of that, and the one line that installs what is missing. A recipe that is wrong is one finding: `recipe
    check` says the rest."""
    gone: list[needs.Need] = []
    found = list(_looked(path, workspace, settings, online, gone))
    return found, needs.command(gone) if gone else ""


def _looked(
    path: Path, workspace: Workspace, settings: Settings, online: bool, gone: list[needs.Need]
) -> Iterator[Finding]:
    file = located(path)
    try:
        loaded = load_recipe(file, workspace)
    except (RecipeError, NeedsTrust) as e:
        many = len(e.problems) if isinstance(e, RecipeError) else 1
        what = f"{many} {'thing is' if many == 1 else 'things are'} wrong with it"
        yield Finding("recipe", "recipe", "missing", what, f"recipe check {path}")
        return
    profile = hardware.profile(loaded.recipe.compute.profile)
    yield Finding("recipe", "recipe", "ok", f"{loaded.recipe.name}, for the {profile.upper()}")
    elsewhere = loaded.recipe.compute.engine == "ray"
    if profile == "gpu" and hardware.profile() != "gpu" and not elsewhere:
        do = "run it where there is one, or set compute.profile to cpu"
        yield Finding("recipe", "gpu", "missing", "it trains on a GPU, and there is none here", do)
    wanted = needs.needs(loaded, profile, settings)
    gone += needs.absent(wanted)
    for need in gone:
        yield Finding(
            "recipe", need.distribution, "missing", f"not installed: {need.why}", needs.command([need])
        )
    if wanted and not gone:
        yield Finding("recipe", "installed", "ok", "all that it needs")
    for one in of_recipe(loaded, settings):
        yield Finding(
            "recipe", one.step, "missing", f"not set: {one.what}", "set it, as docs/sources.md says"
        )
    yield from _model(loaded, workspace)
    planned, store = plan(loaded, workspace, None), Store(workspace.root, shown=True)
    yield from _room(planned)
    made = frozenset(s.name for s in planned.steps if store.get(s.fingerprint, verify=False))
    asked = still(planned, settings, made)
    if asked and online:
        yield from hosts.reached(asked, settings)
    elif asked:
        known = ", ".join(dict.fromkeys(a.host for a in asked))
        yield Finding("recipe", "hosts", "ok", f"it asks {known}", "--online tries whether they answer")


def _model(loaded: Loaded, workspace: Workspace) -> Iterator[Finding]:
    model = loaded.recipe.model
    if model is None:
        yield Finding("recipe", "model", "ok", "none: it makes data only")
    elif model.base in EMBEDDED:
        known = EMBEDDED[model.base]
        yield Finding("recipe", "model", "ok", f"{model.base}, in the package {known['distribution']}")
    elif workspace.find(model.base) is not None:
        yield Finding("recipe", "model", "ok", f"the folder {model.base}")
    else:
        commit = hubcache.commit(model.base, model.revision)
        folder = hubcache.folder(model.base) / "snapshots" / (commit or "none")
        if any(folder.glob("*.safetensors")):
            yield Finding(
                "recipe", "model", "ok", f"{model.base} at {(commit or '')[:12]}, in the hub's cache"
            )
        else:
            do = "the first run fetches it; a gated one needs its licence accepted, and HF_TOKEN"
            yield Finding("recipe", "model", "warn", f"{model.base} is not here yet", do)


def _room(planned: Plan) -> Iterator[Finding]:
    if planned.loaded.recipe.model is None:
        return
    foreseen = forecast(planned, None)
    wanted = sum(n for name, n in foreseen.disk.items() if name != "merged") if foreseen else 0
    if wanted:
        free = shutil.disk_usage(planned.workspace.root).free
        what = f"it writes about {size(wanted, about=True)}, of {size(free)} that are free"
        do = "make room, lower train.keep_checkpoints, or put the workspace elsewhere: --workspace"
        short = wanted > free
        yield Finding("recipe", "disk", "missing" if short else "ok", what, do if short else "")
