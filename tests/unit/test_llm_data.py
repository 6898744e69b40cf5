"""What LLM judges rest on: rubrics, pairs of known order, agreement, and what `recipe check` says of them."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from judge_endpoint import RUBRICS

from runner import library
from runner.errors import RecipeError
from runner.judging import pairs, rubrics
from runner.judging.agreement import kappa, share, spread
from runner.judging.bench import same_model
from runner.judging.options import names
from runner.judging.prompts import compared, graded
from runner.load import load_recipe, load_suite
from runner.plan import plan
from runner.workspace import Workspace

EVALS = library.shelf("evals")
SUITE = """suite: 1
name: own
description: A test.
probes: probes/persona-prompts.jsonl
judge:
  llm_rubric:
    model: judge-1
    rubrics: [rubrics/wit.yaml]
    pairs: [probes/judge-wit.jsonl]
"""


def rubric(name: str) -> rubrics.Rubric:
    return rubrics.load(EVALS / "rubrics" / f"{name}.yaml", name)


def known(name: str) -> list[pairs.KnownPair]:
    return pairs.load(EVALS / "probes" / f"judge-{name}.jsonl", name)


# -- agreement ------------------------------------------------------------------------------------


def test_kappa_is_what_scikit_learn_says() -> None:
    from sklearn.metrics import cohen_kappa_score

    draw = random.Random(3)
    for _ in range(20):
        a = [draw.randint(1, 5) for _ in range(40)]
        b = [min(5, max(1, x + draw.choice([-1, 0, 0, 0, 1, 3]))) for x in a]
        expected = cohen_kappa_score(a, b, labels=[1, 2, 3, 4, 5], weights="quadratic")
        assert kappa(a, b) == pytest.approx(expected, abs=1e-12)


def test_kappa_knows_its_limits() -> None:
    assert kappa([1, 2, 5], [1, 2, 5]) == 1
    assert kappa([1, 5, 1, 5], [5, 1, 5, 1]) == -1
    assert kappa([1, 2, 3, 4], [3, 3, 3, 3]) == 0
    assert kappa([], []) is None and kappa([3, 3], [3, 3]) is None
    with pytest.raises(ValueError, match="1 known grades, 2 given"):
        kappa([1], [1, 2])
    with pytest.raises(ValueError, match=r"no grades of the scale: \[6\]"):
        kappa([1], [6])


def test_what_is_missing_is_left_out() -> None:
    assert share([1, None, 0]) == 0.5 and share([None]) is None and share([]) is None
    assert spread([1]) is None and spread([2, 4]) == pytest.approx(2**0.5)


# -- the shipped data -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUBRICS)
def test_shipped_rubrics_have_pairs_that_tell_something(name: str) -> None:
    assert rubric(name).name == name
    some = known(name)
    assert len(some) >= 20 and {p.rubric for p in some} == {name}
    assert len({p.prompt for p in some}) == len(some), "each prompt is a sample of its own"
    longer = sum(len(p.better) > len(p.worse) for p in some)
    assert longer < 0.8 * len(some), "else length alone would reach the bar"
    grades = {g for p in some for g in (p.better_grade, p.worse_grade)}
    assert None not in grades and len(grades) >= 4


def test_a_question_is_the_same_for_the_same_and_another_for_anything_else() -> None:
    wit = rubric("wit")
    first = graded(wit, "p", "a", order="up", salt=[0])
    assert graded(wit, "p", "a", order="up", salt=[0]) == first
    others = [
        graded(wit, "p", "a", order="down", salt=[0]),
        graded(wit, "p", "a", order="up", salt=[1]),
        graded(wit, "p", "b", order="up", salt=[0]),
        graded(wit, "q", "a", order="up", salt=[0]),
        graded(rubric("helpfulness"), "p", "a", order="up", salt=[0]),
        compared(wit, "p", "a", "b", salt=[]),
        compared(wit, "p", "b", "a", salt=[]),
    ]
    assert len({q.code for q in [first, *others]}) == 8


@pytest.mark.parametrize(
    ("judge", "base", "same"),
    [
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", True),
        ("llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct", True),
        ("llama-3.1-70b-instruct", "meta-llama/Llama-3.1-8B-Instruct", False),
        ("qwen/Qwen2.5-7B-Instruct:free", "Qwen/Qwen2.5-7B-Instruct", True),
        ("Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2.5-7B-Instruct", False),
    ],
)
def test_who_is_the_model_that_is_tuned(judge: str, base: str, same: bool) -> None:
    assert same_model(judge, base) is same


# -- what `recipe check` says ---------------------------------------------------------------------


def own(tmp_path: Path, text: str = SUITE, **files: str) -> Workspace:
    for name, content in {"suites/own.yaml": text, **files}.items():
        path = tmp_path / "evals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return Workspace(tmp_path)


def said(workspace: Workspace) -> str:
    with pytest.raises(RecipeError) as e:
        load_suite("own", workspace)
    return str(e.value)


def test_a_suite_of_ones_own_loads(tmp_path: Path) -> None:
    suite = load_suite("own", own(tmp_path))
    assert suite.judge and suite.judge.options["service"] == "judge"


PAIR = {"id": "a", "rubric": "wit", "prompt": "p", "better": "x", "worse": "y"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"url": "http://evil"}, "judge.llm_rubric.url: unknown key"),
        ({"service": "http://evil"}, "judge.llm_rubric.service: 'http://evil' is not allowed here"),
        ({"max_tokens": 100_000}, "judge.llm_rubric.max_tokens: must be at most 8192"),
        ({"rubrics": ["rubrics/no.yaml"]}, "judge.llm_rubric.rubrics[0]: no file 'evals/rubrics/no.yaml'"),
        ({"rubrics": []}, "judge.llm_rubric.rubrics: must not be empty"),
        ({"rubrics": ["rubrics/wit.yaml", "rubrics/wit.yaml"]}, "another rubric is called 'wit' too"),
        (
            {"rubrics": ["rubrics/helpfulness.yaml"]},
            "0 pairs of known order are for the rubric 'helpfulness'",
        ),
        (
            {"pairs": ["probes/style-texts.jsonl"]},
            "evals/probes/style-texts.jsonl:1:1: not a pair of known order",
        ),
        ({"pairs": ["../../secret"]}, "lies outside the workspace"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    from runner.errors import MirepoixError

    options = {"model": "m", "rubrics": ["rubrics/wit.yaml"], "pairs": ["probes/judge-wit.jsonl"]} | change
    text = SUITE[: SUITE.index("judge:")] + f"judge: {json.dumps({'llm_rubric': options})}\n"
    with pytest.raises(MirepoixError) as e:
        load_suite("own", own(tmp_path, text))
    assert what in str(e.value)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (PAIR | {"worse": "x "}, "both answers are the same"),
        (PAIR | {"better_grade": 3}, "give both grades or none"),
        (PAIR | {"better_grade": 3, "worse_grade": 3}, "the better answer's grade, 3, is not the higher one"),
        (PAIR | {"better_grade": 6, "worse_grade": 3}, "Expected `int` <= 5"),
        (PAIR | {"order": 1}, "Object contains unknown field `order`"),
        ({"id": "a"}, "Object missing required field"),
    ],
)
def test_lines_that_are_no_pairs(tmp_path: Path, line: dict[str, Any], what: str) -> None:
    good = "".join(json.dumps(PAIR | {"id": f"g{n}"}) + "\n" for n in range(9))
    workspace = own(tmp_path, **{"probes/judge-wit.jsonl": good + json.dumps(line) + "\n"})
    assert f"evals/probes/judge-wit.jsonl:10:1: not a pair of known order: {what}" in said(workspace)


def test_too_few_pairs_and_ids_that_stand_twice(tmp_path: Path) -> None:
    some = "".join(json.dumps(PAIR | {"id": f"g{n}"}) + "\n" for n in range(7))
    assert "7 pairs of known order are for the rubric 'wit'" in said(
        own(tmp_path, **{"probes/judge-wit.jsonl": some})
    )
    twice = own(tmp_path, **{"probes/judge-wit.jsonl": some + some})
    assert "judge-wit.jsonl:8:1: not a pair of known order: the id 'g0' is there twice" in said(twice)


def test_rubrics_that_are_none(tmp_path: Path) -> None:
    whole = (EVALS / "rubrics/wit.yaml").read_text(encoding="utf-8")
    for old, new, what in (
        ("name: wit", "name: Wit", "evals/rubrics/wit.yaml:3:7: name: "),
        ("name: wit", "name: humour", "name: must be 'wit', as the file is called"),
        ("rubric: 1", "rubric: 2", "evals/rubrics/wit.yaml:2:9: rubric: "),
        ("anchors:", "grades:", "needs 'anchors'"),
        ("  - No humour at all, or something that was meant as a joke and is none.\n", "", "anchors: "),
        (whole, "- 1\n", "a rubric is a map of keys and values"),
    ):
        assert what in said(own(tmp_path, **{"rubrics/wit.yaml": whole.replace(old, new)}))


RECIPE = """recipe: 1
name: r
extends: base/smollm2-135m.yaml
sources:
  - jsonl: {files: [datasets/plain-answers.jsonl]}
evaluate:
  suites: [own]
  gates: ["%s"]
"""


def checked(tmp_path: Path, gate: str, **replaced: str) -> Any:
    text = SUITE
    for old, new in replaced.items():
        text = text.replace(old.replace("_", "-"), new)
    workspace = own(tmp_path, text)
    (tmp_path / "r.yaml").write_text(RECIPE % gate)
    return plan(load_recipe(tmp_path / "r.yaml", workspace), workspace, "cpu")


@pytest.mark.parametrize("gate", ["own.wit >= 3", "own.wit >= base + 0.5", "own.judge.kappa >= 0.7"])
def test_gates_on_grades_and_on_the_judge(tmp_path: Path, gate: str) -> None:
    step = checked(tmp_path, gate).step("judge.own")
    digested = step.ingredients["files"]
    assert [name for name, _ in digested["rubrics"] + digested["pairs"]] == [
        "evals/rubrics/wit.yaml", "evals/probes/judge-wit.jsonl",
    ]  # fmt: skip


def test_a_gate_on_a_rubric_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no metric is called own\.witt \(did you mean own\.wit\?\)"):
        checked(tmp_path, "own.witt >= 3")


def test_the_judge_is_not_the_model_that_is_tuned(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a model does not judge itself"):
        checked(tmp_path, "own.wit >= 3", judge_1="someone/smollm2-135M-instruct")


def test_names_for_several_rubrics() -> None:
    some = names({"rubrics": ["rubrics/wit.yaml", "rubrics/twain-ness.yaml"]}, "_win", ["ties"]).keys()
    assert {
        "wit_win",
        "twain_ness_win",
        "twain_ness_win.ties",
        "judge.twain_ness.accuracy",
        "judge.accuracy",
    } <= some


def test_another_rubric_or_another_judge_judges_anew(tmp_path: Path) -> None:
    first = checked(tmp_path / "a", "own.wit >= 3").step("judge.own").fingerprint
    assert checked(tmp_path / "b", "own.wit >= 3").step("judge.own").fingerprint == first
    assert checked(tmp_path / "c", "own.wit >= 3", judge_1="judge-2").step("judge.own").fingerprint != first
    (tmp_path / "d/evals/rubrics").mkdir(parents=True)
    shutil.copy(EVALS / "rubrics/wit.yaml", tmp_path / "d/evals/rubrics/wit.yaml")
    with (tmp_path / "d/evals/rubrics/wit.yaml").open("a") as f:
        f.write("  - whether it rhymes\n")
    assert checked(tmp_path / "d", "own.wit >= 3").step("judge.own").fingerprint != first
