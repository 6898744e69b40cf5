"""YAML with the meaning of 1.2: scalars, limits, and dumps that PyYAML and 1.2 readers agree about."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import RecipeError
from runner.yaml12 import MAX_BYTES, decode, dotted, dump, parse, scalar

TEXT = st.text() | st.text("-+.:_0123456789eExXo~ nyaftrulsNYTF\n\t#'\"&*!|>%@`{}[],?=<\u2028\x85\r")
PLAIN = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXT
PLAIN |= st.floats(allow_nan=False, allow_infinity=False)
DATA = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
slow = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def read(text: str) -> Any:
    return parse(text, "x.yaml").data


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three things."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@slow
@given(DATA)
def test_a_dump_means_the_same_to_pyyaml_and_to_us(data: Any) -> None:
    text = dump(data)
    assert same(yaml.safe_load(text), data)
    assert same(read(text), data)


@slow
@given(st.text() | st.text("ab:- \n\t{}[]&*!|>?#'\"%,.0123~<", max_size=60))
def test_parse_raises_nothing_but_recipe_errors(text: str) -> None:
    try:
        parse(text, "x.yaml")
    except RecipeError as e:
        assert e.problems


@slow
@given(st.binary(max_size=80))
def test_decode_raises_nothing_but_recipe_errors(raw: bytes) -> None:
    try:
        parse(decode(raw, "x.yaml"), "x.yaml")
    except RecipeError as e:
        assert e.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((t, None) for t in ("", "~", "null", "Null", "NULL")),
        *((t, True) for t in ("true", "True", "TRUE")),
        *((t, False) for t in ("false", "False", "FALSE")),
        *((t, t) for t in ("no", "No", "on", "off", "yes", "y", "n", "nULL", "tRue")),
        *((t, t) for t in ("12:30:45", "2024-01-01", "1.2.3", "0x", "0xG", "1e", "e3", ".", "-", "+", "_1")),
        *((t, t) for t in ("1_", "1__0", "0b1", "1,000", "=", "<<", "nan", "inf", ".INf", "٣")),
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("007", 7),
        ("8_000_000", 8_000_000),
        ("0x1F", 31),
        ("0o17", 15),
        ("2e-4", 2e-4),
        ("2E+4", 2e4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e3", -500.0),
        ("1_000.5", 1000.5),
        (".inf", float("inf")),
        ("-.Inf", float("-inf")),
    ],
)
def test_scalars_of_the_core_schema(text: str, value: Any) -> None:
    assert same(scalar(text), value)


@pytest.mark.parametrize("text", ["no", "2e-4", "null", "1", "~"])
def test_quoted_scalars_are_text(text: str) -> None:
    assert read(f"'{text}'") == text
    assert read(f'"{text}"') == text
    assert read(f"!!str {text}") == text


def test_keys_are_text() -> None:
    assert read("no: 1\n1: 2\nnull: 3\n2e-4: 4\n") == {"no": 1, "1": 2, "null": 3, "2e-4": 4}


def test_a_scalar_anchor_has_its_value() -> None:
    assert read("a: &x 1\nb: *x\nc: &y {d: *x}\ne: [*y, *y]\n") == {
        "a": 1,
        "b": 1,
        "c": {"d": 1},
        "e": [{"d": 1}, {"d": 1}],
    }


def test_an_alias_means_the_anchor_last_set_before_it() -> None:
    text = "- &x 1\n- &z [*x]\n- &x 2\n- *z\n- *x\n"
    assert read(text) == [1, [1], 2, [1], 2]  # PyYAML allows no anchor twice
    assert read("- &b 1\n- &a [*b]\n- &b [*a]\n") == [1, [1], [[1]]]


def test_places_are_those_of_keys_and_values() -> None:
    doc = parse("a:\n  - b: 1\n    c:   [2,\n      3]\n", "f")
    places = {dotted(p): (at.line, at.column) for p, at in doc.places.items()}
    assert places == {"a": (1, 1), "a[0]": (2, 5), "a[0].b": (2, 5), "a[0].c": (3, 5),
                      "a[0].c[0]": (3, 11), "a[0].c[1]": (4, 7)}  # fmt: skip
    assert str(doc.problem(("a", 0, "c"), "bad", at_value=True)) == "f:3:10: a[0].c: bad"
    assert str(doc.problem(("a", 0, "z", "y"), "bad")) == "f:2:5: a[0].z.y: bad"


def test_dotted_quotes_what_is_no_plain_word() -> None:
    assert dotted(("a", 0, "über-b", "c.d", "e\nf", "g" * 99)) == f"a[0].über-b.'c.d'.'e\\nf'.'{'g' * 40}…'"


def problems(text: str) -> list[str]:
    with pytest.raises(RecipeError) as e:
        parse(text, "x")
    return [str(p) for p in e.value.problems]


def test_all_problems_are_told_at_once() -> None:
    assert problems("a: 1\na: 2\nb: !!python/none\nc: .nan\nd: *e\n") == [
        "x:2:1: a: written twice; first on line 1",
        "x:3:4: b: tag !!python/none is not allowed; recipes hold plain data",
        "x:4:4: c: .nan is not a finite number",
        "x:5:4: d: alias *e names no anchor before it",
    ]


def laughs(levels: int, width: int) -> str:
    lines = ["a0: &a0 [" + ",".join(["lol"] * width) + "]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (laughs(9, 9), "aliases expand to too much"),
        (laughs(30, 2), "aliases expand to too much"),
        ("[" * 100_000, "nested deeper than 40 levels"),
        ("{a: " * 50_000, "nested deeper than 40 levels"),
        ("- " * 50_000, "nested deeper than 40 levels"),
        ("[" + "1," * 200_000 + "]", "more than 100000 values"),
        ("x" * (MAX_BYTES + 1), "larger than 1,000,000 characters"),
        ("a: " + "9" * 900_000, "9" * 40 + " is not a finite number"),
        ("a: 0x" + "f" * 4_000, "0x" + "f" * 38 + " is not a finite number"),
        ("a: 0o" + "7" * 900_000, "0o" + "7" * 38 + " is not a finite number"),
    ],
    ids=["laughs", "long laughs", "brackets", "braces", "dashes", "values", "size", "digits", "hex", "octal"],
)
@pytest.mark.usefixtures("ends")
def test_bombs_are_refused_before_they_go_off(text: str, what: str) -> None:
    assert what in problems(text)[0]


def test_bytes_that_are_not_utf8_are_placed() -> None:
    with pytest.raises(RecipeError) as e:
        decode(b"a: 1\nb: caf\xe9\n", "x")
    assert str(e.value) == "x:2:7: byte 0xe9 is not UTF-8"
    assert read(decode(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "x")) == {"a": 1, "b": 2}


def test_shared_data_is_dumped_without_anchors() -> None:
    shared = {"x": [1]}
    assert "&" not in dump({"a": shared, "b": shared})
