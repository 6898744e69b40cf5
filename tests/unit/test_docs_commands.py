"""Every command of README.md and docs/*.md works: it is run, or its arguments are parsed and a test runs its like."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
from docs_pages import PAGES, ROOT, Command, Shell, commands, missing
from docs_rooms import AFTER, ELSEWHERE, FIRST, HERE, MEANT, PLUGGED, TYPED

from runner.cli import main

ALL = [c for page in PAGES for c in commands(page)]


def parses(words: list[str]) -> None:
    """Raises click's own error where verb, options or arguments are none."""
    with click.Context(main) as context:
        name, verb, rest = main.resolve_command(context, words)
        assert verb is not None
        verb.make_context(name, rest, parent=context)


def stands(words: list[str]) -> None:
    """A command that is not run is at least one that there is."""
    if words[0] == "recipe":
        parses(words[1:])
    elif words[0] == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in words[1:]:
            assert re.search(rf"^{target}:", targets, re.M), target
    elif words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for extras in re.findall(r"\[([\w,]+)\]", " ".join(words)):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), extras


def test_the_table_names_commands_that_there_are_and_tests_that_there_are() -> None:
    there = {c.key for c in ALL}
    assert set(ELSEWHERE) | set(FIRST) | AFTER <= there
    assert set(HERE) <= {page.name for page in PAGES}
    assert all(Path(page).stem in (ROOT / like).read_text(encoding="utf-8") for page, like in TYPED.items())
    for why, like in ELSEWHERE.values():
        assert why and (ROOT / like).is_file(), like


@pytest.mark.parametrize(
    "command", [c for c in ALL if c.key in ELSEWHERE or c.page in TYPED], ids=lambda c: f"{c.page}:{c.line}"
)
def test_a_command_that_is_not_run_is_one(command: Command) -> None:
    stands(command.words)


def test_every_command_is_run_or_stands_in_the_table() -> None:
    assert len(ALL) > 30
    neither = [
        c.key for c in ALL if c.page not in (*HERE, *PLUGGED, *TYPED) and c.key not in {*ELSEWHERE, *AFTER}
    ]
    assert neither == []


def typed(command: Command) -> str:
    said = command.typed
    for (page, word), meant in MEANT.items():
        if page == command.page:
            said = re.sub(rf"(?<![\w.-]){word}(?![\w.-])", meant, said)
    return said


@pytest.mark.parametrize("page", sorted(HERE))
def test_a_pages_commands_work_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("MIREPOIX_SIGNING_PASSPHRASE", "words of a passphrase")
    HERE[page](tmp_path)
    shell = Shell(tmp_path)
    for command in (c for c in ALL if c.page == page and c.key not in {*ELSEWHERE, *AFTER}):
        if before := FIRST.get(command.key):
            before(tmp_path)
        code, output = shell.type(typed(command))
        where = f"{page}:{command.line}: {command.typed}\n{output}"
        assert code == command.code, where
        assert missing(command.shown, output) is None, (
            f"{missing(command.shown, output)!r} is not said: {where}"
        )


def test_the_readme_names_each_verb_once() -> None:
    table = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands\n")[2].partition("\n## ")[0]
    )
    named = [
        verb
        for row in re.findall(r"^\| \w.*", table, re.MULTILINE)
        for verb in re.findall(r"`([a-z]+)`", row)
    ]
    assert sorted(named) == sorted(main.commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_named_in_a_sentence_have_such_a_verb_and_options(page: Path) -> None:
    """`recipe run R --to prepare` in running text: the verb is there, and so is each option."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    if page.name == "CHANGELOG.md":
        return  # it tells of what was, too
    wrong = []
    for said in re.findall(r"`recipe ([a-z]+(?: [^`]*)?)`", text.replace("\n", " ")):
        name, _, rest = said.partition(" ")
        verb = main.commands.get(name)
        known = {o for p in verb.params for o in (*p.opts, *p.secondary_opts)} if verb else set()
        wrong += (
            [said]
            if verb is None
            else [f"{name} {o}" for o in re.findall(r"(?<!\S)--[a-z-]+", rest) if o not in known]
        )
    assert wrong == []
