"""The addresses that a sitemap or feed names: XML or text sitemaps, indexes of them, RSS 0.9 to 2.0, Atom.

The XML is a stranger's: no entity is expanded, no DTD loaded, and the tree is cleared as it is read.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

MOST_BYTES = 50 << 20  # the protocol's own limit
_MOST_TAGS = 1_500_000  # 50,000 addresses with all that may be said of each
_MOST_ADDRESSES = 250_000  # five times the protocol's limit
_ENTRIES = ("url", "sitemap", "item", "entry")


@dataclass
class Links:
    """`pages` and further `sitemaps`, in order, each once. `fault`: why there may be more, "" where all was read."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    fault: str = ""


def links(data: bytes, base: str) -> Links:
    """What `data`, fetched from `base`, names. What stands before a fault is kept."""
    found = Links()
    if data.startswith(b"\x1f\x8b"):
        unpacking = zlib.decompressobj(wbits=31)
        try:
            data = unpacking.decompress(data, MOST_BYTES)
        except zlib.error as e:
            found.fault = f"its gzip is broken: {e}"
            return found
        if not unpacking.eof:
            found.fault = f"it is cut off, or over {MOST_BYTES >> 20} MB unpacked"
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"\0" not in data[:4]:
        pages: dict[str, None] = {}
        for line in io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", "replace"):
            if url := _address(line, base, relative=False):
                pages[url] = None
            if len(pages) > _MOST_ADDRESSES:
                found.fault = f"it names over {_MOST_ADDRESSES:,} addresses; no more are read"
                break
        found.pages = list(pages)
    elif data.count(b"<") > _MOST_TAGS:
        found.fault = f"it has over {_MOST_TAGS:,} tags"
    else:
        _read_xml(data, base, found)
    found.pages = list(dict.fromkeys(found.pages))
    found.sitemaps = list(dict.fromkeys(found.sitemaps))
    if not (found.pages or found.sitemaps or found.fault):
        found.fault = "it is no sitemap or feed: it names no addresses"
    return found


def _read_xml(data: bytes, base: str, found: Links) -> None:
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]

    walk = etree.iterparse(
        io.BytesIO(data.lstrip()),
        events=("end",),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for _, el in walk:
            name = _name(el)
            if name in _ENTRIES:
                if url := _address(_link(el), urljoin(base, el.base or "")):
                    (found.sitemaps if name == "sitemap" else found.pages).append(url)
                el.clear(keep_tail=False)
                while el.getprevious() is not None and el.getparent() is not None:
                    del el.getparent()[0]
    except etree.XMLSyntaxError as e:
        found.fault = f"its XML breaks off: {str(e).splitlines()[0][:200]}"


def _link(entry: Any) -> str:
    """The address of one entry: `loc` of a sitemap, `link` of a feed, or a `guid` that is one."""
    guid = ""
    for el in entry:
        name, text = _name(el), (el.text or "").strip()
        if name == "loc" and text:
            return text
        if (
            name == "link"
            and (el.get("rel") or "alternate") == "alternate"
            and (to := el.get("href") or text)
        ):
            return str(to)
        if name == "guid" and el.get("isPermaLink") != "false" and "://" in text:
            guid = text
    return guid


def _name(el: Any) -> str:
    return el.tag.rpartition("}")[2].lower() if isinstance(el.tag, str) else ""


def _address(text: str, base: str, *, relative: bool = True) -> str:
    """A page's address in full, without its fragment; "" for what is none."""
    try:
        url = urldefrag(urljoin(base, text.strip()) if relative else text.strip())[0]
        parts = urlsplit(url)
        fit = bool(text.strip()) and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return ""
    return url if fit and not any(c.isspace() or c < " " for c in url) and len(url) <= 2000 else ""
