"""What can be told of a template before anything is rendered: is it one, and are its filters and tests there.

Nothing of transformers is imported: the environment below knows the same filters, tests and tags (a test compares
them). Jinja counts lines only; columns come with the numbers of lines, since the lexer's go through untouched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runner.templates.budget import NODES, TEXT, TooMuch, purse
from runner.templates.metering import environment, metered_tree

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

TOKENS = 5 * NODES  # an expression is one at least; so many need not be parsed to be counted
DEEP = "nests too deep"
_DUNDER = re.compile(r"(?:.*\.)?(__\w+__)(?:\..*)?", re.DOTALL)
_TAG = re.compile(r"unknown tag '(\w+)'")
_AT = re.compile(r" at (\d+)$")
_OUTSIDE = re.compile(r"'\w+' (?:not properly in|outside) loop")
_SIGN = re.compile(r"^unexpected '([^'])'")
# Filters that are told of an attribute by its name.
_ASKING = frozenset(
    "attr map select selectattr reject rejectattr sort groupby unique sum min max join dictsort".split()
)
_TAGS = (
    "for endfor if elif else endif set endset macro endmacro block endblock call endcall filter endfilter with \
endwith print autoescape endautoescape raw endraw generation endgeneration break continue"
)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a template, at its own line and column, which count from 1."""

    line: int
    column: int
    what: str


class _Line(int):
    """A line's number that knows a column."""

    column = 1

    @classmethod
    def at(cls, line: int, column: int) -> _Line:
        out = cls(line)
        out.column = column
        return out


def faults(text: str, own: Callable[[], SandboxedEnvironment] | None = None) -> list[Fault]:
    """All that is wrong with a template; where it cannot be read at all, the first of it. `own` makes the environment
    that it is written for, if that is not the one of chat templates."""
    from jinja2 import TemplateSyntaxError

    if len(text) > TEXT:
        return [Fault(1, 1, f"it is longer than {TEXT:,} characters")]
    purse.fill(None)  # the compiler works constants out
    try:
        env = _environment(own or like_transformers)
        tree = env.parse(text)
        found = list(_unknown(tree, env))
        if not found:
            env.compile(metered_tree(tree))
        return found
    except TemplateSyntaxError as e:
        return [_placed(e, text)]
    except TooMuch as e:
        return [Fault(1, 1, f"it {e}")]
    except (RecursionError, MemoryError, SyntaxError) as e:  # the last of Python's compiler
        outside = _OUTSIDE.search(str(e))
        return [Fault(1, 1, outside[0] if outside else f"it {DEEP}")]
    except (ValueError, OverflowError) as e:  # a number of thousands of digits
        return [Fault(1, 1, str(e).splitlines()[0])]


def _placed(error: Any, text: str) -> Fault:
    said = " ".join(str(error.message).split()).rstrip(".")[:500]
    if tag := _TAG.search(said):
        said += _near(tag[1], _TAGS.split())
    line = error.lineno
    if isinstance(line, _Line):
        return Fault(int(line), line.column, said)
    lines = _normal(text).split("\n")
    here = lines[min(line, len(lines)) - 1]
    column = len(here) - len(here.lstrip()) + 1
    if at := _AT.search(said):  # which character of the text
        column = int(at[1]) - sum(len(x) + 1 for x in lines[: line - 1]) + 1
    elif (sign := _SIGN.search(said)) and sign[1] in here:
        column = here.index(sign[1]) + 1
    return Fault(line, column, _AT.sub("", said))


def _normal(text: str) -> str:
    from jinja2.lexer import newline_re

    return "\n".join(newline_re.split(text)[::2])


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name[:100], sorted(known), n=1)
    return f" (did you mean {found[0]}?)" if found and found[0] != name else ""


def _unknown(tree: nodes.Template, env: SandboxedEnvironment) -> Iterator[Fault]:
    from jinja2 import nodes

    every = list(tree.find_all(nodes.Node))
    if len(every) > NODES:
        raise TooMuch(f"has more than {NODES:,} expressions and statements")
    asked = {  # `if 'x' is filter`
        node.node.value
        for node in every
        if isinstance(node, nodes.Test)
        and node.name in ("filter", "test")
        and isinstance(node.node, nodes.Const)
    }
    out = []
    for node in every:
        what = _of(node, env)
        if what and getattr(node, "name", None) not in asked:
            line = node.lineno
            out.append(Fault(int(line), getattr(line, "column", 1), what))
    yield from sorted(out, key=lambda fault: (fault.line, fault.column))


def _of(node: nodes.Node, env: SandboxedEnvironment) -> str:
    """What is wrong with one expression or statement by itself; empty where nothing is."""
    from jinja2 import nodes

    if isinstance(node, nodes.Filter | nodes.Test):
        known: Iterable[str] = env.filters if isinstance(node, nodes.Filter) else env.tests
        if node.name not in known:
            kind = type(node).__name__.lower()
            return f"no {kind} {node.name[:60]!r}{_near(node.name, (n for n in known if n.isidentifier()))}"
        given = [*node.args, *(pair.value for pair in node.kwargs)] if node.name in _ASKING else []
        return next(filter(None, (_reaching(arg) for arg in given)), "")
    if isinstance(node, nodes.Getattr):
        return _reaching(node.attr)
    if isinstance(node, nodes.Getitem):
        return _reaching(node.arg)
    if isinstance(node, nodes.Name):
        return _reaching(node.name)
    if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
        tag = {"FromImport": "from … import"}.get(type(node).__name__, type(node).__name__.lower())
        return f"{tag}: it takes in another template, and there is none but itself"
    return ""


def _reaching(name: Any) -> str:
    from jinja2 import nodes

    word = name.value if isinstance(name, nodes.Const) else name
    found = _DUNDER.fullmatch(word) if isinstance(word, str) else None
    return f"{found[1][:60]!r} is Python's own, which no template reaches" if found else ""


@lru_cache(maxsize=2)
def _environment(own: Callable[[], SandboxedEnvironment]) -> SandboxedEnvironment:
    from jinja2.lexer import TokenStream

    env = environment(own())

    def tokenize(source: str, name: str | None, filename: str | None = None, state: Any = None) -> Any:
        return TokenStream(_tokens(env, _normal(source), name, filename, state), name, filename)

    env._tokenize = tokenize  # type: ignore[method-assign]
    return env


def _tokens(env: Any, text: str, name: str | None, filename: str | None, state: Any) -> Iterator[Any]:
    """The lexer's, each with its column: only white space is left out between them."""
    at = begins = 0
    lexer = env.lexer
    for n, (line, kind, value) in enumerate(lexer.tokeniter(text, name, filename, state)):
        if n > TOKENS:
            raise TooMuch(f"has more than {NODES:,} expressions and statements")
        found = text.find(value, at)
        begins = max(begins, text.rfind("\n", at, found) + 1)
        where = _Line.at(line, found - begins + 1)
        at = found + len(value)
        begins = max(begins, text.rfind("\n", found, at) + 1)
        yield from lexer.wrap([(where, kind, value)], name, filename)


def like_transformers() -> SandboxedEnvironment:
    """With the filters, tests and tags that transformers' own environment for chat templates has."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        def __init__(self, environment: Any) -> None:
            super().__init__(environment)
            self.tags = {"generation"}

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("said"), [], [], body).set_lineno(line)

        def said(self, caller: Any) -> Any:
            return caller()

    return ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
