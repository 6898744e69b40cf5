"""docs/reference/ is what the types say, and says all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from runner.cli import main
from runner.errors import MirepoixError
from runner.reference import pages
from runner.reference.commands import CODES
from runner.reference.nodes import members, resolved
from runner.registry import plugins
from runner.schema import recipe_schema, suite_schema
from runner.settings import SETTINGS

FOLDER = Path(__file__).resolve().parents[2] / "docs/reference"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages(main)


def test_pages_are_committed_as_they_are_made(made: dict[str, str]) -> None:
    assert sorted(p.name for p in FOLDER.iterdir()) == sorted(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: run `recipe schema --write`"


def keys(node: Any, root: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a schema, at any depth."""
    for name, value in members(node, root).items():
        yield name, value
        yield from keys(value, root)


def rows(text: str) -> list[list[str]]:
    """The rows of all tables of keys in a page."""
    lines = [line for line in text.splitlines() if re.match(r"\| [`<]", line)]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [c for c in cells if len(c) == 5]


def test_each_key_has_a_row_with_its_type_words_and_an_example(made: dict[str, str]) -> None:
    recipe, suite = recipe_schema(), suite_schema()
    plugged = {k for kind in ("source", "filter", "judge") for k in plugins(kind)}  # type: ignore[arg-type]
    wanted = [k for root in (recipe, suite) for k in keys(root, root) if k[0] not in plugged | {"judge"}]
    found = [row for page in ("recipe", "sources", "filters", "suites") for row in rows(made[f"{page}.md"])]
    assert len(wanted) > 250
    assert {name for name, _ in wanted} <= {re.sub(r"<.*?>|`", "", row[0]) for row in found}
    for name, takes, _, said, example in found:
        assert takes and said, name
        assert example or "map" in takes, name


def test_a_required_key_says_so_and_a_limit_stands_there(made: dict[str, str]) -> None:
    by_name = {row[0]: row for row in rows(made["recipe.md"])}
    rank = resolved(recipe_schema()["$defs"]["Adapter"]["properties"]["r"], recipe_schema())
    assert f"{rank['minimum']} to {rank['maximum']:,}" in by_name["`r`"][1]
    assert by_name["`recipe`"][2] == "required"


@pytest.mark.parametrize("kind,page", [("source", "sources"), ("filter", "filters"), ("judge", "suites")])
def test_each_plug_in_has_a_section(kind: Any, page: str, made: dict[str, str]) -> None:
    for name in plugins(kind):
        assert re.search(rf"^###? `{name}`$", made[f"{page}.md"], re.MULTILINE), name


def verbs(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, verb in group.commands.items():
        if isinstance(verb, click.Group):
            yield from verbs(verb, f"{before}{name} ")
        elif not verb.hidden:
            yield f"{before}{name}", verb


def test_each_verb_stands_there_with_all_its_options(made: dict[str, str]) -> None:
    sections = re.split(r"^## ", made["commands.md"], flags=re.MULTILINE)
    for name, verb in verbs(main):
        section = next(s for s in sections if s.startswith(f"`recipe {name}`\n"))
        shared = next(s for s in sections if s.startswith("Options of every verb"))
        for parameter in verb.params:
            if isinstance(parameter, click.Option):
                assert all(f"`{o}`" in section + shared for o in parameter.opts), (name, parameter.name)


def test_each_exit_code_and_setting_stands_there(made: dict[str, str]) -> None:
    def codes(kind: type[MirepoixError]) -> Iterator[int]:
        yield kind.exit_code
        for below in kind.__subclasses__():
            yield from codes(below)

    said = {int(code) for codes, _ in CODES for code in codes.split(", ")}
    assert set(codes(MirepoixError)) <= said
    assert all(f"`{name}`" in made["settings.md"] for name in SETTINGS)
