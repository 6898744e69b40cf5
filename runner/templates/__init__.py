"""Chat templates come from recipes and from strangers' models: all that this process renders is capped.

`cap` puts itself where transformers compiles templates, so that whatever calls `apply_chat_template` here (we, lm-eval,
Axolotl) gets a template whose work, memory, output and nesting are counted. It says what transformers' own would say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from runner.errors import StepError
from runner.templates.budget import OUTPUT, OUTPUT_EACH, TEXT, TooMuch, extent, purse
from runner.templates.metering import environment, metered_tree

__all__ = ["TooMuch", "cap"]

_UNKNOWN = (
    "this version of transformers renders chat templates in a way that mirepoix cannot cap; install another"
)
_LOCK = threading.RLock()
_DEEP = "nests too deep, or calls itself without end"
_ALONE = "it takes in another template, and there is none but itself"
_NO_MEMORY = "takes more memory than there is"


class Capped:
    """A compiled template, used as jinja2's own is."""

    def __init__(self, template: Any) -> None:
        self._template = template
        self.environment = template.environment

    def render(self, **given: Any) -> str:
        """The text. Raises TooMuch, or a TemplateError for whatever else goes wrong in it."""
        with _LOCK:
            purse.fill(given)
            try:
                text = str(self._template.render(**given))
            except Exception as e:
                raise _worded(e) from None
        return _sized(text, len(text), given)

    def generate(self, **given: Any) -> Iterator[str]:
        """The text in pieces, as transformers wants it where it is asked which of it is an assistant's."""
        size = 0
        with _LOCK:
            purse.fill(given)
            try:
                for piece in self._template.generate(**given):
                    purse.pay(len(piece))
                    size += len(piece)
                    yield _sized(piece, size, given)
            except Exception as e:
                raise _worded(e) from None


def _sized(text: str, size: int, given: Any) -> str:
    if size > OUTPUT and size > (most := OUTPUT + OUTPUT_EACH * extent(given)):
        raise TooMuch(f"makes a text of more than {most:,} characters")
    return text


def _worded(error: Exception) -> Exception:
    """What goes wrong in a template, as all who render expect it."""
    from jinja2 import TemplateError, TemplateRuntimeError

    if isinstance(error, TooMuch):
        return TooMuch(f"{error}{_line(error)}")
    if isinstance(error, RecursionError):
        return TooMuch(f"{_DEEP}{_line(error)}")
    if isinstance(error, MemoryError):
        return TooMuch(f"{_NO_MEMORY}{_line(error)}")
    if isinstance(error, TypeError) and "no loader" in str(error):
        return TemplateRuntimeError(_ALONE)
    if isinstance(error, TemplateError | TypeError | ValueError | KeyError):
        return error
    # of Python's own: a division by nothing, an attribute that is not there
    return TemplateRuntimeError(f"{error or type(error).__name__}{_line(error)}")


def _line(error: BaseException) -> str:
    """The template's line that an error came from, in brackets."""
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == "<template>":
            line = at.tb_lineno
        at = at.tb_next
    return f" (line {line})" if line else ""


@lru_cache(maxsize=1)
def _environment(original: Any) -> Any:
    return environment(original("{# mirepoix #}").environment)


@lru_cache(maxsize=16)
def _compiled(original: Any, text: str) -> Capped:
    return compiled(lambda: _environment(original), text)


def compiled(made: Callable[[], Any], text: str) -> Capped:
    """The template in the environment that `made` gives. Raises TooMuch, TemplateError."""
    from jinja2 import TemplateError, TemplateSyntaxError

    if len(text) > TEXT:
        raise TooMuch(f"is longer than {TEXT:,} characters")
    with _LOCK:
        purse.fill(None)  # the compiler works constants out
        try:
            env = made()
            tree = metered_tree(env.parse(text))
            return Capped(env.from_string(tree.set_environment(env)))
        except (RecursionError, MemoryError, SyntaxError):
            raise TooMuch(_DEEP) from None
        except (TemplateError, TooMuch):
            raise
        except (ValueError, OverflowError) as e:  # a number of thousands of digits
            raise TemplateSyntaxError(str(e).splitlines()[0], 1) from None


def cap() -> None:
    """Cap all templates that transformers renders in this process from now on. Raises StepError where this
    transformers cannot be capped: then nothing is rendered."""
    from transformers.utils import chat_template_utils as theirs

    original = getattr(theirs, "_compile_jinja_template", None)
    if getattr(original, "capped", False):
        return
    if original is None:
        raise StepError("templates", _UNKNOWN)

    def compiled(chat_template: str) -> Capped:
        return _compiled(original, chat_template)

    compiled.capped = True  # type: ignore[attr-defined]
    theirs._compile_jinja_template = compiled
    try:
        theirs.render_jinja_template([[]], chat_template="{{ 'a' * 10000000000 }}")
    except TooMuch:
        return
    raise StepError("templates", _UNKNOWN)
