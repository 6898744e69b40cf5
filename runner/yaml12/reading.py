"""Text → a document. PyYAML parses; sizes and tags are looked at on its events, and each scalar is resolved here."""

from __future__ import annotations

import gc
import math
from typing import Any

import yaml

from runner.errors import Problem, RecipeError
from runner.saying import faults
from runner.saying.lines import Lines, column_at
from runner.yaml12.places import Path, Place, Yaml
from runner.yaml12.scalars import scalar

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_EVENTS = 100_000
MAX_ALIASED = 100_000  # nodes after aliases are expanded

_CORE = "tag:yaml.org,2002:"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
