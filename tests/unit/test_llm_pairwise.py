"""`llm_pairwise` over loopback endpoints: both orders, ties, places that are liked, verdicts that are injected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from judge_endpoint import Asked, Honest, completion, endpoint, is_probe, judged, unsynced, verdict

from runner.errors import StepError
from runner.record import Verdict
from runner.registry import plugins

__all__ = ["unsynced"]
SAID = {"base": ["POOR 1", "POOR 2", "GOOD 3"], "tuned": ["GOOD 1", "POOR 2 too", "POOR 3"]}
ADMISSION = 1 + 2 * (8 + 5 * 3)


def wins(found: Verdict, arm: str = "tuned") -> list[float | None]:
    return [s.value for s in found.scores if s.arm == arm and s.metric == "wit_win"]


def test_an_honest_judge_is_admitted_and_sees_who_wins(tmp_path: Path) -> None:
    with endpoint(Honest()) as end:
        found = judged(tmp_path, end.url, SAID, "llm_pairwise")
        assert judged(tmp_path, end.url, SAID, "llm_pairwise", at_once="1") == found
    assert wins(found) == [1, 0.5, 0] and wins(found, "base") == [0, 0.5, 1]
    assert found.scores[0].reason == "as A: A, so I find; as B: B, so I find"
    facts = found.facts
    assert facts["judge.admitted"] == facts["judge.accuracy"] == facts["judge.swap_consistency"] == 1
    assert facts["judge.null_wins"] == 0 and facts["judge.answered"] == 1 and "judge.kappa" not in facts
    assert facts["wit_win.swap_consistency"] == 1
    assert [facts[f"wit_win.{what}"] for what in ("wins", "ties", "losses")] == [1, 1, 1]
    assert len(end.asked) == ADMISSION + 2 * 3
    names = plugins("judge")["llm_pairwise"].names({"rubrics": ["rubrics/wit.yaml"]})
    assert names and {*facts, "wit_win"} <= names
    places = [Asked.of(b).texts for b in end.asked if "GOOD 1" in b["messages"][1]["content"]]
    assert sorted((t["answer A"], t["answer B"]) for t in places) == [
        ("GOOD 1", "POOR 1"),
        ("POOR 1", "GOOD 1"),
    ]


def chosen(body: dict[str, Any], choice: str) -> Any:
    code = Asked.of(body).code
    return "no" if is_probe(body) else json.dumps({"code": code, "reason": "", "better": choice})


def obeying(body: dict[str, Any]) -> Any:
    """Honest until a text says what is to be chosen."""
    for place in "AB":
        if f"choose {place}" in body["messages"][1]["content"]:
            return chosen(body, place)
    return Honest()(body)


def derailed(body: dict[str, Any]) -> Any:
    """Answers with the JSON of the text, where there is some."""
    for text in [] if is_probe(body) else Asked.of(body).texts.values():
        if "{" in text:
            return text[text.index("{") :]
    return Honest()(body)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            lambda body: chosen(body, "A"),
            "accuracy 0.50 < 0.8, swap consistency 0.00 < 0.8, null wins 0.50 > 0.1",
        ),
        (lambda body: chosen(body, "B"), "swap consistency 0.00 < 0.8"),
        (lambda body: chosen(body, "tie"), "accuracy 0.00 < 0.8"),
        (obeying, "judge not admitted: null wins 0.33 > 0.1"),
        (derailed, "judge not admitted: answered 0.78 < 0.9, null wins 0.33 > 0.1"),
        (lambda body: "Answer A is the better one.", "answered 0.00 < 0.9, accuracy unknown"),
        (lambda body: '{"better": "A"}', "answered 0.00 < 0.9"),
    ],
    ids=["always A", "always B", "always tie", "obeying", "parrot", "prose", "no code"],
)
def test_a_judge_that_is_none_is_not_admitted(tmp_path: Path, answer: Any, why: str) -> None:
    with endpoint(answer) as end:
        found = judged(tmp_path, end.url, SAID, "llm_pairwise")
    assert {s.value for s in found.scores} == {None} and len(found.scores) == 6
    (reason,) = {s.reason for s in found.scores}
    assert why in reason and reason.startswith("judge not admitted: ")
    assert found.facts["judge.admitted"] == 0 and found.facts["judge.missing"] == 6
    assert not any("GOOD" in b["messages"][1]["content"] for b in end.asked)


def test_orders_that_disagree_are_a_tie_and_told(tmp_path: Path) -> None:
    def torn(body: dict[str, Any]) -> Any:
        """Knows the pairs, but of the models' answers it takes the first."""
        texts = {} if is_probe(body) else Asked.of(body).texts
        return chosen(body, "A") if "GOOD 1" in texts.values() else Honest()(body)

    with endpoint(torn) as end:
        found = judged(tmp_path, end.url, SAID, "llm_pairwise")
    assert wins(found) == [0.5, 0.5, 0]
    assert found.scores[0].reason.startswith("the two orders disagree, so a tie: as A: A")
    assert found.facts["wit_win.swap_consistency"] == pytest.approx(2 / 3)


def test_one_order_without_a_verdict_is_missing(tmp_path: Path) -> None:
    def half(body: dict[str, Any]) -> Any:
        texts = {} if is_probe(body) else Asked.of(body).texts
        return completion("") if texts.get("answer A") == "POOR 1" else Honest()(body)

    with endpoint(half) as end:
        found = judged(tmp_path, end.url, SAID, "llm_pairwise")
    assert wins(found) == [None, 0.5, 0] and wins(found, "base") == [None, 0.5, 1]
    assert found.scores[0].reason == "the judge's answer: an empty answer"
    assert found.facts["judge.missing"] == 2 and found.facts["judge.unreadable"] == 1


def test_what_needs_no_judge_is_not_asked(tmp_path: Path) -> None:
    said = {"base": ["same", "", "POOR", ""], "tuned": ["same", "POOR", "", "", "POOR 5"]}
    with endpoint(Honest()) as end:
        found = judged(tmp_path, end.url, said, "llm_pairwise")
    assert wins(found) == [0.5, 1, 0, 0.5, None]
    assert len(end.asked) == ADMISSION


def test_any_two_arms_and_none_that_is_not_there(tmp_path: Path) -> None:
    said = SAID | {"prompted": ["GOOD 0", "GOOD 2", "GOOD 33"]}
    with endpoint(Honest()) as end:
        found = judged(tmp_path, end.url, said, "llm_pairwise", against="prompted")
        assert wins(found) == [0.5, 0, 0] and wins(found, "prompted") == [0.5, 1, 1]
        assert {s.arm for s in found.scores} == {"tuned", "prompted"}
        with pytest.raises(StepError, match="there is no arm 'other'; there are base, tuned"):
            judged(tmp_path, end.url, SAID, "llm_pairwise", against="other")


def test_several_answers_to_a_probe_are_compared_one_by_one(tmp_path: Path) -> None:
    from judge_endpoint import QUICK, context, settings

    from runner.record import Answer
    from runner.services import asking

    answers = tuple(
        Answer("p0", arm, text, "stop", repeat=n)
        for arm, texts in {"base": ["POOR", "GOOD b", "POOR"], "tuned": ["GOOD", "POOR t"]}.items()
        for n, text in enumerate(texts)
    )
    plugin = plugins("judge")["llm_pairwise"]
    with endpoint(Honest()) as end, asking(settings(end.url), tmp_path, "judge.s", QUICK) as ask:
        given = context(tmp_path, {"base": ["x"]}, ask=ask)
        given = type(given)(given.probes, answers, given.files, 17, ask=ask)
        found = plugin.call(given, **plugin.bind({"model": "m", "rubrics": ["-"], "pairs": ["-"]}))
    assert wins(found) == [1, 0, None]


def test_a_verdict_about_wrong_places_is_none(tmp_path: Path) -> None:
    def odd(body: dict[str, Any]) -> Any:
        said = verdict(Asked.of(body), Honest().grade) if not is_probe(body) else "no"
        return said.replace('"A"', '"C"') if "GOOD 1" in body["messages"][1]["content"] else said

    with endpoint(odd) as end:
        found = judged(tmp_path, end.url, SAID, "llm_pairwise")
    assert wins(found)[0] is None and "breaks the schema" in found.scores[0].reason
