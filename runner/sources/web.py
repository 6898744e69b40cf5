"""Source `web`: pages named by address, by sitemaps or by feeds, each as the text that people come for.

Fetching finds addresses and brings bytes; the text is cut from the bytes later, as often as selectors change. A page
that is no page (a consent wall, a soft 404, a shell of scripts), or that asks not to be used, is kept out by name.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Annotated, Any
from urllib.parse import urldefrag

from msgspec import Meta, Struct

from runner import extras
from runner.errors import StepError
from runner.fetching import Fetcher, Got, Item, Unfetched, failed
from runner.record import Document, Rejected
from runner.registry import SourceContext, source
from runner.webtext import NoPage, Page, Selectors, extract, refuses_use
from runner.webtext.links import MOST_BYTES as MOST_LISTED
from runner.webtext.links import links
from runner.webtext.refuse import MOST_BYTES

_DEEPEST = 3  # indexes of sitemaps within indexes; the protocol knows one
_MOST_LISTS = 1000
_HTML = "text/html, application/xhtml+xml;q=0.9"
_LISTS = "application/xml, application/rss+xml, application/atom+xml, text/xml, text/plain;q=0.5"

Address = Annotated[str, Meta(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]+[^\s]*$", max_length=2000)]
Addresses = Annotated[list[Address], Meta(min_length=1)]
# Plain CSS alone: pseudo-classes and siblings can take the square of a page's size.
Selector = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^:~+()]+$")]


class PageSelectors(Struct, frozen=True, forbid_unknown_fields=True):
    """CSS selectors of elements, classes, ids, attributes, descendants and children."""

    keep: Annotated[
        list[Selector],
        Meta(
            max_length=20,
            description="The text of these is all the text; else it is found.",
            examples=[["article p"]],
        ),
    ] = []
    drop: Annotated[
        list[Selector],
        Meta(max_length=20, description="These are taken out first.", examples=[[".share", "aside"]]),
    ] = []


Urls = Annotated[
    Addresses | None,
    Meta(description="Addresses of pages.", examples=[["https://example.org/stories/1.html"]]),
]
Sitemaps = Annotated[
    Addresses | None,
    Meta(
        description="Addresses of sitemaps, or of indexes of sitemaps: XML (.gz too) or one address a line.",
        examples=[["https://example.org/sitemap.xml"]],
    ),
]
Feeds = Annotated[
    Addresses | None,
    Meta(
        description="Addresses of RSS or Atom feeds: the pages they link to.",
        examples=[["https://example.org/feed.xml"]],
    ),
]
Patterns = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(min_length=1, max_length=100)
]
Include = Annotated[
    Patterns | None,
    Meta(
        description="Of what sitemaps and feeds name, only these; `*` stands for any characters.",
        examples=[["*/stories/*"]],
    ),
]
Exclude = Annotated[
    Patterns | None,
    Meta(
        description="Of what sitemaps and feeds name, none of these; `*` as above.", examples=[["*/tags/*"]]
    ),
]
AtMost = Annotated[
    int, Meta(ge=1, le=1_000_000, description="Fetch no more pages than this, the first ones.")
]

Render = Annotated[
    bool,
    Meta(
        description="Run the scripts of each page in a browser and read what it shows then; for pages that show "
        "nothing without."
    ),
]


def fetch(
    net: Fetcher,
    *,
    urls: Urls = None,
    sitemaps: Sitemaps = None,
    feeds: Feeds = None,
    include: Include = None,
    exclude: Exclude = None,
    at_most: AtMost = 1000,
    render: Render = False,
) -> Iterator[Item]:
    """The pages, named ones first, then those of sitemaps, then of feeds, each once; lists that could not be had."""
    wanted = dict.fromkeys(_spelt(urldefrag(url)[0]) for url in urls or ())
    allowed, refused = _globs(include), _globs(exclude)
    missing: list[Item] = []
    for page in _listed(net, [_spelt(url) for url in (*(sitemaps or ()), *(feeds or ()))], missing):
        if len(wanted) >= at_most:
            break
        if (allowed is None or allowed(page)) and not (refused and refused(page)):
            wanted[page] = None
    yield from missing
    pages = list(wanted)[:at_most]
    with ExitStack() as ends:
        answers = net.get_all(pages, accept=_HTML, most=MOST_BYTES)
        if render:
            from runner.rendering import rendered

            answers = ends.enter_context(closing(rendered(net, answers)))
        for n, (url, got) in enumerate(answers, 1):
            net.progress(n, len(pages), url)
            yield _item(url, got)


def _spelt(url: str) -> str:
    """Its scheme in small letters: it names the same page."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.lower()}://{rest}"


def _item(url: str, got: Got | Unfetched) -> Item:
    meta = {"origin": url}
    if isinstance(got, Unfetched):
        return failed(url, got, meta)
    if refuses_use(got.robots):
        why = f"asks not to be used: X-Robots-Tag says {got.robots!r}"
        return Item(url, meta=meta, error=why, left_out=True)
    return Item(url, got.sha256, meta | ({"charset": got.charset} if got.charset else {}))


def _globs(patterns: Sequence[str] | None) -> Callable[[str], bool] | None:
    """Whether an address, whole, is one of the patterns; in linear time, as they are a stranger's."""
    if not patterns:
        return None
    import re2  # type: ignore[import-untyped, unused-ignore]

    whole = "|".join(".*".join(map(re2.escape, pattern.split("*"))) for pattern in patterns)
    compiled = re2.compile(f"(?s:{whole})")
    return lambda url: compiled.fullmatch(url) is not None


def _listed(net: Fetcher, lists: Sequence[str], missing: list[Item]) -> Iterator[str]:
    """The pages that sitemaps and feeds name, list by list; lists that cannot be read whole go to `missing`."""
    seen = set(lists)
    waiting = deque((url, 0) for url in dict.fromkeys(lists))
    while waiting:
        url, depth = waiting.popleft()
        net.progress(0, 0, url)
        try:
            got = net.get(url, accept=_LISTS, most=MOST_LISTED)
        except Unfetched as e:
            missing.append(failed(url, e, {"origin": url}))
            continue
        found = links(got.bytes(), got.url)
        yield from found.pages
        further = [s for s in found.sitemaps if s not in seen]
        if further and depth >= _DEEPEST:
            found.fault = found.fault or f"it is an index within {_DEEPEST} indexes; no deeper one is read"
            further = []
        if len(further) > (room := max(0, _MOST_LISTS - len(seen))):
            found.fault = found.fault or f"it is one of over {_MOST_LISTS} sitemaps; no more are read"
            further = further[:room]
        seen.update(further)
        waiting.extendleft((s, depth + 1) for s in reversed(further))
        if found.fault:
            missing.append(Item(url, meta={"origin": url}, error=found.fault))


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not (options["urls"] or options["sitemaps"] or options["feeds"]):
        yield (), "name at least one of urls, sitemaps, feeds"
    elif not (options["sitemaps"] or options["feeds"]):
        for option in ("include", "exclude"):
            if options[option]:
                yield (option,), "chooses among what sitemaps and feeds name; `urls` are taken as they are"
    for option, selectors in (options["selectors"] or {}).items():
        for n, selector in enumerate(selectors):
            if what := _no_selector(selector):
                yield ("selectors", option, n), f"{selector!r} is no CSS selector: {what}"


def _no_selector(selector: str) -> str:
    """What is wrong with it, "" where nothing is."""
    try:
        import soupsieve
    except ImportError:  # nothing here can read pages, and a run says so
        return ""
    try:
        soupsieve.compile(selector)
    except soupsieve.SelectorSyntaxError as e:
        return str(e).splitlines()[0]
    return ""


@source("web", version=2, libraries=("beautifulsoup4", "lxml", "trafilatura"), fetch=fetch, check=_wrong)
def web(
    context: SourceContext,
    *,
    urls: Urls = None,
    sitemaps: Sitemaps = None,
    feeds: Feeds = None,
    include: Include = None,
    exclude: Exclude = None,
    at_most: AtMost = 1000,
    render: Render = False,
    selectors: Annotated[
        PageSelectors | None,
        Meta(description="Where the text of these pages stands; left out, the main text is found."),
    ] = None,
    min_words: Annotated[int, Meta(ge=1, description="A page whose text is shorter is kept out.")] = 20,
) -> Iterator[Document | Rejected]:
    """Web pages, named by address, sitemap or feed: the main text of each, without menus and the like.

    Kept out by name: what stands in the place of a page (error pages, walls, listings, see runner.webtext.refuse),
    what takes too much to read (runner.webtext.markup), and what asks not to be used: `noindex`, `none` or `noai` in
    an X-Robots-Tag (whoever it speaks to) or in a meta element named `robots` or `mirepoix`, and a meta element
    `tdm-reservation` of 1. `nofollow` and `nosnippet` are not for us: no link is followed, no snippet shown.
    """
    chosen = Selectors(selectors.keep, selectors.drop) if selectors else None
    texts: dict[bytes, str] = {}
    for item in context.items:
        id = f"{context.name}/{item.key}"
        try:
            page = _page(context, item, chosen)
        except NoPage as e:
            yield Rejected(id, str(e), item.key)
            continue
        reason = ""
        if refuses_use(page.robots):
            reason = f"asks not to be used: its robots meta says {page.robots!r}"
        elif page.words < min_words:
            reason = f"its text has {page.words} words, fewer than min_words: {min_words}"
        elif (same := texts.setdefault(hashlib.sha256(page.text.encode()).digest(), item.key)) != item.key:
            reason = f"the same text as {same}"
        if reason:
            yield Rejected(id, reason, item.key)
        else:
            yield Document(page.text, _meta(context, item, page, id))


def _page(context: SourceContext, item: Item, selectors: Selectors | None) -> Page:
    data, charset = context.raw(item).read_bytes(), item.meta.get("charset", "")
    try:
        return extract(data, charset=charset, selectors=selectors)
    except ImportError as e:
        raise StepError(context.name, f"needs {e.name}: {extras.install('web')}") from None


def _meta(context: SourceContext, item: Item, page: Page, id: str) -> dict[str, str]:
    """Provenance. What a page claims as its licence goes before what the recipe says of all of them."""
    said = {
        "title": page.title,
        "author": page.author,
        "language": page.language,
    }
    return {
        "id": id,
        "source": context.name,
        "group": item.key,
        **{k: v for k, v in said.items() if v},
        "license": page.license or context.license,
        "origin": item.meta.get("origin", item.key),
        "sha256": item.sha256,
        "charset": page.charset,
    }
