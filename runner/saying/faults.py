"""What YAML's parser finds wrong → what the person who wrote it did, and the place to look at.

The parser says what it expected when it could not go on; often that is a line or more after the mistake. Here the usual
mistakes are told by what it says and by the lines around. What none of these is, is said in the parser's words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runner.saying.lines import Lines

_QUOTE_ENDED = "text goes on after the closing quote; in '…' a quote is written twice: ''"


@dataclass(frozen=True)
class Fault:
    """A place, counted from 1 (`end`: the column after it, or 0), and a sentence."""

    line: int
    column: int
    end: int
    what: str


def fault(error: Any, lines: Lines) -> Fault:
    """What a `yaml.MarkedYAMLError` means in the file that has these lines."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(0, 0, 0, error.problem or error.context or "it cannot be read")
    problem, context = error.problem or "", error.context or ""
    at = mark.line + 1, mark.column + 1
    begun = (error.context_mark.line + 1, error.context_mark.column + 1) if error.context_mark else at
    here = (lines.at(at[0]) or "")[at[1] - 1 :]
    before = (lines.at(at[0]) or "")[: at[1] - 1]
    if here.startswith("\t"):
        return Fault(*at, 0, "a tab stands where YAML wants spaces")
    if "flow" in context and ("expected ','" in problem or "flow mapping" in context):
        return _bracket(at, begun, lines)
    if "quoted scalar" in context:
        return _quoted(problem, at, begun, lines)
    if "mapping values are not allowed" in problem:
        return _colon(at, before, lines)
    if "could not find expected ':'" in problem:
        return _bare(begun, lines)
    if "sequence entries are not allowed" in problem:
        return Fault(*at, at[1] + 1, "the `- ` of a list's item begins a line of its own")
    opening = (
        "cannot start any token" in problem
        or "keys are not allowed" in problem
        or any(
            f"scanning {what}" in context
            for what in ("an alias", "an anchor", "a directive", "a block scalar")
        )
    )
    if opening:
        return _opening(begun if "scanning a" in context else at, lines)
    if "node content" in problem and not here.strip() and (opened := _open(at, lines)):
        return opened
    if "node content" in problem and here[:1] and here[:1] in "]},":
        return _stray(at, here)
    if "block" in context and here[:1] in ("]", "}"):
        return _stray(at, here)
    if "block" in context and before.rstrip()[-1:] in ("'", '"') and before.strip() not in ("'", '"'):
        return Fault(*at, 0, _QUOTE_ENDED)
    if "block mapping" in context:
        return Fault(*at, _word(here, at[1]), "the indentation of this line is that of no key above it")
    if "block collection" in context:
        if re.match(r"-\w", here):
            return Fault(*at, at[1] + 1, "a space is missing after this `-`")
        what = "this line belongs to no item of the list: begin it with `- `, or indent it as the item's other keys are"
        return Fault(*at, _word(here, at[1]), what)
    return Fault(*at, 0, "; ".join(p for p in (problem, context) if p))


def _word(here: str, column: int) -> int:
    """The column after the key that stands here."""
    return column + len(re.match(r"[^\s:]*", here)[0])  # type: ignore[index]


def _bracket(at: tuple[int, int], begun: tuple[int, int], lines: Lines) -> Fault:
    """Within a list or map in brackets: it is not closed on its line, or a comma is missing."""
    opener = (lines.at(begun[0]) or "")[begun[1] - 1 : begun[1]]
    closer = "]" if opener == "[" else "}"
    after = (lines.at(at[0]) or "")[at[1] - 1 :]
    before = (lines.at(at[0]) or "")[: at[1] - 1]
    text, first = lines.at(at[0]) or "", lines.at(begun[0]) or ""
    key = re.match(r"(\s*)(- )?[\w.-]+:", text)
    outside = key and len(key[1]) <= len(first) - len(first.lstrip())
    if at[0] != begun[0] and (outside or _blank(text)):
        return Fault(*begun, begun[1] + 1, f"this `{opener}` is not closed; `{closer}` is missing")
    if before[-1:] in ("'", '"') and after[:1].isalnum():
        return Fault(*at, 0, _QUOTE_ENDED)
    if after[:1] in ("]", "}"):
        return Fault(*at, at[1] + 1, f"`{closer}` is missing before this `{after[:1]}`")
    if opener == "{" and re.search(r"[{,]\s*(\"[^\"]*\"|'[^']*')\s*\Z", before):
        return Fault(*at, 0, "`:` is missing before this")
    if after.startswith(":"):  # a key without a comma before it, or text
        word = re.search(r"[^\s,{\[]+\s*\Z", before)
        column = word.start() + 1 if word else at[1]
        named = f" before `{word[0].strip()}`" if word else ""
        what = f"a second `: ` here: `,` is missing{named}, or the text that holds it must stand in quotes"
        return Fault(at[0], column, at[1] + 1, what)
    return Fault(*at, 0, f"`,` or `{closer}` is missing before this")


def _quoted(problem: str, at: tuple[int, int], begun: tuple[int, int], lines: Lines) -> Fault:
    """A quote that is not closed, or an escape that there is not."""
    if "escape" in problem or "hexdecimal" in problem:
        text = lines.at(at[0]) or ""
        column = text.rfind("\\", 0, at[1]) + 1 or at[1]  # PyYAML marks what follows the backslash
        what = f"there is no escape {text[column - 1 : column + 1]}; write \\\\ for a backslash, or quote with '…'"
        return Fault(at[0], column, column + 2, what)
    return Fault(*begun, begun[1] + 1, "this quote is not closed")


def _colon(at: tuple[int, int], before: str, lines: Lines) -> Fault:
    """A `:` where none may be: a second one on its line, or one below a line that is no key without a value."""
    key = before.lstrip().removeprefix("- ")
    if re.search(r":\s", key):
        return Fault(*at, at[1] + 1, "a second `: ` in one line; text that holds it must stand in quotes")
    above = next((n for n in range(at[0] - 1, 0, -1) if not _blank(lines.at(n))), 0)
    text = (lines.at(above) or "").rstrip()
    if above and re.fullmatch(r"\s*(- )?[\w.-]+", text):
        return _bare((above, len(text) - len(text.lstrip(" -")) + 1), lines)
    if above and (found := re.match(r"\s*(?:- )?[\w.-]+:(?=\S)(?!//)", text)):
        return Fault(above, found.end(), found.end() + 1, "a space is missing after this `:`")
    if above and (found := re.match(r"\s*(?:- )?[\w.-]+\s*(=)\s*\S", text)):
        sign = found.start(1) + 1
        return Fault(above, sign, sign + 1, "a key and its value are separated by `: `, not by `=`")
    start = len(before) - len(before.lstrip()) + 1
    what = "this key is indented deeper than the line above it, which has its value already"
    return Fault(at[0], start, at[1], what)


def _bare(at: tuple[int, int], lines: Lines) -> Fault:
    """A line that ought to be a key and has no `:`."""
    text = (lines.at(at[0]) or "").rstrip()
    if found := re.match(r"[\w.-]+:(?=\S)(?!//)", text[at[1] - 1 :]):
        after = at[1] - 1 + found.end()
        return Fault(at[0], after, after + 1, "a space is missing after this `:`")
    return Fault(*at, _word(text[at[1] - 1 :], at[1]), "a `:` is missing after this key")


def _blank(line: str | None) -> bool:
    return not line or not line.strip() or line.lstrip().startswith("#")


def _opening(at: tuple[int, int], lines: Lines) -> Fault:
    """Text that begins with a character that means something else to YAML."""
    text = (lines.at(at[0]) or "")[at[1] - 1 :]
    return Fault(*at, at[1] + 1, f"text that begins with `{text[:1]}` must stand in quotes")


def _open(at: tuple[int, int], lines: Lines) -> Fault | None:
    """The bracket that is still open where the file ends."""
    depth = 0
    for number in range(at[0], 0, -1):
        text = lines.at(number) or ""
        for column in range(len(text), 0, -1):
            depth += (text[column - 1] in "]}") - (text[column - 1] in "[{")
            if depth < 0:
                closer = "]" if text[column - 1] == "[" else "}"
                what = f"this `{text[column - 1]}` is not closed; `{closer}` is missing"
                return Fault(number, column, column + 1, what)
    return None


def _stray(at: tuple[int, int], here: str) -> Fault:
    if here.startswith(","):
        return Fault(*at, at[1] + 1, "a value is missing before this `,`")
    return Fault(*at, at[1] + 1, f"this `{here[:1]}` closes nothing")
