"""Answers → a recipe on disk, with its suite of held-out texts and the schema that its first line names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from runner import hardware
from runner.beginning import voice, writing
from runner.beginning.choices import SETS, model_named, suggested, tool_set
from runner.beginning.holding import Held, hold
from runner.beginning.material import Kind, Lot, lots
from runner.beginning.placing import Placing, undone
from runner.beginning.wishes import Wishes
from runner.errors import UsageError
from runner.load import load_recipe, suite_names
from runner.wording import nearest
from runner.workspace import Workspace

_SEED = 17
_NAMES: Mapping[Kind, tuple[str, str]] = {
    "text": ("texts", "your texts"),
    "jsonl": ("talks", "your conversations"),
    "reddit": ("posts", "posts, by their titles"),
    "files": ("rows", "your rows"),
}


class Begun(Struct, frozen=True):
    """What was written, the recipe first; what could not be used; and what the recipe lacks, with what to do."""

    recipe: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def begin(wishes: Wishes, workspace: Workspace) -> Begun:
    """Write a new recipe that passes `recipe check`. Nothing that is there is written over.

    Raises UsageError, having written nothing, for wishes that cannot be met; RecipeError where what it would write does
    not pass the check (a suite of the workspace that is wrong, say).
    """
    base = model_named(wishes.base)
    if base.gpu and wishes.profile == "cpu":
        what = "is made for a GPU, and would train for days on a CPU; base/smollm2-135m.yaml takes minutes"
        raise UsageError(f"{base.name} {what}")
    if wishes.nothing:
        raise UsageError("a recipe needs something to learn from")
    for page in wishes.pages:
        if not page.lower().startswith(("http://", "https://")):
            raise UsageError(
                f"{page!r} is no address of a page; they are like https://example.org/stories.html"
            )
    found = lots(wishes.files, workspace)
    tools = [tool_set(name, workspace) for name in wishes.tools]
    suites = _suites(wishes, workspace)
    for pattern in wishes.held_out:
        if not workspace.glob(pattern):
            raise UsageError(f"no file {pattern!r} to hold out")
    held = {} if wishes.held_out else {lot.kind: hold(lot, workspace, _SEED) for lot in found}
    talks = [pair for one in held.values() for pair in one.talks] if wishes.system else []
    parts = writing.Parts(
        wishes=replace(wishes, base=base.name),
        about=base.about,
        cpu=not base.gpu and hardware.profile(wishes.profile) == "cpu",
        micro_batch=base.micro_batch,
        modeline="",
        sources=[*_files(found, held), *_named(wishes, tools)],
        suites=suites,
        held=f"{wishes.name}-held-out" if held or wishes.held_out else "",
        voice=f"{wishes.name}-voice" if talks else "",
        network=bool(wishes.authors or wishes.pages),
        rows=_rows(wishes, [one.rows for one in held.values()]),
    )
    recipe = Path(
        os.path.normpath(workspace.root / wishes.path)
    )  # without following links, as `resolve` would
    with undone() as files:
        new = Placing(workspace, files)
        new.free(recipe)
        if parts.held:
            _held(parts, list(held.values()), "text" in held, new)
        if parts.voice:
            for file, body in voice.files(parts.voice, talks).items():
                new.write(workspace.root / "evals" / file, body)
            path = new.suite(parts.voice)
            new.write(path, voice.suite(parts.voice, wishes.name, new.modeline(path, "suite")))
        line = new.modeline(recipe, "recipe")
        new.write(recipe, writing.recipe(replace(parts, modeline=line)))
        load_recipe(recipe, workspace)
    notes = tuple(note for one in held.values() for note in one.notes)
    others = tuple(p for p in files if p != recipe)
    return Begun(recipe, (recipe, *others), notes, tuple(_missing(wishes, bool(parts.held))))


def _held(parts: writing.Parts, held: Sequence[Held], books: bool, new: Placing) -> None:
    """The held-out texts, and the suite that measures the loss on them."""
    wishes = parts.wishes
    for one in held:
        for file, body in one.texts.items():
            new.write(new.workspace.root / "held-out" / wishes.name / file, body)
    globs = wishes.held_out or (f"held-out/{wishes.name}/*.txt",)
    words = (60, 160) if books or wishes.held_out else (20, 60)
    path = new.suite(parts.held)
    new.write(path, writing.suite(parts.held, wishes.name, globs, words, new.modeline(path, "suite")))


def _rows(wishes: Wishes, own: list[int]) -> int | None:
    """About how many records an equal mix of the sources has; it is the smallest of them that limits it."""
    if wishes.authors or wishes.pages or (wishes.files and not own):
        return None
    some = [*own, *(writing.TALKS for _ in wishes.tools)]
    return min(some) * len(some)


def _suites(wishes: Wishes, workspace: Workspace) -> list[str]:
    if wishes.suites is None:
        return suggested(wishes)
    known = suite_names(workspace)
    for name in wishes.suites:
        if name not in known:
            raise UsageError(f"no suite {name!r}{nearest(name, known)}")
    return list(dict.fromkeys(wishes.suites))


def _files(found: Sequence[Lot], held: Mapping[Kind, Held]) -> Iterator[writing.Source]:
    for lot in found:
        name, about = _NAMES[lot.kind]
        options = f"{{files: {writing.listed(lot.names)}}}"
        limit = held[lot.kind].limit if lot.kind in held else None
        yield writing.Source(lot.kind, options, name, about, limit, passages=lot.kind == "text")


def _named(wishes: Wishes, tools: list[str]) -> Iterator[writing.Source]:
    if wishes.authors:
        options = f"{{authors: {writing.listed(wishes.authors)}, languages: [en], at_most: 20}}"
        yield writing.Source("gutenberg", options, "books", "Project Gutenberg's", passages=True)
    if wishes.pages:
        maps = [p for p in wishes.pages if p.partition("?")[0].endswith((".xml", ".xml.gz"))]
        urls = [p for p in wishes.pages if p not in maps]
        said = {"urls": urls, "sitemaps": maps}
        options = ", ".join(f"{key}: {writing.listed(some)}" for key, some in said.items() if some)
        yield writing.Source("web", f"{{{options}, at_most: 200}}", "pages", "their main text", passages=True)
    for name in tools:
        options = f"{{set: {writing.scalar(name)}, conversations: {writing.TALKS}, voice: plain}}"
        yield writing.Source("tools", options, name, "calls of tools, on invented answers")


def _missing(wishes: Wishes, held: bool) -> Iterator[str]:
    """What the recipe has no verdict on."""
    if (wishes.authors or wishes.pages) and not held:
        yield (
            "what is fetched is not here yet, so that nothing of it is held out; once you have texts that training "
            "must not see, begin again with --held-out 'held-out/*.txt', to judge how well the model foresees them"
        )
    for name in wishes.tools:
        if not SETS.get(name):
            yield f"no suite asks for the tools of {name!r}: docs/judges-tools.md says how to write its probes"
