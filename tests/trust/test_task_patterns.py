"""lm-eval task files of strangers: nothing in them takes time or memory without end, or names Python to run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import linear, taskrules
from runner.errors import RecipeError, StepError
from runner.load import load_suite
from runner.workspace import Workspace

SHIPPED = Path(__file__).resolve().parents[2] / "evals" / "tasks"
TASK: dict[str, Any] = yaml.safe_load((SHIPPED / "everyday_facts.yaml").read_text(encoding="utf-8"))
BOMB = "(?=(a+)+$)"


def chain(**step: Any) -> dict[str, Any]:
    return {"filter_list": [{"name": "x", "filter": [step]}]}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"repeats": 100_000_000}, "repeats must be a number up to 64"),
    ({"repeats": 0}, "repeats must be 1 or more"),
    ({"num_fewshot": 10**9}, "num_fewshot must be a number up to 100"),
    ({"generation_kwargs": {"max_gen_toks": 10**9}}, "max_gen_toks must be 1 to 32,768"),
    ({"generation_kwargs": {"max_gen_toks": "x"}}, "max_gen_toks must be int"),
    ({"generation_kwargs": {"custom_generate": "them/code"}}, "custom_generate is not taken"),
    ({"generation_kwargs": {"trust_remote_code": True}}, "trust_remote_code is not taken"),
    ({"generation_kwargs": [1]}, "generation_kwargs must be a map"),
    (chain(function="regex", regex_pattern=BOMB), "filter_list.regex_pattern: the pattern .* look-ahead"),
    (chain(function="decontaminate", path="/etc/passwd"), "'decontaminate' is no filter that is taken"),
    (
        chain(function="multi_choice_regex", regexes_to_ignore=[r"(a)\1"]),
        "regexes_to_ignore: .* back-references",
    ),
    ({"filter_list": 3}, "filter_list must be a list of maps"),
    (
        {"metric_list": [{"metric": "exact_match", "regexes_to_ignore": [BOMB]}]},
        "metric_list.regexes_to_ignore",
    ),
    ({"doc_to_text": "{{ q | regex_replace('" + BOMB + "', '') }}"}, "doc_to_text: the pattern"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_what_is_refused_before_anything_is_run(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    tasks = tmp_path / "evals/tasks"
    tasks.mkdir(parents=True)
    (tasks / "mine.yaml").write_text(yaml.safe_dump(TASK | {"task": "mine"} | change))
    (tmp_path / "evals/suites").mkdir()
    (tmp_path / "evals/suites/s.yaml").write_text("suite: 1\nname: s\nlm_eval: {tasks: [mine]}\n")
    with pytest.raises(RecipeError, match=rf"mine.yaml:1:1: .*{said}"):
        load_suite("s", Workspace(tmp_path))


def test_the_job_refuses_it_too(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from runner.jobs.lm_tasks import read_task

    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TASK | {"repeats": 10**8}))
    with pytest.raises(StepError, match="repeats must be a number up to 64"):
        read_task(tmp_path, "mine", "cache")


def test_lm_evals_engine_is_linear_for_patterns_of_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval import utils
    from lm_eval.api import metrics
    from lm_eval.filters import extraction

    from runner.jobs import lm_tasks

    for module, name in ((utils, "env"), (metrics, "re"), (extraction, "re")):
        monkeypatch.setattr(module, name, getattr(module, name))
    lm_tasks.sandbox()
    (tmp_path / "everyday-facts.jsonl").write_text("{}\n")
    bad = r"(a+)+\z"
    metric = {"metric": "exact_match", "regexes_to_ignore": ["(a+)+$"], "aggregation": "mean"}
    task = TASK | chain(function="regex", regex_pattern=bad) | {"metric_list": [metric]}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(task))
    lm_tasks.read_task(tmp_path, "t", "cache")
    begun, text = time.monotonic(), "a" * 60 + "b"
    assert extraction.RegexFilter(regex_pattern=bad).apply([[text, "xaa"]], [{}]) == [["[invalid]", "aa"]]
    said = metrics.exact_match_hf_evaluate([text], ["b"], regexes_to_ignore=["(a+)+$"])
    assert said["exact_match"] == 0
    template = "{{ q | regex_replace('(a+)+$', 'x') }}"
    assert utils.apply_template(template, {"q": text}) == text
    assert utils.apply_template(template, {"q": "baa"}) == "bx"
    assert time.monotonic() - begun < 5
    # lm-eval's own patterns keep their engine.
    assert extraction.re.compile("(?<=a)b").findall("ab") == ["b"]


@pytest.mark.parametrize(
    ("pattern", "new", "text"),
    [
        (r"\[.*?\]", "", "a [x] b [y]"),
        (r"(\w+) (\w+)", r"\2 \g<1>", "ab cd ef gh"),
        (r"(?P<n>b)|c", r"<\g<n>>", "abc"),
        ("x*", "-", "abxc"),
        ("$", "!", "ab"),
        ("é", "\\n\\\\", "aéb"),
    ],
)
def test_replacements_are_those_of_re(pattern: str, new: str, text: str) -> None:
    import re

    assert linear.replaced(pattern, new, text) == re.sub(pattern, new, text)
    assert linear.replaced(pattern, new, text, 1) == re.sub(pattern, new, text, count=1)


def test_replacements_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="too long"):
        linear.replaced("a", "b" * 1000, "a" * 10_000)
    monkeypatch.setattr(linear, "PATIENCE", 0.01)
    with pytest.raises(ValueError, match=r"more than 0.01 seconds"):
        linear.replaced("a.*b|a", "", "a" * 40_000)
    with pytest.raises(ValueError, match="names the group 2"):
        linear.replaced("(a)", r"\2", "a")


def test_tasks_that_are_shipped_pass() -> None:
    for path in SHIPPED.glob("*.yaml"):
        assert not list(taskrules.wrong(yaml.safe_load(path.read_text(encoding="utf-8"))))
