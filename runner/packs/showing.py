"""What a recipe would do, told before anything of it is written or run: whom it asks, under which licences, how much it
brings, what it needs to be allowed. Nobody is asked for that, and nothing of the recipe is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import Struct

from runner.errors import NeedsTrust, Problem, RecipeError
from runner.forecast import shapes
from runner.hosts import Asked, hosts
from runner.licences import UNKNOWN, kept, licences, terms
from runner.load import Loaded, load_recipe
from runner.oci.manifest import Config, Contents
from runner.packs.gathering import SIGNATURE
from runner.plan import plan as make_plan
from runner.registry import plugins
from runner.settings import Settings
from runner.steps import Plan
from runner.workspace import Workspace


class SourceSeen(Struct, frozen=True):
    """A source: its name, its plug-in, and whether its rows are fetched ("network") or in the pack ("files")."""

    name: str
    source: str
    rows_from: str


class ModelSeen(Struct, frozen=True):
    """The base model; `bytes` of its weights in 16 bits, where its shape is known."""

    base: str
    revision: str | None
    license: str
    bytes: int | None


class Shown(Struct, frozen=True, kw_only=True):
    """A pack and what its recipe would do. `trust` are sentences, each with what to say to allow it; `problems` are
    what `recipe check` would say of it as long as `left_out` (names → sha256) is not put there."""

    name: str
    recipe: str
    digest: str
    description: str = ""
    files: dict[str, int] = {}
    bytes: int = 0
    extends: list[str] = []
    sources: list[SourceSeen] = []
    hosts: list[Asked] = []
    licences: dict[str, list[str]] = {}
    terms: list[str] = []
    model: ModelSeen | None = None
    suites: list[str] = []
    gates: list[str] = []
    trackers: list[str] = []
    trust: list[str] = []
    adapter: int = 0
    left_out: dict[str, str] = {}
    signed_by: str = ""
    problems: list[str] = []


def shown(
    folder: Path,
    config: Config,
    contents: Contents,
    settings: Settings,
    signed_by: str = "",
    home: Path | None = None,
) -> Shown:
    """What lies in `folder`, where the pack's files are. `home` is the workspace whose store may hold what it extends.

    Raises RecipeError for a recipe that is none, unless files that were left out are what it lacks, and for one that
    wants files outside its folder.
    """
    about: dict[str, Any] = {
        "name": config.name,
        "recipe": config.recipe,
        "digest": f"sha256:{contents.digest}",
        "files": {f.name: f.size for f in contents.files},
        "bytes": contents.size,
        "adapter": sum(f.size for f in contents.files if f.weights),
        "left_out": config.left_out,
        "signed_by": signed_by,
    }
    try:
        loaded, place, trust = _loaded(folder, config.recipe, home)
    except RecipeError as e:
        problems = [str(_below(p, folder)) for p in e.problems]
        if not config.left_out:
            raise RecipeError([_below(p, folder) for p in e.problems]) from None
        return Shown(**about, problems=problems)
    # On a machine with a GPU nothing is refused for want of one.
    done = _done(make_plan(loaded, place, "gpu"), settings)
    below = [_below(Problem(f, 0, 0, "", ""), folder).file for f in _files(loaded)]
    return Shown(**about, **done, trust=trust, extends=[f for f in below if f != config.recipe])


def _files(loaded: Loaded) -> list[str]:
    """The files that set a key of a recipe, each once."""
    return list(dict.fromkeys(who.rpartition(":")[0] for who in loaded.who.values()))


def _loaded(folder: Path, recipe: str, home: Path | None) -> tuple[Loaded, Workspace, list[str]]:
    """The recipe, and what it needs to be allowed of what may be allowed for a look."""
    place = Workspace(folder, store=home)
    try:
        return load_recipe(folder / recipe, place), place, []
    except NeedsTrust as e:
        asked = [_below(p, folder) for p in e.problems]
        place = Workspace(folder, frozenset({"trackers"}), store=home)
        try:
            return load_recipe(folder / recipe, place), place, [str(p) for p in asked]
        except NeedsTrust as still:
            raise RecipeError([_own(_below(p, folder)) for p in still.problems]) from None


def _own(problem: Problem) -> Problem:
    """What nobody can allow of a pack: that it reads what is not its own."""
    what = problem.what.partition("; allow it")[0]
    return replace(problem, what=f"{what}, and a pack reads its own files alone")


def _below(problem: Problem, folder: Path) -> Problem:
    """A problem that names the pack's file, and not where that lies for the moment."""
    for home in (folder, folder.resolve()):
        if problem.file.startswith(f"{home}/"):
            return replace(problem, file=problem.file.removeprefix(f"{home}/"))
    return problem


def _done(plan: Plan, settings: Settings) -> dict[str, Any]:
    recipe = plan.loaded.recipe
    under = licences(recipe, plan.workspace)
    model = None
    if recipe.model is not None:
        shape = shapes.known(recipe.model.base)
        size = None if shape is None else 2 * shape.parameters
        model = ModelSeen(recipe.model.base, recipe.model.revision, recipe.model.license or "", size)
    return {
        "description": recipe.description,
        "sources": [seen(s) for s in recipe.sources],
        "hosts": hosts(plan, settings),
        "licences": under,
        "terms": terms(under),
        "model": model,
        "suites": [s.common.name for s in plan.loaded.suites],
        "gates": list(recipe.evaluate.gates),
        "trackers": list(_trackers(recipe.track)),
    }


def _from(source: Any) -> str:
    plugin = plugins("source")[source.plugin]
    return "network" if plugin.fetch is not None and plugin.fetches(source.options) else "files"


def objections(under: Mapping[str, list[str]], sources: list[SourceSeen]) -> list[str]:
    """What licences (as `licences` gives them) say against passing on rows that lie in the pack itself."""
    here = {s.name for s in sources if s.rows_from == "files"}
    forbidden = {name: sorted(here & set(of)) for name, of in under.items() if name != UNKNOWN and kept(name)}
    return [f"{', '.join(of)}: {name!r} forbids it" for name, of in forbidden.items() if of]


def seen(source: Any) -> SourceSeen:
    return SourceSeen(source.name, source.plugin, _from(source))


def _trackers(track: Any) -> Iterator[str]:
    if track.wandb is not None:
        yield f"wandb ({track.wandb.mode})"
    if track.tensorboard:
        yield "tensorboard (files)"
    if track.trackio is not None:
        yield "trackio (files)"


def lines(of: Shown, size: Any) -> Iterator[str]:
    """The same for people, a line each. `size` words bytes."""
    yield f"{of.name}: {of.description}" if of.description else of.name
    signed = (
        "signed; by whom was not asked (your setting pack_keys)" if SIGNATURE in of.files else "not signed"
    )
    yield f"  {of.digest}, {f'signed by the key {of.signed_by[:16]}…' if of.signed_by else signed}"
    yield f"  recipe     {of.recipe}" + (f", on {', '.join(of.extends)}" if of.extends else "")
    some = sorted(of.files.items())
    yield f"  holds      {len(some)} file{'s' * (len(some) != 1)}, {size(of.bytes)}" + (
        f", of which an adapter's weights {size(of.adapter)}" if of.adapter else ""
    )
    for source in of.sources:
        fetched = "fetched" if source.rows_from == "network" else "of files in the pack"
        yield f"  source     {source.name}: {source.source}, {fetched}"
    if of.model is not None:
        many = f", {size(of.model.bytes)} of weights in 16 bits" if of.model.bytes else ""
        at = f" at {of.model.revision}" if of.model.revision else ""
        yield f"  model      {of.model.base}{at}{many}"
    for one in of.hosts:
        yield f"  asks       {one.host} ({one.why})"
    if not of.hosts and not of.problems:
        yield "  asks       nobody"
    for licence, under in of.licences.items():
        yield f"  licence    {licence}: {', '.join(under)}"
    for said in of.terms:
        yield f"             {said}"
    if of.suites:
        yield f"  judged by  {', '.join(of.suites)}"
    for gate in of.gates:
        yield f"  gate       {gate}"
    for tracker in of.trackers:
        yield f"  tracks     {tracker}"
    for said in of.trust:
        yield f"  needs      {said}"
    for name, sha256 in of.left_out.items():
        yield f"  not in it  {name} (sha256 {sha256}): too large; put it there yourself"
    for said in of.problems:
        yield f"  lacks      {said}"
