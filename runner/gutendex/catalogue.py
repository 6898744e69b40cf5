"""The catalogue's pages, walked one after the other. A page that cannot be read is named, and ends its query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from runner import gutendex
from runner.datafiles import jsontext
from runner.fetching import Fetcher, Got, Item, Unfetched, failed

_MOST_PAGES = 1000  # 32,000 books: no search needs more
_LARGEST_PAGE = 8 << 20


@dataclass
class Walk:
    """The catalogue's pages, walked query by query; what went wrong on the way stands in `failures`."""

    net: Fetcher
    failures: list[Item] = field(default_factory=list)

    def books(self, label: str, params: dict[str, str]) -> Iterator[gutendex.Book]:
        """All books of one query. A page that cannot be had ends it; what earlier pages held is kept."""
        base = self.net.setting("gutendex_url") + "/books/"
        url = base + "?" + urlencode({**params, "sort": "ascending"})
        walked, seen, held = set[str](), set[int](), 0
        count: int | None = None
        while url:
            key = f"catalogue, {label}, page {len(walked) + 1}"
            try:
                got = self._page(url, base, walked)
                page = self._read(got, url)
                ids = {entry["id"] for entry in page.results if isinstance(entry.get("id"), int)}
                if ids and ids <= seen:
                    self.net.forget(got)
                    raise ValueError("it holds only books of earlier pages")
            except Unfetched as error:
                self.failures.append(failed(key, error))
                return  # where the next page would be is not known
            except ValueError as error:
                self.failures.append(Item(key, error=f"the catalogue's page cannot be used: {error}"))
                return
            walked.add(url)
            self.failures += [Item(f"{key}, {n}", error=said) for n, said in enumerate(page.faults, 1)]
            held += len(page.results)
            count = page.count if count is None else count
            for number, entry in enumerate(page.results, 1):
                try:
                    book = gutendex.read_book(entry)
                except ValueError as error:
                    self.failures.append(Item(f"{key}, entry {number}", error=str(error)))
                    continue
                if book.id not in seen:
                    seen.add(book.id)
                    yield book
            url = page.next
        if count is not None and count != held:
            said = f"the catalogue speaks of {count} books, its pages hold {held}"
            self.failures.append(Item(f"catalogue, {label}", error=said))

    def _read(self, got: Got, url: str) -> gutendex.Page:
        try:
            return gutendex.read_page(jsontext.parse(got.bytes()), url)
        except ValueError:
            self.net.forget(got)  # a catalogue that is well again is to be asked again
            raise

    def _page(self, url: str, base: str, walked: set[str]) -> Got:
        if url in walked:
            raise ValueError("it was read before: the catalogue's pages go in a circle")
        if len(walked) >= _MOST_PAGES:
            raise ValueError(f"there are more than {_MOST_PAGES} pages; ask for less at once")
        if not _same_place(url, base):
            raise ValueError("it would be at another address than the catalogue's")
        return self.net.get(url, accept="application/json", most=_LARGEST_PAGE, robots=False)


def _same_place(url: str, base: str) -> bool:
    try:
        a, b = urlsplit(url), urlsplit(base)
    except ValueError:
        return False
    path, its = a.path.rstrip("/"), b.path.rstrip("/")  # with and without the slash it is the same list
    return (a.scheme, a.netloc.lower(), path) == (b.scheme, b.netloc.lower(), its)
