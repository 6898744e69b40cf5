"""Checks of who is compared in an evaluation, and of how answers are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner import recipe as r
from runner.errors import Problem
from runner.suite import Decoding, Suite
from runner.wording import nearest
from runner.yaml12 import Yaml

COLDEST = 0.001
"""The least temperature above 0: logits divided by less overflow."""
OURS = {"base": "the base model as it is", "tuned": "what the recipe trains"}


def arms(doc: Yaml, evaluate: r.Evaluate, suites: list[Suite]) -> Iterator[Problem]:
    """What is wrong with a recipe's arms, and with its engine for the suites that it names."""
    for name, arm in evaluate.arms.items():
        path = ("evaluate", "arms", name)
        if name in OURS:
            yield doc.problem(path, f"{name} is {OURS[name]}, and always there; give this arm another name")
        elif arm.endpoint is None and arm.model is not None:
            yield doc.problem(
                (*path, "model"), "goes with an endpoint: the base model is what answers otherwise"
            )
        elif arm.endpoint is not None and arm.model is None:
            yield doc.problem((*path, "endpoint"), "say which model of it answers: model")
        elif arm.endpoint is None and arm.system is None:
            what = "would be the arm base once more; give it a system message, or an endpoint and a model"
            yield doc.problem(path, what)
    if evaluate.arms and not any(s.judge for s in suites):
        yield doc.problem(
            ("evaluate", "arms"), "no suite of this recipe has probes, so that nothing would be asked"
        )
    for i, suite in enumerate(suites):
        for what in compared(suite, ("base", *evaluate.arms, "tuned")):
            yield doc.problem(("evaluate", "suites", i), what, at_value=True)
    if evaluate.engine != "transformers":
        return
    for i, suite in enumerate(suites):
        how = suite.common.decoding
        named = [
            k for k, asked in (("tool_choice", how.tool_choice != "auto"), ("strict", how.strict)) if asked
        ]
        if named:
            what = f"its decoding.{named[0]} is more than transformers can do; set evaluate.engine to vllm"
            yield doc.problem(("evaluate", "suites", i), what, at_value=True)


def compared(suite: Suite, known: Sequence[str]) -> Iterator[str]:
    """Arms that a suite's judge compares and that nobody answers for."""
    options = suite.judge.options if suite.judge else {}
    for name in (options[key] for key in ("arm", "against") if "rubrics" in options and key in options):
        if name not in known:
            yield f"its judge compares the arm {name!r}, which is not there{nearest(name, known)}"


def decoding(doc: Yaml, how: Decoding) -> Iterator[Problem]:
    """Options of a suite's decoding that do nothing as they stand, and a temperature that no engine can divide by."""
    if 0 < how.temperature < COLDEST:
        what = f"must be 0 (always the likeliest token) or at least {COLDEST}, not {how.temperature}"
        yield doc.problem(("decoding", "temperature"), what, at_value=True)
    if how.temperature:
        return
    if how.repeats > 1:
        yield doc.problem(("decoding", "repeats"), "without a temperature every answer is the same; set one")
    if how.top_p < 1:
        yield doc.problem(("decoding", "top_p"), "without a temperature nothing is drawn; set one")
