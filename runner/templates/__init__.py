"""Chat templates come from recipes and from strangers' models: all that this process renders is capped.

`cap` puts itself where transformers compiles templates, so that whatever calls `apply_chat_template` here (we, lm-eval,
Axolotl) gets a template whose work, memory, output and nesting are counted. It says what transformers' own would say.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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
        from jinja2 import TemplateError, TemplateRuntimeError

        with _LOCK:
            purse.fill(given)
            try:
                text = str(self._template.render(**given))
            except TooMuch as e:
                raise TooMuch(f"{e}{_line(e)}") from None
            except RecursionError as e:
                raise TooMuch(f"{_DEEP}{_line(e)}") from None
            except MemoryError as e:
                raise TooMuch(f"{_NO_MEMORY}{_line(e)}") from None
            except TypeError as e:
                raise (TemplateRuntimeError(_ALONE) if "no loader" in str(e) else e) from None
            except (TemplateError, ValueError, KeyError):
                raise
            except Exception as e:  # of Python's own: a division by nothing, an attribute that is not there
                raise TemplateRuntimeError(f"{e or type(e).__name__}{_line(e)}") from None
        if len(text) > OUTPUT and len(text) > (most := OUTPUT + OUTPUT_EACH * extent(given)):
            raise TooMuch(f"makes a text of {len(text):,} characters, where {most:,} are allowed")
        return text

    def generate(self, **given: Any) -> Iterator[str]:
        """The text in pieces, as those need it who ask which of it is an assistant's."""
        yield self.render(**given)


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
    from jinja2 import TemplateError, TemplateSyntaxError

    if len(text) > TEXT:
        raise TooMuch(f"is longer than {TEXT:,} characters")
    with _LOCK:
        purse.fill(None)  # the compiler works constants out
        try:
            env = _environment(original)
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
