"""`recipe check` says what is wrong with a chat template, at its own line and column, and who names it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import cli, tasktemplates
from runner.templates import review

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: org/model, template: own.jinja}
"""
TALK = {"messages": [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "Hm."}]}
DEEP = {
    "parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "conditions": "{% if a %}" * 3000 + "x" + "{% endif %}" * 3000,
    "loops": "{% for a in 'b' %}" * 30 + "x" + "{% endfor %}" * 30,
}
WRONG: dict[str, tuple[str, int, int, str]] = {
    "a filter": ("{{ a }}\n  {{ b|trimm }}", 2, 8, "no filter 'trimm' (did you mean trim?)"),
    "a test": ("{{ a is definedd }}", 1, 6, "no test 'definedd' (did you mean defined?)"),
    "in a branch that is seldom taken": ("{% if a %}{{ b|uper }}{% endif %}", 1, 16, "no filter 'uper'"),
    "a tag": ("\n {% fro m in n %}", 2, 5, "unknown tag 'fro' (did you mean for?)"),
    "an end": ("{% if a %}\nx", 2, 1, "Unexpected end of template"),
    "the wrong end": ("{% for a in b %}x{% endif %}", 1, 21, "unknown tag 'endif'"),
    "a brace": ("{% if a %}\n\n{{ b }", 3, 6, "unexpected '}'"),
    "a sign": ("a\r\n{{ a $ b }}", 2, 6, "unexpected char '$'"),
    "a word too many": ("{{ a b }}", 1, 6, "got 'b'"),
    "a comment": ("{# a", 1, 1, "Missing end of comment"),
    "a loop's": ("{% break %}", 1, 1, "'break' outside loop"),
    "__class__": ("{{ a }}{{ ''.__class__ }}", 1, 13, "'__class__' is Python's own"),
    "by an index": ("{{ a['__globals__'] }}", 1, 5, "'__globals__' is Python's own"),
    "by a filter": ("{{ a|attr('__init__') }}", 1, 6, "'__init__' is Python's own"),
    "by attribute": ("{{ a|map(attribute='b.__class__')|list }}", 1, 6, "'__class__' is Python's own"),
    "__import__": ("{{ __import__('os') }}", 1, 4, "'__import__' is Python's own"),
    "include": ("{% include 'x' %}", 1, 4, "another template"),
    "import": ("{% import 'x' as y %}", 1, 4, "another template"),
    "from": ("{% from 'x' import y %}", 1, 4, "another template"),
    "extends": ("{% extends 'x' %}", 1, 4, "another template"),
    "a digit too many": ("{{ " + "9" * 5000 + " }}", 1, 1, "digits"),
    "too long": ("x" * 600_000, 1, 1, "longer than 500,000"),
} | {f"deep {name}": (text, 1, 1, "nests too deep") for name, text in DEEP.items()}


@pytest.mark.parametrize(("text", "line", "column", "said"), WRONG.values(), ids=[*WRONG])
def test_faults(text: str, line: int, column: int, said: str) -> None:
    fault = review.faults(text)[0]
    assert (fault.line, fault.column) == (line, column), fault
    assert said in fault.what


def test_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "NODES", 50)
    assert review.faults("{{ a }}" * 40) == []
    assert [f.what for f in review.faults("{{ a }}" * 60)] == [
        "it has more than 50 expressions and statements"
    ]
    monkeypatch.setattr(review, "TOKENS", 50)  # then they are not even parsed
    assert review.faults("{{ a }}" * 40)


@pytest.mark.parametrize(
    "text",
    [
        "{% generation %}{{ m|tojson(indent=4) }}{% endgeneration %}{{ raise_exception('x') }}",
        "{% if 'foo' is filter %}{{ a|foo }}{% endif %}",
        "{% for m in messages %}{% continue %}{% endfor %}{{ strftime_now('%d') }}{{ m._x }}",
    ],
)
def test_what_templates_do_say(text: str) -> None:
    assert review.faults(text) == []


def test_all_faults_are_told_in_order() -> None:
    faults = review.faults("{{ a|uper }}\n{% for x in y %}{{ x is odder }}{% endfor %}{{ x|lowr }}")
    assert [(f.line, f.column) for f in faults] == [(1, 6), (2, 22), (2, 50)]


def test_shipped_templates_are_templates() -> None:
    folder = Path(__file__).resolve().parents[2] / "recipes" / "base"
    found = {p.name: review.faults(p.read_text(encoding="utf-8")) for p in folder.glob("*.jinja")}
    assert len(found) >= 7
    assert not any(found.values())


def test_tasks_have_their_own_filters() -> None:
    assert tasktemplates.faults("{{ a|regex_replace('a', 'b') }}") == []
    assert review.faults("{{ a|regex_replace('a', 'b') }}")
    assert tasktemplates.faults("{% for a in b %}{% break %}{% endfor %}")  # lm-eval has no such tag


def check(folder: Path, template: bytes, recipe: str = RECIPE) -> Any:
    (folder / "talk.jsonl").write_text(json.dumps(TALK) + "\n")
    (folder / "own.jinja").write_bytes(template)
    (folder / "r.yaml").write_text(recipe)
    return CliRunner().invoke(cli.main, ["check", "r.yaml"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_both_places_are_told(tmp_path: Path) -> None:
    done = check(tmp_path, b"{% for m in messages %}\n{{ m.content|trimm }}{% endfor %}")
    assert done.exit_code == 2
    assert (
        "own.jinja:2:14: no filter 'trimm' (did you mean trim?); model.template names it in r.yaml:6:36"
        in done.stderr
    )
    assert check(tmp_path, b"{{ messages }}").exit_code == 0


def test_no_file_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "big.jinja").touch()
    with (tmp_path / "big.jinja").open("r+b") as file:
        file.truncate(20 << 30)
    done = check(tmp_path, b"", RECIPE.replace("own.jinja", "big.jinja"))
    assert done.exit_code == 2
    assert "longer than 500,000 characters" in done.stderr


@pytest.mark.parametrize("how", ["file", "config", "list"])
def test_a_local_models_own(tiny: Path, tmp_path: Path, how: str) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    bad = "a\n{{ b|trimm }}"
    (tmp_path / "tiny" / "chat_template.jinja").unlink(missing_ok=True)
    if how == "file":
        (tmp_path / "tiny" / "chat_template.jinja").write_text(bad)
        said = "tiny/chat_template.jinja:2:6: no filter 'trimm'"
    else:
        config = tmp_path / "tiny" / "tokenizer_config.json"
        data = json.loads(config.read_text())
        data["chat_template"] = bad if how == "config" else [{"name": "tools", "template": bad}]
        config.write_text(json.dumps(data))
        said = "tiny/tokenizer_config.json: chat_template" + (" 'tools'" if how == "list" else "")
        said += ", line 2, column 6: no filter 'trimm'"
    recipe = RECIPE.replace("org/model", "./tiny").replace(", template: own.jinja", "")
    done = check(tmp_path, b"", recipe)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert "model.base names it in r.yaml:6:15" in done.stderr


def test_jinja_is_imported_only_for_a_template() -> None:
    code = "import sys; import runner.cli, runner.load; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
