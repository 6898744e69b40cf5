"""Models that answer on other machines: what a node must have, and what becomes of the answers of one that has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_evaluate import RECIPE, home, making, planned
from test_evaluate_shared import Several, answered, made, small

from runner.errors import StepError
from runner.evaluate import jobs as ours
from runner.jobs import axolotl_node, lm_eval
from runner.steps import JUDGING, version

__all__ = ["answered", "home", "small"]


@pytest.mark.parametrize("room", [1, 2])
def test_a_node_with_other_versions_than_the_fingerprint_names_answers_nothing(
    room: int, small: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, said = planned(small), r"the node \S+ has torch 0\.1 instead of \S+; install the same there"
    monkeypatch.setattr(axolotl_node, "version", lambda name: {"torch": "0.1"}.get(name) or version(name))
    with pytest.raises(StepError, match=said):
        made(small, plan, Several(room, spread=True))
    assert not answered


def test_lm_eval_s_own_version_is_held_to_besides(home: Path) -> None:
    text = "evaluate: {suites: [facts]}\ncompute: {profile: cpu}\n"
    (home / "r.yaml").write_text(RECIPE.split("evaluate:")[0] + text)
    (home / "evals/suites/facts.yaml").write_text(
        "suite: 1\nname: facts\nlm_eval: {tasks: [everyday_facts], limit: 6}\n"
    )
    job = ours.model_of(making(planned(home), "lm-eval.base", engine=Several(1, spread=True)), "base")
    assert set(job["libraries"]) == {*JUDGING, "lm-eval"}
    assert "libraries" not in ours.model_of(making(planned(home), "lm-eval.base"), "base")
    other = lm_eval.LmEvalJob(
        model="m", arm="base", tasks=["t"], task_folder="t", out="o", libraries={"lm-eval": "0.1"}
    )
    with pytest.raises(StepError, match=r"has lm-eval \S+ instead of 0\.1"):
        lm_eval.evaluate(other)
