"""What a page says of itself: titles, author, language, licence, whether it may be used, whether it moves on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from runner.webtext.refuse import solid
from runner.webtext.tree import Tree

_CC = re.compile(
    r"creativecommons\.org/(?:licenses/([a-z+-]+)/(\d\.\d)(?:/([a-z]{2})(?![\w.]))?|publicdomain/(zero|mark))",
    re.I,
)
_REFRESH = re.compile(r"\s*(\d{1,6})(?:\.\d*)?\s*[;,]\s*url\s*=\s*[\"']?([^\"'>\s]+)", re.I)
_ARTICLE = re.compile(r"Article|Posting|WebPage|Report|Review|Recipe|CreativeWork|Book|Chapter", re.I)
_AGENTS = ("robots", "mirepoix")
"""Whom a meta element may speak to, and mean us."""
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class About:
    """Read it before anything is taken out of the tree.

    `titles` are all that may stand as a headline over the text; `title` is the best of them, `tag` the browser's;
    `heads` are its first h1s, `moved` is the address that a refresh leads to at once. What is not said is "".
    """

    def __init__(self, tree: Tree) -> None:
        linked = _linked_data(tree)
        heads = [_one_line("".join(el.itertext())) for el in tree.iter("h1")]
        named = [_meta(tree, "og:title"), *(_text(d.get("headline")) for d in linked)]
        self.tag = _one_line(tree.findtext(".//title") or "")
        self.titles = [t for t in (*heads, *named, self.tag) if t]
        # A headline that the other titles repeat is the page's own; else it may be the site's name.
        others = solid("\n".join((self.tag, *named)))
        own = (h for h in heads if h and solid(h) in others)
        self.title = next(own, next((t for t in (*named, self.tag, *heads) if t), ""))[:300]
        author = _meta(tree, "author", "article:author", "dc.creator", "dcterms.creator")
        people = (*(_names(d.get("author")) for d in linked), author)
        author = next((a for a in people if a and "://" not in a), "")
        self.author = re.sub(r"^by\s+", "", author, flags=re.I)[:200]
        language = tree.get("lang") or tree.get(_XML_LANG) or _meta(tree, "content-language", "og:locale")
        code = re.match(r"[A-Za-z]{2,3}(?![A-Za-z])", language.strip())
        self.language = code[0].lower() if code else ""
        self.license = _license(tree, linked)
        self.heads = [h for h in heads if h][:5]
        metas = [
            ((el.get("name") or "").strip().lower(), _one_line(el.get("content") or ""))
            for el in tree.iter("meta")
        ]
        said = [value for name, value in metas if name in _AGENTS]
        # Text and data mining reserved (TDMRep): a no of its own form.
        said += ["noai (tdm-reservation)" for pair in metas if pair == ("tdm-reservation", "1")]
        self.robots = ", ".join(dict.fromkeys(v[:200] for v in said if v))[:1000]
        refresh = _REFRESH.match(_meta(tree, "refresh"))
        self.moved = refresh[2] if refresh and int(refresh[1]) <= 10 else ""


def refuses_use(directives: str) -> bool:
    """Whether robots directives (of a meta element, or a header X-Robots-Tag) keep a page out of a collection."""
    return not {"noindex", "none", "noai"}.isdisjoint(re.split(r"[\s,;:()]+", directives.lower()))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _text(value: Any) -> str:
    return _one_line(value) if isinstance(value, str) else ""


def _names(value: Any) -> str:
    people = value if isinstance(value, list) else [value]
    names = [_text(p.get("name")) if isinstance(p, dict) else _text(p) for p in people[:10]]
    return ", ".join(n for n in dict.fromkeys(names) if n and "://" not in n)


def _meta(tree: Tree, *names: str) -> str:
    """What the first of these meta elements that says something says."""
    said: dict[str, str] = {}
    for el in tree.iter("meta"):
        name = (el.get("name") or el.get("property") or el.get("http-equiv") or "").strip().lower()
        if value := _one_line(el.get("content") or ""):
            said.setdefault(name, value)
    return next((said[n] for n in names if n in said), "")


def _linked_data(tree: Tree) -> list[dict[str, Any]]:
    """The page's JSON-LD objects that describe a text."""
    found: list[dict[str, Any]] = []
    for script in tree.iterfind('.//script[@type="application/ld+json"]'):
        try:
            waiting = [json.loads(script.text or "", strict=False)]
        except (ValueError, RecursionError):
            continue  # often broken, and only ever a second opinion
        for node in waiting:  # grows as it goes
            if isinstance(node, list):
                waiting += node[:100]
            elif isinstance(node, dict):
                waiting += [node[k] for k in ("@graph", "mainEntity", "mainEntityOfPage") if k in node]
                if _ARTICLE.search(str(node.get("@type"))[:200]):
                    found.append(node)
    return found


def _license(tree: Tree, linked: Sequence[dict[str, Any]]) -> str:
    """The licence that the page claims for itself: a Creative Commons one by its short name, else as written."""
    links = [
        el.get("href") or ""
        for el in tree.iter("a", "link")
        if not {"license", "licence"}.isdisjoint((el.get("rel") or "").lower().split())
    ]
    said = [_text(d.get("license")) for d in linked]
    said.append(_meta(tree, "dcterms.license", "dcterms.rights", "dc.rights", "license"))
    for value in (*links, *said):
        if m := _CC.search(value):
            *parts, dedication = m.groups("")
            if dedication:
                return "CC0-1.0" if dedication.lower() == "zero" else "public domain"
            return "-".join(["CC", *filter(None, parts)]).upper()
    return next((v for v in (*said, *links) if v), "")[:200]
