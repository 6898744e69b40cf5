"""Works → pieces of like length, and which of them are held out together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from runner.errors import StepError
from runner.judges.style.kinds import MODERN, PERIOD, PERSONA
from runner.judges.style.pieces import Work, cut, labelled, of_works, spread, works
from runner.registry import InputFile


def given(folder: Path, name: str, text: str) -> InputFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return InputFile(name, path, hashlib.sha256(path.read_bytes()).hexdigest())


def prose(seed: int, sentences: int) -> str:
    """Sentences of 6 to 14 words that no other seed has."""
    lengths = [6 + (seed * 7 + n * 5) % 9 for n in range(sentences)]
    return " ".join(
        " ".join([f"Word{seed}x{n}", *(f"w{seed}x{n}x{i}" for i in range(size - 1))]) + "."
        for n, size in enumerate(lengths)
    )


def test_pieces_are_of_like_length_and_hold_all_sentences_once() -> None:
    text = "\n\n".join(prose(n, 23) for n in range(5))
    pieces = cut(text, 50)
    assert all(38 <= len(p.split()) <= 62 for p in pieces)
    assert all(p.endswith(".") and p.startswith("Word") for p in pieces)
    assert " ".join(pieces) == " ".join(text.split())[: len(" ".join(pieces))]
    assert len(" ".join(pieces).split()) > len(text.split()) - 38


def test_a_sentence_without_end_is_cut_and_a_short_rest_left_out() -> None:
    pieces = cut("word " * 130, 50)
    assert [len(p.split()) for p in pieces] == [50, 50]
    assert cut("A few words only.", 50) == []
    assert cut("word " * 38, 50) == ["word " * 37 + "word"]


def test_no_long_book_outweighs_the_rest() -> None:
    assert spread(["a", "b"], 3) == ["a", "b"]
    assert spread([str(n) for n in range(10)], 5) == ["0", "2", "4", "6", "8"]
    long = of_works({PERSONA: [Work("a", "x", prose(1, 2000))], PERIOD: [Work("b", "y", prose(2, 4000))]}, 20)
    assert sum(p.kind == PERSONA for p in long) == 120 and sum(p.kind == PERIOD for p in long) == 200


def test_an_author_is_a_folder_or_named_or_the_work_itself(tmp_path: Path) -> None:
    nested = [
        given(tmp_path, f"p/{a}/{n}.txt", prose(n, 5)) for n, a in enumerate(("Dickens", "Dickens", "Doyle"))
    ]
    assert [w.author for w in works(nested, {})] == ["p/Dickens", "p/Dickens", "p/Doyle"]
    flat = [given(tmp_path, f"q/{n}.txt", prose(n, 5)) for n in range(3)]
    assert [w.author for w in works(flat, {})] == ["q/0.txt", "q/1.txt", "q/2.txt"]
    named = works(flat, {"0.txt": "Franklin", "2.txt": "Franklin"})
    assert [w.author for w in named] == ["Franklin", "q/1.txt", "Franklin"]
    groups = {p.group for p in of_works({PERIOD: named}, 20)}
    assert groups == {"period/Franklin", "period/q/1.txt"}


def test_a_jsonl_holds_texts_or_conversations(tmp_path: Path) -> None:
    rows = [
        {"text": "One text.", "author": "a paper"},
        {"text": "Another text.", "author": "a paper"},
        {
            "messages": [
                {"role": "user", "content": "Not mine."},
                {"role": "assistant", "content": "But this."},
            ]
        },
    ]
    file = given(tmp_path, "m.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
    assert works([file], {}) == [
        Work("m.jsonl (a paper)", "a paper", "One text.\n\nAnother text."),
        Work("m.jsonl", "m.jsonl", "But this."),
    ]


def test_what_is_no_work_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"page\.txt: "):
        works([given(tmp_path, "page.txt", "<!DOCTYPE html><html><body>Not found</body></html>")], {})
    with pytest.raises(StepError, match=r"m\.jsonl:2: "):
        works([given(tmp_path, "m.jsonl", '{"text": "a"}\n{"text": 7}\n')], {})


def test_works_that_share_text_are_held_out_together() -> None:
    whole, part, other = prose(1, 200), prose(1, 40), prose(2, 200)
    quoting = other + " " + prose(3, 3)
    found = {
        PERSONA: [
            Work("whole", "x", whole),
            Work("other", "x", quoting),
            Work("part", "x", part.replace(".", "!")),
        ],
        MODERN: [Work("quotes", "a paper", prose(3, 200))],
    }
    groups = {p.text.split()[0].lower().partition("x")[0]: p.group for p in of_works(found, 20)}
    assert groups["word1"] == "persona/part" and groups["word2"] == "persona/other"
    assert {p.group for p in of_works(found, 20)} == {"persona/part", "persona/other", "modern/a paper"}


def test_labelled_texts_have_the_kinds_that_there_are(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": "wit", "group": "g"},
        {"text": "b", "label": "plain", "group": "g", "kind": "period"},
        {"text": "c", "label": "plain", "group": "h", "kind": "sermons"},
    ]
    file = given(tmp_path, "t.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
    assert [(p.kind, p.group) for p in labelled([file], "t.jsonl", "wit")] == [
        ("persona", "g"), ("period", "g"), ("other", "h"),
    ]  # fmt: skip
