"""Lowering: each rule, its note, and what has no way to be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runner.contract import broken
from runner.lowering import Abilities, Unsayable, lower
from runner.record import FunctionCall, Message, Record, ToolCall

ALL = Abilities(
    system="own", tools=True, later=True, parallel=True, beside=True, empty=True, ids="any", tells=True, spaces=True,
    trims=frozenset(), names=True, control=None,
)  # fmt: skip
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SYSTEM, ASK, SAY = Message("system", "Be brief."), Message("user", "How?"), Message("assistant", "So.")


def call(id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id, FunctionCall("f", arguments))


def turn(*ids: str, text: str | None = None) -> Message:
    return Message("assistant", text, [call(i) for i in ids])


def result(id: str, text: str | None = "1") -> Message:
    return Message("tool", text, tool_call_id=id)


def record(*messages: Message) -> Record:
    made = Record(list(messages), [TOOL], {"tag": "t"}, {"id": "r"})
    assert broken(made) is None
    return made


def test_what_can_be_said_is_the_same_object() -> None:
    made = record(
        SYSTEM,
        ASK,
        turn("b", "a", text=" Look."),
        result("a", None),
        result("b"),
        Message("assistant", "\nSo."),
    )
    out = lower(made, ALL)
    assert out.record is made and out.notes == ()


RULES: dict[str, tuple[dict[str, Any], Record, list[Message], str]] = {
    "system": (
        {"system": "joined"}, record(SYSTEM, ASK, SAY), [Message("user", "Be brief.\n\nHow?"), SAY],
        "system text put before the first user turn",
    ),
    "empty system": (
        {"system": "joined"}, record(Message("system", " "), SAY), [SAY], "empty system message left out",
    ),
    "one after another": (
        {"parallel": False},
        record(ASK, turn("a", "b", "c", text="Look."), result("c", "3"), result("a", "1"), result("b", "2"), SAY),
        [ASK, turn("a", text="Look."), result("a", "1"), turn("b"), result("b", "2"), turn("c"), result("c", "3"), SAY],
        "3 calls of one turn said one after another",
    ),
    "order": (
        {"tells": False}, record(ASK, turn("a", "b"), result("b", "2"), result("a", "1"), SAY),
        [ASK, turn("a", "b"), result("a", "1"), result("b", "2"), SAY],
        "results put in the order of their calls",
    ),
    "ids": (
        {"ids": "nine"},
        record(
            ASK, turn("x", "call00001"), result("call00001"), result("x"), SAY, ASK, turn("call00001"),
            result("call00001"), SAY, ASK, turn("Abc123xyz"), result("Abc123xyz"), SAY,
        ),
        [
            ASK, turn("call00002", "call00001"), result("call00001"), result("call00002"), SAY, ASK, turn("call00003"),
            result("call00003"), SAY, ASK, turn("Abc123xyz"), result("Abc123xyz"), SAY,
        ],
        "ids of calls rewritten to nine letters or digits",
    ),
    "nulls": (
        {"empty": False}, record(ASK, turn("a"), result("a", None), SAY),
        [ASK, turn("a", text=""), result("a", ""), SAY], "no text made an empty one (2 times)",
    ),
    "blanks beside a call": (
        {"beside": False}, record(ASK, turn("a", text="\n"), result("a"), SAY), [ASK, turn("a"), result("a"), SAY],
        "blank text beside a call left out",
    ),
    "blanks at the ends": (
        {"trims": frozenset({"user", "tool"})},
        record(Message("user", " How?\n"), turn("a"), result("a", "1\n"), Message("assistant", "So.\n")),
        [Message("user", "How?"), turn("a"), result("a", "1"), Message("assistant", "So.\n")],
        "white space at the ends of a text left out (2 times)",
    ),
    "names": (
        {"names": False}, record(Message("user", "How?", name="Ann"), turn("a"), Message("tool", "1", tool_call_id="a", name="f"), SAY),
        [ASK, turn("a"), Message("tool", "1", tool_call_id="a", name="f"), SAY], "a speaker's name left out",
    ),
    "blanks before an answer": (
        {"spaces": False}, record(Message("user", "\nHow?"), Message("assistant", "\n \tSo.\n")),
        [Message("user", "\nHow?"), Message("assistant", "So.\n")], "white space before an answer left out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    changed, before, after, note = RULES[rule]
    able = replace(ALL, **changed)
    out = lower(before, able)
    assert out.record.messages == after
    assert out.notes == (note,)
    assert broken(out.record) is None
    assert (out.record.tools, out.record.tags, out.record.meta) == (before.tools, before.tags, before.meta)
    again = lower(out.record, able)
    assert again.record is out.record and again.notes == ()


def test_a_weight_stays_with_every_call() -> None:
    both = Message("assistant", None, [call("a"), call("b")], weight=0)
    out = lower(record(ASK, both, result("a"), result("b"), SAY), replace(ALL, parallel=False))
    assert [m.weight for m in out.record.messages if m.tool_calls] == [0, 0]


UNSAYABLE: dict[str, tuple[dict[str, Any], Record]] = {
    "tools": ({"tools": False}, record(ASK, SAY)),
    "text beside a call": ({"beside": False}, record(ASK, turn("a", text="Look."), result("a"), SAY)),
    "tools with more than one question": (
        {"later": False},
        record(ASK, turn("a"), result("a"), SAY, ASK, SAY),
    ),
    "a system text without a user turn": ({"system": "joined"}, record(SYSTEM, SAY, ASK, SAY)),
}


@pytest.mark.parametrize("reason", UNSAYABLE)
def test_unsayable(reason: str) -> None:
    changed, before = UNSAYABLE[reason]
    with pytest.raises(Unsayable, match=f"the template cannot say it: {reason}"):
        lower(before, replace(ALL, **changed))
    assert lower(before, ALL).notes == ()


def test_tools_that_are_not_there_need_no_tools() -> None:
    assert (
        lower(Record([ASK, SAY, ASK, SAY]), replace(ALL, tools=False, later=False, beside=False)).notes == ()
    )
