"""Prompts that a recipe writes as Jinja text: compiled once, rendered a row at a time, harmless whatever they say.

A prompt may say a closed list of things (no calls, no arithmetic but plus and minus), and what it does is paid for
(runner/teaching/metering.py, which says why). The sandbox stands behind that as a second wall.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runner.teaching.metering import FILTERS, WORK, TooMuchWork, allowance, environment, metered_tree

if TYPE_CHECKING:
    from jinja2 import nodes

TEXT = 20_000  # characters of a template
OUTPUT = 200_000  # characters that a prompt may come to
NODES = (
    "Template Output TemplateData Name Const List Tuple Dict Pair Getattr Getitem Slice If CondExpr For Assign "
    "Filter Test Compare Operand And Or Not Concat Add Sub Neg"
)
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


class Prompt:
    """A compiled prompt. `names` are the variables that it may use.

    Raises BadPrompt for what is no template, uses what prompts may not, or names what is not there.
    """

    def __init__(self, text: str, names: Iterable[str]) -> None:
        from jinja2 import TemplateError, meta

        known = sorted(names)
        if len(text) > TEXT:
            raise BadPrompt(f"longer than {TEXT:,} characters")
        allowance.left = WORK  # the compiler works constants out
        try:
            env = environment()
            tree = env.parse(text)
            _checked(tree)
            _names_known(tree, meta.find_undeclared_variables(tree), known)
            self._template = env.from_string(metered_tree(tree))
        except TemplateError as e:
            raise BadPrompt(e.message or "no template", getattr(e, "lineno", 0)) from None
        except (RecursionError, MemoryError, SyntaxError):
            raise BadPrompt("nested too deep") from None
        except ValueError as e:
            raise e if isinstance(e, BadPrompt) else BadPrompt("a number with thousands of digits") from None

    def render(self, values: Mapping[str, Any]) -> str:
        """The prompt for one row: texts, numbers, lists and maps of them. Raises BadPrompt."""
        from jinja2 import TemplateError

        allowance.left = WORK
        out: list[str] = []
        room = OUTPUT
        try:
            for piece in self._template.generate(dict(values)):
                room -= len(piece)
                if room < 0:
                    raise TooMuchWork(f"is longer than {OUTPUT:,} characters")
                out.append(piece)
        except TooMuchWork as e:
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
