"""Templates of lm-eval tasks take no more work, memory or stack than they may, and the error says which of which task."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import tasktemplates
from runner.errors import RecipeError, StepError
from runner.load import load_suite
from runner.workspace import Workspace

SHIPPED = Path(__file__).resolve().parents[2] / "evals" / "tasks"
TASK: dict[str, Any] = yaml.safe_load((SHIPPED / "everyday_facts.yaml").read_text(encoding="utf-8"))
SUITE = """\
suite: 1
name: mine
description: Tries what a stranger's task may say.
lm_eval: {tasks: [mine]}
"""
LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
HOSTILE = {
    "loops in loops": (LOOPS, "takes too much work or memory"),
    "a text times a number": ("{{ 'a' * 3000000000 }}", "takes too much work or memory"),
    "a list times a number": ("{{ [q] * 3000000000 }}", "takes too much work or memory"),
    "a page for each letter": ("{% for i in range(200) %}" + "y" * 9_000 + "{% endfor %}", "makes a text of more"),
    "parentheses": ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nests too deep"),
    "a macro that calls itself": ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "nests too deep"),
    "replacing": ("{{ (q * 300000)|regex_replace('a', 'b' * 300000) }}", "takes too much work or memory"),
}  # fmt: skip


@pytest.mark.parametrize(("template", "said"), HOSTILE.values(), ids=[*HOSTILE])
@pytest.mark.parametrize("key", ["doc_to_text", "description"])
def test_ends_soon_and_says_whose(template: str, said: str, key: str) -> None:
    env = tasktemplates.Environment()
    env.belong("mine", {key: template})
    began = time.process_time()
    with pytest.raises(StepError) as e:
        env.from_string(template).render(q="a", n=3)
    assert e.value.exit_code == 3
    assert f"lm_eval: the template {key} of the task mine {said}" in str(e.value)
    assert 'with the document {"q": "a", "n": 3}; correct the task' in str(e.value)
    assert time.process_time() - began < 4  # far from it; without its cap it would not end at all


def test_what_lm_eval_renders_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval import utils
    from lm_eval.api import metrics
    from lm_eval.filters import extraction

    from runner.jobs import lm_tasks

    for module, name in ((utils, "env"), (metrics, "re"), (extraction, "re")):
        monkeypatch.setattr(module, name, getattr(module, name))
    text = "{{ question * 3000000000 }}"
    lm_tasks.sandbox()
    (tmp_path / "everyday-facts.jsonl").write_text("{}\n")
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(TASK | {"doc_to_text": text}))
    lm_tasks.read_task(tmp_path, "t", "cache")
    with pytest.raises(
        StepError, match=r"the template doc_to_text of the task t takes too much .*aa…; correct"
    ):
        utils.apply_template(text, {"question": "a" * 1_000})


@pytest.mark.parametrize("literal", ["(" * 300, "-" * 100_000 + "1", "[1]" + "+1j" * 100_000])
def test_choices_that_are_no_literals_are_words(literal: str) -> None:
    """lm-eval reads what doc_to_choice renders by ast.literal_eval."""
    import ast

    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from runner.jobs.lm_eval import _told

    with pytest.raises(StepError, match="lm-eval could not do mine"), _told(["mine"]):
        ast.literal_eval(literal)


def test_the_same_texts_as_lm_eval_renders() -> None:
    """What its tasks are made of means the same."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    import jinja2
    from lm_eval import utils as theirs

    own = jinja2.Environment(
        loader=jinja2.BaseLoader(), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    own.filters["regex_replace"] = theirs.regex_replace
    document = {
        "question": "Who?\n",
        "choices": ["a", "b"],
        "answer": 1,
        "text": "T",
        "label": 0,
        "x": {"y": [None]},
    }
    for text in (
        "{{question.strip()}}\nA. {{choices[0]}} {{choices.index('b')}}\n", "{{[choices|join(', '), answer]}}",
        "{{['yes','no'][label]}}{{ 'abcd'[answer] }}", "{{x}}{{x.y[0]}}{{none}}{{1.50}}{{true}}", "{{choices}}",
        "{% set a = question %}{{a|trim|upper}}{% if answer == 1 %} one{% endif %}\n\n", "{{text|regex_replace('T','t')}}",
        "{% for c in choices %}{{ loop.index }}) {{ c }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "{{choices[answer|int]}}{{ '%.2f'|format(1.005) }}{{ (answer + 1) * 2 }}{{ answer - 1 }}{{'a' ~ 1 ~ none}}",
    ):  # fmt: skip
        assert tasktemplates.from_string(text).render(**document) == own.from_string(text).render(**document)
    with pytest.raises(jinja2.UndefinedError):
        tasktemplates.from_string("{{ nothing }}").render(**document)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"doc_to_text": "{{ question|uper }}"}, "doc_to_text: column 13 of the template: no filter 'uper' (did you mean"),
        ({"doc_to_target": "{{ answer"}, "doc_to_target: column 4 of the template: unexpected end"),
        ({"doc_to_choice": ["a", "{{ ''.__class__ }}"]}, "doc_to_choice[1]: column 6 of the template: '__class__'"),
        ({"description": "a\n{% include 'x' %}\nb"}, "description: line 2, column 4 of the template: include"),
    ],
)  # fmt: skip
def test_check_reads_them(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    for folder in ("suites", "tasks"):
        (tmp_path / "evals" / folder).mkdir(parents=True)
    (tmp_path / "evals/suites/mine.yaml").write_text(SUITE)
    (tmp_path / "evals/tasks/everyday-facts.jsonl").write_text("{}\n")
    (tmp_path / "evals/tasks/mine.yaml").write_text(yaml.safe_dump(TASK | change, sort_keys=False))
    with pytest.raises(RecipeError) as e:
        load_suite("mine", Workspace(tmp_path))
    (problem,) = e.value.problems
    assert said in str(problem)
    assert problem.file == "evals/tasks/mine.yaml"
    assert problem.line > 1


def test_tasks_that_are_there_pass() -> None:
    texts = [
        text
        for path in SHIPPED.glob("*.yaml")
        for _, text in tasktemplates.written(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]
    assert texts
    assert not [fault for text in texts for fault in tasktemplates.faults(text)]
