"""Which licences a recipe mixes, as far as it can be said before any row is read, and what they ask of a mixture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from runner.recipe import Recipe, Source
from runner.registry import plugins
from runner.workspace import Workspace

UNKNOWN = "no licence stated"
_STATED = re.compile(rb"^license:[ \t]*[\"']?([^\"'#\r\n]*[^\"'#\r\n \t])", re.M)
# What a licence's short name, or its words, say of what may be done with what it is on.
_TERMS = {
    "share-alike": re.compile(r"-SA\b|\b[AL]?GPL|\bODbL|\bEUPL|share[ -]?alike|copyleft", re.I),
    "non-commercial": re.compile(r"-NC\b|non[ -]?commercial|\bno commercial", re.I),
    "no-derivatives": re.compile(r"-ND\b|no[ -]?deriv", re.I),
}
# What says that its owner keeps it: "no open licence", as of Reddit's posts, is one.
_KEPT = re.compile(
    r"\bno (?:open )?licen[sc]e|all rights reserved|proprietary|confidential|\bno redistribution"
    r"|\bnot (?:be )?(?:re)?distribut",
    re.I,
)
_MEANING = {
    "share-alike": "who passes on what is made of it must do so under the same terms",
    "non-commercial": "nor may a mixture that holds it be used commercially",
    "no-derivatives": "changed forms of it must not be passed on, and a mixture of cut and filtered rows is one",
}


def licences(recipe: Recipe, workspace: Workspace) -> dict[str, list[str]]:
    """Licence → what is under it: the names of sources, and the base model.

    What the ledger will say, unless rows, pages or data sets themselves name another.
    """
    found: dict[str, list[str]] = {}
    stated: dict[str, str] = {}
    for source in recipe.sources:
        stated[source.name] = _of(source, workspace, stated) or UNKNOWN
        found.setdefault(stated[source.name], []).append(source.name)
    if recipe.model:
        found.setdefault(recipe.model.license or UNKNOWN, []).append(f"{recipe.model.base} (model)")
    return found


def terms(found: Mapping[str, Iterable[str]]) -> list[str]:
    """What the licences of a recipe (as `licences` gives them) ask of a mixture of them, a sentence each."""
    named = {name: list(under) for name, under in found.items()}
    of = {name: _asks(name) for name in named}
    out = []
    for term, meaning in _MEANING.items():
        some = [name for name in named if term in of[name]]
        if some:
            where = "; ".join(f"{name} of {', '.join(named[name])}" for name in some)
            out.append(f"{term} ({where}): {meaning}")
    return out + [f"these do not go together: {pair}" for pair in _clashes(of)]


def kept(licence: str) -> bool:
    """Whether a licence's words say that what is under it must not be passed on, or that there is none."""
    return bool(_KEPT.search(licence))


def _asks(licence: str) -> set[str]:
    """Of `A AND B` what either asks; of `A OR B` what both do, for one may be chosen."""
    asked = set[str]()
    for part in re.split(r"\bAND\b", licence):
        choices = [{t for t, p in _TERMS.items() if p.search(c)} for c in re.split(r"\bOR\b", part)]
        asked |= set.intersection(*choices)
    return asked


def _clashes(of: Mapping[str, set[str]]) -> Iterable[str]:
    """Share-alike licences beside what cannot be put under their terms: others of their kind, and narrower ones."""
    alike = [name for name, asked in of.items() if "share-alike" in asked]
    for n, one in enumerate(alike):
        for other, asked in of.items():
            if other == one or other in alike[:n] or not asked:
                continue
            theirs = {_family(one), _family(other)}
            if ("share-alike" in asked and len(theirs) > 1) or asked - of[one] - {"share-alike"}:
                yield f"{one} and {other} (a mixture would have to meet the terms of both)"


def _family(licence: str) -> tuple[str, ...]:
    """The share-alike licences of an expression."""
    parts = re.split(r"\b(?:AND|OR)\b", licence)
    return tuple(sorted(p.strip(" ()") for p in parts if _TERMS["share-alike"].search(p)))


def _of(source: Source, workspace: Workspace, earlier: Mapping[str, str]) -> str:
    """The licence of a source's rows: where they have one of their own that is known, that one, as in the ledger."""
    plugin = plugins("source")[source.plugin]
    if own := _of_tools(source, workspace):
        return own
    if source.common.license:
        return source.common.license
    for option in plugin.source_options:  # what is made of another source's rows is under its licence
        if (of := source.options[option]) in earlier:
            return "" if earlier[of] == UNKNOWN else earlier[of]
    return plugin.license


def _of_tools(source: Source, workspace: Workspace) -> str:
    """Of tool conversations: what the tool set's file says, read without parsing all of it, and the service's."""
    from runner.toolset.service import SERVICES

    if source.plugin != "tools":
        return ""
    for path in workspace.named("tool set", source.options["set"]).values():
        if stated := _STATED.search(path.read_bytes()):
            own = stated[1].decode("utf-8", "replace")
            asked = plugins("source")["tools"].fetches(source.options)
            return f"{own} AND {SERVICES[source.options['api']].license}" if asked else own
    return ""
