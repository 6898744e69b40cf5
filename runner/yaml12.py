"""YAML with the meaning of version 1.2, its places kept, and its dangers refused before construction.

PyYAML speaks 1.1: `no` is False, `2e-4` is text, `on:` is a key True, dates are objects, the last of
duplicate keys wins in silence. Here PyYAML only parses; scalars are resolved by the 1.2 core schema
(with digit groups, `8_000_000`, kept as a convenience). Size, depth, aliases and tags are limited on
the event stream, which is built iteratively, so that no document can exhaust the stack or memory.
"""

from __future__ import annotations

import gc
import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from runner.errors import Problem, RecipeError
from runner.saying import faults
from runner.saying.lines import Lines, column_at

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_EVENTS = 100_000
MAX_ALIASED = 100_000  # nodes after aliases are expanded

Path = tuple[str | int, ...]

_INT = re.compile(r"[-+]?(0|[0-9](_?[0-9])*)$")
_HEX, _OCT = re.compile(r"0x[0-9a-fA-F]+$"), re.compile(r"0o[0-7]+$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9](_?[0-9])*(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_NOT_FINITE = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")
_PLAIN = re.compile(r"[\w-]+\Z")
_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
_CORE = "tag:yaml.org,2002:"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Place(NamedTuple):
    """Where a key or value stands; line and column count from 1. `end`: the column after it, 0 if on another line."""

    file: str
    line: int
    column: int
    end: int = 0


@dataclass
class Yaml:
    """A document as plain data. `places` has, for each path, the place of its key (or list item)."""

    data: Any
    file: str
    places: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    texts: dict[str, Lines] = field(default_factory=dict)
    """The text of each file that places are in."""

    def problem(self, path: Path, what: str, *, at_value: bool = False) -> Problem:
        """A problem at `path`, or at the nearest parent whose place is known."""
        where, table = path, self.values if at_value else self.places
        while where and where not in table:
            where = where[:-1]
        place = table.get(where) or self.values.get(where) or Place(self.file, 1, 1)
        return self.placed(place, path, what)

    def own(self, *paths: Path) -> Path:
        """Of keys that do not go together, the first that stands in the recipe's own file: its writer can change it."""
        mine = (p for p in paths if p in self.places and self.places[p].file == self.file)
        return next(mine, paths[0])

    def placed(self, place: Place, path: Path, what: str) -> Problem:
        """A problem at a place, with the line it is on."""
        text = self.texts[place.file].at(place.line) if place.file in self.texts else None
        return Problem(place.file, place.line, place.column, dotted(path), what, place.end, text)


def dotted(path: Path) -> str:
    """`("filters", 2, "words")` → `filters[2].words`; keys that are no plain words are quoted."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
            continue
        plain = len(part) <= 64 and _PLAIN.match(part)
        out += ("." if out else "") + (part if plain else repr(part[:40] + "…" * (len(part) > 40)))
    return out


def scalar(text: str) -> Any:
    """The value of an unquoted scalar by the 1.2 core schema."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.match(text) and len(text) <= 400:
        return int(text.replace("_", ""))
    if _HEX.match(text) or _OCT.match(text):
        return int(text, 0) if len(text) <= 400 else math.inf  # Python says no number of over 4,300 digits
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    if _NOT_FINITE.match(text):
        return float(text.lower().replace(".", ""))
    return text


def _tag(event: Any) -> str | None:
    tag = event.tag
    return None if tag in (None, "!") else str(tag)


def _written(tag: str) -> str:
    """A tag as people write it."""
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


class _Builder:
    """Turns events into data; recursion is bounded because `_events` has counted the depth."""

    def __init__(self, events: list[Any], doc: Yaml) -> None:
        self.events, self.doc, self.at = events, doc, 0
        self.built = 0
        self.problems: list[Problem] = []

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        after = end.column + 1 if end.line == start.line and end.column > start.column else 0
        return Place(self.doc.file, start.line + 1, start.column + 1, after)

    def _bad(self, event: Any, path: Path, what: str) -> None:
        self.problems.append(self.doc.placed(self._place(event), path, what))

    def _closed(self, start: Any, path: Path) -> None:
        """At the end of a list or map in brackets: where it ends, if on the line where it begins."""
        opened, end = self._place(start), self.events[self.at].end_mark
        if opened.end:
            after = end.column + 1 if end.line + 1 == opened.line else 0
            for table in (self.doc.values, self.doc.places):
                if table.get(path) == opened:
                    table[path] = Place(opened.file, opened.line, opened.column, after)

    def node(self, path: Path) -> Any:
        event = self.events[self.at]
        self.doc.values.setdefault(path, self._place(event))
        self.built += 1
        if self.built > MAX_ALIASED or len(path) > 2 * MAX_DEPTH:
            raise RecipeError([self.doc.placed(self._place(event), (), "aliases expand to too much")])
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self.at += 1
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, path)
        return self._mapping(event, path)

    def _alias(self, event: Any, path: Path) -> Any:
        after = self.at + 1
        value = None
        if event.target is None:
            self._bad(event, path, f"alias *{event.anchor} names no anchor before it")
        elif getattr(self.events[event.target], "open_until", 0) > self.at:
            self._bad(event, path, f"alias *{event.anchor} holds itself")
        else:
            self.at = event.target
            value = self.node(path)
        self.at = after
        return value

    def _scalar(self, event: Any, path: Path) -> Any:
        tag = _tag(event)
        if tag == _CORE + "str" or (tag is None and not event.implicit[0]):
            return event.value
        if tag is not None:
            self._bad(event, path, f"tag {_written(tag)} is not allowed; recipes hold plain data")
            return None
        value = scalar(event.value)
        if isinstance(value, float) and not math.isfinite(value):
            self._bad(event, path, f"{event.value[:40]} is not a finite number")
        return value

    def _sequence(self, event: Any, path: Path) -> list[Any]:
        if _tag(event) not in (None, _CORE + "seq"):
            self._bad(event, path, f"tag {_written(event.tag)} is not allowed; recipes hold plain data")
        out: list[Any] = []
        while not isinstance(self.events[self.at], yaml.SequenceEndEvent):
            here = (*path, len(out))
            self.doc.places.setdefault(here, self._place(self.events[self.at]))
            out.append(self.node(here))
        self._closed(event, path)
        self.at += 1
        return out

    def _mapping(self, event: Any, path: Path) -> dict[str, Any]:
        if _tag(event) not in (None, _CORE + "map"):
            self._bad(event, path, f"tag {_written(event.tag)} is not allowed; recipes hold plain data")
        out: dict[str, Any] = {}
        first: dict[str, Place] = {}
        while not isinstance(self.events[self.at], yaml.MappingEndEvent):
            key_event = self.events[self.at]
            if not isinstance(key_event, yaml.ScalarEvent):
                self._bad(key_event, path, "a key must be plain text")
                self.node((*path, "?"))
                self.node((*path, "?"))
                continue
            self.at += 1
            key = str(key_event.value)
            here = (*path, key)
            place = self._place(key_event)
            if key_event.anchor or _tag(key_event):
                self._bad(key_event, here, "a key takes no anchor and no tag")
            if key in first:
                self._bad(key_event, here, f"written twice; first on line {first[key].line}")
                self.node((*path, key, "?"))
                continue
            first[key] = place
            self.doc.places.setdefault(here, place)
            out[key] = self.node(here)
        self._closed(event, path)
        self.at += 1
        return out


def _events(text: str, doc: Yaml) -> list[Any]:
    """The events of the first document, limits enforced; a second document is an error."""
    out: list[Any] = []
    open_at: list[int] = []
    anchors: dict[str, int] = {}
    documents = 0

    def refuse(event: Any, what: str) -> RecipeError:
        mark = event.start_mark
        return RecipeError([doc.placed(Place(doc.file, mark.line + 1, mark.column + 1), (), what)])

    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise refuse(event, "a second document starts here; a file holds one")
        if not isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            continue
        if isinstance(event, yaml.CollectionStartEvent):
            open_at.append(len(out))
            if len(open_at) > MAX_DEPTH:
                raise refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            out[open_at.pop()].open_until = len(out)
        if isinstance(event, yaml.AliasEvent):
            event.target = anchors.get(str(event.anchor))  # type: ignore[attr-defined]
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            anchors[event.anchor] = len(out)
        out.append(event)
        if len(out) > MAX_EVENTS:
            raise refuse(event, f"more than {MAX_EVENTS} values")
    return out


def parse(text: str, file: str) -> Yaml:
    """Read one YAML document. Raises RecipeError with every problem found; `file` is how it is named."""
    if len(text) > MAX_BYTES:
        raise RecipeError([Problem(file, 0, 0, "", f"larger than {MAX_BYTES:,} characters")])
    # Many small objects, none in a circle: to look for circles meanwhile takes as long as to read them.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _parsed(text, file)
    finally:
        if collecting:
            gc.enable()


def _parsed(text: str, file: str) -> Yaml:
    doc = Yaml(None, file, texts={file: (lines := Lines(text))})
    try:
        events = _events(text, doc)
    except yaml.MarkedYAMLError as e:
        fault = faults.fault(e, lines)
        place = Place(file, fault.line, fault.column, fault.end)
        raise RecipeError([doc.placed(place, (), f"not YAML: {fault.what}")]) from None
    except yaml.YAMLError as e:
        bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
        if bad is None:
            raise RecipeError([Problem(file, 0, 0, "", "not YAML: " + str(e).splitlines()[0])]) from None
        place = Place(file, *column_at(text, bad.start()))
        what = f"not YAML: the character U+{ord(bad[0]):04X} may not stand in a file"
        raise RecipeError([doc.placed(place, (), what)]) from None
    if events:
        builder = _Builder(events, doc)
        doc.data = builder.node(())
        if builder.problems:
            raise RecipeError(builder.problems)
    return doc


def decode(raw: bytes, file: str) -> str:
    """Bytes of a YAML file → text: UTF-8, a byte-order mark allowed. Raises RecipeError."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        before = e.object[: e.start].decode()  # without the byte-order mark, as `start` is
        line, column = column_at(before, len(before))
        what = f"byte 0x{e.object[e.start]:02x} is not UTF-8"
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            what = "the file is UTF-16; save it as UTF-8"
        raise RecipeError([Problem(file, line, column, "", what)]) from None


class _Dumper(yaml.SafeDumper):
    """Quotes text that PyYAML (1.1) would write bare but a 1.2 reader would take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if _BREAKS.search(value):  # line ends of YAML 1.1 that are none in 1.2: only escapes are safe
        style: str | None = '"'
    else:
        style = "|" if "\n" in value else None if scalar(value) == value else "'"
    return dumper.represent_scalar(_CORE + "str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(data: Any) -> str:
    """YAML that means `data` to PyYAML's `safe_load` and to YAML 1.2 readers alike."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
