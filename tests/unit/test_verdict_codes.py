"""What gates come to is the exit code of `recipe run`, and stands in its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import run as runs
from runner.cli import main

RECIPE = "recipe: 1\nname: small\nsources:\n  - jsonl: {files: [talk.jsonl]}\n"
TALK = {"messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello, sir."}]}


@pytest.mark.parametrize(
    ("failed", "unsure", "code"),
    [
        ([], [], 0),
        (["a is 1, not > 2"], [], 1),
        ([], ["b is open"], 5),
        (["a is 1, not > 2"], ["b is open"], 1),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_code_tells_fail_from_inconclusive(
    failed: list[str],
    unsure: list[str],
    code: int,
    as_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "talk.jsonl").write_text(json.dumps(TALK) + "\n")
    (tmp_path / "r.yaml").write_text(RECIPE)
    counted = (("fail", failed), ("inconclusive", unsure))

    def done(*_: Any, **__: Any) -> runs.Outcome:
        gates = [{"gate": why[:1], "verdict": c, "counts": c, "why": why} for c, of in counted for why in of]
        report = tmp_path / "runs/small/report.html"
        report.parent.mkdir(parents=True)
        report.with_name("report.json").write_text(json.dumps({"exit": "as tried", "gates": gates}))
        return runs.Outcome(report.parent, 1, 2, failed, unsure, report, {})

    monkeypatch.setattr(runs, "run", done)
    words = ["run", str(tmp_path / "r.yaml"), "--workspace", str(tmp_path), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code
    if as_json:
        said = json.loads(result.stdout)
        assert (said["ok"], said["exit"]) == (code == 0, code)
        assert (said["failed_gates"], said["inconclusive_gates"]) == (failed, unsure)
    else:
        assert ("gate failed: a is 1, not > 2" in result.stderr) == bool(failed)
        assert ("gate inconclusive: b is open" in result.stderr) == bool(unsure)
