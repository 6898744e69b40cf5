"""Books' texts from the user's mirror, from the first place that has one, and whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from runner.fetching import Fetcher, Got, Unfetched
from runner.gutendex import Book, text_paths
from runner.gutendex.answers import no_text
from runner.net.failures import TooMuch

_LARGEST_TEXT = 20 << 20  # all of Mark Twain in one file is 16 MB
_LONGEST_END = (
    100_000  # characters from the mark that ends a book to the end of the file: a licence, of 20,000
)


def texts(net: Fetcher, books: list[Book]) -> Iterator[Got | Unfetched]:
    """The books' texts from the user's mirror, in order; where one place has none, from the next."""
    mirror = net.setting("gutenberg_mirror")
    paths = [text_paths(book) for book in books]
    firsts = net.get_all((mirror + p[0] for p in paths), accept="text/plain", most=_LARGEST_TEXT)
    for n, ((_, got), places) in enumerate(zip(firsts, paths, strict=True), 1):
        rest = iter(places[1:])
        first = got
        # Only where there is no such text: after a time-out another edition would make other data of the same recipe.
        # Nor after one that has no end: it would be brought once more from each place.
        while (
            isinstance(got, Unfetched)
            and got.gone
            and not isinstance(got, TooMuch)
            and (path := next(rest, None))
        ):
            try:
                got = net.get(mirror + path, accept="text/plain", most=_LARGEST_TEXT)
            except Unfetched as error:
                got = error
        if isinstance(got, Got):
            got = _fit(net, got)
        if isinstance(got, Got):
            yield got
        else:
            nowhere = got.gone and not isinstance(got, TooMuch)
            more = f", nor is its text at any of {len(places) - 1} other places" if nowhere else ""
            why = first if isinstance(first, Unfetched) and nowhere else got
            yield Unfetched(f"{why}{more}", gone=got.gone)
        net.progress(n, len(books), "books")


def _fit(net: Fetcher, got: Got) -> Got | Unfetched:
    """The answer, if it is a text and whole; else what is wrong with it, and it is asked for again next time."""
    with got.path.open("rb") as file:
        what = no_text(file.read(1024))
    wrong = f"the mirror gave {what} instead of the text" if what else ""
    if not wrong and not got.proven:
        if _ends(got):
            net.vouch(got)
        else:
            wrong = "the text may be cut off: its end was not announced, and no mark of Project Gutenberg's ends it"
    if wrong:
        net.forget(got)
        return Unfetched(wrong, transient=True)
    return got


def _ends(got: Got) -> bool:
    """Whether a mark of Project Gutenberg's ends the text: nothing of the book comes after it."""
    from runner.booktext import Unusable, decode
    from runner.booktext.marks import END, SOFT_END, START

    try:
        text, _ = decode(got.bytes())
    except Unusable:
        return False
    lines = text[-_LONGEST_END:].split("\n")
    for line, after in reversed(list(pairwise([*lines, ""]))):
        whole = f"{line} {after}"  # marks wrap
        if len(whole) < 1000 and (END.match(whole) or SOFT_END.match(whole)):
            return True
        if START.match(whole[:1000]):
            return False  # another book begins after the last mark
    return False
