"""CSV and TSV as found → rows of a header's columns, or the reason why not: no row is lost, bent or shifted.

The `csv` module splits; what it would pass over in silence is watched here: rows of another width, quotes that are
never closed or stand in the middle of a field, bytes that are no UTF-8, NULs, fields without end. In files whose
rows end in CRLF, a bare LF is text of its field, quoted or not, as in real dumps. Nothing is guessed: a file in
another charset, or with semicolons, is refused in those words.

A quote left open swallows the lines after it. Where those are many rows by themselves, the line that opens it is
refused and reading goes on at the next one; where they may as well be text of one field, each is refused by its number.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence

from runner.datafiles.opened import LONGEST, Bad, Overlong, Unreadable, head, lines

SHOWN = 20_000
_OPEN = "a quote is opened and never closed"
_MANY = 20  # lines of a field, past which they are looked at: are they rows?
_LOOKED = 200
_AGAIN = 8 * LONGEST  # bytes of a file that are read twice
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
        self._left = _AGAIN
        self.columns: list[str] = []
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
                yield from self._broken(str(e), endless=True)
            except csv.Error as e:
                yield from self._broken(_plain(str(e)))
            else:
                if self._swallowed():
                    yield from self._broken("a quote is left open: the lines after it are rows by themselves")
                    continue
                if feed.bad is None and self._delimiter == "," and feed.quotes % 2:
                    feed.bad = "an unbalanced quote"
                if cells:
                    yield feed.first, (Bad(feed.bad, feed.shown()) if feed.bad else feed.restored(cells))

    def _broken(self, why: str, *, endless: bool = False) -> Iterator[Cells]:
        """The row at hand is refused; what to do with the lines that it holds after its first."""
        feed = self._feed
        (first, _), *rest = feed.row
        yield first, Bad(why, feed.shown())
        if endless and len(self.columns) < 2 and (rest or feed.quotes % 2):
            raise Unreadable(f"cannot be read past line {first}: a quote is left open") from None
        size = sum(len(raw) for _, raw in rest if isinstance(raw, bytes))
        # The last few lines of a file may be anything; many that are rows by themselves are no text of one field.
        enough = len(rest) > (_MANY if why == _OPEN else 0)
        if enough and size <= self._left and 2 * self._rows_in(rest) > min(len(rest), _LOOKED):
            self._left -= size
            feed.again(rest)
            return
        for number, raw in rest:
            if isinstance(raw, Overlong):
                yield number, Bad(raw.reason)
            elif raw.strip():
                yield number, Bad(f"lost with line {first}, to which it may belong: {why}", _text(raw))

    def _swallowed(self) -> bool:
        """Whether what looks like one field is many rows: the quote that ends it was to open another."""
        inner = self._feed.row[1:-1]
        return len(inner) > _MANY and self._rows_in(inner) == min(len(inner), _LOOKED)

    def _rows_in(self, row: Sequence[_Piece]) -> int:
        """How many of the first lines are whole rows by themselves; none where every line would look like one."""
        return sum(map(self._is_row, (raw for _, raw in row[:_LOOKED]))) if len(self.columns) > 1 else 0

    def _is_row(self, raw: bytes | Overlong) -> bool:
        if isinstance(raw, Overlong) or raw.count(b'"') % 2:
            return False
        text = raw.decode("utf-8", "replace").replace("\0", "?").rstrip("\r\n").replace("\n", _KEPT_LF)
        try:
            return [len(c) for c in csv.reader([text], delimiter=self._delimiter, strict=True)] == [
                len(self.columns)
            ]
        except csv.Error:
            return False


def _plain(what: str) -> str:
    """The csv module's words, for people."""
    if "unexpected end" in what:
        return _OPEN
    if "new-line character" in what:
        return "a bare carriage return in the middle of a row"
    return "a quote in the middle of a field (it must be doubled, and the field quoted)"


def _text(raw: bytes) -> str:
    return raw[:SHOWN].decode("utf-8", "replace").rstrip("\r\n")


class _Endless(Exception):
    """A row without end."""


_Piece = tuple[int, "bytes | Overlong"]


def _pieces(found: Iterable[_Piece], crlf: bool) -> Iterator[_Piece]:
    """Line by line, each under its number; where rows end in CRLF, all up to that at once."""
    held: list[bytes] = []
    first = size = 0
    for number, line in found:
        first = first if held else number
        if isinstance(line, Overlong):
            quotes = line.quotes + sum(part.count(b'"') for part in held)
            yield first, Overlong(size + line.size, quotes)
        else:
            held.append(line)
            size += len(line)
            if crlf and not line.endswith(b"\r\n") and size <= LONGEST:
                continue
            yield first, b"".join(held)
        held, size = [], 0
    if held:
        yield first, b"".join(held)


class _Feed:
    """Hands lines to the csv module and remembers those of the row at hand, from which it began."""

    def __init__(self, stream: io.BufferedReader, crlf: bool) -> None:
        self._fresh, self._crlf = _pieces(lines(stream), crlf), crlf
        self._again: deque[_Piece] = deque()
        self.begin()

    def begin(self) -> None:
        """What follows is a new row."""
        self.row: list[_Piece] = []
        self.size = self.quotes = 0
        self.bad: str | None = None
        self._kept_lf = False

    def again(self, pieces: Sequence[_Piece]) -> None:
        """These come next, once more."""
        self._again.extendleft(reversed(pieces))

    @property
    def first(self) -> int:
        """The number of the line on which the row at hand begins."""
        return self.row[0][0]

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        number, raw = self._again.popleft() if self._again else next(self._fresh)
        if isinstance(raw, Overlong):
            self.row.append((number, raw))
            self.quotes += raw.quotes
            raise _Endless(raw.reason)
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        self.row.append((number, raw))
        self.quotes += raw.count(b'"')
        self.size += len(raw)
        if self.size > LONGEST:
            raise _Endless(f"a row of more than {LONGEST:,} bytes: a quote or line end is missing")
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

    def restored(self, cells: list[str]) -> list[str]:
        """The cells with their own line feeds."""
        return [c.replace(_KEPT_LF, "\n") for c in cells] if self._kept_lf else cells

    def shown(self) -> str:
        """The row at hand, to look at."""
        return _text(b"".join(raw for _, raw in self.row if isinstance(raw, bytes)))
