"""A chat template of a stranger takes no more time, memory or stack than it may, wherever it is rendered."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from runner import chat, cli, templates
from runner.errors import StepError
from runner.evaluate.askable import _faults
from runner.record import Message, Probe, Record
from runner.templates import review

MESSAGES: Any = [
    {"role": "user", "content": "Where is the eel? " * 5},
    {"role": "assistant", "content": "There."},
]


def grown(step: str, start: str = "'aaaaaaaa'", end: str = "{{ n.a|length }}", steps: int = 60) -> str:
    """A value that is made of itself, again and again."""
    loop = f"{{% for i in range({steps}) %}}{{% set n.a = {step} %}}{{% endfor %}}"
    return f"{{% set n = namespace(a={start}) %}}{loop}{end}"


def each(what: str, before: str = "") -> str:
    steps = 9999 if before else 99999  # so few that the loop alone is not too much
    return f"{before}{{% for i in range({steps}) %}}{what}{{% endfor %}}"


BIG = "{% set t = 'ab' * 1000000 %}"
WORK = {
    "loops in loops": each(each("{{ i }}")),
    "loops in loops that say nothing": each("{% for j in range(99999) if j > 999999 %}{% endfor %}"),
    "loops that are left at once": each(each("{% for k in range(99999) %}{% break %}{% endfor %}")),
    "a text times a number": "{{ 'a' * 3000000000 }}",
    "a list times a number": "{{ range(99999)|list * 99999 }}",
    "bytes times a number": "{{ 'a'.encode('utf-8') * 1000000000 }}",
    "texts put together with ~": grown("n.a ~ n.a"),
    "texts put together with +": grown("n.a + n.a"),
    "lists put together": grown("n.a + n.a", "[[1]]"),
    "lists in lists, shown": grown("[n.a, n.a]", "['x']", "{{ n.a }}"),
    "lists in lists, compared": grown("[n.a, n.a]", "['x']", "{{ n.a == n.a }}"),
    "tuples in tuples as a key": grown("(n.a, n.a)", "1", "{{ messages[0][n.a] }}"),
    "maps in maps, as JSON": grown("dict(a=n.a, b=n.a)", "dict(x=1)", "{{ n.a|tojson }}"),
    "macros that call each other twice": "{% macro f(n) %}{% if n > 0 %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "a macro of much, called again and again": each(
        "{{ f() }}", "{% macro f() %}" + "{% set x = 1 %}" * 4000 + "{% endmacro %}"
    ),
    "recursive loops": "{% for x in [1] recursive %}{{ loop([1, 1]) if loop.depth < 60 }}{% endfor %}",
    "a large literal in a loop": each("y" * 10_000),
    "a large literal in a loop, caught": "{% set x %}" + each("y" * 10_000) + "{% endset %}{{ x|length }}",
    "replace after replace": "{{ messages[0].content" + "|replace('e', 'eeeeeeeeee')" * 20 + " }}",
    "replace of nothing": "{{ ('a' * 20000)|replace('', 'b' * 20000)|length }}",
    "the method replace": "{{ ('a' * 20000).replace('', 'b' * 20000)|length }}",
    "center": "{{ 'a'|center(10**9) }}",
    "center of each": "{{ messages|map(attribute='content')|map('center', 1000000000)|list }}",
    "a filter block": "{% filter center(1000000000) %}x{% endfilter %}",
    "indent": "{{ 'a'|indent(1000000000) }}",
    "tojson": "{{ {'a': 1}|tojson(indent=1000000000) }}",
    "batch": "{{ ['a']|batch(1000000000, 'x')|list }}",
    "slice": "{{ ['a']|slice(1000000000)|list }}",
    "join": "{{ (('a',) * 1000)|join('b' * 100000)|length }}",
    "the method join": "{{ ('x' * 1000000).join(range(9999)|map('string'))|length }}",
    "sum of lists": "{{ ([[1]] * 99999)|sum(start=[])|length }}",
    "striptags": "{{ ('<' * 100000)|striptags }}",
    "wordwrap": "{{ ('a ' * 1000000)|wordwrap(1, true, 'x' * 1000000) }}",
    "lipsum": "{{ lipsum(n=1, min=100000000, max=100000001) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(1000000000) }}",
    "translate": "{{ ('a' * 10000).translate({97: 'b' * 100000})|length }}",
    "to_bytes": "{{ (5).to_bytes(1000000000, 'big') }}",
    "% with a width": "{{ '%999999999d' % 1 }}",
    "% of bytes": "{{ '%999999999d'.encode() % 1 }}",
    "searched again and again": each("{% if 'zz' in t %}x{% endif %}", BIG),
    "sliced again and again": each("{% set y = t[1:] %}", BIG),
    "stripped again and again": each("{% set y = t.strip() %}", BIG),
    "trimmed again and again": each("{% set y = t|trim %}", BIG),
    "compared again and again": each("{% if t == u %}x{% endif %}", BIG + "{% set u = 'ab' * 1000000 %}"),
    "joined again and again": each("{% set y = t|join %}", "{% set t = ['ab' * 1000000] * 99 %}"),
    "escaped": grown("n.a ~ '<'|escape ~ n.a", "'<'"),
    "a block that says itself": "{% block a %}{% for i in range(3) %}{{ self.a() }}{% endfor %}{% endblock %}",
}
DEEP = {
    "a macro that calls itself": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "lists": "{{ " + "[" * 3000 + "1" + "]" * 3000 + " }}",
    "not": "{{ " + "not " * 3000 + "1 }}",
    "attributes": "{{ a" + ".b" * 3000 + " }}",
    "filters": "{{ a" + "|upper" * 3000 + " }}",
    "loops": "{% for a in 'b' %}" * 30 + "x" + "{% endfor %}" * 30,
    "conditions": "{% if a %}" * 3000 + "x" + "{% endif %}" * 3000,
    "tuples in tuples": grown("(n.a,)", "1", "{{ {n.a: 1} }}", 5000),
    "namespaces in namespaces": grown("namespace(a=n.a, b=n.a)", "namespace()", "{{ n.a }}"),
    "filters over filters": grown("n.a|map('upper')", "['x']", steps=5000),
    "a width of too many digits": "{{ '%9999999999d'|format(1) }}",
    "a width that is worked out": "{{ '{:{}}'.format(1, 1000000000) }}",
    "a number of too many bits": "{{ 2 ** 2000000000 }}",
    "a number times itself": grown("n.a * n.a", "3"),
    "round": "{{ 1.5|round(1000000000, 'floor') }}",
    "a literal": "{{ '" + "a" * 600_000 + "' }}",
    "statements": "{{ a }}" * 30_000,
}


def render(template: str, messages: Any = MESSAGES) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    templates.cap()
    (text,), _ = render_jinja_template([messages], chat_template=template)
    return str(text)


@pytest.fixture(autouse=True)
def no_more_memory_than_that() -> Any:
    """What escapes its cap must not take the machine with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = now + (4 << 30)
    resource.setrlimit(
        resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("template", [*WORK.values(), *DEEP.values()], ids=[*WORK, *DEEP])
def test_ends_soon_and_small(template: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(templates.TooMuch):
        render(template)
    assert time.process_time() - began < 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024


@pytest.mark.parametrize("tag", ["include 'x'", "import 'x' as y", "extends 'x'"])
def test_takes_in_nothing_else(tag: str) -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match="another template"):
        render(f"{{% {tag} %}}")


def test_output_is_capped_by_what_goes_in() -> None:
    """Cheap to make, dear to read: a page for each letter."""
    with pytest.raises(templates.TooMuch, match="makes a text of"):
        render("{% for i in range(200) %}" + "y" * 9_000 + "{% endfor %}")
    assert (
        len(render("{{ messages[0].content }}", [{"role": "user", "content": "y" * 3_000_000}])) == 3_000_000
    )


def test_long_records_are_no_attack() -> None:
    """A thousand turns of some hundred letters, by a template that looks back at each."""
    messages = [{"role": "user", "content": "Where is the eel? " * 20}] * 1_000
    looking = "{% for m in messages %}{% for n in messages[loop.index:] %}{% if n.role == 'x' %}y{% endif %}{% endfor %}"
    assert len(render(f"{looking}{{{{ m.content }}}}{{% endfor %}}", messages)) == 360_000


def test_an_uncapped_transformers_renders_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import chat_template_utils as theirs

    monkeypatch.delattr(theirs, "_compile_jinja_template")
    with pytest.raises(StepError, match="cannot cap"):
        templates.cap()


RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: tiny, template: own.jinja, end_of_turn: <|im_end|>, max_length: 512}
"""
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
)
CHATML += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (each(each("{{ i }}")), "takes too much work or memory: loops, calls or texts that it makes grow out of all "
         "proportion (line 1), even in a question and its answer"),
        ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "nests too deep, or calls itself without end (line 1), "
         "even in a question and its answer"),
        ("{% if 'SPRING' in messages[0].content %}\n{{ 'a' * 3000000000 }}{% endif %}" + CHATML,
         "takes too much work or memory: loops, calls or texts that it makes grow out of all proportion (line 2), in "
         "record talk/talk/2"),
    ],
)  # fmt: skip
def test_preparing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, said: str
) -> None:
    """One sentence that names template and record, exit code 3."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, tmp_path / "tiny")
    rows = [[("user", f"{w}, please."), ("assistant", "It is so.")] for w in ("Autumn", "SPRING", "Winter")]
    lines = [json.dumps({"messages": [{"role": r, "content": c} for r, c in row]}) + "\n" for row in rows]
    (tmp_path / "talk.jsonl").write_text("".join(lines))
    (tmp_path / "own.jinja").write_text(template)
    (tmp_path / "r.yaml").write_text(RECIPE)
    done = CliRunner().invoke(cli.main, ["run", "r.yaml", "--to", "prepare"])
    assert done.exit_code == 3, done.output
    assert f"render: the template 'own.jinja' {said}; correct it, or name another" in " ".join(
        done.stderr.split()
    )


def test_check_knows_what_transformers_knows() -> None:
    """`recipe check` reads templates in an environment of its own, without importing transformers."""
    from transformers.utils import chat_template_utils as theirs

    uncapped()
    own, its = review.like_transformers(), theirs._compile_jinja_template("x").environment
    assert own.filters.keys() == its.filters.keys()
    assert own.tests.keys() == its.tests.keys()
    assert (own.trim_blocks, own.lstrip_blocks) == (its.trim_blocks, its.lstrip_blocks)
    tags = [{tag for extension in env.iter_extensions() for tag in extension.tags} for env in (own, its)]
    assert tags[0] == tags[1]


HOSTILE = "{% if 'SPRING' in messages[0].content %}{{ 'a' * 3000000000 }}{% endif %}" + CHATML
PROBE = Probe("p1", [Message("user", "SPRING?")])


def uncapped() -> None:
    """As in a new process: what loads a tokenizer has to cap it."""
    from transformers.utils import chat_template_utils as theirs

    theirs._compile_jinja_template = theirs._cached_compile_jinja_template


@pytest.fixture
def renderer(tiny: Path) -> chat.Renderer:
    return chat.Renderer(str(tiny), revision=None, template=HOSTILE, end_of_turn="<|im_end|>")


def test_showing_a_record(renderer: chat.Renderer) -> None:
    from runner.rendered import _said

    record = Record([Message("user", "SPRING?"), Message("assistant", "Yes.")], meta={"id": "a"})
    assert _said(renderer, record)["error"].startswith("the template takes too much work")


def test_probes_before_training(renderer: chat.Renderer) -> None:
    suite: Any = SimpleNamespace(common=SimpleNamespace(max_new_tokens=8))
    (why,) = _faults(suite, iter([PROBE]), renderer, None)
    assert why.startswith("it takes too much work")


def loaded(tiny: Path) -> Any:
    from runner.jobs.job import Job
    from runner.jobs.loading import tokenizer_of

    uncapped()
    tokenizer = tokenizer_of(Job(model=str(tiny)))
    tokenizer.chat_template = HOSTILE
    config = SimpleNamespace(max_position_embeddings=512)
    return SimpleNamespace(tokenizer=tokenizer, limit=512, stops=(), model=SimpleNamespace(config=config))


def test_jobs_that_ask(tiny: Path) -> None:
    from runner.jobs.generate import encode

    with pytest.raises(StepError, match=r"chat template takes too much work.*with the probe 'p1'"):
        encode(loaded(tiny), PROBE)


def test_a_server_goes_on(tiny: Path) -> None:
    from runner.jobs.chatapi import Refused
    from runner.jobs.speaking import Voice

    speaker = Voice(loaded(tiny), 0)
    with pytest.raises(Refused, match="the model's template takes too much work"):
        speaker._render([Message("user", "SPRING?")], [], prompt=True)
    assert "winter?" in speaker._render([Message("user", "winter?")], [], prompt=True)


def test_other_jobs_end_in_one_line(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """lm-eval and the merge let it go up to where jobs end."""
    from runner.jobs import job

    def run(raw: bytes) -> None:
        loaded(tiny).tokenizer.apply_chat_template([{"role": "user", "content": "SPRING"}], tokenize=False)

    monkeypatch.setattr(job, "quiet", lambda: None)
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "job.json")])
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        job.command("lm_eval", run)
    assert ended.value.code == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lm_eval: the model's chat template takes too much work")


def test_axolotl_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plug-in of ours is there in every training; the library itself is too heavy for this test."""
    base = ModuleType("axolotl.integrations.base")
    base.BasePlugin = object  # type: ignore[attr-defined]
    for name in ("axolotl", "axolotl.integrations"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "axolotl.integrations.base", base)
    monkeypatch.delitem(sys.modules, "runner.jobs.axolotl_seeding", raising=False)
    from runner.jobs.axolotl_seeding import SeedingPlugin

    capped: list[bool] = []
    monkeypatch.setattr(templates, "cap", lambda: capped.append(True))
    plugin: Any = SeedingPlugin()
    plugin.load_datasets(SimpleNamespace(seed=1))
    monkeypatch.delitem(sys.modules, "runner.jobs.axolotl_seeding")
    assert capped == [True]
