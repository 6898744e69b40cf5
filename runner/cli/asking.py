"""The questions of `recipe new`, on a terminal. Each has an answer that Enter takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import click
from msgspec.structs import replace
from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

from runner.api.beginnings import SETS, Wishes, Workspace, bases, model_named, offered, suggested
from runner.errors import UsageError, safe

_KINDS = (
    ("files", "text files of yours (books, articles)", "Which files", "books/*.txt"),
    ("files", "conversations in JSON Lines", "Which files", "talks.jsonl"),
    ("files", "a CSV of Reddit posts", "Which files", "posts.csv"),
    ("authors", "books of Project Gutenberg, by author", "Which authors (with ; between)", "Twain, Mark"),
    ("pages", "web pages", "Which addresses, or sitemaps", "https://example.org/sitemap.xml"),
    ("tools", "conversations that call tools", "Which tool sets", "weather"),
)
_PROFILES = ("auto", "cpu", "gpu")


def ask(wishes: Wishes, workspace: Workspace, said: Collection[str]) -> Wishes:
    """The wishes with what no flag said asked for. `said` are the flags' names.

    Raises UsageError where the answers end before the questions do.
    """
    asking = _Asking(workspace)
    try:
        if wishes.nothing:
            wishes = asking.material(wishes)
        if "base" not in said:
            wishes = replace(wishes, base=asking.base())
        if "profile" not in said:
            wishes = replace(wishes, profile=asking.profile())
        if "system" not in said:
            wishes = replace(
                wishes, system=asking.line("Who is the assistant, in words (Enter: nobody special)", "")
            )
        if "suites" not in said:
            wishes = replace(wishes, suites=asking.suites(wishes))
    except EOFError:
        raise UsageError("the answers ended before the questions did; nothing was written") from None
    return wishes


class _Asking:
    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.console = Console(highlight=False, emoji=False)

    def line(self, question: str, default: str) -> str:
        said = Prompt.ask(escape(question), default=default, show_default=bool(default), console=self.console)
        return (said or "").strip()

    def pick(self, title: str, rows: Sequence[str], default: str, accept: Callable[[str], Any]) -> Any:
        """One of some numbered lines, or what `accept` makes of the answer; asked again until it accepts one."""
        click.echo(f"\n{title}")
        for n, row in enumerate(rows, 1):
            click.echo(safe(f"  {n}  {row}"))
        while True:
            try:
                return accept(self.line("Your choice", default))
            except UsageError as e:
                click.echo(safe(str(e)))

    def material(self, wishes: Wishes) -> Wishes:
        title = "What shall the model learn from? (numbers, with commas)"
        numbers = self.pick(title, [row[1] for row in _KINDS], "1", lambda said: _numbers(said, len(_KINDS)))
        found: dict[str, list[str]] = {}
        for n in numbers:
            field, about, question, example = _KINDS[n - 1]
            click.echo(
                f"\n{about[0].upper()}{about[1:]}" + (f": {', '.join(SETS)}" if field == "tools" else "")
            )
            some = self.several(question, example, field)
            found.setdefault(field, []).extend(some)
        return replace(wishes, **{field: tuple(some) for field, some in found.items()})

    def several(self, question: str, example: str, field: str) -> list[str]:
        while True:
            said = self.line(question, example)
            some = [
                part.strip()
                for part in (said.split(";") if field == "authors" else said.replace(",", " ").split())
            ]
            absent = [one for one in some if field == "files" and not self.workspace.glob(one)]
            if some and not absent:
                return some
            click.echo(
                safe(f"no file {absent[0]!r} in {self.workspace.root}" if absent else "say at least one")
            )

    def base(self) -> str:
        known = bases()
        rows = [f"{b.name.removeprefix('base/').removesuffix('.yaml'):<18} {b.about}" for b in known]

        def accept(said: str) -> str:
            if said.isdecimal():
                return known[_numbers(said, len(known))[0] - 1].name
            return model_named(said).name

        chosen: str = self.pick("Which base model?", rows, "1", accept)
        return chosen

    def profile(self) -> Any:
        rows = ["auto   a GPU where there is one", "cpu", "gpu"]

        def accept(said: str) -> str:
            if said in _PROFILES:
                return said
            return _PROFILES[_numbers(said, len(_PROFILES))[0] - 1]

        return self.pick("On what will it train?", rows, "1", accept)

    def suites(self, wishes: Wishes) -> tuple[str, ...]:
        known, fit = offered(self.workspace), suggested(wishes)
        click.echo(safe(f"\nSuites to judge by: {', '.join(known)}"))
        if wishes.files and not wishes.held_out:
            click.echo("A tenth of your files is held out, and judged by in any case.")
        while True:
            some = self.line("Which (with commas)", ", ".join(fit)).replace(",", " ").split()
            unknown = [one for one in some if one not in known]
            if not unknown:
                return tuple(some)
            click.echo(safe(f"no suite {unknown[0]!r}"))


def _numbers(said: str, most: int) -> list[int]:
    some = said.replace(",", " ").split()
    if not some or not all(one.isdecimal() and 1 <= int(one) <= most for one in some):
        raise UsageError(f"say a number from 1 to {most}, not {said!r}")
    return [int(one) for one in dict.fromkeys(some)]
