"""Gates on metrics that no run could decide are refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import recipe as r
from runner.gatechecks import gates
from runner.suite import LmEval, Suite, SuiteCommon
from runner.workspace import Workspace
from runner.yaml12 import parse

TASK = """\
dataset_path: json
metric_list:
  - metric: acc
  - metric: f1
  - metric: perplexity
"""


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("my.suite.t.acc >= 0.5", ""),  # a suite's name may hold a dot
        ("my.suite.t.nats <= base", ""),
        ("my.suite.t.f1 >= 0.5", ""),
        ("my.suite.open.f1 >= 0.5", ""),
        ("my.suite.t.likelihood >= 0.5", "lm-eval makes no number of my.suite.t.likelihood"),
        ("my.suite.open.bypass >= 0.5", "lm-eval makes no number of my.suite.open.bypass"),
        ("my.suite.open.acc >= 0.5", ""),
        ("my.suite.t.perplexity <= base", "no metric is called my.suite.t.perplexity"),
        ("other.t.acc >= 0.5", "no suite of this recipe has metrics called other"),
    ],
)
def test_what_a_gate_may_name(tmp_path: Path, gate: str, said: str) -> None:
    (tmp_path / "evals/tasks").mkdir(parents=True)
    (tmp_path / "evals/tasks/t.yaml").write_text(TASK)
    (tmp_path / "evals/tasks/open.yaml").write_text("dataset_path: json\n")
    suite = Suite(SuiteCommon(suite=1, name="my.suite", lm_eval=LmEval(tasks=["t", "open"])), None)
    doc = parse(f"evaluate: {{gates: ['{gate}']}}\n", "r.yaml")
    found = list(gates(doc, r.Evaluate(gates=[gate]), [suite], Workspace(tmp_path)))
    assert [said in str(problem) for problem in found] == ([True] if said else []), found
