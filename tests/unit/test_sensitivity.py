"""What suites can see is said before the run; gates on what is not there are refused before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.evaluate.judging import samples
from runner.gatechecks import names_of
from runner.load import load_recipe, load_suite
from runner.plan import plan
from runner.record import Answer, Message, Probe, Verdict
from runner.registry import JudgeContext, plugins
from runner.sensitivity import lines, sensitivity
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
evaluate:
  suites: [few, facts]
  arms: {asked: {system: Be brief.}}
  gates: [GATE]
"""
TALK = {"messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello, sir."}]}
TASK = """\
task: small
dataset_path: json
dataset_kwargs: {data_files: {test: small.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: q
MORE
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("suites", "probes", "tasks"):
        (tmp_path / "evals" / folder).mkdir(parents=True)
    (tmp_path / "talk.jsonl").write_text(json.dumps(TALK) + "\n")
    rows = [
        {"id": f"p{n}", "messages": [{"role": "user", "content": f"Q{n}?"}], "family": f"f{n // 4}", "expect": {"calls": []}}
        for n in range(40)
    ]  # fmt: skip
    (tmp_path / "evals/probes/few.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "evals/suites/few.yaml").write_text(
        "suite: 1\nname: few\nprobes: probes/few.jsonl\njudge: {tool_use: {}}\nlimit: 36\n"
    )
    (tmp_path / "evals/suites/facts.yaml").write_text(
        "suite: 1\nname: facts\nlm_eval: {tasks: [small], limit: 100}\n"
    )
    (tmp_path / "evals/tasks/small.jsonl").write_text('{"q": "x"}\n' * 150)
    task(tmp_path, "metric_list: [{metric: acc}]")
    return tmp_path


def task(home: Path, more: str) -> None:
    (home / "evals/tasks/small.yaml").write_text(TASK.replace("MORE", more))


def check(home: Path, gate: str) -> list[str]:
    (home / "r.yaml").write_text(RECIPE.replace("GATE", gate))
    result = CliRunner().invoke(main, ["check", str(home / "r.yaml"), "--workspace", str(home), "--json"])
    return [e["what"] for e in json.loads(result.stdout)["errors"]]


def test_what_suites_see_before_the_run(home: Path) -> None:
    (home / "r.yaml").write_text(RECIPE.replace("GATE", ""))
    work = Workspace(home)
    few, facts = sensitivity(plan(load_recipe(home / "r.yaml", work), work, "cpu"))
    assert (few.suite, few.what, few.prompts, few.families) == ("few", "", 36, 9)
    # Nine families count as nine prompts: 2.8 * sqrt(0.5 / 9) and 2.8 * 0.5 / 3.
    assert few.between_arms == pytest.approx(0.660, abs=1e-3)
    assert few.from_number == pytest.approx(0.467, abs=1e-3)
    assert (facts.what, facts.prompts, facts.families) == ("small", 100, 100)
    assert facts.from_number == pytest.approx(0.140, abs=1e-3)
    said = lines([few, facts])
    assert "36 prompts in 9 families  66 points between arms, 47 from a number" in said[1]
    assert lines([]) == []


def test_plan_says_so(home: Path) -> None:
    (home / "r.yaml").write_text(RECIPE.replace("GATE", ""))
    words = ["plan", str(home / "r.yaml"), "--workspace", str(home), "--profile", "cpu"]
    text = CliRunner().invoke(main, words)
    assert "facts small" in text.stdout and "what the suites can see" in text.stdout
    data = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert [s["prompts"] for s in data["suites_see"]] == [36, 100]


@pytest.mark.parametrize(
    ("gate", "what"),
    [
        ("few.right_call >= 0.5", ""),
        ("few.call_probes >= 5", ""),  # a fact
        ("facts.small.acc >= base", ""),
        ("few.rite_call >= 0.5", "no metric is called few.rite_call (did you mean few.right_call?)"),
        ("facts.small.acc_norm > base", "no metric is called facts.small.acc_norm (did you mean facts.small.acc?)"),
        ("facts.smal.acc > base", "no metric is called facts.smal.acc (did you mean facts.small.acc?)"),
        ("fact.small.acc > base", "no suite of this recipe has metrics called fact.… (did you mean facts?)"),
        ("few.right_call >= prompted", "no arm is called prompted (known: asked, base)"),
        ("few.right_call >= asked + 0.1", ""),
        ("facts.small.acc >= asked", "facts.small.acc is measured for base and tuned alone, not for asked"),
        ("few.right_call >= tuned", "the tuned model is what gates are about; compare it with another arm, or with a number"),
    ],
)  # fmt: skip
def test_gates_on_what_is_not_there(home: Path, gate: str, what: str) -> None:
    assert check(home, gate) == ([what] if what else [])


@pytest.mark.parametrize(
    ("more", "gate", "known"),
    [
        ("", "facts.small.whatever >= 0", True),  # lm-eval's defaults decide
        ("metric_list: [{metric: exact_match}]\nfilter_list: [{name: strict}]", "facts.small.exact_match.strict > 0", True),
        ("metric_list: [{metric: exact_match}]\nfilter_list: [{name: strict}]", "facts.small.exact_match > 0", False),
        ("metric_list: [{metric: exact_match}]\nfilter_list: [{name: none}]", "facts.small.exact_match > 0", True),
    ],
)  # fmt: skip
def test_metrics_of_tasks(home: Path, more: str, gate: str, known: bool) -> None:
    task(home, more)
    assert bool(check(home, gate)) != known


def test_a_judge_that_does_not_say_is_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = plugins("judge")["tool_use"]
    monkeypatch.setitem(judge.__dict__, "metrics", ())
    assert check(home, "few.anything >= 0.5") == []
    monkeypatch.setitem(judge.__dict__, "metrics", lambda options: ["a", "b"])
    assert check(home, "few.a >= 0.5") == [] and check(home, "few.anything >= 0.5")


def said(judge: str, verdict: Verdict) -> set[str]:
    return {s.metric for s in verdict.scores} | set(verdict.facts)


def test_tool_use_says_what_it_scores() -> None:
    judge = plugins("judge")["tool_use"]
    tools: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ]
    ask = [Message("user", "?")]
    probes = (
        Probe("a", ask, tools, expect={"calls": [{"name": "f", "arguments": {}}]}),
        Probe("b", ask, tools, expect={"calls": []}),
        Probe("c", ask, tools, expect={"turns": [[], []]}, then=["And?"]),
    )
    answers = tuple(Answer(p.id, "base", "Yes.", "stop", Message("assistant", "Yes.")) for p in probes)
    assert said("tool_use", judge.call(JudgeContext(probes, answers, {}, 17))) == judge.names({})


def test_style_says_what_it_scores() -> None:
    pytest.importorskip("sklearn")
    suite, work = load_suite("persona-style", Workspace(Path())), Workspace(Path())
    assert suite.judge
    judge = plugins("judge")["style"]
    known = judge.names(suite.judge.options)
    if known is None:
        pytest.skip("it does not say")
    files = {
        o: work.inputs(how, suite.judge.options[o])
        for o, how in judge.file_options.items()
        if suite.judge.options[o]
    }
    answer = Answer("a", "base", "I reckon the river knows.", "stop")
    context = JudgeContext((Probe("a", [Message("user", "?")]),), (answer,), files, 17)
    assert said("style", judge.call(context, **judge.bind(suite.judge.options))) <= known


def test_names_of_a_suite_of_texts(home: Path) -> None:
    (home / "x.txt").write_text("Once.\n")
    (home / "evals/suites/books.yaml").write_text(
        "suite: 1\nname: my-books\nperplexity: {texts: {same-author: [x.txt]}}\n"
    )
    (home / "evals/suites/my-books.yaml").write_bytes((home / "evals/suites/books.yaml").read_bytes())
    found = names_of(load_suite("my-books", Workspace(home)), Workspace(home))
    assert (found.known, found.open) == ({"my_books.same_author.nats"}, set())


def test_a_family_goes_with_its_sample() -> None:
    probes = [Probe("a", [Message("user", "?")], family="f"), Probe("b", [Message("user", "?")])]
    got = samples(probes, ("base",), [], [])
    assert [s.get("family") for s in got] == ["f", None]
