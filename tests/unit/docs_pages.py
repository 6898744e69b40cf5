"""Reads the documentation: its pages, their blocks of code, the commands in them, and what those are said to print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from runner.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    lang: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command as it is typed, comment and all; `shown` are the lines that the page says it prints, some of them."""

    page: str
    line: int
    typed: str
    shown: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.typed.partition("<<")[0], comments=True)

    @property
    def code(self) -> int:
        """The exit code that what is shown speaks of: 2 where it tells of errors, else 0."""
        wrong = re.compile(r"\d+ errors? in \d+ files?|.*are not as locked, so nothing was run")
        return 2 if any(wrong.fullmatch(line) for line in self.shown) else 0

    @property
    def key(self) -> tuple[str, str]:
        """Page, and the command without its comment."""
        return self.page, " ".join(self.words)


def blocks(page: Path, lang: str | None = None) -> list[Block]:
    """The fenced blocks of a page, or those of one language."""
    text = page.read_text(encoding="utf-8")
    found = []
    for m in _BLOCK.finditer(text):
        inside = "".join(line.removeprefix(m[1]) for line in m[3].splitlines(keepends=True))
        found.append(Block(page.name, text[: m.start()].count("\n") + 2, m[2], inside))
    return [b for b in found if lang is None or b.lang == lang]


def commands(page: Path) -> list[Command]:
    """The commands of a page's `console` blocks: lines after `$ `, with what continues them (`> `, or to a heredoc's end)."""
    return [c for block in blocks(page, "console") for c in _typed(block)]


def _typed(block: Block) -> Iterator[Command]:
    lines = block.text.splitlines()
    at = 0
    while at < len(lines):
        first = at
        assert lines[at].startswith("$ "), f"{block.page}:{block.line + at}: output of no command"
        typed = [lines[at][2:]]
        at += 1
        if end := re.search(r"<<-?'?(\w+)'?", typed[0]):
            while typed[-1] != end[1]:
                typed.append(lines[at])
                at += 1
        while typed[-1].endswith("\\") or (at < len(lines) and lines[at].startswith("> ")):
            typed.append(lines[at].removeprefix("> "))
            at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith("$ "):
            shown.append(lines[at])
            at += 1
        yield Command(block.page, block.line + first, "\n".join(typed), tuple(s for s in shown if s.strip()))


def like(shown: str) -> re.Pattern[str]:
    """A line of output as a pattern: any number stands for a number, any digest for one, `…` for anything."""
    parts = []
    for part in re.split(
        r"(…|\b[0-9a-f]{12,64}\b|\d[\d,]*(?:\.\d+)?(?: (?:bytes|[kMG]i?B))?| +)", shown.strip()
    ):
        if part == "…":
            parts.append(".*")
        elif part.endswith(("bytes", "B")) and part[0].isdigit():
            parts.append(r"[\d.,]+ (?:bytes|[kMG]i?B)")
        elif re.fullmatch(r"[0-9a-f]{12,64}", part):
            parts.append("[0-9a-f]+")
        elif re.fullmatch(r"\d[\d,]*(?:\.\d+)?", part):
            parts.append(r"\d[\d,]*(?:\.\d+)?")
        else:
            parts.append(" +" if part and not part.strip() else re.escape(part))
    return re.compile("".join(parts))


def missing(shown: tuple[str, ...], output: str) -> str | None:
    """The first line that the page shows and the output lacks, in that order; None where all stand there."""
    lines = iter(output.splitlines())
    for wanted in shown:
        if wanted.strip() != "…" and not any(like(wanted).fullmatch(line.strip()) for line in lines):
            return wanted
    return None


class Shell:
    """Types commands one after the other, in one folder: `recipe` within this process, all else with bash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def type(self, typed: str) -> tuple[int, str]:
        """Exit code, and what was printed."""
        words = shlex.split(typed.partition("<<")[0], comments=True)
        if words[0] == "cd":
            self.folder = (self.folder / words[1]).resolve()
            return 0, ""
        if words[0] == "recipe" and not set(words) & {"|", ">", ">>", "&", "&&", "<"} and "<<" not in typed:
            return self._recipe(words[1:])
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout

    def _recipe(self, arguments: list[str]) -> tuple[int, str]:
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            result = CliRunner().invoke(main, arguments)
        finally:
            os.chdir(before)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
