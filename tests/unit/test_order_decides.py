"""Orders that decide what comes out, and those that do not; keys that are no UTF-8."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.judges.refusal import _look as look_refusal
from runner.judges.style.pieces import StyleText, unreadable
from runner.probechecks import wrong
from runner.recipe import Use
from runner.registry import plugins
from runner.suite import Suite, SuiteCommon
from runner.train.rows import name_by_rows
from runner.workspace import Workspace

BROKEN = b'{"id": "a", "messages": [], "family": "x", "expect": {"\xe1(": 1}, "meta": {"\xe1(": 1}}\n'


def test_a_key_that_is_no_utf8_is_told_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """msgspec says it by another exception than all else."""
    assert plugins("judge")
    (tmp_path / "evals").mkdir()
    path = tmp_path / "evals/p.jsonl"
    path.write_bytes(b"\n" + BROKEN)
    suite = Suite(SuiteCommon(suite=1, name="s", probes="p.jsonl"), Use("tool_use", {}))
    assert [(p.line, "not a probe" in p.what) for p in wrong(suite, Workspace(tmp_path))] == [(2, True)]
    assert [p.line for p in look_refusal({"labelled": {"l.jsonl": path}})] == [2]
    assert [p.line for p in unreadable("t.jsonl", path, StyleText)] == [2]


def test_prepared_rows_are_named_by_their_bytes(tmp_path: Path) -> None:
    def prepared(name: str, rows: bytes, drawn: str) -> bytes:
        folder = tmp_path / name / "hash"
        folder.mkdir(parents=True)
        (folder / "data-00000-of-00001.arrow").write_bytes(rows)
        files = [{"filename": "data-00000-of-00001.arrow"}]
        (folder / "state.json").write_text(
            json.dumps({"_data_files": files, "_fingerprint": drawn, "_split": None})
        )
        name_by_rows(tmp_path / name)
        return (folder / "state.json").read_bytes()

    assert (
        prepared("a", b"rows", "1234") == prepared("b", b"rows", "9876") != prepared("c", b"others", "1234")
    )
