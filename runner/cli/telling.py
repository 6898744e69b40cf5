"""What went wrong, as it is told: in words with the lines that are meant, as JSON, as a CI service's annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from runner import errors
from runner.api.common import as_data as as_data
from runner.api.common import covered as covered
from runner.api.common import covering
from runner.errors import Problem, safe
from runner.saying import SHOWN, report, summary, workflow_commands

_STYLES: dict[str, dict[str, Any]] = {"place": {"bold": True}, "carets": {"fg": "red", "bold": True}}


def _coloured(what: str, text: str) -> str:
    return click.style(text, **_STYLES[what])


def _plain(what: str, text: str) -> str:
    return text


def _colours() -> bool:
    """Whether errors are coloured: on a terminal, unless the user wants none (no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def placed(error: errors.MirepoixError) -> list[Problem]:
    """The problems of an error that is nothing but these."""
    return error.problems if type(error) in (errors.RecipeError, errors.NeedsTrust) else []  # type: ignore[attr-defined]


def words(error: errors.MirepoixError, begin: str = "error: ") -> str:
    """An error for people: each problem with its line and carets under the place. Safe to print.

    `begin`: what one begins with that names no file.
    """
    if problems := placed(error):
        return report(problems, covering(), _coloured if _colours() else _plain)
    known = isinstance(error, errors.RecipeError | errors.NeedsTrust)
    return safe(covered(str(error) if known else f"{begin}{error}"))


def anew(error: errors.MirepoixError, recipe: Path, seen: set[Problem]) -> errors.MirepoixError:
    """An error without the problems that were told of another recipe, as where both extend it; a word for these."""
    if not isinstance(error, errors.RecipeError) or seen.isdisjoint(placed(error)):
        seen.update(placed(error))
        return error
    again = sorted({p.file for p in error.problems if p in seen})
    told = Problem(str(recipe), 0, 0, "", f"has what is said above of {', '.join(again)}")
    fresh = [p for p in error.problems if p not in seen]
    seen.update(fresh)
    return errors.RecipeError([told, *fresh])


def counted(failed: Iterable[errors.MirepoixError]) -> str:
    """`3 errors in 1 file`, of all that is wrong; "" where what needs trust is all there is."""
    problems: dict[Problem, None] = {}
    for i, error in enumerate(failed):
        if isinstance(error, errors.RecipeError):
            problems |= dict.fromkeys(error.problems)
        elif not isinstance(error, errors.NeedsTrust):
            problems[Problem(f"{i}", 0, 0, "", str(error))] = None
    return summary([p.file for p in problems]) if problems else ""


def annotated(error: errors.MirepoixError, recipe: Path) -> str:
    """An error as a workflow's annotations; what has no place of its own is the recipe's."""
    problems = placed(error) or [Problem(str(recipe), 0, 0, "", str(error))]
    more = len(problems) - SHOWN
    left = [Problem(str(recipe), 0, 0, "", f"… and {more:,} more")] if more > 0 else []
    return covered("\n".join(workflow_commands([*problems[:SHOWN], *left])))


def unsayable(words: str) -> str:
    """Why a file may not be found whose name is not ASCII; "" where that is no reason."""
    encoding = sys.getfilesystemencoding()
    if words.isascii() or encoding.lower().replace("-", "") == "utf8":
        return ""
    return f"(file names are taken to be {encoding} here, which knows no such letters: set LC_ALL=C.UTF-8)"


def described(error: errors.MirepoixError) -> list[dict[str, Any]]:
    """An error for programs: each problem of a recipe, or what there is to say."""
    if isinstance(error, errors.RecipeError) or placed(error):
        return [as_data(p) for p in getattr(error, "problems", ())]
    return [{"what": str(error)}]


def said(failed: errors.MirepoixError) -> Iterator[str]:
    """What stands on stderr of an error: it in words, how many there are, and what may be the reason."""
    yield words(failed)
    if placed(failed) and (many := counted([failed])):
        yield many
    if why := unsayable(str(failed)):
        yield why
