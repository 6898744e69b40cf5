"""What an lm-eval task file may ask for: how much, which options of generation, and patterns in linear time.

lm-eval hands on what stands there: options go to the model's `generate` by name (one of them fetches and runs Python),
patterns to an engine whose time can grow exponentially, numbers to loops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner import linear
from runner.shown import cut

MOST = {"repeats": 64, "num_fewshot": 100}
GENERATION: dict[str, tuple[type, ...]] = {
    "until": (list, str), "do_sample": (bool,), "temperature": (int, float), "top_p": (int, float), "top_k": (int,),
    "min_p": (int, float), "repetition_penalty": (int, float), "max_gen_toks": (int,), "seed": (int,),
}  # fmt: skip
TOKENS = 32_768
FILTERS = frozenset(
    "regex multi_choice_regex remove_whitespace lowercase uppercase map take_first take_first_k majority_vote "
    "format_span".split()
)
_LITERAL = re.compile(r"""regex_replace\(\s*(['"])((?:(?!\1|\\).|\\.)*)\1""", re.DOTALL)


def wrong(task: Mapping[str, Any]) -> Iterator[str]:
    """What a task file may not ask for, in words."""
    for key, most in MOST.items():
        value = task.get(key, 1)
        if value is not None and not (_whole(value) and 0 <= value <= most):
            yield f"{key} must be a number up to {most}"
    if task.get("repeats", 1) == 0:
        yield "repeats must be 1 or more"
    yield from _generation(task.get("generation_kwargs") or {})
    yield from _filters(task.get("filter_list") or [])
    for where, pattern in patterns(task):
        try:
            linear.compiled(pattern)
        except ValueError as e:
            yield f"{where}: the pattern {cut(pattern, 40)!r} cannot be used: {e}"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _generation(options: object) -> Iterator[str]:
    if not isinstance(options, dict):
        yield "generation_kwargs must be a map"
        return
    for key, value in options.items():
        kinds = GENERATION.get(str(key))
        if kinds is None:
            yield f"generation_kwargs.{str(key)[:40]} is not taken; {', '.join(sorted(GENERATION))} are"
        elif type(value) not in kinds:
            yield f"generation_kwargs.{key} must be {' or '.join(k.__name__ for k in kinds)}"
        elif key == "max_gen_toks" and not 1 <= value <= TOKENS:
            yield f"generation_kwargs.max_gen_toks must be 1 to {TOKENS:,}"
        elif key == "until" and len(value) > 64:
            yield "generation_kwargs.until names more than 64 ends"


def _chains(filters: object) -> Iterator[dict[str, Any]]:
    for chain in filters if isinstance(filters, list) else ():
        steps = chain.get("filter") if isinstance(chain, dict) else None
        yield from (s for s in (steps if isinstance(steps, list) else ()) if isinstance(s, dict))


def _filters(filters: object) -> Iterator[str]:
    if not isinstance(filters, list) or not all(isinstance(c, dict) for c in filters):
        yield "filter_list must be a list of maps"
        return
    if len(filters) > 16 or sum(1 for _ in _chains(filters)) > 64:
        yield "filter_list names too many filters"
    for step in _chains(filters):
        if step.get("function") not in FILTERS:
            name = str(step.get("function"))[:40]
            yield f"filter_list: {name!r} is no filter that is taken; {', '.join(sorted(FILTERS))} are"


def patterns(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """All patterns of a task file, each with where it stands. Those of its templates as far as they are written out."""
    for step in _chains(task.get("filter_list")):
        if isinstance(step.get("regex_pattern"), str):
            yield "filter_list.regex_pattern", step["regex_pattern"]
        ignored = step.get("regexes_to_ignore") or []
        for one in ignored if isinstance(ignored, list) else [ignored]:
            yield "filter_list.regexes_to_ignore", str(one)
    metrics = task.get("metric_list")
    for metric in metrics if isinstance(metrics, list) else ():
        ignored = (metric.get("regexes_to_ignore") if isinstance(metric, dict) else None) or []
        for one in ignored if isinstance(ignored, list) else [ignored]:
            yield "metric_list.regexes_to_ignore", str(one)
    for key in ("doc_to_text", "doc_to_choice", "doc_to_target", "description", "gen_prefix"):
        template = task.get(key)
        for one in template if isinstance(template, list) else [template]:
            for found in _LITERAL.finditer(one) if isinstance(one, str) else ():
                try:
                    yield key, found[2].encode("latin-1", "backslashreplace").decode("unicode_escape")
                except UnicodeDecodeError:
                    yield key, found[2]
