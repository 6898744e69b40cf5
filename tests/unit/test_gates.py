"""Gates decide the exit code, and say why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runner.gates import decide, values
from runner.recipe import GATE

METRICS = {
    "s.acc": {"base": 0.9, "tuned": 0.87},
    "s.loss": {"base": 3.0, "tuned": 2.5},
    "s.none": {"base": 0.5, "tuned": None},
    "s.new": {"base": None, "tuned": 0.5},
}


@pytest.mark.parametrize(
    ("gate", "verdict", "threshold"),
    [
        ("s.acc >= 0.87", "pass", 0.87),
        ("s.acc > 0.87", "fail", 0.87),
        ("s.acc>=.5", "pass", 0.5),
        ("s.acc >= base - 0.03", "pass", 0.87),  # 0.9 - 0.03 is 0.8700000000000001
        ("s.acc >= base-.02", "fail", 0.88),
        ("s.acc < base + 0", "pass", 0.9),
        ("s.loss <= base", "pass", 3.0),
        ("s.loss <= base - 0.6", "fail", 2.4),
        ("s.loss > -1", "pass", -1.0),
    ],
)
def test_verdicts(gate: str, verdict: str, threshold: float) -> None:
    said = decide(gate, METRICS)
    assert said["verdict"] == verdict
    assert said["threshold"] == pytest.approx(threshold)
    assert bool(said["why"]) == (verdict == "fail")


def test_a_failure_is_explained() -> None:
    assert decide("s.acc >= 0.9", METRICS)["why"] == "s.acc is 0.87, not >= 0.9"
    assert decide("s.acc >= base + 0.1", METRICS)["why"] == "s.acc is 0.87, not >= 1"


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("s.ac >= 0.1", "no metric 's.ac' (did you mean s.acc?)"),
        ("s.none >= 0", "s.none has no value: nothing was scored"),
        ("s.new >= base", "s.new has no value: nothing was scored"),
    ],
)
def test_what_was_not_measured_fails(gate: str, why: str) -> None:
    said = decide(gate, METRICS)
    assert (said["verdict"], said["why"]) == ("fail", why)


@pytest.mark.parametrize(
    "gate", ["s >= 1", "s.a", "s.a = 1", "s.a >= x", "s.a >= base -", "S.a > 1", "s.a >= 1 1"]
)
def test_what_is_no_gate(gate: str) -> None:
    assert not re.match(GATE, gate)


def test_values_are_metrics_and_facts() -> None:
    metric: dict[str, Any] = {"metric": "s_x.acc", "base": {"value": 0.1}, "tuned": {"value": 0.2}}
    suite = {"name": "s-x", "metrics": [metric], "facts": {"classifier.f1": 0.9}}
    assert values([suite]) == {
        "s_x.acc": {"base": 0.1, "tuned": 0.2},
        "s_x.classifier.f1": {"base": 0.9, "tuned": 0.9},
    }
