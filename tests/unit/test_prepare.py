"""Prepare, as data of other people's would break it: every row has one fate, whatever its file claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from runner.cli import main


def talk(n: int, **more: Any) -> str:
    said = f"The {n} boats of harbour {n * 7} left for island {n * 13}."
    return json.dumps(
        {
            "messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": said}],
            **more,
        }
    )


def prepared(root: Path, files: list[str], more: str = "") -> tuple[int, str]:
    recipe = root / "r.yaml"
    recipe.write_text(
        f"recipe: 1\nname: r\nsources:\n  - jsonl: {{files: {json.dumps(files)}}}\n    name: s\n{more}"
    )
    argv = ["run", str(recipe), "--to", "prepare", "--workspace", str(root)]
    done = CliRunner().invoke(main, argv)
    return done.exit_code, done.output


def fates(root: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(root / "runs/r/ledger.parquet").to_pylist())


@pytest.mark.parametrize("meta", [{"copy": "1"}, {"tokens": "many"}, {"source": "other"}, {"id": "same"}])
def test_bookkeeping_in_a_files_meta_is_not_believed(tmp_path: Path, meta: dict[str, str]) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(talk(n, meta=meta) for n in range(40)))
    assert prepared(tmp_path, ["a.jsonl"])[0] == 0
    assert len(fates(tmp_path)) == 40
    assert {f["source"] for f in fates(tmp_path)} == {"s"}


def test_files_of_one_name_have_rows_of_their_own(tmp_path: Path) -> None:
    for i, name in enumerate(("a~2.jsonl", "x/a.jsonl", "y/a.jsonl")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(talk(100 * i + n) for n in range(5)))
    assert prepared(tmp_path, ["a~2.jsonl", "x/a.jsonl", "y/a.jsonl"])[0] == 0
    assert len({f["id"] for f in fates(tmp_path)}) == 15


def test_what_a_run_wrote_is_no_input_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(talk(n) for n in range(20)))
    assert prepared(tmp_path, ["**/*.jsonl"])[0] == 0
    code, said = prepared(tmp_path, ["**/*.jsonl"])
    assert (code, len(fates(tmp_path))) == (0, 20)
    assert "0 steps executed" in said


def test_one_file_named_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(talk(n) for n in range(20)))
    assert prepared(tmp_path, ["a.jsonl", "./a.jsonl"])[0] == 0
    assert len(fates(tmp_path)) == 20


def test_a_broken_budget_leaves_its_rows_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(["{bad", *(talk(n) for n in range(20))]))
    code, said = prepared(tmp_path, ["a.jsonl"], 'fail_if: {rejected: ">0"}\n')
    assert code == 3 and "fail_if.rejected: 1 of 21 rows" in said
    assert "{bad" in (tmp_path / "runs/r/rejected/s.jsonl").read_text()
    assert next(f["reason"] for f in fates(tmp_path) if f["fate"] == "dropped").startswith(
        "rejected: not JSON"
    )


def test_an_empty_source_is_named_where_the_recipe_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    code, said = prepared(tmp_path, ["a.jsonl"])
    assert code == 3
    assert "r.yaml:4:5: sources[0]: gave no records: its one row was rejected; s/a: a.jsonl: is empty" in said


def test_numbers_that_json_cannot_hold_are_rejected(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "maximum": 0}}}
    bad = talk(1, tools=[tool]).replace('"maximum": 0', '"maximum": 1e999')
    (tmp_path / "a.jsonl").write_text("\n".join([bad, *(talk(n) for n in range(2, 9))]))
    assert prepared(tmp_path, ["a.jsonl"])[0] == 0
    assert "1e999" in next(f["reason"] for f in fates(tmp_path) if f["fate"] == "dropped")


def test_a_store_file_cannot_be_edited_through_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(talk(n) for n in range(20)))
    assert prepared(tmp_path, ["a.jsonl"])[0] == 0
    assert (tmp_path / "runs/r/data/train.jsonl").stat().st_mode & 0o222 == 0
