"""A diff for people: lines to be read, or pasted into a review. Pieces have styles; who prints them has colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from runner import shown
from runner.diffing.ahead import Anew, Row
from runner.diffing.both import Diff
from runner.diffing.changes import GROUPS, Change
from runner.diffing.files import FileChange, Held
from runner.diffing.values import between, written

Style = Literal["", "head", "added", "removed", "changed", "moved", "dim"]
_MARKS: dict[str, tuple[str, Style]] = {
    "changed": ("~", "changed"), "added": ("+", "added"), "removed": ("-", "removed"), "renamed": ("~", "changed"),
    "moved": ("^", "moved"),
}  # fmt: skip
_WIDE = 100
_LISTED = 6  # reasons of a stage, each with its steps
_REASON = 120  # characters of one
_WORDS = {
    "fetched": "fetched for",
    "packages": "package",
    "steps": "step",
    "tools": "",
    "plugins": "",
    "datasets": "data of",
    "model": "model",
}


@dataclass(frozen=True)
class Piece:
    """A stretch of a line in one style."""

    text: str
    style: Style = ""


Line = tuple[Piece, ...]


def lines(of: Diff) -> list[Line]:
    out: list[Line] = [(Piece(f"{of.a.label} → {of.b.label}", "head"),)]
    out += [(Piece(f"  {note}", "dim"),) for note in dict.fromkeys((*of.a.notes, *of.b.notes))]
    if of.same:
        anew = [s.step for s in of.steps.anew]
        also = f"; made again all the same: {_some(anew)}" if anew else ""
        if anew == ["report"]:
            also = "; only the report is made again, since it shows the recipe as it is written"
        return [*out, (Piece(f"the same in meaning{also}"),)]
    for group in GROUPS:
        out += _group(of, group)
    out += _versions(of)
    out += _ahead(of)
    return out


def _group(of: Diff, group: str) -> Iterator[Line]:
    found = [c for c in of.changes if c.group == group]
    read = [f for f in of.files if f.group == group]
    if not (found or read):
        return
    yield ()
    yield (Piece(group, "head"),)
    names = [_name(c) for c in found]
    width = min(max(map(len, names), default=0), 40)
    for change, name in zip(found, names, strict=True):
        yield from _changed(change, name, width, (of.a.home, of.b.home))
    for file in read:
        yield _file(file)


def _name(of: Change) -> str:
    """The key without what the group's heading says already."""
    if of.group == "gates":
        return ""
    for before in (f"{of.group}.", "evaluate."):
        if of.key.startswith(before):
            return of.key[len(before) :]
    return "" if of.key == of.group else of.key


def _changed(of: Change, name: str, width: int, homes: tuple[str, str]) -> Iterator[Line]:
    mark, style = _MARKS[of.kind]
    start = Piece(f"  {mark} {name:<{width}}  " if name or width else f"  {mark} ", style)
    by = _places(of, homes)
    if of.kind == "moved":
        yield start, Piece(f"{_nth(of.a)} → {_nth(of.b)} in order"), *_aside(by, 60)
    elif of.kind in ("added", "removed"):
        value = written(of.b if of.kind == "added" else of.a)
        yield from _long(start, [Piece(value, style)], by)
    else:
        yield from _long(start, [Piece(x) for x in between(of.a, of.b)], by)


def _long(start: Piece, values: list[Piece], by: str) -> Iterator[Line]:
    """On one line where that is short enough, else each on its own."""
    whole = " → ".join(v.text for v in values)
    if len(start.text) + len(whole) <= _WIDE:
        yield start, Piece(whole, values[0].style), *_aside(by, len(start.text) + len(whole))
        return
    head = start.text.rstrip()
    yield (Piece(head, start.style), *_aside(by, len(head)))
    if len(values) == 1:
        yield (Piece(f"      {values[0].text}", values[0].style),)
    else:
        yield (Piece(f"      - {values[0].text}", "removed"),)
        yield (Piece(f"      + {values[1].text}", "added"),)


def _aside(by: str, used: int) -> Line:
    return (Piece(f"{' ' * max(2, 50 - used)}({by})", "dim"),) if by else ()


def _places(of: Change, homes: tuple[str, str]) -> str:
    """What set it on either side: once where it is the same, and a file's name once where only the line is another. Of
    which revision it is, the first line says."""
    a, b = (place.removeprefix(f"{home}:") for place, home in zip(of.set_by, homes, strict=True))
    if not (a and b):
        return a or b
    if a == b:
        return a
    (file, _, _), (other, _, line) = a.rpartition(":"), b.rpartition(":")
    return f"{a} → :{line}" if file == other and file else f"{a} → {b}"


def _nth(n: int) -> str:
    last = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{last}"


def _file(of: FileChange) -> Line:
    kind: Literal["changed", "added", "removed"] = (
        "changed" if of.a and of.b else "added" if of.b else "removed"
    )
    mark, style = _MARKS[kind]
    word = "lines" if of.name.endswith((".txt", ".md")) else "rows"
    counted = [_rows(h, word) for h in (of.a, of.b) if h]
    said = [" → ".join(counted) if len(set(counted)) > 1 else counted[0]] if all(counted) else []
    told = ((of.added, "new"), (of.removed, "gone"), (of.changed, "changed"))
    said += [f"{n:,} {word}" for n, word in told if n]
    if of.a and of.b:
        if of.a.ids and of.b.ids:
            ids = f"ids {of.a.ids[:12]} → {of.b.ids[:12]}" if of.a.ids != of.b.ids else "the same ids"
            said.append(ids)
        said = said or ["other bytes"]
        sha = f"sha256 {of.a.sha256[:12]} → {of.b.sha256[:12]}"
    else:
        sha = f"sha256 {(of.a or of.b or Held('')).sha256[:12]}"
    return (
        Piece(f"  {mark} {'' if of.of == of.group else f'{of.of}: '}", style),
        Piece(f"{of.name}: {', '.join(said)}".rstrip(": ")),
        *_aside(sha, 60),
    )


def _rows(of: Held, word: str) -> str:
    return "" if of.rows is None else f"{of.rows:,} {word}"


def _versions(of: Diff) -> Iterator[Line]:
    if not of.drifts:
        return
    yield ()
    yield (Piece("what it was made with" if "run" in (of.a.kind, of.b.kind) else "fetched", "head"),)
    for one in of.drifts:
        name = f"{_WORDS.get(one.kind, '')} {one.name}".strip()
        a, b = (_version(one.kind, v) for v in (one.locked, one.there))
        yield Piece("  ~ ", "changed"), Piece(f"{name}  {a} → {b}")


def _version(kind: str, value: Any) -> str:
    if value is None:
        return "none"
    text = f"version {value}" if kind in ("steps", "plugins") else str(value)
    if kind == "fetched" and len(text) == 64:
        return f"sha256 {text[:12]}"
    return shown.cut(text, 80)


def _ahead(of: Diff) -> Iterator[Line]:
    steps = of.steps
    if not (of.a.planned and of.b.planned):
        return
    yield ()
    yield (Piece("what follows", "head"),)
    whole = len(steps.anew) + len(steps.stay)
    yield (Piece(f"  {len(steps.anew)} of {whole} steps run anew"),)
    for stage, group in groupby(steps.anew, key=lambda s: s.stage):
        yield from _stage(stage, list(group))
    if made := sum(s.made for s in steps.anew):
        yield (Piece(f"    {made} of them are made already in this workspace", "dim"),)
    if steps.stay and steps.anew:
        yield (Piece(f"    stay: {_some(list(steps.stay))}", "dim"),)
    if steps.gone:
        yield (Piece(f"    no longer wanted: {_some(list(steps.gone))}", "dim"),)
    if steps.fetches:
        yield (Piece(f"  fetched anew: {_some(list(steps.fetches))}"),)
    yield from _forecast(of)
    if of.a.kind == of.b.kind == "run":
        names = [side.label.removeprefix("run ") for side in (of.a, of.b)]
        yield (Piece(f"  what came out of them: recipe compare {' '.join(names)}", "dim"),)


def _stage(stage: str, some: list[Anew]) -> Iterator[Line]:
    """The steps of a stage that have changed themselves, those of one reason together; and those that only follow."""
    by_reason: dict[str, list[str]] = {}
    for step in some:
        why = "" if step.stage == "report" or step.why.startswith("after ") else step.why
        by_reason.setdefault(why, []).append(step.step)
    after = by_reason.pop("", [])
    for n, (why, names) in enumerate(by_reason.items()):
        if n == _LISTED:
            rest = [name for names in list(by_reason.values())[n:] for name in names]
            yield (Piece(f"    {stage:<9} {_some(rest)}"),)
            break
        yield Piece(f"    {stage:<9} {_some(names)}"), Piece(f": {shown.cut(why, _REASON)}", "dim")
    if after:
        yield (Piece(f"    {stage:<9} {'and after these ' if by_reason else ''}{_some(after)}"),)


def _some(names: list[str]) -> str:
    more = len(names) - 2 * _LISTED
    return ", ".join(names[: 2 * _LISTED]) + (f" and {more} more" if more > 0 else "")


def _forecast(of: Diff) -> Iterator[Line]:
    rows = of.forecasts.rows
    if not rows:
        return
    if other := [r for r in rows if r.change != 0]:
        cells = [("forecast", "before", "after", "change")]
        cells += [(r.name, _figure(r, r.a), _figure(r, r.b), _apart(r)) for r in other]
        wide = [max(len(c[n]) for c in cells) for n in range(4)]
        for n, (name, a, b, apart) in enumerate(cells):
            line = f"  {name:<{wide[0]}}  {a:>{wide[1]}}  {b:>{wide[2]}}  {apart:>{wide[3]}}"
            yield (Piece(line.rstrip(), "head" if n == 0 else ""),)
    for machine, fitted, _ in of.forecasts.fits:
        said = "fits no longer: recipe plan says what would make it fit" if fitted else "fits now"
        yield (Piece(f"  on {machine}: {said}", "removed" if fitted else "added"),)
    if alike := [f"{r.name} {_figure(r, r.a)}" for r in rows if r.change == 0]:
        yield (Piece(f"  forecast the same: {', '.join(alike)}", "dim"),)
    counted = [f["rows"] if f else None for f in (of.forecasts.a, of.forecasts.b)]
    for side, found, made in zip((of.a, of.b), counted, (of.forecasts.a, of.forecasts.b), strict=True):
        if made is not None and found is None:
            how = f": recipe run {side.label} --to prepare" if side.kind == "file" else ""
            yield (Piece(f"  {side.label}: rows and tokens are not counted yet{how}", "dim"),)


def _figure(of: Row, value: float | None) -> str:
    if value is None:
        return "not known"
    if of.unit == "seconds":
        return shown.duration(value, about=True)
    if of.unit == "US$":
        return f"US$ {value:.2f}"
    if of.unit == "bytes":
        return shown.memory(value) if of.name.startswith("memory") else shown.size(value, about=True)
    return f"{value:,.3g}" if of.unit == "epochs" else f"{value:,.0f}"


def _apart(of: Row) -> str:
    change = of.change
    if not change:
        return ""
    share = f" ({100 * change / of.a:+.1f}%)" if of.a else ""
    sign = "+" if change > 0 else "-"
    return f"{sign}{_figure(of, abs(change))}{share}"
