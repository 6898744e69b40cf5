"""A page's elements: parsed, freed of what nobody sees, chosen by selectors, read as blocks of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from runner.webtext.markup import bounded, check_text
from runner.webtext.refuse import MOST_BYTES, NoPage, solid

Tree = Any  # lxml.html.HtmlElement; lxml has no types of its own

_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:[;!]|$)"
    r"|font-size\s*:\s*(?:0(?:\.0+)?(?:px|pt|r?em|%)?|1px)\s*(?:[;!]|$)|(?:left|top|text-indent)\s*:\s*-\d{3,}",
    re.I,
)
_COLOUR = re.compile(r"(?:^|;)\s*(color|background(?:-color)?)\s*:\s*([^;!]+)", re.I)
_UNSHOWN = frozenset(("template", "noscript", "noframes", "noembed", "datalist", "audio", "video", "canvas"))
_NEVER = " or ".join(f"self::{tag}" for tag in sorted((*_UNSHOWN, "dialog")))
_UNSEEN = {"sr-only", "visually-hidden", "screen-reader-text"}
_QUOTED = re.compile(
    r"(?:twitter|instagram|tiktok|fb|bluesky|mastodon|reddit)-(?:tweet|video|media|embed|post)"
)
_BLOCK = frozenset(
    (
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "body",
            "br",
            "caption",
            "center",
            "dd",
            "details",
            "div",
        ),
        *(
            "dl",
            "dt",
            "fieldset",
            "figcaption",
            "figure",
            "footer",
            "form",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
        ),
        *(
            "header",
            "hr",
            "li",
            "main",
            "nav",
            "ol",
            "p",
            "pre",
            "section",
            "summary",
            "table",
            "td",
            "th",
            "tr",
        ),
        "ul",
    )
)
_SILENT = frozenset(
    ("script", "style", "template", "noscript", "head", "svg", "math", "iframe", "object", "select", "button")
)
_NESTING = re.compile(
    r"<(/?)(div|span|section|article|b|i|u|em|strong|font|center|blockquote|table|ul|ol)\b[^>]*>", re.I
)
_DEEPEST = 100  # of those elements; the parser gives up at 256 of any kind, and all that follows is lost
_WRAPPED = 2000
_INLINE = ("b", "big", "em", "font", "i", "mark", "small", "span", "strong", "sub", "sup", "tt", "u")
_CELLS = 1000  # trafilatura takes the square of them
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Selectors:
    """CSS selectors: `drop` is taken out first; the text of `keep`, if there is any, is all the text."""

    keep: Sequence[str] = ()
    drop: Sequence[str] = ()


def parse(html: str) -> Tree:
    """The root element. Raises NoPage where there is none, or more of it than can be read."""
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]
    from lxml import html as lxml_html  # type: ignore[import-untyped, unused-ignore]

    html = _CONTROLS.sub("", html)
    if not re.search(r"<[a-zA-Z!/]", html):
        raise NoPage("not HTML: there are no tags in it")
    html = bounded(html)
    if len(html) > MOST_BYTES or len(html.encode()) > MOST_BYTES:  # a charset of one byte a letter may double
        raise NoPage(f"too large: over {MOST_BYTES >> 20} MB of HTML, written as UTF-8")
    for flatten in (False, True):
        text = _flattened(html) if flatten else html
        parser = lxml_html.HTMLParser(
            encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False
        )
        try:
            tree = lxml_html.document_fromstring(text.encode(), parser=parser)
        except (etree.ParserError, ValueError) as e:
            raise NoPage(f"not HTML: {e}") from None
        if not any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
            break
    check_text(tree)
    if any(len(row) > _CELLS for row in tree.iter("tr")):
        raise NoPage(f"too large: a table with a row of over {_CELLS:,} cells")
    return tree


def _flattened(html: str) -> str:
    """The page without the boxes in boxes that are too deep: their tags go, what they hold stays."""
    depth = 0

    def shallow(tag: re.Match[str]) -> str:
        nonlocal depth
        if tag[1]:
            depth = max(0, depth - 1)
            return tag[0] if depth < _DEEPEST else ""
        depth += 1
        return tag[0] if depth <= _DEEPEST else ""

    return _NESTING.sub(shallow, html)


def shown(tree: Tree) -> str:
    """The first 5,000 characters of what stands on the page, in a browser without scripts too."""
    body = tree.find("body")
    found = [tree.findtext(".//title") or "", *islice(_texts(tree if body is None else body), 500)]
    return " ".join(" ".join(found).split())[:5000]


def _texts(tree: Tree) -> Iterator[str]:
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]

    for event, el in etree.iterwalk(tree, events=("start", "end")):
        text = el.tail if event == "end" else el.text if el.tag not in ("script", "style") else None
        if text and (event == "start" or el is not tree):
            yield text[:5000]


def drop_hidden(tree: Tree) -> None:
    """Empty what a reader of the page does not see: instructions to machines stand there, and stale text.

    Besides what styles hide: templates, what stands there for browsers of long ago (`noscript` mostly says again what
    is there), closed dialogues and popovers. `inert` is seen, only not clicked on; `details` are one click away.
    """
    for el in tree.xpath(f"//body//*[{_NEVER} or @hidden or @popover or @aria-hidden or @style or @class]"):
        style = (el.get("style") or "")[:1000]
        colours = {k[:5].lower(): v.strip().lower() for k, v in _COLOUR.findall(style)}
        if (
            el.tag in _UNSHOWN
            or (el.tag == "dialog" and el.get("open") is None)
            or el.get("popover") is not None
            or el.get("hidden") not in (None, "until-found")
            or _HIDDEN.search(style)
            or (len(colours) == 2 and len(set(colours.values())) == 1)
            or not _UNSEEN.isdisjoint((el.get("class") or "").split())
            # Screen readers alone skip this; behind an open dialogue it is the whole article.
            or (el.get("aria-hidden") == "true" and not el.xpath("boolean(.//h1|.//article|.//main)"))
        ):
            el.clear(
                keep_tail=True
            )  # to drop it would move its tail, and many tails the square of their length


def unwrap_many(tree: Tree) -> None:
    """Take the marks off the words of an element that has thousands: trafilatura takes the square of their number."""
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]

    for el in [el for el in tree.iter() if len(el) > _WRAPPED]:
        etree.strip_tags(el, *_INLINE)
        el.text = el.text  # one piece, where there are thousands now
        for child in el:
            child.tail = child.tail


def link_texts(tree: Tree) -> set[str]:
    """The texts, solid, of what is nothing but a link: the link itself, or the item or paragraph that it fills."""
    found = set()
    for el in tree.iter("a"):
        text = solid("".join(islice(el.itertext(), 50))[:500])
        found.add(text)
        box = el.getparent()
        if box is not None and box.tag in ("li", "p", "td", "h2", "h3", "h4", "div", "span"):
            whole = solid("".join(islice(box.itertext(), 50))[:1000])
            if len(text) >= 0.9 * len(whole):
                found.add(whole)
    return found


def free_quotes(tree: Tree) -> None:
    """Posts quoted in an article are part of it; the names of the boxes around them look like furniture."""
    for quote in tree.iter("blockquote"):
        if _QUOTED.search(quote.get("class") or ""):
            own, box = sum(len(t.strip()) for t in quote.itertext()), quote
            while (
                box is not None and box.tag not in ("body", "article", "main") and not _longer(box, own + 20)
            ):
                box.attrib.clear()
                box = box.getparent()


def _longer(el: Tree, than: int) -> bool:
    size = 0
    return any((size := size + len(text.strip())) > than for text in el.itertext())


def selected(tree: Tree, selectors: Selectors) -> Tree:
    """What the selectors leave of a page, as a tree again."""
    from bs4 import BeautifulSoup
    from lxml import html as lxml_html  # type: ignore[import-untyped, unused-ignore]

    soup = BeautifulSoup(lxml_html.tostring(tree, encoding="unicode"), "lxml")
    for selector in selectors.drop:
        for el in soup.select(selector):
            el.extract()
    if not selectors.keep:
        return parse(str(soup))
    kept = soup.select(", ".join(selectors.keep))
    chosen = {id(el) for el in kept}
    outer = [el for el in kept if not any(id(p) in chosen for p in el.parents)]
    return parse("<html><body>" + "".join(f"<div>{el}</div>" for el in outer) + "</body></html>")


def blocks(tree: Tree) -> Iterator[str]:
    """The text of a tree, one line for every block."""
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]

    line: list[str] = []
    silent = 0
    for event, el in etree.iterwalk(tree, events=("start", "end")):
        if el.tag in _BLOCK and line:
            yield "".join(line)
            line.clear()
        if event == "start":
            silent += el.tag in _SILENT
        else:
            silent -= el.tag in _SILENT
        text = el.text if event == "start" else el.tail
        if text and not silent:
            line.append(text)
    yield "".join(line)
