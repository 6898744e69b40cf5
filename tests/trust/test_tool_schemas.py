"""JSON Schemas of strangers, in records and in tool sets: nothing is fetched, and nothing takes time without end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner import toolschema
from runner.contract import broken
from runner.record import FunctionCall, Message, Record, ToolCall
from runner.teaching.answers import Unfit, parsed
from runner.toolset import schemas

WIDE = "the schema's references lead to one another again and again"


def doubled(keyword: str, last: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Thirty schemas, each of which names the one before twice."""
    each = {f"a{n}": {keyword: [{"$ref": f"#/$defs/a{n - 1}"}] * 2} for n in range(1, 30)}
    return {**more, "$defs": {"a0": last, **each}, "$ref": "#/$defs/a29"}


HOSTILE = {
    "all of": doubled("allOf", {"type": "object"}),
    "any of": doubled("anyOf", {"type": "string"}),
    "one of": doubled("oneOf", {"type": "object"}),
    "what is not evaluated": doubled("allOf", {"properties": {"x": {}}}, unevaluatedProperties=False),
    "by depth": {
        "$defs": {"a": {"properties": {"deep": {"allOf": [{"$ref": "#/$defs/a"}] * 2}}}},
        "$ref": "#/$defs/a",
    },
}
DEEP: dict[str, Any] = {}
for _ in range(30):
    DEEP = {"deep": DEEP}


def tool(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": schema}}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=[*HOSTILE])
def test_references_have_an_end(schema: dict[str, Any]) -> None:
    call = ToolCall("c1", FunctionCall("f", json.dumps(DEEP)))
    record = Record(
        [
            Message("user", "Hm?"),
            Message("assistant", None, [call]),
            Message("tool", "{}", tool_call_id="c1"),
            Message("assistant", "Hm."),
        ],
        tools=[tool(schema)],
    )
    assert f"parameters of tool f: {WIDE}" in (broken(record) or "")
    assert WIDE in schemas.refused(schema, DEEP)
    with pytest.raises(Unfit, match=WIDE):
        parsed(json.dumps(DEEP), schema)


def test_what_took_too_long_once_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    validator = toolschema.validator(HOSTILE["all of"])
    with pytest.raises(toolschema.Unsafe, match=WIDE):
        list(validator.iter_errors({}))
    monkeypatch.setattr(validator, "_theirs", None)
    with pytest.raises(toolschema.Unsafe, match=WIDE):
        list(validator.iter_errors({}))


def test_schemas_that_name_themselves_are_schemas() -> None:
    """A tree of 4,000 nodes, and the classic use of `unevaluatedProperties`."""
    node = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
    tree: dict[str, Any] = {"kids": [{"kids": [{}] * 40} for _ in range(100)]}
    assert list(toolschema.validator(node).iter_errors(tree)) == []
    base = {"properties": {"a": {"type": "string"}}}
    both = {"$defs": {"b": base}, "allOf": [{"$ref": "#/$defs/b"}], "unevaluatedProperties": False}
    validator = toolschema.validator(both)
    assert list(validator.iter_errors({"a": "x"})) == []
    assert [e.message for e in validator.iter_errors({"c": 1})] == [
        "Unevaluated properties are not allowed ('c' was unexpected)"
    ]


def test_tool_sets_have_sound_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    def asked(*_: Any, **__: Any) -> Any:
        raise AssertionError("a schema had something fetched")

    monkeypatch.setattr(urllib.request, "urlopen", asked)
    far = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}
    assert schemas.unsound(far) == "refers to 'http://127.0.0.1:9/schema', which is not in it"
    assert "refers to" in schemas.refused(far, {"a": 1})
    assert schemas.unsound({"type": "object", "properties": {"a": {"pattern": "(?=(a+)+$)"}}}).startswith(
        "the pattern '(?=(a+)+$)' cannot be used"
    )
    # With Python's own engine this would go on for years.
    assert "does not match" in schemas.refused({"pattern": "^(a+)+$"}, "a" * 60 + "b")
    assert schemas.unsound({"type": 3}).startswith("not a JSON Schema")
    assert schemas.refused({"multipleOf": 0.5}, 10**400) == "a number too large"


def test_a_tool_set_of_a_stranger(tmp_path: Path) -> None:
    """As `recipe check` reads it: at the place of the schema."""
    from runner.errors import RecipeError
    from runner.toolset import load_toolset

    shipped = Path(__file__).resolve().parents[2] / "datasets/tools/weather.yaml"
    text = shipped.read_text(encoding="utf-8").replace(
        "type: string", 'type: string, pattern: "(?=(a+)+$)"', 1
    )
    (tmp_path / "weather.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"weather.yaml:\d+:\d+: .*cannot be used: .*\(\?="):
        load_toolset(tmp_path / "weather.yaml", "weather.yaml")
