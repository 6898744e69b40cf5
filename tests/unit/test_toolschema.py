"""Schemas of strangers: linear-time patterns, no look-ups outside."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runner.contract import broken
from runner.record import FunctionCall, Message, Record, ToolCall
from runner.toolschema import Unsafe, validator


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    return sorted(e.message for e in validator(schema).iter_errors(value))


def test_patterns_mean_what_they_mean_elsewhere() -> None:
    schema = {
        "properties": {"a": {"pattern": "^x+$"}},
        "patternProperties": {"^n-": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert errors(schema, {"a": "xx", "n-1": 2}) == []
    assert errors(schema, {"a": "y", "n-1": "z", "other": 1}) == [
        "'y' does not match '^x+$'",
        "'z' is not of type 'integer'",
        "Additional properties are not allowed ('other' was unexpected)",
    ]
    assert errors({"additionalProperties": {"type": "string"}}, {"b": 1}) == ["1 is not of type 'string'"]


def test_a_pattern_that_hangs_backtracking_engines_is_answered() -> None:
    schema = {"properties": {"a": {"pattern": "^(a+)+$"}}}
    assert errors(schema, {"a": "a" * 5000}) == []
    assert len(errors(schema, {"a": "a" * 5000 + "!"})) == 1


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(?=x)x"},
        {"patternProperties": {r"(a)\1": {}}},
        {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False},
    ],
)
def test_what_cannot_run_in_linear_time_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Unsafe):
        errors(schema, {"aaaa!": 1} if "pattern" not in schema else "x")


_SMALL = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 1)
    | st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300, int(1e300), 10**300, "", "a", "1", "true"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(_SMALL, max_size=4))
def test_items_are_unique_where_the_library_says_so(items: list[Any]) -> None:
    schema = {"uniqueItems": True}
    # The last item cannot be sorted: then the library compares all pairs. Of what can be sorted it misses some, as of
    # [[1], [true], [1]].
    items = [*items, {"only": "here"}]
    assert (errors(schema, items) == []) == Draft202012Validator(schema).is_valid(items)
    assert errors({"uniqueItems": False}, [*items, *items]) == []


@pytest.mark.usefixtures("ends")
def test_many_objects_are_not_compared_pair_by_pair() -> None:
    items = [{"n": n} for n in range(100_000)]
    assert errors({"uniqueItems": True}, items) == []
    assert errors({"uniqueItems": True}, [*items, {"n": 7.0}]) == ["holds the same item twice"]
    assert errors({"uniqueItems": True}, "aa") == []


def test_a_row_with_such_a_schema_is_dropped_with_its_reason() -> None:
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"pattern": "(?=x)"}}}}
    messages = [
        Message("user", "Go."),
        Message("assistant", tool_calls=[ToolCall("1", FunctionCall("f", '{"a": "x"}'))]),
        Message("tool", "done", tool_call_id="1"),
        Message("assistant", "Done."),
    ]
    reason = broken(Record(messages, tools=[{"type": "function", "function": tool}]))
    assert reason is not None
    assert reason.startswith("parameters of tool f: the pattern '(?=x)' cannot be used")
