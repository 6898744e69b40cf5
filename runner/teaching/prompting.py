"""Prompts that a recipe writes as Jinja text: compiled once, rendered a row at a time, harmless whatever they say.

Jinja's sandbox keeps templates from our objects, not from our memory and time: `"a" * 10**9`, `"%9999999999d" % 1`,
`x|center(10**9)`, `"".ljust(10**9)`, sets that double, loops in loops, and constants that the compiler works out
before anything is rendered. So a prompt may say a closed list of things (no calls, no arithmetic but plus and minus),
every filter is paid for by the length of what goes in and comes out, and so are the steps of loops. The sandbox
stands behind that as a second wall.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

TEXT = 20_000  # characters of a template
OUTPUT = 200_000  # characters that a prompt may come to
WORK = 5_000_000  # characters that filters, joins and comparisons may go through for one prompt
STEP = 100  # what a step of a loop costs, in characters
NODES = (
    "Template Output TemplateData Name Const List Tuple Dict Pair Getattr Getitem Slice If CondExpr For Assign "
    "Filter Test Compare Operand And Or Not Concat Add Sub Neg"
)
LOOP = ("index", "index0", "first", "last", "length", "revindex", "revindex0")
TESTS = (
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "mapping",
    "sequence",
    "in",
    "equalto",
    "odd",
    "even",
)


class BadPrompt(ValueError):
    """A prompt that cannot be, or cannot be for this row. `line` counts from 1; 0 means the whole."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason, self.line = reason, line


class _Spent(Exception):
    """A template did too much."""


class _Purse:
    """The work that one rendering has left."""

    def __init__(self) -> None:
        self.left = WORK

    def pay(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise _Spent(f"does too much work (more than {WORK:,} characters gone through)")


_purse = _Purse()


class Prompt:
    """A compiled prompt. `names` are the variables that it may use.

    Raises BadPrompt for what is no template, uses what prompts may not, or names what is not there.
    """

    def __init__(self, text: str, names: Iterable[str]) -> None:
        from jinja2 import TemplateError, meta

        known = sorted(names)
        if len(text) > TEXT:
            raise BadPrompt(f"longer than {TEXT:,} characters")
        _purse.left = WORK  # the compiler works constants out
        try:
            env = _environment()
            tree = env.parse(text)
            _checked(tree)
            _names_known(tree, meta.find_undeclared_variables(tree), known)
            self._template = env.from_string(_metered(tree))
        except TemplateError as e:
            raise BadPrompt(e.message or "no template", getattr(e, "lineno", 0)) from None
        except (RecursionError, MemoryError, SyntaxError):
            raise BadPrompt("nested too deep") from None
        except ValueError as e:
            raise e if isinstance(e, BadPrompt) else BadPrompt("a number with thousands of digits") from None

    def render(self, values: Mapping[str, Any]) -> str:
        """The prompt for one row: texts, numbers, lists and maps of them. Raises BadPrompt."""
        from jinja2 import TemplateError

        _purse.left = WORK
        out: list[str] = []
        room = OUTPUT
        try:
            for piece in self._template.generate(dict(values)):
                room -= len(piece)
                if room < 0:
                    raise _Spent(f"is longer than {OUTPUT:,} characters")
                out.append(piece)
        except _Spent as e:
            raise BadPrompt(str(e), _line(e)) from None
        except RecursionError:
            raise BadPrompt("nested too deep") from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as e:
            raise BadPrompt(str(e).splitlines()[0] if str(e) else type(e).__name__, _line(e)) from None
        text = "".join(out).strip()
        if not text:
            raise BadPrompt("it comes to an empty text")
        return text


def _line(error: BaseException) -> int:
    """The template's line that an error came from."""
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == "<template>":
            line = at.tb_lineno
        at = at.tb_next
    return line


def _checked(tree: nodes.Template) -> None:
    from jinja2 import nodes

    allowed = tuple(getattr(nodes, name) for name in NODES.split())
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, loops = waiting.pop()
        kind = type(node).__name__
        if type(node) not in allowed:
            raise BadPrompt(f"{_WORDS.get(kind, kind.lower())} cannot be used in a prompt", node.lineno)
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            near = difflib.get_close_matches(node.name, FILTERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(FILTERS))}"
            raise BadPrompt(f"no filter {node.name!r} ({hint})", node.lineno)
        if isinstance(node, nodes.Filter | nodes.Test) and (node.dyn_args or node.dyn_kwargs):
            raise BadPrompt("arguments with a star cannot be used in a prompt", node.lineno)
        if isinstance(node, nodes.Filter) and node.node is None:
            raise BadPrompt("filter blocks cannot be used in a prompt", node.lineno)
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise BadPrompt(f"no test {node.name!r} (there are {', '.join(TESTS)})", node.lineno)
        loops += isinstance(node, nodes.For)
        if loops > 3:
            raise BadPrompt("loops stand more than three deep", node.lineno)
        waiting.extend((child, loops) for child in node.iter_child_nodes())


_WORDS = {
    "Call": "calls, as in range(…) or text.method(…),",
    "Mul": "multiplication",
    "Pow": "powers",
    "Mod": "% formatting",
    "Div": "division",
    "FloorDiv": "division",
    "Include": "include",
    "Import": "import",
    "FromImport": "import",
    "Extends": "extends",
    "FilterBlock": "filter blocks",
    "AssignBlock": "set blocks",
    "CallBlock": "call blocks",
}


def _names_known(tree: nodes.Template, used: set[str], known: list[str]) -> None:
    from jinja2 import nodes

    for name in sorted(used - set(known) - {"loop"}):
        line = next((n.lineno for n in tree.find_all(nodes.Name) if n.name == name), 0)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise BadPrompt(f"nothing is called {name!r} here ({hint})", line)


def _metered(tree: nodes.Template) -> nodes.Template:
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
    return done.set_environment(_environment())  # type: ignore[return-value]


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return 1 + sum(_size(k) + _size(v) for k, v in value.items())
    return 1 + sum(map(_size, value)) if isinstance(value, list | tuple) else 1


def _paid(value: Any) -> Any:
    _purse.pay(_size(value))
    return value


def _steps(value: Any) -> Iterator[Any]:
    for item in _paid(value):
        _purse.pay(STEP)
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
    _purse.pay(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _replaced(value: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("replace: there is nothing to look for")
    _purse.pay(len(value) + value.count(old) * len(new))
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
def _environment() -> SandboxedEnvironment:
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
            _purse.pay(_size(part))
        try:
            return work(value, *args, **kwargs)
        except (TypeError, AttributeError):
            raise TemplateRuntimeError(f"the filter {name!r} cannot be used so") from None

    return metered
