"""CSV and TSV as found → rows of a header's columns, or the reason why not: no row is lost, bent or shifted.

The `csv` module splits; what it would pass over in silence is watched here: rows of another width, quotes that are
never closed or stand in the middle of a field, bytes that are no UTF-8, NULs, fields without end. In files whose
rows end in CRLF, a bare LF is text of its field, quoted or not, as in real dumps. Nothing is guessed: a file in
another charset, or with semicolons, is refused in those words.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator

from runner.datafiles.opened import LONGEST, Bad, Overlong, Unreadable, head, lines

SHOWN = 20_000
_KEPT_LF = "\x1e"  # stands for a bare LF on its way through the csv module, which would end the row there
Cells = tuple[int, "list[str] | Bad"]
"""The line on which a row begins, from 1, and its cells, or why it has none."""


class Table:
    """A header, `columns` (without spaces around the names), and the rows under it, to be read once.

    Raises Unreadable at once for a file without a usable header, and later for what cannot be read further.
    """

    def __init__(self, stream: io.BufferedReader, delimiter: str = ",") -> None:
        start = head(stream)
        first = start.split(b"\n", 1)[0]
        crlf = first.endswith(b"\r") and 2 * start.count(b"\r\n") >= start.count(b"\n")
        # With one column a bare LF cannot be told from the end of a row.
        self._feed = _Feed(stream, crlf and delimiter.encode() in first)
        csv.field_size_limit(2 * LONGEST)  # 128 KiB else; one limit for the whole process, above our own
        self._reader = csv.reader(self._feed, delimiter=delimiter, strict=True)
        self._delimiter = delimiter
        header = next(self._read(), None)
        if header is None:
            raise Unreadable("holds nothing but blank lines")
        if isinstance(header[1], Bad):
            raise Unreadable(f"has no header that can be read: {header[1].reason}")
        self.columns = [c.strip() for c in header[1]]
        self._check()

    def _check(self) -> None:
        twice = [c for c, n in Counter(self.columns).items() if n > 1]
        if twice:
            raise Unreadable(f"has the column {twice[0][:40]!r} more than once")
        if len(self.columns) == 1:
            for other, what in ((";", "semicolons"), ("\t", "tabs"), (",", "commas"), ("|", "bars")):
                if other in self.columns[0]:
                    known = "a file with tabs is named .tsv" if other == "\t" else "write it with commas"
                    raise Unreadable(f"has one column, {self.columns[0][:80]!r}: parted by {what}? {known}")

    def rows(self) -> Iterator[Cells]:
        """All rows, blank lines left out. Raises Unreadable where there is none."""
        empty = True
        for line, cells in self._read():
            if isinstance(cells, list) and len(cells) != len(self.columns):
                reason = f"another number of cells than the header has columns ({len(self.columns)})"
                cells = Bad(reason, self._feed.shown())
            yield line, cells
            empty = False
        if empty:
            raise Unreadable("has a header and no rows")

    def _read(self) -> Iterator[Cells]:
        feed = self._feed
        while True:
            feed.begin()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except _Endless as e:
                yield feed.first, Bad(str(e), feed.shown())
                if feed.count > 1 or feed.quotes % 2:
                    raise Unreadable(f"cannot be read past line {feed.first}: a quote is left open") from None
            except csv.Error as e:
                yield feed.first, Bad(_plain(str(e), feed.count - 1), feed.shown())
            else:
                if feed.bad is None and self._delimiter == "," and feed.quotes % 2:
                    feed.bad = "an unbalanced quote"
                if cells:
                    yield feed.first, (Bad(feed.bad, feed.shown()) if feed.bad else feed.restored(cells))


def _plain(what: str, more: int) -> str:
    """The csv module's words, for people."""
    if "unexpected end" in what:
        return f"a quote is opened and never closed: the {more} lines after it are refused with it"
    if "new-line character" in what:
        return "a bare carriage return in the middle of a row"
    return "a quote in the middle of a field (it must be doubled, and the field quoted)"


class _Endless(Exception):
    """A row without end."""


class _Feed:
    """Hands lines to the csv module and remembers those of the row at hand, from which it began."""

    def __init__(self, stream: io.BufferedReader, crlf: bool) -> None:
        self._lines, self._crlf = lines(stream), crlf
        self._next = 1
        self.begin()

    def begin(self) -> None:
        """What follows is a new row."""
        self._row: list[bytes] = []
        self.first, self.count, self.size, self.quotes = self._next, 0, 0, 0
        self.bad: str | None = None
        self._kept_lf = False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        raw = self._piece()
        if b"\0" in raw:
            self.bad = self.bad or "holds a NUL byte"
            raw = raw.replace(b"\0", b"?")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as e:
            self.bad = self.bad or f"not UTF-8: {e.reason}"
            text = raw.decode("utf-8", "replace")  # to find the row's end; the row itself is refused
        if self._crlf and "\n" in text[:-2]:
            if _KEPT_LF in text:
                self.bad = self.bad or "holds a control character (\\x1e)"
            self._kept_lf = True
            text = text[:-2].replace("\n", _KEPT_LF) + text[-2:]
        return text

    def _piece(self) -> bytes:
        """One line; where rows end in CRLF, all up to that."""
        begun = len(self._row)
        for _, line in self._lines:
            self._next += 1
            self.count += 1
            if isinstance(line, Overlong):
                self.quotes += line.quotes
                raise _Endless(line.reason)
            if self.first == self.count == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            self._row.append(line)
            self.quotes += line.count(b'"')
            self.size += len(line)
            if self.size > LONGEST:
                raise _Endless(f"a row of more than {LONGEST:,} bytes: a quote or line end is missing")
            if not self._crlf or line.endswith(b"\r\n"):
                break
        if begun == len(self._row):
            raise StopIteration
        return b"".join(self._row[begun:])

    def restored(self, cells: list[str]) -> list[str]:
        """The cells with their own line feeds."""
        return [c.replace(_KEPT_LF, "\n") for c in cells] if self._kept_lf else cells

    def shown(self) -> str:
        """The row at hand, to look at."""
        return b"".join(self._row)[:SHOWN].decode("utf-8", "replace").rstrip("\r\n")
