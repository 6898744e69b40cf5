"""The README.md of a pack: what the recipe is, what is in it, how to go on. No time, place or setting is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote

from runner.licences import licences, terms
from runner.markdown import code, fenced, paragraph, plain, table
from runner.steps import Plan


def text(plan: Plan, recipe: str, left_out: Mapping[str, str], *, locked: bool, adapter: bool) -> str:
    """`recipe` is its file in the pack, `left_out` names → sha256 of what did not go along."""
    return "\n".join(_lines(plan, recipe, left_out, locked, adapter)) + "\n"


def _lines(plan: Plan, file: str, left_out: Mapping[str, str], locked: bool, adapter: bool) -> Iterator[str]:
    recipe = plan.loaded.recipe
    yield f"# {recipe.name}"
    if recipe.description:
        yield from ("", paragraph(recipe.description))
    yield from ("", "A recipe of mirepoix, with all small files that it reads. In this folder:", "")
    typed = quote(file)  # a stranger may paste this into a shell
    asked = (f"$ recipe check {typed}", f"$ recipe run {typed}{' --locked' if locked else ''}")
    yield from fenced("\n".join(asked), "console")
    under = licences(recipe, plan.workspace)
    rows = [("source", plain(f"{s.name}: {s.plugin}")) for s in recipe.sources]
    if recipe.model is not None:
        at = f" at {recipe.model.revision}" if recipe.model.revision else ""
        rows.append(("model", plain(recipe.model.base + at)))
    rows += [("licence", plain(f"{name}: {', '.join(of)}")) for name, of in under.items()]
    rows += [("judged by", plain(s.common.name)) for s in plan.loaded.suites]
    rows += [("gate", plain(gate)) for gate in recipe.evaluate.gates]
    yield ""
    yield from table(("", ""), rows)
    for said in terms(under):
        yield from ("", paragraph(said))
    if locked:
        yield from ("", "The lock says of each input what it was; `--locked` refuses others, by name.")
    if adapter:
        yield from ("", "`adapter/` is what a run of it trained, with a card of its own.")
    if left_out:
        yield from ("", "Too large to go along; put them here:", "")
        for name, sha256 in sorted(left_out.items()):
            yield f"- {code(name)}, sha256 `{sha256}`"
