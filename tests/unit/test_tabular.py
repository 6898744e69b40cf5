"""CSV and TSV as found: what a writer wrote comes back, and what is bent is refused by its line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.datafiles import opened, tabular
from runner.datafiles.opened import Bad, Unreadable
from runner.datafiles.tabular import Table

CELL = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\0\x1e") | st.sampled_from('",\n\r\t; é'),
    max_size=12,
)


def table(data: bytes, delimiter: str = ",") -> Table:
    return Table(io.BufferedReader(io.BytesIO(data), 1 << 16), delimiter)  # type: ignore[arg-type]


def read(data: bytes, delimiter: str = ",") -> tuple[list[list[str]], dict[int, str]]:
    """Good rows, and line → reason of the others."""
    found = list(table(data, delimiter).rows())
    good = [cells for _, cells in found if not isinstance(cells, Bad)]
    return good, {line: cells.reason for line, cells in found if isinstance(cells, Bad)}


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from([",", "\t"]),
    st.booleans(),
)
def test_what_was_written_comes_back(rows: list[list[str]], end: str, delimiter: str, bom: bool) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b", "c"], *rows])
    good, bad = read((b"\xef\xbb\xbf" if bom else b"") + out.getvalue().encode(), delimiter)
    assert (good, bad) == (rows, {})


def test_a_bare_line_feed_is_text_where_rows_end_in_crlf() -> None:
    data = b'title,label\r\nA,1\r\nB\n,0\r\n"C\n\r\nD",1\r\n'
    assert read(data) == ([["A", "1"], ["B\n", "0"], ["C\n\r\nD", "1"]], {})


def test_a_header_of_another_system_does_not_glue_the_rows() -> None:
    assert read(b"a,b\r\n1,2\n3,4\n5,6\n") == ([["1", "2"], ["3", "4"], ["5", "6"]], {})
    assert read(b"a\r\n1\n2\r\n3\r\n") == ([["1"], ["2"], ["3"]], {})


@pytest.mark.parametrize(
    ("data", "good", "bad"),
    [
        (b"a,b\n1\n2,3\n4,5,6\n", [["2", "3"]], {2: "another number", 4: "another number"}),
        (b'a,b\n1,2\n"open,3\nx,4\n', [["1", "2"]], {3: "never closed", 4: "lost with line 3"}),
        (b'a,b\n1,2\n"open,3\n' + b"x,4\n" * 30, [["1", "2"], *[["x", "4"]] * 30], {3: "never closed"}),
        (b'a,b\n"open,3\nx,4\n5,"q"\n6,7\n', [["x", "4"], ["5", "q"], ["6", "7"]], {2: "middle of a field"}),
        (
            b'a,b\n"open,3\nno row\n\n4,5,6\n',
            [],
            {2: "never closed", 3: "lost with line 2", 5: "lost with line 2"},
        ),
        (b'a\n"open\nx\ny\n', [], {2: "never closed", 3: "lost with line 2", 4: "lost with line 2"}),
        (b'a,b\n"x" y,1\n2,3\n', [["2", "3"]], {2: "middle of a field"}),
        (
            b'a,b\n"two\nlines "no" end",1\n2,3\n',
            [["2", "3"]],
            {2: "middle of a field", 3: "lost with line 2"},
        ),
        (b'a,b\nx" y,1\n2,3\n', [["2", "3"]], {2: "unbalanced"}),
        (b"a,b\n\xe9,1\n2,3\n", [["2", "3"]], {2: "not UTF-8"}),
        (b'a,b\n"\xe9\n,",1\n2,3\n', [["2", "3"]], {2: "not UTF-8"}),
        (b'a,b\n"\0\n,",1\n2,3\n', [["2", "3"]], {2: "NUL"}),
        (b"a,b\n1\r2,3\n4,5\n", [["4", "5"]], {2: "carriage return"}),
        (b"a,b\n\n1,2\n\n\n3,4", [["1", "2"], ["3", "4"]], {}),
    ],
)
def test_a_bent_row_costs_no_other(data: bytes, good: list[list[str]], bad: dict[int, str]) -> None:
    kept, refused = read(data)
    assert kept == good
    assert refused.keys() == bad.keys()
    assert all(bad[line] in refused[line] for line in bad)


def test_quotes_are_letters_in_a_tsv_where_they_open_nothing() -> None:
    assert read(b'a\tb\n6" pipe\t1\n', "\t") == ([['6" pipe', "1"]], {})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"\n\n", "blank lines"),
        (b"a,b\n", "no rows"),
        (b"a,a\n1,2\n", "more than once"),
        (b"a;b\n1;2\n", "semicolons"),
        (b"a\tb\n1\t2\n", r"\.tsv"),
        (b'"a,b\n1,2\n', "header"),
        (b"a\0,b\n1,2\n", "header"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_is_no_table(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(data)


def test_names_lose_their_spaces() -> None:
    assert table(b"\xef\xbb\xbf Title , Score\nx,1\n").columns == ["Title", "Score"]


def test_a_row_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "LONGEST", 60)
    monkeypatch.setattr(tabular, "LONGEST", 60)
    # A long line costs itself alone, and so does a quote left open where rows follow it.
    assert read(b'a,b\n"' + b"x" * 100 + b'",1\n2,3\n')[0] == [["2", "3"]]
    assert read(b'a,b\n"' + b"x" * 100 + b",1\n2,3\n")[0] == [["2", "3"]]
    good, bad = read(b'a,b\n"open,1\n' + b"x,2\n" * 50)
    assert good == [["x", "2"]] * 50 and bad.keys() == {2}
    # No line of these is a row by itself: each is refused, and none is read twice.
    good, bad = read(b"a,b\n" + b'x","\n' * 40)
    assert not good and len(bad) == 40
    # With one column, a row cannot be told from a line of text.
    found = table(b'a\n"open\n' + b"x\n" * 50).rows()
    assert isinstance(next(found)[1], Bad)
    with pytest.raises(Unreadable, match="past line 2"):
        next(found)


def test_a_quote_left_open_does_not_take_two_thousand_rows() -> None:
    lines = "".join(f"Title {n},{n}\n" for n in range(2000)).encode()
    for end in (b"", b'no,"way" out\n', b'"well, quoted",7\n', b'close",9\n'):
        good, bad = read(b'a,b\nfirst,1\n"open,2\n' + lines + end)
        assert good[:2] == [["first", "1"], ["Title 0", "0"]] and len(good) - 2001 in (0, 1)
        assert bad.keys() <= {3, 2004} and 3 in bad
    crlf = b'a,b\r\n"open,2\r\n' + lines.replace(b"\n", b"\r\n").replace(b"Title 7,", b"Title\n7,")
    good, bad = read(crlf)
    assert len(good) == 2000 and good[7] == ["Title\n7", "7"] and bad.keys() == {2}


def test_what_is_read_twice_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_AGAIN", 0)
    good, bad = read(b'a,b\n"open,2\nx,1\ny,2\n')
    assert not good and list(bad) == [2, 3, 4]


def test_a_long_field_of_many_lines_is_a_field() -> None:
    poem = "\n".join(f"line {n} of a poem" for n in range(300))
    assert read(f'a,b\n"{poem}",1\n2,3\n'.encode())[0] == [[poem, "1"], ["2", "3"]]


def test_fields_may_be_long() -> None:
    long = "word " * 100_000
    assert read(f'a,b\n"{long}",1\n'.encode())[0] == [[long, "1"]]
