"""`recipe compare`: runs are paired prompt by prompt; what makes their numbers incomparable is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from runner.cli import main
from runner.comparing.conditions import differences, of_suites
from runner.recipe import Use
from runner.store import Store, digest
from runner.suite import LmEval, Perplexity, Suite, SuiteCommon

CALLS = Suite(SuiteCommon(suite=1, name="few-calls", probes="probes/few.jsonl"), Use("tool_use", {}))
FACTS = Suite(SuiteCommon(suite=1, name="facts", lm_eval=LmEval(tasks=["everyday"])), None)
BOOKS = Suite(SuiteCommon(suite=1, name="books", perplexity=Perplexity(texts={"old": ["x/*.txt"]})), None)
N = 40


def answers(arm: str, **more: Any) -> dict[str, Any]:
    return {
        "step": "generate", "version": 3, "needs": {"train": "0" * 64}, "arm": arm, "model": {"base": "b"},
        "probes": {"few-calls": [["evals/probes/few.jsonl", "aa"]]}, "template": "t" * 64, "limit": None,
        "decoding": {"temperature": 0.0}, "engine": "transformers", "libraries": {"torch": "2"},
    } | more  # fmt: skip


class Made:
    """A workspace whose runs were judged, by hand."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, Store(root)

    def step(self, name: str, ingredients: dict[str, Any], files: dict[str, bytes]) -> str:
        fingerprint = digest(ingredients)
        if self.store.get(fingerprint) is None:
            with self.store.making(name, fingerprint, ingredients) as out:
                for file, data in files.items():
                    (out / file).parent.mkdir(parents=True, exist_ok=True)
                    (out / file).write_bytes(data)
        return fingerprint

    def run(
        self, name: str, right: int, judge: int = 2, suites: list[Suite] | None = None, **more: Any
    ) -> None:
        """A run whose base gets 10 of `N` prompts right, and whose tuned model the first `right`."""
        needs: dict[str, str] = {}
        for arm in ("base", "tuned"):
            made = answers(arm, **more) | {"run": None, "needs": {"of": digest([name, arm])}}
            needs[f"answers.{arm}.few-calls"] = self.step(f"answers.{arm}", made, {"few-calls.jsonl": b""})
            shift = 0.1 if arm == "tuned" else 0.0
            docs = {str(i): float(i % 4 > 0) for i in range(N)}
            results = {
                "adapter_proof": None,
                "results": [{"task": "everyday", "metric": "acc", "samples": docs}],
            }
            task = {
                "step": "lm_eval",
                "arm": arm,
                "template": made["template"],
                "of": "x",
                "needs": {"n": name},
            }
            needs[f"lm-eval.{arm}"] = self.step(
                "lm-eval", task, {"a/results.json": json.dumps(results).encode()}
            )
            nats = [{"id": f"books/old/f{i % 3}.txt/{i}", "nats": 3 + (i % 5) / 10 - shift} for i in range(N)]
            loss = {
                "step": "perplexity",
                "arm": arm,
                "model": made["model"],
                "template": made["template"],
                "needs": {"n": name},
            }
            lines = b"".join(json.dumps(r).encode() + b"\n" for r in nats)
            needs[f"perplexity.{arm}"] = self.step("perplexity", loss, {"losses.jsonl": lines})
        scores, samples = [], []
        for i in range(N):
            values = {"base": float(i < 10), "tuned": float(i < right)}
            scores += [
                {"id": f"p{i:02}", "arm": arm, "metric": "right_call", "value": v}
                for arm, v in values.items()
            ]
            samples.append(
                {
                    "id": f"p{i:02}",
                    "prompt": [{"role": "user", "content": f"Question {i}?\x1b[31m"}],
                    "answers": {arm: f"{name} {arm} says {v}" for arm, v in values.items()},
                    "scores": {"right_call": values},
                    "reasons": {"right_call": {arm: "wrong day" for arm, v in values.items() if not v}},
                }
            )
        row = {"metric": "few_calls.right_call", "unit": "share", "better": "higher"}
        whole = {"name": "few-calls", "metrics": [row], "facts": {}, "samples": samples}
        files = {
            "scores.jsonl": b"".join(json.dumps(s).encode() + b"\n" for s in scores),
            "suite.json": json.dumps(whole).encode(),
        }
        told = {"step": "judge", "version": 1, "tool_use": {}, "plugin_version": judge, "needs": dict(needs)}
        needs["judge.few-calls"] = self.step("judge", told, files)
        report = {
            "step": "report",
            "needs": needs,
            "suites": [msgspec.to_builtins(s) for s in suites or [CALLS, FACTS, BOOKS]],
            "recipe": {"seed": 17},
        }
        folder = self.root / "runs" / name
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(json.dumps({"report": report}))

    def compare(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["compare", *words, "--workspace", str(self.root)])


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def shown(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_two_runs_prompt_by_prompt(made: Made) -> None:
    made.run("one", right=20)
    made.run("two", right=36)
    found = shown(made.compare("one", "two", "--json"))
    assert [s["label"] for s in found["sides"]] == ["one:tuned", "two:tuned"]
    (pair,) = found["pairs"]
    assert [(s["suite"], s["part"]) for s in pair["suites"]] == [
        ("few-calls", "judge"), ("facts", "lm-eval"), ("books", "perplexity"),
    ]  # fmt: skip
    assert pair["not_comparable"] == []
    row = pair["suites"][0]["metrics"][0]
    assert row["arms"]["one:tuned"]["value"] == 0.5 and row["arms"]["two:tuned"]["value"] == 0.9
    assert (row["difference"]["wins"], row["difference"]["losses"], row["difference"]["n"]) == (16, 0, N)
    assert row["difference"]["p"] == pytest.approx(2**-15)
    assert row["difference"]["p_holm"] == pytest.approx(2 * 2**-15)  # of two metrics that have a p
    assert row["verdict"] == "better" and pair["suites"][1]["metrics"][0]["verdict"] == "no clear difference"
    assert pair["suites"][2]["metrics"][0]["difference"]["families"] == 3
    assert len(pair["changed"]) == 10
    first = pair["changed"][0]
    assert (first["id"], first["change"]) == ("p20", 1.0)
    assert first["answers"] == {"one:tuned": "one tuned says 0.0", "two:tuned": "two tuned says 1.0"}
    assert first["reasons"] == {"one:tuned": {"right_call": "wrong day"}, "two:tuned": {}}


def test_on_a_terminal(made: Made) -> None:
    made.run("one", right=20)
    made.run("two", right=12)
    made.run("three", right=20)
    result = made.compare("one", "two", "three")
    assert result.exit_code == 0
    text = result.stdout
    assert "one:tuned" in text and "two:tuned" in text and "three:tuned" in text
    assert "-0.200" in text and "worse" in text and "no clear difference" in text
    assert "p12  -1.00  Question 12?" in text and "two tuned says 0.0" in text and "(wrong day)" in text
    assert "\x1b" not in text  # what a prompt holds cannot steer a terminal
    assert text.count("changed most") == 1  # the third is as the first


def test_any_arm(made: Made) -> None:
    made.run("one", right=20)
    (pair,) = shown(made.compare("one:base", "one", "--json"))["pairs"]
    assert pair["suites"][0]["metrics"][0]["difference"]["value"] == 0.25
    assert made.compare("one", "one:tuned").exit_code == 2
    result = made.compare("one", "one:tunned")
    assert result.exit_code == 2 and "did you mean tuned?" in result.stderr


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"template": "u" * 64}, "the chat template"),
        ({"decoding": {"temperature": 0.7}}, "how answers are drawn (temperature: 0.0, 0.7)"),
        ({"probes": {"few-calls": [["evals/probes/few.jsonl", "bb"]]}}, "the probes"),
        ({"engine": "vllm"}, "the engine (transformers, vllm)"),
        ({"judge": 3}, "the judge's version (2, 3)"),
        ({"limit": 5}, "how many probes (None, 5)"),
    ],
)
def test_what_differs_is_named_and_not_compared(made: Made, more: dict[str, Any], why: str) -> None:
    made.run("one", right=20, suites=[CALLS])
    made.run("two", right=36, suites=[CALLS], **more)
    result = made.compare("one", "two")
    assert result.exit_code == 2
    assert f"few-calls (judge): {why}" in result.stderr
    (pair,) = shown(made.compare("one", "two", "--force", "--json"))["pairs"]
    assert pair["suites"][0]["forced"] == [why]
    assert "compared although this differs" in made.compare("one", "two", "--force").stdout


def test_what_changes_numbers_little_is_named_all_the_same(made: Made) -> None:
    made.run("one", right=20)
    made.run("two", right=36, libraries={"torch": "3"}, system="Be brief.", model={"base": "c"})
    result = made.compare("one", "two")
    assert result.exit_code == 0
    versions = [{"engine": "vllm", "vllm": {"vllm": v}} for v in ("0.30", "0.31")]
    assert list(differences("judge", "s", *versions)) == [("vLLM's version (vllm: 0.30, 0.31)", False)]
    assert "also differs: versions of libraries (torch: 2, 3)" in result.stdout
    assert "also differs: the system message (None, Be brief.)" in result.stdout
    # Another base model has other tokens, so a loss a token cannot be compared; answers can.
    assert "not compared: books (perplexity): the base model, whose tokens are counted" in result.stdout
    assert "few_calls.right_call" in result.stdout


def test_files_are_the_same_by_content() -> None:
    one = {"files": {"texts": [["a/x.jsonl", "1"]]}, "probes": {"s": [["p", "2"]], "other": [["q", "3"]]}}
    two = {"files": {"texts": [["b/y.jsonl", "1"]]}, "probes": {"s": [["r", "2"]], "other": [["q", "4"]]}}
    assert list(differences("judge", "s", one, two)) == []
    assert [b for _, b in differences("judge", "s", one, two | {"files": {"texts": [["b", "9"]]}})] == [True]
    assert [b for _, b in differences("judge", "s", one, one | {"never heard of": 1})] == [True]


def test_what_is_not_known_is_not_taken_for_the_same(made: Made) -> None:
    made.run("one", right=20, suites=[CALLS])
    made.run("two", right=36, suites=[CALLS])
    file = made.root / "runs/two/plan.json"
    data = json.loads(file.read_text())
    del data["report"]["needs"]["answers.tuned.few-calls"]
    file.write_text(json.dumps(data))
    result = made.compare("one", "two")
    assert result.exit_code == 2 and "how one of the two came about, which is not known" in result.stderr


def test_what_answers_are_computed_in_is_named_and_compared() -> None:
    """A run of an earlier version does not say it: its models answered in bfloat16."""
    one: dict[str, Any] = {"decoding": {"temperature": 0}, "engine": "transformers"}
    slow, fast = one | {"dtype": "float32"}, one | {"dtype": "bfloat16"}
    said = [("what answers are computed in (bfloat16, float32)", False)]
    assert (
        list(differences("answers", "s", fast, slow)) == list(differences("answers", "s", one, slow)) == said
    )
    assert list(differences("answers", "s", one, fast)) == []
    asked = {"decoding": {"temperature": 0}, "engine": "endpoint"}
    assert list(differences("answers", "s", asked, asked)) == []


def test_another_seed_is_named_and_compared() -> None:
    one, two = ({"decoding": {"temperature": 0.7, "seed": n}} for n in (1, 2))
    assert list(differences("judge", "s", one, two)) == [("the seed (1, 2)", False)]
    other = {"decoding": {"temperature": 0.2, "seed": 1}}
    assert list(differences("judge", "s", one, other)) == [
        ("how answers are drawn (temperature: 0.7, 0.2)", True)
    ]


def test_suites_that_only_one_has(made: Made) -> None:
    made.run("one", right=20, suites=[CALLS])
    made.run("two", right=20, suites=[FACTS])
    result = made.compare("one", "two")
    assert result.exit_code == 2 and "few-calls: two:tuned has no such suite" in result.stderr
    made.run("three", right=20, suites=[CALLS, FACTS])
    result = made.compare("one", "three")
    assert result.exit_code == 0 and "not compared: facts: one:tuned has no such suite" in result.stdout


@pytest.mark.parametrize("step", ["train", "judge.few-calls", "answers.tuned.few-calls"])
def test_a_report_of_what_was_there_before_is_not_compared(made: Made, step: str) -> None:
    made.run("one", right=20)
    made.run("two", right=30)
    file = made.root / "runs/two/plan.json"
    data = json.loads(file.read_text())
    before = {"step": step.partition(".")[0], "of": "before"}
    data["report"]["needs"].setdefault(step, digest(before))
    first = made.store.get(data["report"]["needs"][step])
    same = first.manifest.ingredients if first else before
    file.write_text(json.dumps(data | {step: same}))
    assert made.compare("one", "two").exit_code == 0
    file.write_text(json.dumps(data | {step: same | {"of": "after"}}))  # killed before its report was made
    result = made.compare("one", "two")
    assert result.exit_code == 2
    assert f"{step} of 'two' was made anew since the run was judged to its end; run it again" in result.stderr


def test_a_win_over_another_arm_is_another_win(made: Made) -> None:
    """A judge that compares two arms scores one by the other: other rivals, other numbers."""
    versus = Suite(CALLS.common, Use("llm_pairwise", {"arm": "tuned", "against": "base"}))
    for name in ("one", "two", "three"):
        made.run(name, right=20, suites=[versus])
    assert made.compare("one", "two").exit_code == 0
    file = made.root / "runs/three/plan.json"
    plan = json.loads(file.read_text())
    said = {"few-calls.jsonl": b'{"id": "p", "arm": "base", "raw": "other words", "finish": "stop"}\n'}
    weaker = answers("base") | {"run": None, "needs": {"of": "a weaker base"}}
    plan["report"]["needs"]["answers.base.few-calls"] = made.step("answers.base", weaker, said)
    file.write_text(json.dumps(plan))
    result = made.compare("one", "three")
    assert result.exit_code == 2
    assert (
        "few-calls (judge): whom each is compared with: a win over other answers is another win"
        in result.stderr
    )
    assert made.compare("three:base", "three").exit_code == 0, "one judge saw both"
    assert made.compare("one", "three", "--force").exit_code == 0


def test_what_was_held_against_other_data_is_named() -> None:
    one, two = ({"memorisation": {}, "needs": {"split": mark * 64, "answers.base.s": mark}} for mark in "ab")
    assert list(differences("judge", "s", one, two)) == [
        ("the training data that each was held against", False)
    ]
    assert list(differences("judge", "s", one, one | {"needs": {"answers.base.s": "c"}})) == []


def test_what_changed_both_ways_has_changed(made: Made) -> None:
    """A call that became right and an answer that became rude: their mean is 0, and both are to be seen."""
    made.run("one", right=20)
    made.run("two", right=21)
    for run, rude in (("one", 0.0), ("two", 1.0)):
        plan = json.loads((made.root / f"runs/{run}/plan.json").read_text())
        old = made.store.get(plan["report"]["needs"]["judge.few-calls"])
        assert old is not None
        more = [
            {
                "id": f"p{i:02}",
                "arm": arm,
                "metric": "toxic",
                "value": rude if arm == "tuned" and i == 20 else 0.0,
            }
            for i in range(N)
            for arm in ("base", "tuned")
        ]
        whole = json.loads(old.file("suite.json").read_bytes())
        whole["metrics"].append({"metric": "few_calls.toxic", "unit": "share", "better": "lower"})
        files = {
            "scores.jsonl": old.file("scores.jsonl").read_bytes()
            + b"".join(json.dumps(s).encode() + b"\n" for s in more),
            "suite.json": json.dumps(whole).encode(),
        }
        told = old.manifest.ingredients | {"of": "two metrics"}
        plan["report"]["needs"]["judge.few-calls"] = made.step("judge", told, files)
        (made.root / f"runs/{run}/plan.json").write_text(json.dumps(plan))
    (pair,) = shown(made.compare("one", "two", "--json"))["pairs"]
    assert [(c["id"], c["change"], c["moved"]) for c in pair["changed"]] == [("p20", 0.0, 1.0)]


def test_what_is_no_run(made: Made) -> None:
    made.run("one", right=20)
    for words, why in (
        (["one"], "name two runs or more"),
        (["one", "oen"], "no run 'oen' (did you mean one?)"),
        (["one", "../one"], "no run '../one'"),
    ):
        result = made.compare(*words)
        assert result.exit_code == 2 and why in result.stderr
    (made.root / "runs/half").mkdir()
    (made.root / "runs/half/plan.json").write_text("{}")
    result = made.compare("one", "half")
    assert result.exit_code == 2 and "not judged to its end" in result.stderr


def test_a_damaged_artifact_is_not_compared(made: Made) -> None:
    made.run("one", right=20)
    made.run("two", right=30)
    file = next(p for p in made.root.glob(".mirepoix/artifacts/*/*/scores.jsonl"))
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"1.0", b"0.0"))
    before = sorted(p for p in made.root.rglob("*"))
    result = made.compare("one", "two")
    assert result.exit_code == 2 and "scores.jsonl of judge.few-calls" in result.stderr
    assert "damaged" in result.stderr
    assert sorted(p for p in made.root.rglob("*")) == before  # it only looks


def test_errors_are_data_too(made: Made) -> None:
    made.run("one", right=20)
    result = made.compare("one", "two", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["errors"][0]["what"].startswith("no run 'two'")


def test_a_task_or_a_text_more_in_another_suite_changes_nothing() -> None:
    facts = Suite(SuiteCommon(suite=1, name="facts", lm_eval=LmEval(tasks=["everyday"])), None)
    books = Suite(SuiteCommon(suite=1, name="books", perplexity=Perplexity(texts={"old": ["x.txt"]})), None)
    texts = msgspec.to_builtins(books.common.perplexity)
    one: dict[str, Any] = {
        "tasks": {"everyday": {"tasks": ["everyday"], "limit": None}},
        "files": {"everyday": [["t", "1"]], "books/old": [["x.txt", "2"]]},
        "suites": [texts],
    }
    two: dict[str, Any] = {
        "tasks": {"everyday": {"tasks": ["everyday", "b"], "limit": None}, "b": {"tasks": ["b"], "limit": 3}},
        "files": one["files"] | {"b": [["u", "3"]], "more/new": [["y.txt", "4"]]},
        "suites": [texts, {"texts": {"new": ["y.txt"]}}],
    }

    def apart(part: str, suite: Suite, a: dict[str, Any], b: dict[str, Any]) -> list[bool]:
        keys = ("tasks", "files") if part == "lm-eval" else ("files", "suites")
        a, b = (of_suites(part, [suite, suite], {k: x[k] for k in keys}, suite) for x in (a, b))
        return [blocks for _, blocks in differences(part, suite.common.name, a, b)]

    for part, suite in (("lm-eval", facts), ("perplexity", books)):
        assert apart(part, suite, one, two) == []
    fewer = two | {"tasks": {"everyday": {"tasks": ["everyday"], "limit": 5}}}
    assert apart("lm-eval", facts, one, fewer) == [True]
    other = two | {"files": one["files"] | {"everyday": [["t", "9"]], "books/old": [["x.txt", "9"]]}}
    assert apart("lm-eval", facts, one, other) == apart("perplexity", books, one, other) == [True]


@pytest.mark.parametrize("needs", [{"judge.few-calls": 3}, {"judge.few-calls": None}, [["a", "b"]], 7])
def test_a_damaged_plan_is_said(made: Made, needs: Any) -> None:
    made.run("one", right=20)
    file = made.root / "runs/one/plan.json"
    data = json.loads(file.read_text())
    data["report"]["needs"] = needs
    file.write_text(json.dumps(data))
    result = made.compare("one:base", "one")
    assert result.exit_code == 2 and "not judged to its end" in result.stderr
