"""Documents of tasks and held-out texts that stand in what was trained on: refused, or taken out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from runner.errors import StepError
from runner.evaluate import MAKERS
from runner.fetching import InputFile
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.steps import Plan
from runner.store import Artifact
from runner.taskdocs import Asked, documents, texts
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
decontaminate: {against: none}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, targets: [q_proj, v_proj]}
train: {attention: sdpa, packing: false}
evaluate: {suites: [facts, books]}
compute: {profile: cpu}
"""
TASK = """\
dataset_path: json
dataset_kwargs: {data_files: {test: ferry.jsonl, train: learn.jsonl}}
test_split: test
training_split: train
doc_to_text: "Question: {{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
"""
ASKED = {
    "question": "Who sold the old ferry on the river?",
    "choices": ["the captain", "none of the above men"],
    "answer": 0,
    "subject": "high school river history",
}
BOOK = """*** START OF THE PROJECT GUTENBERG EBOOK MUD ***

The ferry lay on the bank all that winter, and the captain sold her planks one by one to the widow for her henhouse;
in spring nobody could say which of the two would float the better, and two men lost money on it, and a third laughed.

*** END OF THE PROJECT GUTENBERG EBOOK MUD ***

This eBook is for the use of anyone anywhere in the United States and most other parts of the world at no cost.
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    for folder in ("evals/suites", "evals/tasks", "tiny", "held-out", "split/data"):
        (root / folder).mkdir(parents=True)
    (root / "tiny/config.json").write_text("{}")
    (root / "tiny/model.safetensors").write_text("")
    (root / "talk.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "Hi."}]}) + "\n")
    (root / "r.yaml").write_text(RECIPE)
    (root / "evals/suites/facts.yaml").write_text("suite: 1\nname: facts\nlm_eval: {tasks: [ferry]}\n")
    (root / "evals/suites/books.yaml").write_text(
        "suite: 1\nname: books\nperplexity: {texts: {mud: ['held-out/*.txt']}, words: [10, 60]}\n"
    )
    (root / "evals/tasks/ferry.yaml").write_text(TASK)
    (root / "evals/tasks/ferry.jsonl").write_text(json.dumps(ASKED) + "\n")
    learn = {"question": "Who learnt to row a boat in May?", "choices": ["a", "b"], "answer": 0}
    (root / "evals/tasks/learn.jsonl").write_text(json.dumps(learn) + "\n")
    (root / "held-out/mud.txt").write_text(BOOK)
    return root


def planned(home: Path) -> Plan:
    place = Workspace(home)
    return plan(load_recipe(home / "r.yaml", place), place)


def look(home: Path, answer: str) -> dict[str, Any]:
    """The step on a record of this answer."""
    made = planned(home)
    record = {
        "messages": [{"role": "user", "content": "Say it."}, {"role": "assistant", "content": answer}],
        "meta": {"id": "talk/1"},
    }
    (home / "split/data/train.jsonl").write_text(json.dumps(record) + "\n")
    (home / "split/data/validation.jsonl").write_text("")
    (home / "out").mkdir(exist_ok=True)
    inputs: Any = {"split": Artifact(home / "split", None)}  # type: ignore[arg-type]
    step = made.step("contaminated")
    MAKERS["contaminated"](Making(step, made, inputs, home / "out", home, home / "log", lambda *_: None))
    found: dict[str, Any] = json.loads((home / "out/looked.json").read_bytes())
    return found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            "Tell me: who sold the old ferry on the river, I forget.",
            "the document 1 of the task 'ferry' (suite 'facts')",
        ),
        (
            "Here the captain sold her planks, one by one, to the WIDOW -- for her henhouse. We left.",
            "the held-out passage 'mud/held-out/mud.txt/0' of the suite 'books'",
        ),
    ],
)
def test_what_was_trained_on_is_refused(home: Path, answer: str, said: str) -> None:
    with pytest.raises(StepError) as refused:
        look(home, answer)
    for word in ("contaminated: ", said, "'talk/1'", "`decontaminate`"):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        "Who sold the new ferry?",
        "It was none of the above men.",  # of what is chosen from, eight words
        "High school river history is what we learnt.",  # no part of the question
        "Who learnt to row a boat in May?",  # a task's own training split is there to be trained on
        "The captain sold her planks one by one to the widow.",  # twelve words of a book, not thirteen
        "This eBook is for the use of anyone anywhere in the United States and most other parts.",
    ],
)
def test_what_is_not_asked_is_no_reason_to_refuse(home: Path, answer: str) -> None:
    assert look(home, answer) == {"probes": 0, "documents": 1, "passages": 1, "turns": 2}


def test_only_what_is_asked_counts(home: Path) -> None:
    path = home / "evals/tasks/ferry.jsonl"
    path.write_text(
        json.dumps({**ASKED, "question": "Which other boat is this one?"}) + "\n" + path.read_text()
    )
    again = "Tell me: who sold the old ferry on the river, I forget."
    with pytest.raises(StepError, match="the document 2 of the task 'ferry'"):
        look(home, again)
    suite = "suite: 1\nname: facts\nlm_eval: {tasks: [ferry], limit: 1}\n"
    (home / "evals/suites/facts.yaml").write_text(suite)
    assert look(home, again)["documents"] == 1
    path.write_text("{broken\n")
    with pytest.raises(StepError, match=r"ferry\.jsonl, line 1: "):
        look(home, again)


def test_there_is_no_step_where_the_data_are_cleaned_or_nothing_is_judged_by(home: Path) -> None:
    before = planned(home).step("contaminated").fingerprint
    (home / "held-out/mud.txt").write_text(BOOK.replace("widow", "parson"))
    after = planned(home).step("contaminated").fingerprint
    assert before != after
    (home / "evals/tasks/ferry.jsonl").write_text(json.dumps({**ASKED, "question": "Who?"}) + "\n")
    assert planned(home).step("contaminated").fingerprint != after
    (home / "r.yaml").write_text(RECIPE.replace("against: none", "against: evals"))
    assert not [s for s in planned(home).steps if s.name == "contaminated"]


def written(folder: Path, kind: str) -> InputFile:
    rows = [
        {"question": "Who sold the old ferry?", "answer": "the captain of it"},
        {"question": "And who bought her?"},
    ]
    path = folder / f"d.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    elif kind == "json":
        path.write_text(json.dumps(rows, indent=1))
    elif kind in ("csv", "tsv"):
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, ["question", "answer"], delimiter="," if kind == "csv" else "\t")
            table.writeheader()
            table.writerows(rows)
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    return InputFile(path.name, path, "0")


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_all_kinds_of_data_that_a_task_may_have(tmp_path: Path, kind: str) -> None:
    found = list(documents(written(tmp_path, kind)))
    assert [t for _, d in found for t in texts(d, 8)] == [
        "Who sold the old ferry?", "the captain of it", "And who bought her?",
    ]  # fmt: skip


def test_which_fields_a_question_is_made_of(tmp_path: Path) -> None:
    data = written(tmp_path, "jsonl")

    def fields(text: str) -> set[str]:
        (tmp_path / "t.yaml").write_text(text)
        return Asked.local((InputFile("t.yaml", tmp_path / "t.yaml", "0"), data)).fields

    assert fields("doc_to_text: question\n") == {"question"}
    assert fields('doc_to_text: "{% if hint %}{{ hint }}{% endif %}{{ q.text }}"\n') == {"hint", "q"}
    assert fields('output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{page}}"\n') == {
        "page"
    }
    assert fields('doc_to_text: "{{"\n') == fields("doc_to_text: 3\n") == fields("[]\n") == set()
    (tmp_path / "t.yaml").write_text("{}\n")
    asked = Asked.local((InputFile("t.yaml", tmp_path / "t.yaml", "0"), data))
    assert asked.files == [data] and list(asked.of({"a": "one two three", "id": "four five six"}, 8)) == [
        "one two three"
    ]
