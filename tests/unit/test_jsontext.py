"""JSON that strangers wrote: strict, the same by the quick way and the slow, and arrays read piece by piece."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.datafiles import jsontext as j
from runner.datafiles.opened import Bad, Unreadable

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
KEYS = st.text(alphabet='ab":\\ \té', max_size=4) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=4), max_leaves=20
)


def written(value: Any, spaces: str) -> str:
    """JSON text as others write it; a list of pairs is an object, whose keys may stand twice."""
    if isinstance(value, dict):
        inner = [f"{json.dumps(k)}{spaces}:{spaces}{written(v, spaces)}" for k, v in value.items()]
        return "{" + f"{spaces},".join(inner) + "}"
    if isinstance(value, list):
        return "[" + f"{spaces},".join(written(v, spaces) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(VALUES, st.sampled_from(["", " ", "\t", "\n "]))
def test_what_is_well_written_is_read_as_it_is(value: Any, spaces: str) -> None:
    try:
        raw = written(value, spaces).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which hypothesis writes as it is
        return
    assert j.parse(raw) == value
    assert j.parse(b"\xef\xbb\xbf" + raw + b"\r\n") == value


@given(VALUES, KEYS, VALUES, VALUES, st.sampled_from(["", " ", "\t"]), st.booleans())
def test_a_key_that_stands_twice_is_found_wherever_it_is(
    around: Any, key: str, one: Any, two: Any, spaces: str, escaped: bool
) -> None:
    name = json.dumps(key)
    again = '"' + "".join(f"\\u{ord(c):04x}" for c in key if ord(c) < 0x10000) + '"' if escaped else name
    if json.loads(again) != key:
        again = name
    inner = f"{{{name}{spaces}:{json.dumps(one)},{again}:{json.dumps(two)}}}"
    raw = f'[{json.dumps(around)},{{"x":{inner}}}]'.encode()
    with pytest.raises(j.NotJson, match=r"stands twice|half a character"):
        j.parse(raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a":NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "too large a number"),
        (b"9" * 5000, "5000 digits"),
        (b'"\\ud83d"', "half a character"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"caf\xe9"', "not UTF-8"),
        (b'"a\0b"', "control character"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 201 + b"]" * 201, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"x":' * 300 + b"1" + b"}" * 300, "nested"),
    ],
)
def test_what_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(j.NotJson, match=why):
        j.parse(raw)


def test_numbers_are_what_they_are() -> None:
    assert j.parse(b"123456789012345678901234567890") == 123456789012345678901234567890
    assert j.parse(b'{"a" : 123456789012345678901234567890}') == {"a": 123456789012345678901234567890}
    assert j.parse(b"[" * 199 + b"]" * 199)


def rows(data: bytes, kind: Any = j.json_rows) -> list[Any]:
    return [value for _, _, value in kind(io.BufferedReader(io.BytesIO(data), 1 << 16))]  # type: ignore[arg-type]


@given(st.lists(VALUES, min_size=1, max_size=6), st.integers(1, 40), st.sampled_from(["", " ", "\n"]))
def test_an_array_is_read_piece_by_piece(values: list[Any], chunk: int, spaces: str) -> None:
    try:
        data = (spaces + written(values, spaces) + spaces).encode()
    except UnicodeEncodeError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(j, "_CHUNK", chunk)
        assert rows(data) == values


@pytest.mark.parametrize(
    ("data", "kept", "why"),
    [
        (b'[{"a":1},{"a":2}', 2, "cut short"),
        (b'[{"a":1},{"a":', 1, "past element 1"),
        (b'[{"a":1} {"a":2}]', 1, "no comma"),
        (b'[{"a":1},]', 1, "past element 1"),
        (b'[{"a":1}] x', 1, "goes on"),
        (b"[]", 0, "empty array"),
        (b"hello", 0, "begins neither"),
        (b"[" * 100_000, 0, "past element 0"),
        (b'{"a":[{}],"b":[{}]}', 0, "several arrays"),
        (b'{"a":', 0, "not JSON"),
    ],
)
def test_an_array_that_breaks_off(data: bytes, kept: int, why: str) -> None:
    found = []
    with pytest.raises(Unreadable, match=why):
        for row in j.json_rows(io.BufferedReader(io.BytesIO(data))):  # type: ignore[arg-type]
            found.append(row)
    assert len(found) == kept


def test_a_bad_element_costs_no_other() -> None:
    one, two, three = rows(b'[{"a":1}, {"a":"\xe9"}, {"a":1,"a":2}]')
    assert one == {"a": 1}
    assert isinstance(two, Bad) and "UTF-8" in two.reason
    assert isinstance(three, Bad) and "twice" in three.reason


def test_an_object_may_hold_the_array_or_be_the_row() -> None:
    assert rows(b'{"version": "1", "names": ["a"], "data": [{"a": 1}, {"a": 2}]}') == [{"a": 1}, {"a": 2}]
    chat = {"messages": [{"role": "user", "content": "a"}], "tools": [{"x": 1}]}
    assert rows(json.dumps(chat, indent=1).encode()) == [chat]
    assert rows(b'{"text": "hello"}') == [{"text": "hello"}]


def test_json_lines_under_another_name_are_read() -> None:
    assert rows(b'{"a": 1}\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]


def test_an_element_without_end_ends_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(j, "LONGEST", 100)
    monkeypatch.setattr(j, "_CHUNK", 64)
    with pytest.raises(Unreadable, match="past element 1"):
        rows(b'[{"a":1},{"a":"' + b"x" * 1000 + b'"}]')


def test_lines_keep_their_numbers() -> None:
    data = b'\n{"a":1}\r\n  \n{bad\n{"a":"\xe2\x80\xa8"}'
    found = list(j.json_lines(io.BufferedReader(io.BytesIO(data))))  # type: ignore[arg-type]
    assert [n for n, _, _ in found] == [2, 4, 5]
    assert found[0][2] == {"a": 1} and isinstance(found[1][2], Bad) and found[2][2] == {"a": "\u2028"}
