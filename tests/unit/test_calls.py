"""Reading raw answers: good calls, every way of being malformed, and that nothing ever raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.calls import Form, form_of, parse_answer
from runner.record import FunctionCall, Message, ToolCall

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
PIECES = r'<tool_call> </tool_call> {"name": "f" ,"arguments": {} } NaN 1e999 [[[[[ \ud800 " hello'
pieces = st.sampled_from(PIECES.split())


def call(number: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(f"call_{number}", FunctionCall(name, arguments))


def test_one_call() -> None:
    raw = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>'
    calls = [call(1, "get_weather", '{"city":"Zürich"}')]
    assert parse_answer(raw) == (Message("assistant", tool_calls=calls), None)


def test_several_calls_with_text_around() -> None:
    raw = (
        'Let me look.\n<tool_call>{"name":"a","arguments":{}}</tool_call>\n and '
        '<tool_call>{"arguments":{"x":null},"name":"b"}</tool_call> done. '
    )
    calls = [call(1, "a", "{}"), call(2, "b", '{"x":null}')]
    assert parse_answer(raw) == (Message("assistant", "Let me look.\nand\ndone.", calls), None)


@pytest.mark.parametrize("raw", ["", " \n", "Just text.", '{"name":"f","arguments":{}}', "a < b"])
def test_plain_text(raw: str) -> None:
    assert parse_answer(raw) == (Message("assistant", raw.strip()), None)


def test_an_argument_may_hold_the_tags() -> None:
    arguments = {"text": "say </tool_call> or <tool_call>"}
    raw = f"<tool_call>{json.dumps({'name': 'f', 'arguments': arguments})}</tool_call>"
    message, reason = parse_answer(raw)
    assert reason is None and message is not None
    assert json.loads(message.tool_calls[0].function.arguments) == arguments


GOOD = '<tool_call>{"name":"f","arguments":{}}</tool_call>'


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("<tool_call>", "call 1: no </tool_call>"),
        ('<tool_call>{"name":"f","arguments":{}}', "call 1: no </tool_call>"),
        ('<tool_call>{"name":"f","argum', "call 1: no </tool_call>"),
        (GOOD + "<tool_call>{}", "call 2: no </tool_call>"),
        (GOOD + "</tool_call>", "a </tool_call> without its <tool_call>"),
        ("</tool_call>" + GOOD, "a </tool_call> without its <tool_call>"),
        ("<tool_call>f(1)</tool_call>", "call 1: not JSON: Expecting value at character 1"),
        ("<tool_call>{'name': 'f'}</tool_call>", "call 1: not JSON: Expecting property name"),
        ("<tool_call>[]</tool_call>", "call 1: the call is not a JSON object"),
        ("<tool_call>{}</tool_call>", "call 1: no name"),
        ('<tool_call>{"name":7,"arguments":{}}</tool_call>', "call 1: the name is not a word"),
        ('<tool_call>{"name":"","arguments":{}}</tool_call>', "call 1: the name is not a word"),
        ('<tool_call>{"name":"f"}</tool_call>', "call 1: no arguments"),
        ('<tool_call>{"name":"f","arguments":"{}"}</tool_call>', "call 1: the arguments are not a"),
        ('<tool_call>{"name":"f","arguments":null}</tool_call>', "call 1: the arguments are not a"),
        ('<tool_call>{"name":"f","arguments":{}} so</tool_call>', "call 1: text between the"),
        ('<tool_call>{"name":"f","arguments":{"x":NaN}}</tool_call>', "call 1: NaN is not JSON"),
        ('<tool_call>{"name":"f","arguments":{"x":1e999}}</tool_call>', "call 1: a number too"),
        ('<tool_call>{"name":"f","arguments":{"x":"\\ud800"}}</tool_call>', "call 1: half a"),
        ('<tool_call>{"name":"f","arguments":{"x":1,"x":2}}</tool_call>', "call 1: 'x' is there twice"),
        ('<tool_call>{"name":"f","name":"g","arguments":{}}</tool_call>', "call 1: 'name' is there twice"),
        ("<tool_call>" + "[" * 200_000, "call 1: "),
        ('<tool_call>{"name":"f","arguments":{"x":' + "9" * 5000, "call 1: a number with"),
    ],
)
def test_malformed(raw: str, reason: str) -> None:
    message, why = parse_answer(raw)
    assert message is None and why is not None and why.startswith(reason)


@settings(deadline=None)
@given(st.text() | st.lists(pieces | text, max_size=12).map("".join))
def test_never_raises(raw: str) -> None:
    message, reason = parse_answer(raw)
    assert (message is None) != (reason is None)


arguments = st.dictionaries(text, json_values, max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(text.filter(bool), arguments), min_size=1, max_size=4))
def test_what_is_written_is_read(wanted: list[tuple[str, dict[str, object]]]) -> None:
    raw = " ".join(f"<tool_call>{json.dumps({'name': n, 'arguments': a})}</tool_call>" for n, a in wanted)
    message, reason = parse_answer(raw)
    assert reason is None and message is not None and message.content is None
    assert [c.id for c in message.tool_calls] == [f"call_{i + 1}" for i in range(len(wanted))]
    got = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls]
    assert got == wanted


CALLS = [("a", {"x": None, "y": [1, {"z": "}; {"}]}), ("b", {})]
WRITTEN: dict[Form, tuple[str, str]] = {
    "mistral": ("[TOOL_CALLS] [{}]", '{{"name": {}, "arguments": {}, "id": "call00001"}}'),
    "granite": ("<|tool_call|>[{}]", '{{"name": {}, "arguments": {}}}'),
    "llama": ("{}", '{{"name": {}, "parameters": {}}}'),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_other_forms(form: Form) -> None:
    whole, one = WRITTEN[form]
    made = [one.format(json.dumps(n), json.dumps(a)) for n, a in CALLS]
    message, reason = parse_answer(whole.format(("; " if form == "llama" else ", ").join(made)), form)
    assert reason is None and message is not None and message.content is None
    assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls] == [
        (f"call_{n}", *c) for n, c in enumerate(CALLS, 1)
    ]
    assert parse_answer(" Plain text. ", form) == (Message("assistant", "Plain text."), None)


def test_text_before_calls() -> None:
    raw = '{}{}[{{"name":"f","arguments":{{}}}}]'
    message, reason = parse_answer(raw.format(" Let me look. ", "[TOOL_CALLS]"), "mistral")
    assert reason is None and message is not None and message.content == "Let me look." and message.tool_calls
    assert parse_answer(raw.format("Let me look. ", "<|tool_call|>"), "granite")[0] is None
    spoken = 'It is {"name": "f", "parameters": {}}'
    assert parse_answer(spoken, "llama") == (Message("assistant", spoken), None)
    assert parse_answer('{"metres": 3}', "llama") == (Message("assistant", '{"metres": 3}'), None)


@pytest.mark.parametrize(
    ("form", "raw", "reason"),
    [
        ("mistral", "[TOOL_CALLS]", "calls: not JSON"),
        ("mistral", "[TOOL_CALLS] []", "calls: no list of calls"),
        ("mistral", '[TOOL_CALLS] [{"name":"f","arguments":{}}] so', "calls: text after"),
        ("mistral", '[TOOL_CALLS] [{"name":"f","arguments":"{}"}]', "call 1: the arguments are not a"),
        ("granite", '<|tool_call|>{"name":"f","arguments":{}}', "calls: no list"),
        ("llama", '{"name":"f","arguments":{}}', "call 1: no parameters"),
        ("llama", '{"name":"f","parameters":{}} {"name":"g","parameters":{}}', "calls: text after"),
        ("llama", '{"name":"f","parameters":{"x":NaN}}', "calls: NaN is not JSON"),
    ],
)
def test_other_forms_malformed(form: Form, raw: str, reason: str) -> None:
    message, why = parse_answer(raw, form)
    assert message is None and why is not None and why.startswith(reason)


@settings(deadline=None)
@given(st.sampled_from(sorted(WRITTEN)), st.text() | st.lists(pieces | text, max_size=12).map("".join))
def test_other_forms_never_raise(form: Form, raw: str) -> None:
    for begin in ("", "[TOOL_CALLS]", "<|tool_call|>", '{"name": '):
        message, reason = parse_answer(begin + raw, form)
        assert (message is None) != (reason is None)


def test_which_form_a_template_writes() -> None:
    from runner import library
    from runner.modelchecks import templates

    found = {}
    for name, place in templates().items():
        path = library.find(place)
        assert path is not None
        found[name] = form_of(path.read_text(encoding="utf-8"))
    others = {"llama-3.1": "llama", "mistral-v3": "mistral", "granite-3": "granite"}
    assert found == {name: others.get(name, "hermes") for name in templates()}
