"""Whether bytes are what was asked for; and unpacking them within bounds.

We ask for bytes as they are (`Accept-Encoding: identity`): what is not packed can be resumed and counted. Some
servers pack all the same; then gzip and deflate are unpacked here, after the whole has come, a piece at a time.
"""

from __future__ import annotations

import json
import mmap
import re
import zlib
from email.message import Message
from pathlib import Path

import msgspec

from runner.fetching import Unfetched
from runner.net.failures import TooMuch

PIECE = 1 << 16
RATIO = 200
RATIO_FROM = 1 << 20
"""Beyond so many bytes, nothing honest unpacks to RATIO times its size."""
_BOM = b"\xef\xbb\xbf"
_PAGES = ("text/html", "application/xhtml+xml")
_PAGE_END = re.compile(rb"</(?:html|body)\s*>", re.I)
_AFTER_PAGE = 1 << 14
"""Bytes that may follow the end of a page: comments, and the like."""


def content_type(header: str) -> tuple[str, str]:
    """A Content-Type as (type, charset), in lower case, "" where nothing is claimed."""
    if not header.strip():
        return "", ""
    message = Message()
    message["content-type"] = header
    kind = header.partition(";")[0].strip().lower()
    try:
        return kind, message.get_content_charset("")
    except (LookupError, ValueError):
        return kind, ""


def is_html(head: bytes) -> bool:
    """Whether bytes begin as a web page does."""
    start = head.removeprefix(_BOM)[:512].lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head"))


def _types(accept: str) -> list[str]:
    return [part.partition(";")[0].strip().lower() for part in accept.split(",")]


def wants_page(accept: str) -> bool:
    """Whether a web page would do."""
    return any(t in ("*/*", "text/*", "text/html", "application/xhtml+xml") for t in _types(accept))


def wants_json(accept: str) -> bool:
    """Whether nothing but JSON would do."""
    return all(t == "application/json" or t.endswith("+json") for t in _types(accept))


def check_type(kind: str, accept: str) -> None:
    """Raises Unfetched for a page where something else was asked for."""
    if kind in _PAGES and not wants_page(accept):
        raise Unfetched("a web page came instead (a block or login page?)", transient=True)


def check_bytes(path: Path, accept: str, *, kind: str = "", proven: bool, posted: bool = False) -> bool:
    """Whether a body is known to be whole. Raises Unfetched where it is not whole, or not what was asked for.

    `proven`: its end was announced. Where it was not, a page must have its end and JSON must be JSON, which then
    shows that they are whole; JSON Lines must have a whole last line, which shows nothing of how many should follow.
    Where nothing but JSON was asked for it must be JSON at all events, lest a broken answer be kept for good.
    `kind`: the type that was claimed. `posted`: it answers a POST, which may have cost something; as long as it is
    whole, who asked decides whether it is any good.
    """
    with path.open("rb") as f:
        head = f.read(1024)
        if not head:
            raise Unfetched("the answer is empty", transient=True)
        page = is_html(head)
        if page and not wants_page(accept):
            raise Unfetched("a web page came instead (a block or login page?)", transient=True)
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            if wants_json(accept) and not (posted and proven):
                return _is_json(whole)
            if proven:
                return True
            start = head.removeprefix(_BOM).lstrip()[:1]
            if page or (kind in _PAGES and start == b"<"):  # some servers call everything a page
                return _page_ends(whole)
            if start in (b"{", b"["):
                return not _last_line_whole(whole) and _is_json(whole)
    return False


def _page_ends(whole: mmap.mmap) -> bool:
    if not _PAGE_END.search(whole, max(0, len(whole) - _AFTER_PAGE)):
        raise Unfetched(
            "the page is cut off: its end was not announced, and no </html> stands there", transient=True
        )
    return True


def _is_json(whole: mmap.mmap) -> bool:
    text = memoryview(whole)
    try:
        msgspec.json.decode(text[len(_BOM) :] if text[: len(_BOM)] == _BOM else text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as e:
        why = "nested too deep" if isinstance(e, RecursionError) else str(e)
        raise Unfetched(f"the answer is broken JSON: {why}", transient=True) from None
    finally:
        text.release()
    return True


def _last_line_whole(whole: mmap.mmap) -> bool:
    """Whether these are JSON Lines, of which the last is whole. What stands in the others, who reads them tells."""
    start = len(_BOM) if whole[: len(_BOM)] == _BOM else 0
    end = len(whole)
    while end > start and whole[end - 1] in b" \t\r\n":
        end -= 1
    while whole[start] in b" \t\r\n":
        start += 1
    first, last = whole.find(b"\n", start, end), whole.rfind(b"\n", start, end) + 1
    if first < 0 or not _one_line(whole[start:first]):
        return False  # a single value, on one line or several
    try:
        json.loads(whole[last:end])
    except (ValueError, RecursionError):
        raise Unfetched("the answer is broken JSON: its last line is cut off", transient=True) from None
    return True


def _one_line(line: bytes) -> bool:
    """Whether a line looks like a JSON value of its own; if it is broken within, its reader refuses that row."""
    line = line.strip()
    return (line[:1], line[-1:]) in ((b"{", b"}"), (b"[", b"]"))


def unpack(packed: Path, plain: Path, encoding: str, most: int) -> None:
    """Unpack a whole gzip or deflate body into another file of at most `most` bytes. Raises Unfetched."""
    came = made = 0
    with packed.open("rb") as source, plain.open("wb") as out:
        unpacker, rest = None, b""
        while rest or (piece := source.read(PIECE)):
            if not rest:
                came += len(piece)
                rest = piece
            if unpacker is None:
                unpacker = zlib.decompressobj(_window(encoding, rest))
            try:
                data = unpacker.decompress(rest, PIECE)
            except zlib.error:
                raise Unfetched(f"the {encoding} packing is broken", transient=True) from None
            made += len(data)
            if made > most:
                raise TooMuch(f"it unpacks to more than the {most:,} bytes allowed")
            if made > RATIO_FROM and made > RATIO * came:
                raise TooMuch(f"it unpacks to more than {RATIO} times its size")
            out.write(data)
            if not unpacker.eof:
                rest = unpacker.unconsumed_tail
                continue
            rest = unpacker.unused_data
            if rest:  # a gzip file may be several, one after the other
                if encoding != "gzip" or not rest.startswith(b"\x1f"):
                    raise Unfetched(f"the {encoding} packing is broken", transient=True)
                unpacker = None
        if unpacker is not None and not unpacker.eof:
            out.write(unpacker.flush())  # at most a few bytes that the last piece left in its window
        if unpacker is None or not unpacker.eof:
            raise Unfetched(f"the {encoding} packing is cut off", transient=True)


def _window(encoding: str, head: bytes) -> int:
    if encoding == "gzip":
        return 31
    # "deflate" should be a zlib stream; some servers send the bare one.
    is_zlib = len(head) > 1 and head[0] & 15 == 8 and (head[0] * 256 + head[1]) % 31 == 0
    return 15 if is_zlib else -15


def encoding_of(header: str) -> str:
    """ "" | "gzip" | "deflate". Raises Unfetched for what we cannot unpack."""
    name = header.strip().lower()
    if name in ("", "identity"):
        return ""
    if name in ("gzip", "x-gzip"):
        return "gzip"
    if name == "deflate":
        return name
    raise Unfetched("the answer is packed in a way that was not asked for")
