"""What capped templates say is what transformers' own say, letter for letter, and they spend little of what they may."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runner import templates
from runner.templates import budget

BASE = Path(__file__).resolve().parents[2] / "recipes/base"
FUNCTION = {
    "name": "get_tide",
    "description": 'Height "of" <the> tide & é.',
    "parameters": {
        "type": "object",
        "properties": {"harbour": {"type": "string", "description": "x"}, "hour": {"enum": [1, 2]}},
        "required": ["harbour"],
    },
}
TOOL = {"type": "function", "function": FUNCTION}
ARGUMENTS = {"harbour": "Oban", "hour": None, "f": 1.5, "n": [1, {"a": True}]}
CALL = {"id": "aB3xY7qW2", "type": "function", "function": {"name": "get_tide", "arguments": ARGUMENTS}}
SYSTEM = {"role": "system", "content": " Be brief. "}
USER = {"role": "user", "content": "How? <b>&\" 'x' \n"}
ANSWER = {"role": "assistant", "content": "<think>\nhm\n</think>\n\n So. "}
CALLS = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": '{"m": 1}', "tool_call_id": "aB3xY7qW2", "name": "get_tide"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image"}]}
CHATS: list[Any] = [
    [USER],
    [SYSTEM, USER, ANSWER, USER, ANSWER],
    [SYSTEM, USER, CALLS, RESULT, ANSWER, USER],
    [PARTS, ANSWER],
    [ANSWER, USER],
    [],
    [SYSTEM] + [USER, CALLS, RESULT, ANSWER] * 20,
]
OWN = """
{%- macro say(x, y='-') %}{{ x }}{{ y }}{{ caller() if caller }}{{ varargs }}{{ kwargs }}{% endmacro -%}
{%- set ns = namespace(n=0, seen=[], text='') -%}
{%- for m in messages if m.role != 'tool' recursive -%}
  {{ loop.index }}{{ loop.last }}{{ loop.length }}{{ loop.revindex0 }}{{ loop.cycle('a', 'b') }}{{ loop.previtem is defined }}
  {{- loop.changed(m.role) }}{{ loop([]) }}
  {%- set ns.n = ns.n + 1 %}{% set ns.seen = ns.seen + [m.role] %}{% set ns.text = ns.text ~ m.role ~ ns.n -%}
  {{ '[' + m.role + '] ' + (m.content|string) + '\\n' }}{{ m['content'] }}{{ m.get('content', 'none') }}{{ m.missing }}
  {%- for k, v in m.items() %}{{ k }}={{ v }};{% else %}nothing{% endfor -%}
  {%- for a in range(10) %}{% if a == 2 %}{% continue %}{% endif %}{% if a > 3 %}{% break %}{% endif %}{{ a }}{% endfor -%}
{%- endfor -%}
{{ ns.n }}{{ ns.seen }}{{ ns.text }}{{ ns.nothing }}{{ messages|length }}{{ messages[::-1]|map(attribute='role')|join(', ') }}
{{ messages|selectattr('role', 'equalto', 'user')|list }}{{ messages|rejectattr('role', 'in', ['user', 'tool'])|list|count }}
{{ messages|groupby('role') }}{{ messages|map(attribute='role')|unique|sort|join('|') }}{{ [3, 1, 2]|sort(reverse=true) }}
{{ [1, 2, 3]|sum }}{{ [[1], [2]]|sum(start=[]) }}{{ [1, 2, 3, 4, 5]|batch(2, 'x')|list }}{{ [1, 2, 3]|slice(2)|list }}
{{ 'a b'|title|upper|lower|capitalize|replace('a', 'bb')|center(20)|indent(2)|trim|truncate(3, true, '')|wordcount }}
{{ 'a%sb'|format('x') }}{{ '%s-%d' % ('a', 3) }}{{ '{}:{:>5}'.format('a', 1) }}{{ '{x}'.format_map({'x': 1}) }}
{{ {'a': [1, none, true]}|tojson }}{{ {'b': 'é', 'a': 1}|tojson(indent=2, sort_keys=true, ensure_ascii=true) }}{{ {'b': 1}|dictsort }}
{{ 'abc'[1:] }}{{ 'abc'[0] }}{{ ('a', 'b')[1] }}{{ [1, 2] == [1, 2] }}{{ 'a' in 'abc' }}{{ 'a' in messages }}{{ 1 < 2 < 3 }}{{ 2 ** 10 }}{{ 7 // 2 }}
{{ 7 % 3 }}{{ 'ab' * 3 }}{{ [1] * 2 }}{{ 1.5|round(1) }}{{ -1 }}{{ 'x,y'.split(',') }}{{ ' x '.strip() }}{{ 'a-b'.replace('-', '+') }}
{{ '-'.join(['a', 'b']) }}{{ 'abc'.startswith('a') }}{{ 'abc'.find('c') }}{{ 'é'.encode('utf-8').decode('utf-8') }}{{ 'A'.lower() }}
{% call say('q', r='s') %}inner{% endcall %}{% filter upper %}up{% endfilter %}{% set block %}caught {{ 1 }}{% endset %}{{ block }}
{{ 1 is odd }}{{ 'a' is string }}{{ none is none }}{{ x is defined }}{{ 'a' is eq 'a' }}{{ 1 is in [1] }}{{ x|default('d') }}{{ 'A' is upper }}
{% generation %}made{% endgeneration %}{{ cycler('a', 'b').next() }}{{ dict(a=1) }}{{ {'a': 1, 'b': messages|length} }}{{ (1, messages|length) }}
{{ bos_token + eos_token }}{{ 'p' 'q' ~ 1 ~ none ~ [1] }}{% if not messages %}none{% elif messages|length == 1 %}one{% else %}more{% endif %}
{% with a = 1 %}{{ a }}{% endwith %}{% block b %}in a block{% endblock %}{{ self.b() }}{{ '<b>'|e }}{{ '<b>'|safe|escape }}{{ [1]|first }}{{ [1, 2]|last }}
"""


@cache
def shelf() -> dict[str, str]:
    """Our own templates, one of all that Jinja has, and those that come with Axolotl."""
    found = {"own": OWN} | {p.name: p.read_text("utf-8") for p in sorted(BASE.glob("*.jinja"))}
    spec = importlib.util.find_spec("axolotl")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).rglob("chat_templates/**/*.jinja")):
            found[f"axolotl {path.name}"] = path.read_text("utf-8")
    return found


@pytest.mark.parametrize("name", shelf())
def test_says_the_same(name: str) -> None:
    from transformers.utils import chat_template_utils as theirs

    templates.cap()
    plain, capped = (
        theirs._cached_compile_jinja_template(shelf()[name]),
        theirs._compile_jinja_template(shelf()[name]),
    )
    said = 0
    for messages in CHATS:
        for tools in (None, [TOOL], [TOOL] * 9):
            given = {
                "messages": messages,
                "tools": tools,
                "documents": None,
                "bos_token": "<s>",
                "eos_token": "</s>",
            }
            for prompt in (False, True):
                try:
                    text = plain.render(add_generation_prompt=prompt, **given)
                except Exception as e:
                    # What it refuses, it refuses; what is wrong in Python's words is a TemplateError here.
                    refused = pytest.raises((type(e), theirs.jinja2.TemplateError))
                    with refused:
                        capped.render(add_generation_prompt=prompt, **given)
                    continue
                said += 1
                assert capped.render(add_generation_prompt=prompt, **given) == text
                units = budget.BASE - budget.purse.left if budget.purse._given else budget.MOST
                most = budget.BASE + budget.EACH * budget.extent([messages, tools])
                assert units < most / 5, (len(messages), units)  # far below what they may
    assert said > 5


def test_pieces_come_as_they_are_asked_for() -> None:
    """Who wants to know what of it is an assistant's gets the same text."""
    from transformers.utils import chat_template_utils as theirs

    templates.cap()
    template = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    how: Any = {"chat_template": template, "return_assistant_tokens_mask": True}
    own = theirs._compile_jinja_template
    theirs._compile_jinja_template = theirs._cached_compile_jinja_template
    try:
        expected = theirs.render_jinja_template([[USER, ANSWER]], **how)
    finally:
        theirs._compile_jinja_template = own
    assert theirs.render_jinja_template([[USER, ANSWER]], **how) == expected
