"""JSON that strangers wrote → values, or the reason why not: strict, and quick where nothing is wrong.

Refused although parsers take it, since it would change in silence or could not be written back: a key that stands
twice in one object, NaN and infinities, integers of thousands of digits, half a surrogate pair, nesting without end.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from runner.datafiles.opened import LONGEST, Bad, Overlong, Unreadable, head, lines, whole
from runner.datafiles.spans import Span

DEEPEST = 200
SHOWN = 20_000
_OBJECT = 64 << 20  # bytes of a JSON object that holds one array of rows
_CHUNK = 1 << 20
_AFTER = (",", "]", " ", "\t", "\r", "\n")
_SPACE = re.compile(r"[ \t\r\n]*")
_SPACED = re.compile(rb'"[ \t\r\n]+:')
Row = tuple[int, bytes, Any]
"""A row's number from 1, its text, and its value, or a Bad that says why it has none."""


class NotJson(ValueError):
    """Why a text is no JSON that can be kept as it is."""


def parse(raw: bytes) -> Any:
    """The value of one JSON text in UTF-8. Raises NotJson."""
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _slowly(raw)
    flat, texts = type(value) is dict, 0
    if flat:
        for kind in map(type, value.values()):
            if kind is str:
                texts += 1
            elif kind is dict or kind is list:
                flat = False
                break
    # Nothing is escaped: two quotes a key and two a text, if no key stands twice.
    if flat and b"\\" not in raw and raw.count(b'"') == 2 * (len(value) + texts):
        return value
    # msgspec keeps the last of two equal keys, so keys are counted in what came and in what it understood. Every
    # key ends in `":`; in a string, `":` follows a backslash. That counts them where no key ends in a backslash
    # and none is parted from its colon.
    written = _keys(raw)
    kept = len(value) if flat else _keys(msgspec.json.encode(value))
    if written != kept or b'\\\\":' in raw or _loose(raw):
        return _slowly(raw)
    if flat:
        return value
    return _shallow(value) if raw.count(b"[") + raw.count(b"{") > DEEPEST else value


def _keys(raw: bytes) -> int:
    return raw.count(b'":') - raw.count(b'\\":')


def _loose(raw: bytes) -> bool:
    """Whether a key is parted from its colon."""
    some = b" :" in raw or b"\t:" in raw or b"\r:" in raw or b"\n:" in raw
    return some and _SPACED.search(raw) is not None


def shown(raw: bytes) -> str:
    """A row's text to look at, without its line end."""
    return raw[:SHOWN].decode("utf-8", "replace").rstrip("\r\n")


def _shallow(value: Any) -> Any:
    """The same value. Raises NotJson where it is nested deeper than DEEPEST, however deep our own stack is."""
    level = [value]
    for _ in range(DEEPEST):
        parts = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        if not (level := [v for part in parts for v in part]):
            return value
    raise NotJson(f"nested more than {DEEPEST} deep")


def _slowly(raw: bytes) -> Any:
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_no_repeats,
        )
        if b"\\u" in raw:
            msgspec.json.encode(value)
    except UnicodeDecodeError as e:
        raise NotJson(f"not UTF-8: {e.reason}") from None
    except UnicodeEncodeError:
        raise NotJson("holds half a character (a lone surrogate)") from None
    except RecursionError:
        raise NotJson(f"nested more than {DEEPEST} deep") from None
    except ValueError as e:
        raise NotJson(f"not JSON: {e}".splitlines()[0]) from None
    return _shallow(value)


def _integer(text: str) -> int:
    if len(text) > 4300:  # where Python itself refuses, in words that help nobody
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        key = Counter(k for k, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {key[:40]!r} stands twice in one object")
    return out


def json_lines(
    stream: io.BufferedReader, only: Callable[[bytes], bool] | None = None, span: Span | None = None
) -> Iterator[Row]:
    """JSON Lines; blank lines count as lines and are no rows. Lines that are not `only` are passed over unread.

    Raises Unreadable for a file of another kind. Of one that `are_lines`, a `span` may be read.
    """
    if span is None:
        _start(stream)
    empty = span is None
    for number, raw in lines(stream, span):
        if isinstance(raw, Overlong):
            yield number, b"", Bad(raw.reason)
        elif raw.isspace():
            continue
        elif only is None or only(raw):
            yield number, raw, _value(raw)
        empty = False
    if empty:
        raise Unreadable("holds nothing but blank lines")


def are_lines(stream: io.BufferedReader) -> bool:
    """Whether nothing speaks against JSON Lines so far, and there is a row: what comes then is told line by line."""
    try:
        return bool(_start(stream))
    except Unreadable:
        return False


def _start(stream: io.BufferedReader) -> bytes:
    """The first bytes of JSON Lines that are not blank. Raises Unreadable for a file of another kind."""
    start = head(stream).removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        raise Unreadable("is one JSON array, not JSON Lines: the source `files` reads it, named .json")
    if start.split(b"\n", 1)[0].rstrip() == b"{":
        raise Unreadable("is JSON over several lines, not JSON Lines: every record must stand on one line")
    return start


def _value(raw: bytes) -> Any:
    try:
        return parse(raw)
    except NotJson as e:
        return Bad(str(e), shown(raw))


def json_rows(stream: io.BufferedReader) -> Iterator[Row]:
    """The rows of a JSON file: an array of any length, an object that holds one array of objects, or one row.

    JSON Lines under that name are read as what they are. An element that is wrong is a Bad row; where the array
    itself breaks off, what follows is Unreadable.
    """
    start = head(stream).removeprefix(codecs.BOM_UTF8).lstrip()
    first, _, rest = start.partition(b"\n")
    if rest.strip() and isinstance(_value(first), dict):
        yield from json_lines(stream)
        return
    if start.startswith(b"{"):
        data = whole(stream, _OBJECT).removeprefix(codecs.BOM_UTF8)
        try:
            fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise Unreadable(f"is not JSON: {e}") from None
        arrays = [k for k, v in fields.items() if re.match(rb"\[\s*\{", bytes(memoryview(v)[:64]))]
        if not arrays or arrays[0] in ("messages", "conversations"):
            yield 1, data, _value(data) if len(data) <= LONGEST else Bad(Overlong(len(data), 0).reason)
            return
        if len(arrays) > 1:
            raise Unreadable(f"holds several arrays ({', '.join(arrays[:5])}): which are its rows?")
        rows = memoryview(fields[arrays[0]])
        stream = io.BufferedReader(io.BytesIO(rows))
    yield from _elements(stream)


def _elements(stream: io.BufferedReader) -> Iterator[Row]:
    decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
    element = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode
    text, at, more, number = "", 0, True, 0

    def fill() -> None:
        nonlocal text, at, more
        chunk = stream.read(_CHUNK)
        more = bool(chunk)
        text, at = text[at:] + decode(chunk, not chunk), 0

    def mark() -> str:
        """The next character that is no space, taken; "" at the end."""
        nonlocal at
        while True:
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            if at < len(text) or not more:
                at += 1
                return text[at - 1 : at]
            fill()

    if mark() != "[":
        raise Unreadable("is not JSON: it begins neither with [ nor with {")
    while True:
        found = mark()
        if found == "]" and not number:
            break
        if not found:
            raise Unreadable(f"is cut short: its array is not closed after element {number}")
        at -= 1
        while True:
            try:
                _, end = element(text, at)
                # A number may go on in the next chunk; what is long and ends in nothing known is wrong anyway.
                if text[end : end + 1] in _AFTER or not more or len(text) - at > LONGEST:
                    break
            except (ValueError, RecursionError) as e:
                if not more or len(text) - at > LONGEST or isinstance(e, RecursionError):
                    what = "is too long or not JSON" if more else "is not JSON"
                    raise Unreadable(f"cannot be read past element {number}: what follows {what}") from None
            fill()
        number += 1
        raw = text[at:end].encode("utf-8", "surrogateescape")
        at = end
        yield number, raw, _value(raw)
        found = mark()
        if found == "]":
            break
        if found != ",":
            raise Unreadable(f"is cut short or not JSON: no comma and no ] after element {number}")
    if mark():
        raise Unreadable("goes on after the end of its array")
    if not number:
        raise Unreadable("holds an empty array")
