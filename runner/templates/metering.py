"""A template's tree with loops, operators and displays sent through what pays for them, and the environment for it.

The environment is transformers' own: its filters, its tags, its sandbox. What a template says stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from types import BuiltinMethodType
from typing import TYPE_CHECKING, Any

from runner.errors import StepError
from runner.templates.budget import BRANCH, ITEM, NODE, NODES, TooMuch, purse
from runner.templates.filters import metered, metered_test
from runner.templates.prices import (
    METHODS,
    OPERATORS,
    Lazy,
    called,
    computed,
    flat,
    gathered,
    held,
    priced,
    weigh,
)

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

pay = purse.pay
_OF_DICT = frozenset(dir(dict))
_OF_LOOP = frozenset(
    "index index0 first last length revindex revindex0 previtem nextitem depth depth0".split()
)
_COMPILER = ("_loop_vars", "_block_vars")  # which the compiler adds to calls
_PLAIN = frozenset((str, bool, int, float, list, dict, tuple))


def environment(own: SandboxedEnvironment) -> SandboxedEnvironment:
    """transformers' environment, made one that is paid for; `own` is changed."""
    from jinja2.runtime import BlockReference, LoopContext, Macro
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    if type(own) is not ImmutableSandboxedEnvironment:
        raise StepError(
            "templates", f"transformers renders chat templates in {type(own).__name__}, which is new to us"
        )
    unpriced = (BlockReference, LoopContext, Macro)  # their bodies are paid for
    free = {
        id(own.globals.get(name)) for name in ("range", "raise_exception", "namespace", "cycler", "joiner")
    }
    sandboxed, looked_up = ImmutableSandboxedEnvironment.call, ImmutableSandboxedEnvironment.getattr

    class Metered(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(OPERATORS)

        def getattr(self, obj: Any, attribute: str) -> Any:
            """As the sandbox does it, with short ways for what is harmless and stands in every template. They win back
            the time that paying costs."""
            kind = type(obj)
            if kind is dict:
                if attribute not in _OF_DICT:
                    try:
                        return obj[attribute]
                    except KeyError:
                        return self.undefined(obj=obj, name=attribute)
            elif kind is LoopContext:
                if attribute in _OF_LOOP:
                    return getattr(obj, attribute)
            elif kind is Namespace:
                value = obj._Namespace__attrs.get(attribute)
                if type(value) in _PLAIN and attribute[0] != "_":
                    return value
            elif kind is str and attribute in METHODS[str]:
                return getattr(obj, attribute)
            return looked_up(self, obj, attribute)

        def call_binop(self, context: Any, sign: str, left: Any, right: Any) -> Any:
            return computed(sign, left, right)

        def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
            given = {k: v for k, v in kwargs.items() if k not in _COMPILER} if kwargs else kwargs
            if id(__obj) in free or isinstance(__obj, unpriced):
                pay(ITEM * (1 + len(args) + len(given)))
            elif type(__obj) is BuiltinMethodType and not given and (price := priced(__obj)):
                args = gathered(args)
                price(__obj.__self__, args)
                result = __obj(*args)
                if type(result) is list:
                    pay(ITEM * len(result))
                return result
            else:
                args = gathered(args)
                called(__obj, args, given)
            result = sandboxed(__self, __context, __obj, *args, **kwargs)
            return result if isinstance(result, unpriced) else held(result)

    own.__class__ = Metered
    own.concat = _put_together  # type: ignore[method-assign]
    own.finalize = _shown
    own.filters = {name: metered(name, f) for name, f in own.filters.items()}
    own.filters |= {f"_{f.__name__}": _unfolded(f) for f in (steps, spent, added, paid, copied, within, key)}
    tests: dict[str, Any] = dict(own.tests)
    own.tests = {name: metered_test(name, f) for name, f in tests.items()}
    return own


def _put_together(pieces: Any) -> str:
    texts = list(pieces)
    pay(sum(map(len, texts)))
    return "".join(texts)


def _shown(value: Any) -> Any:
    if type(value) is not str:
        pay(9 * weigh(value))  # Python spells a letter in up to ten
    return value


def _unfolded(work: Any) -> Any:
    """As a filter that the compiler does not work out beforehand: then nobody would pay at each rendering."""
    from jinja2 import pass_context

    return pass_context(work)


def steps(context: Any, value: Any, units: int) -> Any:
    """What a loop goes over; each step costs `units`."""
    if hasattr(value, "__len__"):
        pay(units * len(value))
        return value
    return _each(value, units) if hasattr(value, "__next__") else value


def _each(value: Iterator[Any], units: int) -> Iterator[Any]:
    for item in value:
        pay(units)
        yield item


def spent(context: Any, units: int) -> None:
    """Where a macro, a block or a step of a recursive loop begins."""
    pay(units)


def added(context: Any, parts: list[Any]) -> Any:
    """a + b + c: mostly texts, which are put together at once."""
    total = 0
    for part in parts:
        if type(part) is not str:
            return reduce(lambda left, right: computed("+", left, right), parts)
        total += len(part)
    pay(total)
    return "".join(parts)


def paid(context: Any, value: Any) -> Any:
    """An operand that is gone through."""
    weigh(value)
    return value


def copied(context: Any, value: Any) -> Any:
    """What a slice is taken of."""
    return flat(value)


def within(context: Any, value: Any, simple: bool) -> Any:
    """What something is looked for in; `simple`: a text or a number, told apart from others at once."""
    if type(value) is Lazy:
        value = list(value)
    if isinstance(value, dict):
        pay(ITEM)
    elif simple:
        flat(value)
    else:
        weigh(value)
    return value


def key(context: Any, value: Any) -> Any:
    """What an element is asked for by: to find a tuple, all of it is gone through."""
    if type(value) is tuple:
        weigh(value)
    return value


def metered_tree(tree: nodes.Template) -> nodes.Template:
    """The tree, changed so that its work is paid for. Raises TooMuch for one of too many nodes."""
    from jinja2 import nodes
    from jinja2.visitor import NodeTransformer

    waiting, total = [tree], 0
    while waiting:
        total += 1
        waiting += waiting.pop().iter_child_nodes()  # type: ignore[arg-type]
    if total > NODES:
        raise TooMuch(f"has more than {NODES:,} expressions and statements")

    def cost(node: nodes.Node) -> int:
        """Nodes that run where this one does, but for those that pay for themselves."""
        if isinstance(node, nodes.For):
            return 2 + cost(node.iter) + sum(map(cost, node.else_))
        if isinstance(node, nodes.Macro | nodes.CallBlock | nodes.Block):
            return 2
        if isinstance(node, nodes.If):
            branches = [c for c in (sum(map(cost, node.body)), sum(map(cost, node.else_))) if c <= BRANCH]
            return 1 + cost(node.test) + sum(branches) + sum(map(cost, node.elif_))
        return 1 + sum(map(cost, node.iter_child_nodes()))

    def through(name: str, node: nodes.Expr, *args: Any) -> nodes.Filter:
        line = node.lineno
        return nodes.Filter(
            node, name, [nodes.Const(a, lineno=line) for a in args], [], None, None, lineno=line
        )

    def paying(body: list[nodes.Node], units: int) -> None:
        spending = through("_spent", nodes.Const(units, lineno=body[0].lineno))
        body.insert(0, nodes.ExprStmt(spending, lineno=body[0].lineno))

    def constant(node: nodes.Node) -> bool:
        if isinstance(node, nodes.List | nodes.Tuple):
            return all(map(constant, node.items))
        return isinstance(node, nodes.Const)

    class Meter(NodeTransformer):
        def visit_For(self, node: nodes.For) -> nodes.Node:
            units = NODE * (2 + sum(map(cost, node.body)) + (cost(node.test) if node.test else 0))
            self.generic_visit(node)
            if node.recursive:
                paying(node.body, units)
            node.iter = through("_steps", node.iter, units)  # type: ignore[arg-type]
            return node

        def visit_If(self, node: nodes.If) -> nodes.Node:
            costs = [(body, sum(map(cost, body))) for body in (node.body, node.else_)]
            self.generic_visit(node)
            for body, units in costs:
                if units > BRANCH:
                    paying(body, NODE * units)
            return node

        def visit_Macro(self, node: Any) -> nodes.Node:
            units = NODE * (2 + sum(map(cost, node.body)))
            self.generic_visit(node)
            if node.body:
                paying(node.body, units)
            return node  # type: ignore[no-any-return]

        visit_CallBlock = visit_Block = visit_Macro

        def visit_Add(self, node: nodes.Add) -> nodes.Node:
            parts: list[nodes.Expr] = []
            left: nodes.Expr = node
            while isinstance(left, nodes.Add):
                parts.append(left.right)
                left = left.left
            parts = [self.visit(part) for part in (left, *reversed(parts))]
            return through("_added", nodes.List(parts, lineno=node.lineno))

        def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
            self.generic_visit(node)
            node.nodes = [n if constant(n) else through("_paid", n) for n in node.nodes]
            return node

        def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
            left = node.expr
            simple = constant(left)
            self.generic_visit(node)
            for operand in node.ops:
                right = operand.expr
                if operand.op in ("in", "notin"):
                    if not constant(right):
                        operand.expr = through("_within", right, simple and isinstance(left, nodes.Const))
                        if not simple:
                            node.expr = through("_key", node.expr)
                elif not constant(right) and not (simple and len(node.ops) == 1):
                    operand.expr = through("_paid", right)
                    node.expr = through("_paid", node.expr)
            return node

        def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
            self.generic_visit(node)
            if isinstance(node.arg, nodes.Slice):
                node.node = through("_copied", node.node)
            elif not constant(node.arg):
                node.arg = through("_key", node.arg)
            return node

        def visit_List(self, node: Any) -> nodes.Node:
            self.generic_visit(node)
            if constant(node) or getattr(node, "ctx", "load") != "load":
                return node  # type: ignore[no-any-return]
            return through("_paid", node)

        visit_Tuple = visit_List

        def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
            self.generic_visit(node)
            if all(constant(pair.key) and constant(pair.value) for pair in node.items):
                return node
            for pair in node.items:
                if not constant(pair.key):
                    pair.key = through("_key", pair.key)
            return through("_paid", node)

    done: nodes.Template = Meter().visit(tree)
    return done
