"""What is trained of a record, what becomes of one that is too long, and how it is shown: through `recipe run`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import ledger, library
from runner.chat import Learnt, Lost, Rendered, Renderer, for_trainer
from runner.cli import main
from runner.parting import named, parted, said
from runner.record import FunctionCall, Message, Record, ToolCall

CHATML = library.shelf("recipes") / "base/chatml-tools.jinja"
TALK = Record(
    [
        Message("system", "Be brief."),
        Message("user", "One?"),
        Message("assistant", "First."),
        Message("user", "Two?"),
        Message("assistant", "Second."),
    ],
    meta={"id": "t/1"},
)


def renderer(tiny: Path, learnt: Learnt) -> Renderer:
    return Renderer(
        str(tiny), revision=None, template=CHATML.read_text(), end_of_turn="<|im_end|>", learnt=learnt
    )


@pytest.mark.parametrize(
    "learnt, wanted",
    [
        (Learnt(), ["First.<|im_end|>", "Second.<|im_end|>"]),
        (Learnt(turns="last"), ["Second.<|im_end|>"]),
        (
            Learnt(("assistant", "user")),
            ["One?<|im_end|>", "First.<|im_end|>", "Two?<|im_end|>", "Second.<|im_end|>"],
        ),
        (Learnt(("user",), "last"), ["Two?<|im_end|>"]),
    ],
)
def test_which_turns_are_trained(tiny: Path, learnt: Learnt, wanted: list[str]) -> None:
    done = renderer(tiny, learnt).render(TALK)
    assert done.spans == wanted
    ids = [i for i, trained in zip(done.ids, done.trained, strict=True) if trained]
    assert renderer(tiny, learnt).tokenizer.decode(ids) == "".join(wanted)


def test_a_weight_goes_before_what_the_recipe_says(tiny: Path) -> None:
    messages = [*TALK.messages[:2], Message("assistant", "First.", weight=0), *TALK.messages[3:]]
    record = Record(messages, meta=TALK.meta)
    assert renderer(tiny, Learnt()).render(record).spans == ["Second.<|im_end|>"]
    rows = for_trainer(record)["messages"]
    assert [m.get("train") for m in rows] == [None, None, False, None, None]
    assert all("weight" not in m for m in rows)
    rows = for_trainer(record, Learnt(("assistant", "user"), "last"))["messages"]
    assert [m.get("train") for m in rows] == [None, False, False, False, None]


def test_a_user_turn_that_a_template_changes_cannot_be_trained(tiny: Path) -> None:
    shouting = CHATML.read_text().replace("(message.content or '')", "(message.content or '') | upper")
    learnt = Learnt(("assistant", "user"))
    with pytest.raises(Lost):
        Renderer(str(tiny), revision=None, template=shouting, end_of_turn="<|im_end|>", learnt=learnt).render(
            TALK
        )


# -- parting --------------------------------------------------------------------------------------


def counted(record: Record) -> Rendered:
    """A token a character, all of the assistant's trained."""
    text = "".join(m.content or "" for m in record.messages)
    return Rendered(text, list(range(len(text))), [m.role == "assistant" for m in record.messages], [])


def exchange(n: int, words: str) -> list[Message]:
    return [Message("user", f"Q{n}"), Message("assistant", words)]


def test_parts_hold_whole_exchanges_with_the_system_message() -> None:
    record = Record(
        [
            Message("system", "S"),
            *exchange(1, "aaaa"),
            *exchange(2, "bbbb"),
            *exchange(3, "c" * 50),
            *exchange(4, "d"),
        ],
        meta={"id": "x"},
    )
    parts, left_out = parted(record, counted, 14)
    assert [[m.content for m in p.record.messages] for p in parts] == [
        ["S", "Q1", "aaaa", "Q2", "bbbb"],
        ["S", "Q4", "d"],
    ]
    assert [p.tokens for p in parts] == [13, 4] and left_out == 1
    assert [named(p, n).meta for n, p in enumerate(parts, 1)] == [
        {"id": "x#1", "tokens": "13"},
        {"id": "x#2", "tokens": "4"},
    ]
    assert (
        said(2, 1, 14)
        == "split into 2 at a turn; 1 of its exchanges left out: longer than 14 tokens, or untrained"
    )


def test_calls_and_their_results_stay_together() -> None:
    call = ToolCall("c1", FunctionCall("get_tide", '{"harbour":"Oban"}'))
    tide = [
        Message("user", "Tide?"),
        Message("assistant", tool_calls=[call]),
        Message("tool", "3 m", tool_call_id="c1"),
        Message("assistant", "Three."),
    ]
    parts, left_out = parted(Record([*exchange(1, "a"), *tide], meta={"id": "x"}), counted, 15)
    assert [len(p.record.messages) for p in parts] == [2, 4] and left_out == 0
    assert parted(Record(tide, meta={"id": "x"}), counted, 5) == ([], 1)


# -- through the line -----------------------------------------------------------------------------

RECIPE = """recipe: 1
name: r
sources:
  - jsonl: {files: [a.jsonl]}
    name: s
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 64%s}
%s
"""


def workspace(
    tmp_path: Path, tiny: Path, rows: list[list[dict[str, Any]]], model: str = "", more: str = ""
) -> Path:
    shutil.copytree(tiny, tmp_path / "tiny", dirs_exist_ok=True)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    (tmp_path / "r.yaml").write_text(RECIPE % (model, more))
    return tmp_path


def recipe(root: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*words, "--workspace", str(root)])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


def row(*said: str, **more: Any) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} | (more if n % 2 else {}) for n, text in enumerate(said)]


LONG = row(
    "One?", "the quick brown fox jumps", "Two?", "over the lazy dog", "Three?", "the quick brown fox again"
)


def test_too_long_is_dropped_unless_the_recipe_says_otherwise(tmp_path: Path, tiny: Path) -> None:
    root = workspace(tmp_path, tiny, [LONG, row("Four?", "fox")])
    assert recipe(root, "run", str(root / "r.yaml"), "--to", "prepare")[0] == 0
    fates = ledger.read(root / "runs/r/ledger.parquet")
    assert [(f.fate, f.reason) for f in fates] == [
        ("dropped", "longer than max_length, 64 tokens"),
        ("trained", ""),
    ]


def test_too_long_is_split_at_a_turn(tmp_path: Path, tiny: Path) -> None:
    root = workspace(
        tmp_path,
        tiny,
        [LONG, row("Four?", "fox")],
        ", over_length: split",
        "mix: {weights: {s: 1}, unit: tokens}",
    )
    code, output = recipe(root, "run", str(root / "r.yaml"), "--to", "prepare")
    assert code == 0, output
    trained = [json.loads(line) for line in (root / "runs/r/data/train.jsonl").read_text().splitlines()]
    ids = sorted(t["meta"]["id"] for t in trained)
    assert ids[-1] == "s/a/2" and len(ids) > 2 and ids[:-1] == [f"s/a/1#{n}" for n in range(1, len(ids))]
    assert all(int(t["meta"]["tokens"]) <= 64 for t in trained)
    said_now = [
        m["content"] for i in ids[:-1] for t in trained if t["meta"]["id"] == i for m in t["messages"]
    ]
    assert said_now == [m["content"] for m in LONG]
    first, _ = ledger.read(root / "runs/r/ledger.parquet")
    assert first.fate == "trained" and first.edits == f"split into {len(ids) - 1} at a turn"
    assert first.tokens == sum(int(t["meta"]["tokens"]) for t in trained if "#" in t["meta"]["id"])
    code, output = recipe(root, "show", str(root / "r.yaml"), "row", "s/a/1")
    assert code == 0 and f"changed: split into {len(ids) - 1} at a turn" in output
    assert all(m["content"] in output for m in LONG)
    code, output = recipe(root, "show", str(root / "r.yaml"), "render", "s/a/1#2")
    assert code == 0 and output.startswith("s/a/1#2  ")
    code, output = recipe(root, "show", str(root / "r.yaml"), "render", "s/a/1#9")
    assert code == 2 and "has no part 9" in output


def test_too_long_stops_the_run_where_that_is_asked(tmp_path: Path, tiny: Path) -> None:
    root = workspace(tmp_path, tiny, [LONG, row("Four?", "fox")], ", over_length: refuse")
    code, output = recipe(root, "run", str(root / "r.yaml"), "--to", "prepare")
    assert code == 3
    assert "1 records are longer than max_length, 64 tokens; the longest, s/a/1, has" in output


def test_a_record_of_which_nothing_is_trained_is_dropped(tmp_path: Path, tiny: Path) -> None:
    root = workspace(tmp_path, tiny, [row("One?", "two", weight=0), row("Three?", "four")])
    assert recipe(root, "run", str(root / "r.yaml"), "--to", "prepare")[0] == 0
    fates = ledger.read(root / "runs/r/ledger.parquet")
    assert [f.fate for f in fates] == ["dropped", "trained"]
    assert fates[0].reason.startswith("nothing in it is trained")


def test_a_record_is_shown_as_the_model_sees_it(tmp_path: Path, tiny: Path) -> None:
    root = workspace(tmp_path, tiny, [row("One?", "two")])
    assert recipe(root, "run", str(root / "r.yaml"), "--to", "prepare")[0] == 0
    code, output = recipe(root, "show", str(root / "r.yaml"), "render", "s/a/1")
    assert code == 0
    assert "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n⟦two<|im_end|>⟧" in output
    code, output = recipe(root, "show", str(root / "r.yaml"), "render", "s/a/1", "--json")
    part = json.loads(output)["render"]["parts"][0]
    (begin, end), text = part["trained"][0], part["text"]
    assert text[begin:end] == "two<|im_end|>" and part["trained_tokens"] < part["tokens"]
    code, output = recipe(root, "show", str(root / "r.yaml"), "render", "s/a/9")
    assert code == 2 and "no row 's/a/9'" in output


def test_a_tokenizer_without_a_stop_token_is_told(tmp_path: Path, tiny: Path) -> None:
    root = workspace(tmp_path, tiny, [row("a", "b")])
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = root / "tiny" / name
        if path.is_file():
            data = json.loads(path.read_text())
            data.pop("eos_token", None)
            path.write_text(json.dumps(data))
    (root / "r.yaml").write_text((root / "r.yaml").read_text().replace("end_of_turn: <|im_end|>, ", ""))
    code, output = recipe(root, "run", str(root / "r.yaml"), "--to", "prepare")
    assert code == 3 and "no token that ends a turn" in output and "model.end_of_turn" in output
