"""From tokens to pieces: the pieces put together are the whole, whatever the cuts; nothing is sent that is a call."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.calls import Form, parse_answer
from runner.jobs.said import Answer, Detokenizer, Stops, overlap

CALL = '<tool_call>{"name":"f","arguments":{"a":"<tool_call>"}}</tool_call>'
OTHERS = [
    '[TOOL_CALLS] [{"name": "f", "arguments": {}}]', "[TOOL", "[TOOL_CALLS]", '<|tool_call|>[{"name":"f","arguments":{}}]',
    '{"name": "f", "parameters": {}}', "; ", "<|python_tag|>", "{",
]  # fmt: skip
PARTS = ["<", "tool_call>", CALL, " ", "\n", "hi", "<tool", "</tool_call>", "é", "<tool_call>{", *OTHERS]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=6)


def pieces(text: str, cuts: list[int]) -> list[str]:
    marks = sorted({0, len(text), *(c % (len(text) + 1) for c in cuts)})
    return [text[a:b] for a, b in pairwise(marks)]


@given(st.sampled_from(get_args(Form)), TEXTS, st.lists(st.integers(0, 500)))
def test_streamed_text_is_what_the_parser_makes_of_the_whole(
    form: Form, texts: list[str], cuts: list[int]
) -> None:
    raw = "".join(texts)
    answer = Answer(form)
    sent = "".join(answer.add(piece) for piece in pieces(raw, cuts)) + answer.end()
    message, reason = parse_answer(raw, form)
    assert answer.reason == reason
    if message is None:  # what is no call is text, all of it
        assert sent == raw.strip() and not answer.calls
    else:
        assert sent == (message.content or "") == answer.content
        assert [c.function for c in answer.calls] == [c.function for c in message.tool_calls]


def test_without_tools_all_is_text_at_once() -> None:
    answer = Answer(None)
    assert answer.add(CALL[:5]) == CALL[:5]
    answer.add(CALL[5:])
    assert answer.end() == "" and answer.content == CALL and not answer.calls


def test_one_call_where_one_is_allowed_and_ids_of_their_own() -> None:
    both, one = Answer("hermes"), Answer("hermes", one_call=True)
    for answer in (both, one):
        answer.add(CALL + CALL)
        answer.end()
    assert len(both.calls) == 2 and len(one.calls) == 1
    ids = [c.id for c in both.calls + one.calls]
    assert len(set(ids)) == 3 and all(i.startswith("call_") for i in ids)


@given(
    st.text("abEND ", max_size=60),
    st.lists(st.integers(0, 60)),
    st.lists(st.sampled_from(["END", "EN", "b a"])),
)
def test_stop_texts_are_never_sent(text: str, cuts: list[int], wanted: list[str]) -> None:
    stops, sent = Stops(wanted), ""
    for piece in pieces(text, cuts):
        sent += stops.add(piece)
        if stops.hit:
            break
    sent += stops.rest()
    found = [at for w in wanted if (at := text.find(w)) >= 0]
    assert stops.hit == bool(found)
    assert not any(w in sent for w in wanted) and text.startswith(sent)
    if not found:
        assert sent == text


def test_overlap() -> None:
    assert [overlap(t, "<tool>") for t in ("", "a<", "<to", "<tool>", "x<tool")] == [0, 1, 3, 0, 5]


@pytest.mark.parametrize("text", ["naïve “café”", "😀😀", "a\ufffdb", ""])
def test_characters_come_whole(text: str) -> None:
    raw = text.encode()
    words = Detokenizer(lambda ids: bytes(ids).decode("utf-8", "replace"))
    got = [words.add([b]) for b in raw]
    assert "".join(got) + words.rest() == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in g for g in got)
    broken = Detokenizer(lambda ids: bytes(ids).decode("utf-8", "replace"))
    assert broken.add([97]) + broken.add(list("é".encode()[:1])) == "a" and broken.rest() == "\ufffd"
