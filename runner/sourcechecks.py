"""What a recipe's sources must satisfy beyond their schema: names, tags, files, and options that go together."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from runner import library
from runner import recipe as r
from runner.errors import NeedsTrust, Problem
from runner.registry import plugins
from runner.wording import nearest, show
from runner.workspace import Workspace
from runner.yaml12 import Path, Yaml


def sources(
    doc: Yaml, found: list[r.Source], mixed: set[str], workspace: Workspace, trust: list[Problem]
) -> Iterator[Problem]:
    """All such problems. `mixed` are the tags that the mix goes by; what needs the user's trust joins `trust`."""
    yield from _names(doc, found)
    yield from _tags(doc, found, mixed)
    yield from _files(doc, found, workspace, trust)
    yield from _options(doc, found)


def guard(doc: Yaml, path: Path, trust: list[Problem], make: Callable[[], list[Problem]]) -> list[Problem]:
    """What `make` finds; a path that only the user may allow joins `trust` instead."""
    try:
        return make()
    except NeedsTrust as e:
        trust.append(doc.problem(path, str(e), at_value=True))
        return []


def _names(doc: Yaml, sources: list[r.Source]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for i, source in enumerate(sources):
        if source.name in seen:
            what = f"two sources are called {source.name!r}; give each a name of its own"
            yield doc.problem(("sources", i, "name"), what)
        seen.setdefault(source.name, i)
        for option, whole in plugins("source")[source.plugin].shares.items():
            shares = source.options[option]
            total = sum(shares.values()) if shares else whole
            if abs(total - whole) > 1e-6:
                at: Path = ("sources", i, source.plugin, option)
                yield doc.problem(at, f"the shares sum to {total:g}; they must sum to {whole:g}")
        for option in plugins("source")[source.plugin].source_options:
            value, earlier = source.options[option], [x.name for x in sources[:i]]
            if value is not None and value not in earlier:
                what = f"no earlier source is called {show(value)}{nearest(value, earlier)}"
                yield doc.problem(("sources", i, source.plugin, option), what, at_value=True)
        if source.common.chat:
            yield from _chat(doc, ("sources", i, "chat"), source.common.chat)


def _chat(doc: Yaml, path: Path, chat: r.Chat) -> Iterator[Problem]:
    """Options of `chat` that do not go together."""
    if chat.system and chat.systems:
        yield doc.problem((*path, "systems"), "give one of system and systems")
    if chat.system_share < 1 and not (chat.system or chat.systems):
        yield doc.problem((*path, "system_share"), "there is no system message; give system or systems")
    if (cut := chat.passages) is None:
        return
    at: Path = (*path, "passages")
    if cut.words[0] > cut.words[1]:
        yield doc.problem((*at, "words"), "the fewest words are more than the most")
    shares: dict[str, float] = msgspec.to_builtins(cut.prompts) if cut.prompts else {cut.prompt: 1.0}
    if cut.prompts and cut.prompt != "instruct":
        yield doc.problem((*at, "prompts"), "give one of prompt and prompts")
    if abs(sum(shares.values()) - 1) > 1e-6:
        what = f"the shares sum to {sum(shares.values()):g}; they must sum to 1"
        yield doc.problem((*at, "prompts"), what)
    kinds = {kind for kind, share in shares.items() if share}
    if cut.otherwise and not kinds & {"question", "rewrite"}:
        what = "no passage comes to it: only question and rewrite find some that they can do nothing with"
        yield doc.problem((*at, "otherwise"), what)
    turned = sorted((kinds | {cut.otherwise or "instruct"}) - {"instruct", "rewrite"})
    if cut.said_by == "user" and turned:
        what = f"user goes with the prompts instruct and rewrite, not with {turned[0]}"
        yield doc.problem((*at, "said_by"), what)


def _options(doc: Yaml, sources: list[r.Source]) -> Iterator[Problem]:
    """What each source says is wrong with its own options; of what is missing, at the source's key."""
    for i, source in enumerate(sources):
        for path, what in plugins("source")[source.plugin].check(source.options):
            where: Path = ("sources", i, source.plugin, *path)
            yield doc.problem(where, what, at_value=bool(path) and where in doc.values)


def _tags(doc: Yaml, sources: list[r.Source], mixed: set[str]) -> Iterator[Problem]:
    """A tag of one source alone that is nearly the mix's, or nearly one that all others have, is misspelt."""
    counts = Counter(tag for s in sources for tag in s.common.tags)
    usual = mixed | {tag for tag, n in counts.items() if n == len(sources) - 1 > 1}
    for i, source in enumerate(sources):
        expected = sorted(usual - set(source.common.tags))
        for tag in source.common.tags if expected else ():
            near = difflib.get_close_matches(tag, expected, n=1, cutoff=0.75)
            if near and counts[tag] == 1:
                by = "the mix is by" if near[0] in mixed else "all other sources have"
                what = f"{by} the tag {near[0]!r} (did you mean {near[0]}?)"
                yield doc.problem(("sources", i, "tags", tag), what)


def _files(
    doc: Yaml, sources: list[r.Source], workspace: Workspace, trust: list[Problem]
) -> Iterator[Problem]:
    for i, source in enumerate(sources):
        for option, how in plugins("source")[source.plugin].file_options.items():
            value = source.options[option]
            if value is None:
                continue
            path: Path = ("sources", i, source.plugin, option)
            many = value if isinstance(value, list) else [value]
            for n, one in enumerate(many):
                here = (*path, n) if isinstance(value, list) else path

                def missing(one: str = one, how: str = how, here: Path = here) -> list[Problem]:
                    if workspace.named(how, one):
                        return []
                    what = "no tool set" if how == "tool set" else "no file"
                    near = (
                        nearest(one, _tool_sets(workspace)) if how == "tool set" else beside(workspace, one)
                    )
                    return [doc.problem(here, f"{what} {show(one)}{near}", at_value=True)]

                yield from guard(doc, here, trust, missing)


MOST_NAMES = 1000
"""Files of a folder that a misspelt name is compared with."""


def beside(workspace: Workspace, name: str) -> str:
    """` (did you mean …?)` for a file that is not there, where its folder has one of nearly that name."""
    folder, slash, last = name.rpartition("/")
    place = workspace.find(folder) if folder else workspace.root
    if not last or set(last) & set("*?[") or place is None or not place.is_dir():
        return ""
    with os.scandir(place) as entries:
        names = [e.name for e in islice(entries, MOST_NAMES) if e.is_symlink() or e.is_file()]
    hint = nearest(last, names)
    return hint.replace("(did you mean ", f"(did you mean {folder}{slash}") if "did you mean" in hint else ""


def _tool_sets(workspace: Workspace) -> list[str]:
    folders = (workspace.root / "datasets/tools", library.shelf("datasets") / "tools")
    return sorted({p.stem for f in folders if f.is_dir() for p in f.glob("*.yaml")})
