"""What a prompt's template does is paid for: filters by the length of what goes in and comes out, and steps of loops.

Jinja's sandbox keeps templates from our objects, not from our memory and time: `"a" * 10**9`, `"%9999999999d" % 1`,
`x|center(10**9)`, `"".ljust(10**9)`, sets that double, loops in loops, and constants that the compiler works out
before anything is rendered. So prompts get an environment of their own, with few filters, and an allowance of work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

WORK = 5_000_000  # characters that filters, joins and comparisons may go through for one prompt
STEP = 100  # what a step of a loop costs, in characters
LOOP = ("index", "index0", "first", "last", "length", "revindex", "revindex0")


class TooMuchWork(Exception):
    """A template did too much."""


class Allowance:
    """The work that one rendering has left."""

    def __init__(self) -> None:
        self.left = WORK

    def pay(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise TooMuchWork(f"does too much work (more than {WORK:,} characters gone through)")


allowance = Allowance()


def metered_tree(tree: nodes.Template) -> nodes.Template:
    """The same template, with loops, `~` and comparisons sent through what pays for them."""
    from jinja2 import nodes
    from jinja2.visitor import NodeTransformer

    def through(name: str, node: nodes.Expr) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)

    class Meter(NodeTransformer):
        def visit_For(self, node: nodes.For) -> nodes.Node:
            self.generic_visit(node)
            node.iter = through("_steps", node.iter)  # type: ignore[arg-type]
            return node

        def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
            self.generic_visit(node)
            return through("_glued", nodes.List(node.nodes, lineno=node.lineno))

        def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
            self.generic_visit(node)
            node.expr = through("_paid", node.expr)
            for operand in node.ops:
                operand.expr = through("_paid", operand.expr)
            return node

    done: nodes.Template = Meter().visit(tree)
    return done.set_environment(environment())  # type: ignore[return-value]


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return 1 + sum(_size(k) + _size(v) for k, v in value.items())
    return 1 + sum(map(_size, value)) if isinstance(value, list | tuple) else 1


def _paid(value: Any) -> Any:
    allowance.pay(_size(value))
    return value


def _steps(value: Any) -> Iterator[Any]:
    for item in _paid(value):
        allowance.pay(STEP)
        yield item


def _text(value: Any) -> str:
    """A value as a prompt shows it: texts and numbers; a list or a map would show Python's own spelling."""
    from jinja2 import Undefined
    from jinja2.exceptions import TemplateRuntimeError

    if isinstance(value, str | Undefined):
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    kind = {bool: "true or false", list: "a list", tuple: "a list", dict: "a map", type(None): "nothing"}
    raise TemplateRuntimeError(f"{kind.get(type(value), 'no text')} cannot be put into a text as it is")


def _glued(parts: Iterable[Any], between: str = "") -> str:
    texts = [_text(p) for p in parts]
    allowance.pay(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _replaced(value: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("replace: there is nothing to look for")
    allowance.pay(len(value) + value.count(old) * len(new))
    return value.replace(old, new)


def _short(value: str, length: int) -> str:
    """The first so many characters, cut at a space."""
    return value if len(value) <= length else (value[:length].rsplit(None, 1) or [""])[0] + "…"


def _default(value: Any, other: Any = "") -> Any:
    from jinja2 import Undefined

    return other if isinstance(value, Undefined) or value is None or value == "" else value


FILTERS: dict[str, Callable[..., Any]] = {
    "join": _glued,
    "replace": _replaced,
    "truncate": _short,
    "default": _default,
    "tojson": lambda v: json.dumps(v, ensure_ascii=False, allow_nan=False),
    "upper": lambda v: _text(v).upper(),
    "lower": lambda v: _text(v).lower(),
    "title": lambda v: _text(v).title(),
    "capitalize": lambda v: _text(v).capitalize(),
    "trim": lambda v: _text(v).strip(),
    "length": len,
    "words": lambda v: len(_text(v).split()),
    "first": lambda v: v[0],
    "last": lambda v: v[-1],
    "sort": sorted,
    "items": lambda v: sorted(v.items()),
}


@lru_cache
def environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined, Undefined
    from jinja2.exceptions import TemplateRuntimeError
    from jinja2.runtime import LoopContext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset("+-")

        def getattr(self, obj: Any, attribute: str) -> Any:
            """Keys of maps, and what loops count; never a Python attribute."""
            if isinstance(obj, LoopContext):
                return (
                    getattr(obj, attribute) if attribute in LOOP else self.undefined(obj=obj, name=attribute)
                )
            return self.getitem(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, Undefined):
                return obj[argument]
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(obj=obj, name=argument)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if all(isinstance(x, int | float) and abs(x) < 1e15 for x in (left, right)):
                return left + right if operator == "+" else left - right
            if operator == "+" and isinstance(left, str) and isinstance(right, str):
                return _glued([left, right])
            raise TemplateRuntimeError(f"{operator} needs two numbers" + " or two texts" * (operator == "+"))

    env = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_text)
    env.globals.clear()
    env.filters = {name: _metering(name, f) for name, f in FILTERS.items()}
    env.filters |= {"_steps": _steps, "_glued": _glued, "_paid": _paid}
    return env


def _metering(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, paid for by what goes into it. An undefined value is an error, but to `default`."""
    from jinja2 import Undefined
    from jinja2.exceptions import TemplateRuntimeError

    def metered(value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Undefined) and name != "default":
            str(value)
        for part in (value, *args, *kwargs.values()):
            allowance.pay(_size(part))
        try:
            return work(value, *args, **kwargs)
        except (TypeError, AttributeError):
            raise TemplateRuntimeError(f"the filter {name!r} cannot be used so") from None

    return metered
