"""Tool sets: the words and tools that the source `tools` draws its conversations from, as YAML data.

A tool set holds text and numbers only; docs/tool-sets.md says how to write one. `form` has the types, `check` what
types cannot say, `values` the draws, `talk` the conversations, `service` how a named service answers in a tool's
place. `topic` and `topictalk` are the older, narrower form 1.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import Problem, RecipeError
from runner.toolset import check, topic
from runner.toolset.form import ToolSet
from runner.toolset.reading import convert
from runner.toolset.topic import Range, TopicSet
from runner.toolset.words import Mistake, Voice, fill, slots
from runner.yaml12 import decode, parse

__all__ = ["Range", "ToolSet", "TopicSet", "Voice", "fill", "load_toolset", "slots"]
FORMS = (1, 2)


def load_toolset(path: Path, name: str) -> TopicSet | ToolSet:
    """Read and check a tool set; `name` is what errors call the file.

    Raises RecipeError with all that is wrong, each with its line and column.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise RecipeError([Problem(name, 0, 0, "", f"cannot be read: {e.strerror or e}")]) from None
    doc = parse(decode(raw, name), name)
    number = doc.data.get("toolset") if isinstance(doc.data, dict) else None
    found: TopicSet | ToolSet | None = None
    wrong: list[Mistake]
    if not isinstance(doc.data, dict):
        wrong = [((), "a tool set is a map of keys and values")]
    elif isinstance(number, bool) or number not in FORMS:
        wrong = [
            (("toolset",), f"the form of the file, one of {', '.join(map(str, FORMS))}, must stand here")
        ]
    elif number == 1:
        old, wrong = convert(doc.data, TopicSet)
        found, wrong = old, wrong if old is None else list(topic.mistakes(old))
    else:
        new, wrong = convert(doc.data, ToolSet)
        found, wrong = new, wrong if new is None else list(check.mistakes(new))
    if wrong:
        raise RecipeError([doc.problem(where, what, at_value=True) for where, what in wrong])
    assert found is not None
    return found
