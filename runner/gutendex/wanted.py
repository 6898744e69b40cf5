"""Which books of a catalogue a recipe asks for: what to search for, what of the answer is meant, what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.gutendex import Book, author_match, title_match, topic_match

_IDS_A_PAGE = 30


@dataclass(frozen=True)
class Wanted:
    """What a recipe asks for: a book must meet each of these that is given."""

    authors: list[str]
    titles: list[str]
    languages: list[str]
    ids: list[int]
    topic: str
    copyrighted: bool

    def queries(self) -> Iterator[tuple[str, dict[str, str]]]:
        """What to ask the catalogue, each with a name for the ledger. Its search is loose: `matched` decides."""
        common = {"languages": ",".join(self.languages)} if self.languages else {}
        common |= {"topic": self.topic} if self.topic else {}
        if self.ids:
            for at in range(0, len(self.ids), _IDS_A_PAGE):
                some = [str(i) for i in self.ids[at : at + _IDS_A_PAGE]]
                yield f"ids {some[0]} to {some[-1]}", {**common, "ids": ",".join(some)}
        elif self.authors or self.titles:
            what = "author" if self.authors else "title"
            for name in self.authors or self.titles:
                plain = re.sub(r"\([^)]*\)|\d{3,}", " ", name) if self.authors else name
                yield f"{what} {name}", {**common, "search": " ".join(re.findall(r"[^\W_]+", plain)[:32])}
        else:
            yield f"topic {self.topic}", common

    def matched(self, book: Book) -> str | None:
        """By what the book is one of those asked for, None where it only came along."""
        by = []
        if self.ids:
            if book.id not in self.ids:
                return None
            by.append(f"id {book.id}")
        if self.authors:
            author = author_match(book, self.authors)
            if author is None:
                return None
            by.append(f"author {author}")
        if self.titles:
            title = title_match(book, self.titles)
            if title is None:
                return None
            by.append(f"title {title}")
        if self.topic and not topic_match(book, self.topic):
            return None
        if self.languages and not set(book.languages) & set(self.languages):
            return None
        return ", ".join(by) or f"topic {self.topic}"

    def refused(self, book: Book) -> str:
        """Why a book that was asked for is left out; "" where it is not."""
        if book.media_type != "Text":
            return f"no text: the catalogue calls it {book.media_type!r}"
        others = sorted(set(book.languages) - set(self.languages)) if self.languages else []
        if others:
            return f"not only in {', '.join(self.languages)}, but in {', '.join(others)} too"
        if book.copyright is not False and not self.copyrighted:
            known = (
                "copyrighted" if book.copyright else "the catalogue does not say whether it is copyrighted"
            )
            return f"{known} (take it with copyrighted: true)"
        return ""

    def missing(self, books: list[Book]) -> Iterator[tuple[str, str]]:
        """The ids, or authors, or titles that no book answers to: (key, name)."""
        if self.ids:
            found = {b.id for b in books}
            yield from ((str(i), f"book {i}") for i in self.ids if i not in found)
        else:
            for a in self.authors:
                if not any(author_match(b, [a]) for b in books):
                    yield f"author {a}", f"author {a!r}"
            for t in self.titles:
                if not any(title_match(b, [t]) for b in books):
                    yield f"title {t}", f"title {t!r}"
