"""What a score means hangs on how it came about: what differs between two, and whether they can be compared at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runner.store import canonical
from runner.suite import Suite

# What is compared, or names it: these may differ, and nothing is said of them.
COMPARED = frozenset({"arm", "needs", "model", "asked", "step", "endpoint", "endpoint_model"})
# These may change numbers a little: they are named, and the rest is for the reader.
NAMED = frozenset({"dtype", "libraries", "profile", "seed", "system", "vllm"})
DIGESTS = frozenset({"files", "probes", "template"})  # which nobody reads
WORDS = {
    "decoding": "how answers are drawn",
    "dtype": "what answers are computed in",
    "end_of_turn": "the end of turn",
    "engine": "the engine",
    "files": "the files that are judged by",
    "limit": "how many probes",
    "lm_eval": "lm-eval's version",
    "libraries": "versions of libraries",
    "max_new_tokens": "the longest answer",
    "model": "the base model, whose tokens are counted",
    "plugin_version": "the judge's version",
    "probes": "the probes",
    "profile": "the hardware profile",
    "rounds": "how often a world answers",
    "seed": "the seed",
    "suites": "what is read",
    "system": "the system message",
    "tasks": "how the tasks are asked",
    "template": "the chat template",
    "version": "how this step works",
    "vllm": "vLLM's version",
}


def differences(
    part: str, suite: str, first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, bool]]:
    """What differs between two steps' ingredients, in words, and whether it makes their numbers incomparable."""
    apart = COMPARED
    if part == "perplexity":  # plain text: no template; a mean over tokens, which are the model's
        apart = (COMPARED | {"template", "end_of_turn"}) - {"model"}
    first, second = (_with_dtype(_with_seed(one)) for one in (first, second))
    for key in sorted(first.keys() | second.keys()):
        a, b = (_seen(key, suite, one.get(key)) for one in (first, second))
        if key not in apart and canonical(a) != canonical(b):
            told = "" if key in DIGESTS else _values(a, b)
            yield f"{WORDS.get(key, key)}{told}", key not in NAMED
    # A judge that looks into what was trained on needs that step; others do not.
    data = [needs.get("split") for one in (first, second) if isinstance(needs := one.get("needs"), dict)]
    if part == "judge" and len(data) == 2 and all(data) and data[0] != data[1]:
        yield "the training data that each was held against", False


def of_suites(part: str, suites: Sequence[Suite], made: Mapping[str, Any], own: Suite) -> dict[str, Any]:
    """A step's ingredients as far as they concern one suite. lm-eval's tasks and texts are read for all suites in one
    step: those that only other suites have say nothing of this one, nor does a task that one of `suites` lacks."""
    out = dict(made)
    if part == "lm-eval":
        shared = set.intersection(*(set(s.common.lm_eval.tasks if s.common.lm_eval else ()) for s in suites))
        for key in ("tasks", "files"):
            if isinstance(known := out.get(key), dict):
                out[key] = {task: _alone(how) for task, how in known.items() if task in shared}
    if part == "perplexity":
        mine = msgspec.to_builtins(own.common.perplexity)
        if isinstance(known := out.get("files"), dict):
            out["files"] = {k: v for k, v in known.items() if k.startswith(f"{own.common.name}/")}
        if isinstance(listed := out.get("suites"), list) and mine in listed:
            out["suites"] = [mine]
    return out


def _alone(how: Any) -> Any:
    """How one task is asked, without the others that are asked alike."""
    return {k: v for k, v in how.items() if k != "tasks"} if isinstance(how, dict) else how


def _with_seed(made: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the seed of its decoding taken out of it: another draw is another sample, not another question."""
    how = made.get("decoding")
    if not isinstance(how, dict) or "seed" not in how:
        return dict(made)
    return {**made, "decoding": {k: v for k, v in how.items() if k != "seed"}, "seed": how["seed"]}


def _with_dtype(made: dict[str, Any]) -> dict[str, Any]:
    """The same with what an earlier version did not say of a local model's answers: they were all in bfloat16."""
    local = "decoding" in made and made.get("engine") != "endpoint"
    return {"dtype": "bfloat16"} | made if local else made


def _seen(key: str, suite: str, value: Any) -> Any:
    """A value as far as it concerns this suite: of files only the digests, whatever they are called."""
    if key in ("probes", "files") and isinstance(value, dict):
        # Probes stood under the suite's name once, and "probes" is a word that a suite may have as its name, too.
        mine: Any = value.get("probes", value.get(suite, value)) if key == "probes" else value
        groups = {"": mine} if isinstance(mine, list) else mine
        return {name: sorted(sha for _, sha in files) for name, files in groups.items()}
    return value


def _values(a: Any, b: Any) -> str:
    """` (x, y)` where both are short enough to be read."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [k for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]
        told = [f"{k}: {a.get(k)}, {b.get(k)}" for k in keys]
    else:
        told = [f"{a}, {b}"]
    text = "; ".join(told)
    return f" ({text})" if len(text) <= 120 else ""
