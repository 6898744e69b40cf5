"""The steps behind a thing, by what each says that it needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runner.provenance.left import Left
from runner.store import Artifact, digest
from runner.store.statement import SHA256, BuildDefinition, Descriptor, Statement, definition, folder_digest

LISTED = 1000
"""Items of what one source fetched that are given; the run's `recipe.lock` has all."""


@dataclass(frozen=True)
class Link:
    """One step: its artifact, None where that is gone; and its ingredients, None where nothing says them any more."""

    step: str
    fingerprint: str
    artifact: Artifact | None
    made: dict[str, Any] | None

    @property
    def statement(self) -> Statement | None:
        return self.artifact.manifest.said if self.artifact else None

    @property
    def definition(self) -> BuildDefinition | None:
        """How it was made."""
        if said := self.statement:
            return said.predicate.build_definition
        return definition(self.step, self.fingerprint, self.made, {}) if self.made else None

    @property
    def needs(self) -> dict[str, str]:
        """Step → fingerprint. A result that was taken over from another run is that one's training's."""
        if self.step == "result" and self.artifact:
            said = (of_training(self.artifact.file(kept)) for kept in ("adapter", "model"))
            return dict(zip(("train",), filter(None, said), strict=False))
        needs = (self.made or {}).get("needs")
        return {str(k): str(v) for k, v in needs.items()} if isinstance(needs, dict) else {}

    @property
    def inputs(self) -> list[Descriptor]:
        """Files that came from outside, and base models."""
        found = self.definition.resolved_dependencies if self.definition else []
        return [d for d in found if d.digest and not d.uri.startswith("mirepoix:") and d.name != "fetched"]


def of_training(folder: Path) -> str | None:
    """The training that an adapter, or a model, says it is of."""
    try:
        said = json.loads((folder / "mirepoix.json").read_bytes())["step"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if isinstance(said, str) and SHA256.fullmatch(said) else None


Follow = Callable[[Link, str], bool]
"""Whether what a step needed is behind the thing that is asked for."""


def link(left: Left, step: str, fingerprint: str) -> Link:
    artifact = left.store.get(fingerprint, verify=False)
    made = artifact.manifest.ingredients if artifact else left.made.get(fingerprint)
    return Link(step, fingerprint, artifact, made)


def chain(left: Left, starts: Iterable[tuple[str, str]], follow: Follow) -> list[Link]:
    """All steps behind the first ones, each before what it was made of."""
    found: dict[str, Link] = {}
    order: list[Link] = []

    def visit(step: str, fingerprint: str) -> Iterator[Iterator[Any]]:
        if fingerprint in found:
            return
        one = found[fingerprint] = link(left, step, fingerprint)
        for name, needed in one.needs.items():
            if follow(one, name):
                yield visit(name, needed)
        order.append(one)

    for start in starts:
        stack: list[Iterator[Any]] = [visit(*start)]
        while stack:  # not by recursion: a manifest may have been tampered with
            deeper = next(stack[-1], None)
            if deeper is None:
                stack.pop()
            else:
                stack.append(deeper)
    return order[::-1]


def of_source(source: str) -> Follow:
    """For a row: of the sources its own only, and those that this one read."""
    return lambda one, name: (
        not name.startswith("source.") or name == f"source.{source}" or one.step.startswith("source.")
    )


def of_number(targets: Sequence[str], arm: str) -> Follow:
    """For a number: of the report only the step that counted it, and of that one's answers the arm's, and those that it
    was held against."""

    def follow(one: Link, name: str) -> bool:
        if one.step == "report":
            return name in targets
        if one.step.startswith("judge.") and name.startswith("answers."):
            return name.split(".")[1] in {arm, *rivals(one.made or {}, arm)}
        return True

    return follow


def rivals(judge: dict[str, Any], arm: str) -> set[str]:
    """The arms that a judge of two compares with this one."""
    for options in judge.values():
        if isinstance(options, dict) and isinstance(options.get("against"), str):
            pair = {str(options.get("arm", arm)), options["against"]}
            return pair if arm in pair else set()
    return set()


def doubts(links: Sequence[Link]) -> Iterator[str]:
    """Where an artifact is no longer the one that another was made of."""
    now = {
        one.fingerprint: folder_digest(one.artifact.manifest.files)
        for one in links
        if one.artifact is not None
    }
    for one in links:
        for d in one.definition.resolved_dependencies if one.statement and one.definition else ():
            there, was = now.get(one.needs.get(d.name, "")), d.digest.get("dirHash")
            if was and there and was != there:
                yield f"{d.name} was made anew since {one.step} was made of it, and came out with other bytes"


def entry(one: Link, left: Left) -> dict[str, Any]:
    """A step as plain data."""
    out: dict[str, Any] = {"step": one.step, "fingerprint": one.fingerprint}
    out["statement"] = msgspec.to_builtins(one.statement)
    if one.artifact is None:
        out["known"] = msgspec.to_builtins(one.definition)
    if one.made and isinstance(one.made.get("fetched"), str):
        out["fetched"] = fetched(one, left)
    return json.loads(json.dumps(out))  # type: ignore[no-any-return]


def fetched(one: Link, left: Left) -> dict[str, Any] | None:
    """What a source fetched, each with its address or name and the sha256 of its bytes; None where the run's lock does
    not say it any more."""
    items = items_of(one, left)
    if items is None:
        return None
    return {"items": len(items), "listed": [item_said(i) for i in items[:LISTED]]}


def items_of(one: Link, left: Left) -> list[Any] | None:
    """The items of exactly this fetch."""
    known = left.lock.fetched.get(one.step.removeprefix("source.")) if left.lock else None
    if known is None or digest(msgspec.to_builtins(known.items)) != (one.made or {}).get("fetched"):
        return None
    return known.items


def item_said(item: Any) -> dict[str, Any]:
    said = {"key": item.key, "url": item.meta.get("origin", ""), "sha256": item.sha256, "error": item.error}
    return {k: v for k, v in said.items() if v}
