"""What mirrors give in the place of a text: pages and errors of their own, under a text's name and type."""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
_MARKUP = re.compile(rb"<(?:!|\?|/?[a-z][a-z0-9]*[\s/>])", re.I)  # "<<THIS ELECTRONIC VERSION" begins a book
_JSON = re.compile(rb'\{\s*["}]|\[\s*[{"\]]')  # and so may "[Illustration]"
_OF_FILES = (
    b"%PDF", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\x7fELF", b"Rar!", b"7z\xbc\xaf",
)  # fmt: skip
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def no_text(head: bytes) -> str:
    """What the first bytes of an answer show it to be, if that is no text; "" where it may be one."""
    start = head.removeprefix(_BOM).lstrip()
    if _MARKUP.match(start):
        return "a web page"
    if _JSON.match(start):
        return "JSON"
    if start.startswith(_OF_FILES) or (b"\0" in head and not head.startswith(_UTF16)):
        return "a binary file"
    return ""
