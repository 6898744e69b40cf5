"""From the command line to the report: what an endpoint's model says is judged by another endpoint's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from judge_endpoint import Endpoint, Honest, endpoint, is_probe, unsynced

from runner.cli import main

__all__ = ["unsynced"]
SUITE = """suite: 1
name: few
description: A test.
probes: probes/persona-prompts.jsonl
limit: 3
judge:
  llm_rubric: {model: judge-1, rubrics: [rubrics/wit.yaml], pairs: [probes/judge-wit.jsonl]}
"""


def serving(body: dict[str, Any]) -> Any:
    """One endpoint for both: the model says something good, the judge is honest."""
    judging = is_probe(body) or "Answer with one JSON object" in body["messages"][0]["content"]
    return Honest()(body) if judging else "A GOOD answer."


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    (tmp_path / "evals/suites").mkdir(parents=True)
    (tmp_path / "evals/suites/few.yaml").write_text(SUITE)
    with endpoint(serving) as end:
        monkeypatch.setenv("MIREPOIX_ENDPOINTS", f"house={end.url}")
        monkeypatch.setenv("MIREPOIX_JUDGE_URL", end.url)
        monkeypatch.setenv("MIREPOIX_JUDGE_KEY", "k-judge")
        monkeypatch.setenv("MIREPOIX_PACE", "100000")
        monkeypatch.setenv("MIREPOIX_AT_ONCE", "16")
        yield end


def evaluated(root: Path, model: str = "big-one") -> Result:
    argv = [
        "evaluate",
        model,
        "--endpoint",
        "house",
        "--suite",
        "few",
        "--name",
        "e",
        "--workspace",
        str(root),
    ]
    return CliRunner().invoke(main, argv)


def reported(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "runs/e/report.json").read_bytes())["suites"][0]
    return found


def test_grades_stand_in_the_report_with_the_judge_beside_them(tmp_path: Path, house: Endpoint) -> None:
    done = evaluated(tmp_path)
    assert done.exit_code == 0, done.output
    suite = reported(tmp_path)
    (metric,) = suite["metrics"]
    assert (metric["metric"], metric["unit"]) == ("few.wit", "grade")
    assert metric["arms"]["house"]["value"] == 4 and metric["arms"]["house"]["n"] == 3
    assert suite["facts"]["judge.admitted"] == suite["facts"]["judge.accuracy"] == 1
    assert suite["facts"]["judge.known_pairs"] == 20
    assert suite["samples"][0]["reasons"] == {"wit": {"house": "so I find"}}
    before = len(house.asked)
    assert "k-judge" not in "".join(p.read_text("latin-1") for p in tmp_path.rglob("*") if p.is_file())
    (tmp_path / "evals/suites/few.yaml").write_text(SUITE + "# nothing else\n")
    assert evaluated(tmp_path).exit_code == 0
    assert len(house.asked) == before


def test_a_judge_that_likes_a_place_leaves_nothing_to_go_by(tmp_path: Path, house: Endpoint) -> None:
    house.answer = lambda body: (
        "no" if is_probe(body) else serving(body).replace('"score": ', '"score": 1, "n": ')
    )
    done = evaluated(tmp_path)
    assert done.exit_code == 0, done.output
    suite = reported(tmp_path)
    assert suite["metrics"][0]["arms"]["house"]["value"] is None
    assert suite["metrics"][0]["arms"]["house"]["missing"] == 3
    assert suite["samples"][0]["reasons"]["wit"]["house"].startswith(
        "judge not admitted: answered 0.00 < 0.9"
    )


def test_the_model_that_is_judged_is_not_the_judge(tmp_path: Path, house: Endpoint) -> None:
    done = evaluated(tmp_path, "org/Judge-1")
    assert done.exit_code == 3 and "would judge itself; name another" in done.output


RECIPE = """recipe: 1
name: r
sources: [{jsonl: {files: [d.jsonl]}}]
filters: [{toxicity: {by: moderation}}]
model: {base: embedded/smollm2-135m-instruct}
evaluate:
  suites: [few, other]
  arms: {rival: {endpoint: hous, model: big}, fine: {endpoint: house, model: big}}
"""


def test_what_is_not_set_is_said_before_the_first_step(
    tmp_path: Path, house: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SUITE.replace("name: few", "name: other").replace("{model: judge-1", "{service: jury, model: j")
    (tmp_path / "evals/suites/other.yaml").write_text(other)
    (tmp_path / "d.jsonl").write_text(
        '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'
    )
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.setenv("MIREPOIX_JUDGE_URL", "")
    said = [
        "the filter toxicity names the service 'moderation'; say where it is: setting moderation_url",
        "the recipe names the endpoint 'hous'; say where it is: setting endpoints, as hous=URL (did you mean house?)",
        "the suite 'few' names the service 'judge'; say where it is: setting judge_url",
        "the suite 'other' names the service 'jury'; say where it is: setting endpoints, as jury=URL (known: house)",
    ]

    def recipe(*argv: str) -> Result:
        return CliRunner().invoke(
            main, [argv[0], str(tmp_path / "r.yaml"), "--workspace", str(tmp_path), *argv[1:]]
        )

    done = recipe("check")
    assert done.exit_code == 0 and [f"not set here: {one}" in done.output for one in said] == [True] * 4
    found = json.loads(recipe("check", "--json").stdout)["unset"][str(tmp_path / "r.yaml")]
    assert [u["what"] for u in found] == said
    assert [u["step"] for u in found] == ["filter", "answers.rival.few", "judge.few", "judge.other"]
    done = recipe("plan")
    assert done.exit_code == 0 and all(one in done.output for one in said)
    assert json.loads(recipe("plan", "--json").stdout)["unset"] == found
    done = recipe("run")
    assert done.exit_code == 3 and done.output == f"error: filter: {'; '.join(said)}\n"
    assert not (tmp_path / ".mirepoix/artifacts").exists() and not house.asked
    taught = "sources: [{jsonl: {files: [d.jsonl]}, name: d}, {teacher: {model: big, task: backtranslate, of: d}, name: t}"
    (tmp_path / "r.yaml").write_text(RECIPE.replace("sources: [{jsonl: {files: [d.jsonl]}}", taught))
    first = "the source 't' names the service 'teacher'; say where it is: setting teacher_url"
    assert first in recipe("check").output and first in recipe("plan").output
    assert recipe("run").output == f"error: fetch.t: {'; '.join([first, *said])}\n"
    (tmp_path / "r.yaml").write_text(RECIPE)
    done = recipe("run", "--to", "prepare")  # what no step of it asks need not be set
    assert done.exit_code == 3 and done.output == f"error: filter: {said[0]}\n"
    monkeypatch.setenv("MIREPOIX_JUDGE_URL", house.url)
    monkeypatch.setenv("MIREPOIX_MODERATION_URL", house.url)
    monkeypatch.setenv("MIREPOIX_ENDPOINTS", f"house={house.url},hous={house.url},jury={house.url}")
    assert "not set" not in recipe("check").output + recipe("plan").output


def test_an_endpoint_that_is_down_is_one_sentence(tmp_path: Path, house: Endpoint, monkeypatch: Any) -> None:
    monkeypatch.setenv("MIREPOIX_JUDGE_URL", "")
    done = evaluated(tmp_path)
    assert done.exit_code == 3 and "setting judge_url" in done.output and "Traceback" not in done.output
