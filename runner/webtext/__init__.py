"""A web page as plain text: bytes → main text in paragraphs, title, author, language and licence.

trafilatura finds the main text. What stands around its call is what it gets wrong or leaves to others: the charset
is found from the bytes, what a reader cannot see is taken out, posts quoted in an article are kept, the headline is
told from the text, and what is no page (a consent wall, a soft 404) is refused by name. Pure functions: no network,
clock or state.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.webtext.about import About, refuses_use
from runner.webtext.charset import to_text
from runner.webtext.main import main_text, tidy, word_count
from runner.webtext.refuse import NoPage, refuse_bytes, refuse_text
from runner.webtext.tree import Selectors, blocks, drop_hidden, link_texts, parse, selected, shown

__all__ = ["NoPage", "Page", "Selectors", "extract", "refuses_use"]


@dataclass(frozen=True)
class Page:
    """`text` has paragraphs parted by blank lines; what the page does not say is "".

    `robots` is what its robots meta element says, `words` how many words the text has (in scripts without spaces,
    six letters count as one).
    """

    text: str
    words: int
    title: str
    author: str
    language: str
    license: str
    robots: str
    charset: str


def extract(data: bytes, *, charset: str = "", selectors: Selectors | None = None) -> Page:
    """The main text of a page. `charset` is what its server claimed, believed only where the bytes allow.

    Raises: NoPage, with the reason, for what is no page or has no main text; ImportError where trafilatura (or
    BeautifulSoup, for selectors) is not installed.
    """
    refuse_bytes(data)
    html, found = to_text(data, charset)
    tree = parse(html)
    about = About(tree)
    seen = shown(tree)
    drop_hidden(tree)
    if selectors and (selectors.keep or selectors.drop):
        tree = selected(tree, selectors)
    if selectors and selectors.keep:
        text = tidy(blocks(tree))
        if not text:
            raise NoPage("nothing on the page matches the selectors")
    else:
        links = link_texts(tree)
        text = tidy(main_text(tree, about.titles))
        refuse_text(text, word_count(text), [about.tag, *about.heads], about.moved, seen, links)
    return Page(
        text,
        word_count(text),
        about.title,
        about.author,
        about.language,
        about.license,
        about.robots,
        found,
    )
