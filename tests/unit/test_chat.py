"""Rendering: what a template loses is found, and exactly the assistant's turns are marked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner import library, lowering
from runner.chat import Lost, Renderer, Unrenderable, for_trainer
from runner.record import FunctionCall, Message, Record, ToolCall

TOOL = {
    "type": "function",
    "function": {
        "name": "get_tide",
        "description": "Height of the tide.",
        "parameters": {
            "type": "object",
            "properties": {"harbour": {"type": "string"}, "hour": {"type": "integer"}},
            "required": ["harbour"],
        },
    },
}


def call(n: int, arguments: str) -> ToolCall:
    return ToolCall(f"call_{n}", FunctionCall("get_tide", arguments))


CONVERSATION = Record(
    [
        Message("system", "You are a harbour pilot."),
        Message("user", "How high is the tide at Oban, and at Wick?"),
        Message("assistant", tool_calls=[call(1, '{"harbour":"Oban","hour":6}')]),
        Message("tool", '{"metres":3.25}', tool_call_id="call_1"),
        Message("assistant", tool_calls=[call(2, '{"harbour":"Wick","hour":null}')]),
        Message("tool", '{"metres":1.5}', tool_call_id="call_2"),
        Message("assistant", 'Oban has 3.25 metres, "give or take", and Wick 1.5.'),
    ],
    tools=[TOOL],
)


@pytest.fixture(scope="module")
def shipped(tiny: Path) -> Renderer:
    template = library.find("recipes/base/chatml-tools.jinja")
    assert template is not None
    return Renderer(str(tiny), revision=None, template=template.read_text(), end_of_turn=None)


def renderer(tiny: Path, template: str) -> Renderer:
    return Renderer(str(tiny), revision=None, template=template, end_of_turn="<|im_end|>")


def test_loading_says_nothing(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Transformers remarks on a config that it does not know: what comes of that is said by what needs the model."""
    logging: Any = pytest.importorskip("transformers").utils.logging
    odd = shutil.copytree(tiny, tmp_path / "odd")
    config = odd / "config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"model_type": "nosuch"}))
    logging.set_verbosity_warning()
    logging.enable_propagation()
    Renderer(str(odd), revision=None, template=None, end_of_turn=None)
    logging.disable_propagation()
    assert not caplog.records


def test_only_the_assistants_turns_and_their_stop_tokens_are_trained(shipped: Renderer) -> None:
    done = shipped.render(CONVERSATION)
    assert done.spans == [
        '<tool_call>{"name":"get_tide","arguments":{"harbour":"Oban","hour":6}}</tool_call><|im_end|>',
        '<tool_call>{"name":"get_tide","arguments":{"harbour":"Wick","hour":null}}</tool_call><|im_end|>',
        'Oban has 3.25 metres, "give or take", and Wick 1.5.<|im_end|>',
    ]
    trained = [i for i, t in zip(done.ids, done.trained, strict=True) if t]
    assert shipped.tokenizer.decode(trained) == "".join(done.spans)
    rest = shipped.tokenizer.decode([i for i, t in zip(done.ids, done.trained, strict=True) if not t])
    for kept_out in ("harbour pilot", "Wick?", "3.25}", "<|im_start|>assistant\n"):
        assert kept_out in rest


def test_several_calls_in_a_turn_and_text_beside_a_call(shipped: Renderer) -> None:
    both = Message(
        "assistant", "Let me see.", tool_calls=[call(1, '{"harbour":"A"}'), call(2, '{"harbour":"B"}')]
    )
    answers = [Message("tool", f'{{"metres":{n}}}', tool_call_id=f"call_{n}") for n in (1, 2)]
    record = Record([Message("user", "?"), both, *answers, Message("assistant", "So.")], tools=[TOOL])
    done = shipped.render(record)
    assert done.spans[0].startswith("Let me see.\n<tool_call>") and done.spans[0].count("<tool_call>") == 2


LOSSES = {
    "system text": ("{% if m.role != 'system' %}", "{% endif %}", "{{ m.content }}"),
    "tool 'get_tide'": ("", "", "{{ m.content or m.tool_calls }}"),
    "the call of tool": ("", "", "{{ m.content or '-' }}"),
    "the tool's result": ("", "", "{{ '' if m.role == 'tool' else m.content or m.tool_calls }}"),
    "an argument of tool": ("", "", "{{ m.content or m.tool_calls[0].function.name }}"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_a_template_that_loses_a_part_is_found_out(tiny: Path, what: str) -> None:
    before, after, body = LOSSES[what]
    tools = "" if what == "tool 'get_tide'" else "{% if tools %}{{ tools | tojson }}{% endif %}"
    text = (
        tools + "{% for m in messages %}" + before + "<|im_start|>{{ m.role }}\n" + body + "<|im_end|>\n"
        + after + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )  # fmt: skip
    with pytest.raises(Lost, match=what):
        renderer(tiny, text).render(CONVERSATION)


CALLING = (
    "{% if tools %}<tools>{{ TOOLS }}</tools>{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}(CALL){% endfor %}{{ m.content or '' }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SOME = "{% for k, v in c.function.arguments.items() if v is not none %}{{ k }}={{ v | tojson }} {% endfor %}"
TRUE = (
    "{% for k, v in c.function.arguments.items() if v is not boolean %}{{ k }}={{ v | tojson }} {% endfor %}"
)
BARE = "{{ c.function.arguments.values() | list | tojson }}"
EACH = "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }} {% endfor %}"
FREE = (
    "{% for t in tools %}{{ t.function.name }}: {{ t.function.description }}"
    "{{ {'type': 'object', 'properties': t.function.parameters.properties} | tojson }}{% endfor %}"
)
ARGUMENTS = '{"harbour":"Oban","hour":null,"springs":true,"deep":{"metres":[null,false]}}'


@pytest.mark.parametrize(
    ("call", "tools", "lost"),
    [
        (SOME, "tools | tojson", "'null'|'hour'"),
        (TRUE, "tools | tojson", "'true'|'springs'"),
        (BARE, "tools | tojson", "'harbour'"),
        (EACH, "tools | tojson", None),
        ("{{ c.function.arguments | tojson }}", "tools | tojson", None),
        ("{{ c.function.arguments | tojson }}", "REQUIRED", "required"),
    ],
)
def test_names_nulls_and_what_is_required_are_parts_too(
    tiny: Path, call: str, tools: str, lost: str | None
) -> None:
    shown = FREE if tools == "REQUIRED" else f"{{{{ {tools} }}}}"
    template = CALLING.replace("{{ TOOLS }}", shown).replace("CALL", call)
    asked = Message("assistant", tool_calls=[ToolCall("call_1", FunctionCall("get_tide", ARGUMENTS))])
    messages = [
        Message("user", "?"),
        asked,
        Message("tool", "3", tool_call_id="call_1"),
        Message("assistant", "So."),
    ]
    record = Record(messages, tools=[TOOL])
    if lost is None:
        assert renderer(tiny, template).render(record).spans
        return
    with pytest.raises(Lost, match=lost):
        renderer(tiny, template).render(record)


@pytest.mark.parametrize(
    ("call", "tools"),
    [
        ("{{ c.function.arguments }}", "{{ tools | tojson }}"),  # as Python
        ("{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v | string | e }}</{{ k }}>{% endfor %}", "{{ tools | tojson }}"),
        ("{{ c.function.arguments | tojson }}", "{% for t in tools %}{{ t.function.name }} {{ t.function.description }} "
         "{% for k, v in t.function.parameters.properties.items() %}{{ k }}: {{ v.type }} {% endfor %}"
         "{{ t.function.parameters.required | tojson }} {{ t.function.parameters.type }}{% endfor %}"),
    ],
    ids=["python", "xml", "required by itself"],
)  # fmt: skip
def test_other_ways_to_write_calls_and_schemas_lose_nothing(tiny: Path, call: str, tools: str) -> None:
    template = CALLING.replace("{{ TOOLS }}", tools).replace("CALL", call)
    arguments = json.dumps({"harbour": 'O\'Ban & "north" pier', "hour": 6})
    asked = Message("assistant", tool_calls=[ToolCall("call_1", FunctionCall("get_tide", arguments))])
    messages = [
        Message("user", "?"),
        asked,
        Message("tool", "3", tool_call_id="call_1"),
        Message("assistant", "So."),
    ]
    assert renderer(tiny, template).render(Record(messages, tools=[TOOL])).spans


def test_a_template_without_system_or_tools_that_trims(tiny: Path) -> None:
    """As Gemma's own."""
    text = (
        "{% for m in messages %}{% if m.role in ['system', 'tool'] or tools %}{{ raise_exception('no') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    trimming = renderer(tiny, text)
    record = Record([Message("user", "How high?\n"), Message("assistant", "So.\n")])
    lowered = lowering.lower(record, lowering.abilities(trimming))
    assert lowered.notes == ("white space at the ends of a text left out (2 times)",)
    assert trimming.render(lowered.record).spans == ["So.<|im_end|>"]


def test_white_space_is_a_part_of_a_text(tiny: Path) -> None:
    text = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    trimming = renderer(tiny, text)
    record = Record([Message("user", "  verse\n"), Message("assistant", "So.")])
    with pytest.raises(Lost, match="the user text"):
        trimming.render(record)
    able = lowering.abilities(trimming)
    assert {"user", "system", "assistant"} <= able.trims and not able.names
    lowered = lowering.lower(record, able)
    assert lowered.notes == ("white space at the ends of a text left out",) and trimming.render(
        lowered.record
    )


def test_the_models_own_template_without_tools_loses_them(tiny: Path) -> None:
    with pytest.raises(Lost):
        Renderer(str(tiny), revision=None, template=None, end_of_turn=None).render(CONVERSATION)


def test_a_missing_stop_token_is_found_out(tiny: Path) -> None:
    text = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    with pytest.raises(Lost, match="stop token"):
        renderer(tiny, text).render(Record([Message("user", "a"), Message("assistant", "b")]))


def test_a_template_that_refuses_says_why(tiny: Path) -> None:
    text = "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}{% endfor %}"
    with pytest.raises(Unrenderable, match="no tools here"):
        renderer(tiny, text).render(CONVERSATION)


def test_a_template_cannot_reach_python(tiny: Path) -> None:
    text = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(Unrenderable):
        renderer(tiny, text).render(CONVERSATION)


def test_rows_for_the_trainer_keep_every_null_and_no_empty_list() -> None:
    row: dict[str, Any] = for_trainer(CONVERSATION)
    assert json.loads(row["tools"]) == [TOOL]
    assert row["messages"][4]["tool_calls"][0]["function"]["arguments"] == '{"harbour":"Wick","hour":null}'
    assert all("tool_calls" not in m for m in row["messages"] if m["role"] != "assistant")
    assert for_trainer(Record([Message("user", "a")]))["tools"] is None
