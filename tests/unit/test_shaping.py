"""Shaping: system messages, tags and provenance as the recipe says, the same wherever it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner import sourcing
from runner.fetching import InputFile, Item
from runner.recipe import Chat, Passages, Source, SourceCommon
from runner.record import Document, Message, Record, Rejected
from runner.shaping import shaped


def rows(*given: Any, seed: int = 0, **common: Any) -> list[Record | Rejected]:
    return list(shaped(iter(given), Source("s", "text", {}, SourceCommon(**common)), seed))


def talk(n: int = 1, *before: Message, **meta: str) -> Record:
    messages = [*before, Message("user", f"Say {n}."), Message("assistant", f"{n}.")]
    return Record(messages, tags={"tone": "dry"}, meta={"id": f"s/{n}", **meta})


def systems(found: list[Record | Rejected]) -> list[str]:
    return [
        r.messages[0].content or "" for r in found if isinstance(r, Record) and r.messages[0].role == "system"
    ]


def test_documents_become_passages_and_rejected_rows_pass() -> None:
    lost = Rejected("x", "no text")
    document = Document("One boat left.\n\nAnother came.", {"id": "s/a"})
    one, two = rows(
        lost, document, chat=Chat(passages=Passages(words=(1, 3), prompt="none")), license="CC0-1.0"
    )[1:]
    assert isinstance(one, Record) and isinstance(two, Record)
    assert (one.answer, two.answer) == ("One boat left.", "Another came.")
    assert one.meta == {"id": "s/a/0001", "group": "s/a", "source": "s", "license": "CC0-1.0"}
    assert rows(lost) == [lost]
    assert rows(Document(" \n", {"id": "s/b"})) == [Rejected("s/b", "a document without text")]


def test_a_record_keeps_its_messages_and_its_own_system() -> None:
    own = Message("system", "Be kind.")
    assert rows(talk(1, own), chat=Chat(system="Be witty.")) == rows(talk(1, own))
    (record,) = rows(talk(), chat=Chat(system="Be witty."))
    assert isinstance(record, Record)
    assert record.messages == [Message("system", "Be witty."), *talk().messages]


def test_one_of_several_systems_by_the_records_id() -> None:
    chat = Chat(systems=["Be witty.", "Be brief.", "Be old."], system_share=0.75)
    found = systems(rows(*(talk(n) for n in range(2000)), chat=chat))
    assert 1450 < len(found) < 1550
    assert all(430 < found.count(s) < 570 for s in chat.systems or [])
    assert systems(rows(*(talk(n) for n in reversed(range(2000))), chat=chat)) == found[::-1]
    assert systems(rows(*(talk(n) for n in range(2000)), chat=chat, seed=1)) != found


def test_shares_of_none_and_all() -> None:
    for share, count in ((0.0, 0), (1.0, 50)):
        found = rows(*(talk(n) for n in range(50)), chat=Chat(system="Be witty.", system_share=share))
        assert len(systems(found)) == count


def test_tags_from_a_records_meta() -> None:
    chat = Chat(tags_from={"author": "author", "tone": "mood", "persona": "author", "source": "author"})
    (one,) = rows(talk(author=" Jane Austen "), chat=chat, tags={"persona": "austen"})
    (two,) = rows(talk(mood="sad"), chat=chat)
    assert isinstance(one, Record) and isinstance(two, Record)
    assert one.tags == {"tone": "dry", "author": "Jane Austen", "persona": "austen", "source": "s"}
    assert two.tags == {"tone": "sad", "source": "s"}


def test_bookkeeping_of_later_steps_is_not_believed() -> None:
    (record,) = rows(talk(copy="2", tokens="9", source="other", license="MIT"), license="CC0-1.0")
    assert isinstance(record, Record)
    assert record.meta == {"id": "s/1", "source": "s", "license": "MIT"}


def test_what_is_not_fetched_or_breaks_the_contract_says_where_it_is_from(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Say it."}]}\n')
    spec = Source("s", "jsonl", {"files": ["a.jsonl"]}, SourceCommon())
    items = [
        Item("k", error="404"),
        Item("l", meta={"origin": "https://a.test/l"}, error="no", left_out=True),
    ]
    files = {"files": (InputFile("x/a.jsonl", path, "0" * 64),)}
    found = list(sourcing.rows(spec, files, items, tmp_path, 1))
    assert all(isinstance(row, Rejected) for row in found)
    assert {row.id: row.origin for row in found if isinstance(row, Rejected)} == {
        "s/a/1": "x/a.jsonl:1",
        "s/k": "k",
        "s/l": "https://a.test/l",
    }
