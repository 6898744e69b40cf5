"""The charset of a page: what its bytes are, before what its server or its author says they are."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"<(?:meta\b|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.I
)
_LEADS = [bytes([b]) for b in range(0xC2, 0xF5)]  # what may begin a character in UTF-8


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("mirepoix-cp1252", _as_cp1252)


def to_text(data: bytes, claimed: str = "") -> tuple[str, str]:
    """The text and its charset.

    In this order: a byte order mark; UTF-16 by its zeros; UTF-8 if it is that, or nearly (single bytes are then
    cp1252's, as where a comment was pasted in); the first charset claimed by the server or the page that fits; a
    guess.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace"), name
    head = data[:4096]
    if (zeros := head.count(0)) > len(head) // 4:
        name = "utf-16-le" if head[1::2].count(0) * 2 > zeros else "utf-16-be"
        return data.decode(name, "replace"), name
    data = data.replace(b"\0", b"")
    declared = [claimed, *(m.decode("ascii") for m in _DECLARED.findall(data[:16384]))]
    named = [n for d in declared if (n := _known(d)) and not n.startswith("utf")]
    escaped = [n for n in named if n.startswith("iso2022")] if b"\x1b" in data else []
    for name in (*escaped, "utf-8"):  # ISO-2022 is seven-bit, and so valid UTF-8 too
        try:
            return data.decode(name), name
        except UnicodeDecodeError:
            continue
    if data.decode("utf-8", "replace").count("\ufffd") * 5 < sum(map(data.count, _LEADS)):
        return data.decode("utf-8", "mirepoix-cp1252"), "utf-8"
    for name in named:
        try:
            return data.decode(name), name
        except UnicodeDecodeError:
            continue
    name = _guess(data)
    return data.decode(name, "replace"), name


def _guess(data: bytes) -> str:
    from runner.booktext import Unusable, decode  # rarely needed, and slow to import

    high = re.search(rb"[\x80-\xff]", data)
    start = max(0, high.start() - 1000) if high else 0
    try:
        return decode(data[start : start + 50_000])[1].split("+")[0]
    except Unusable:
        return "cp1252"


def _known(name: str) -> str:
    """Python's name of a charset, read as browsers do: Latin-1 and ASCII mean cp1252. "" for none of a text."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    if not found._is_text_encoding or found.name in ("punycode", "idna", "unicode_escape", "undefined"):
        return ""
    return "cp1252" if found.name in ("iso8859-1", "ascii") else found.name
