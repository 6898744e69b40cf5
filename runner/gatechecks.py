"""Gates that no run could decide: of a metric that no suite has, or against an arm that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from runner import lmtasks
from runner import recipe as r
from runner.errors import Problem, RecipeError
from runner.lmresults import UNMADE, lm_eval_name
from runner.metrics import REACH
from runner.registry import plugins
from runner.suite import Suite
from runner.wording import nearest
from runner.workspace import Workspace
from runner.yaml12 import Yaml, decode, parse

_SHARES = frozenset(("acc", "acc_norm", "exact_match"))
"""lm-eval's metrics of which each document is right or wrong."""


@dataclass
class Names:
    """What gates may name of the suites: `known` in full, and what begins with one of `open`, whose end only the run
    will tell. What begins with one of `weights` is measured on base and tuned weights alone, not on other arms."""

    known: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        return name in self.known or any(name.startswith(prefix) for prefix in self.open)

    def numberless(self, name: str) -> bool:
        """Whether it is one of an lm-eval task of which there is no number."""
        return any(
            name.removeprefix(prefix).partition(".")[0] in UNMADE
            for prefix in self.weights
            if name.startswith(prefix)
        )


def gates(doc: Yaml, evaluate: r.Evaluate, suites: list[Suite], workspace: Workspace) -> Iterator[Problem]:
    """What is wrong with them, each at its place. `suites` are all that the recipe names."""
    prefixes = [s.metric_name for s in suites]
    names = [names_of(s, workspace) for s in suites]
    known = sorted(set().union(*(n.known for n in names)))
    for i, gate in enumerate(evaluate.gates):
        match = re.match(r.GATE, gate)
        if match is None:  # its shape is wrong, which is said already
            continue
        metric, arm = match[1], match[3]
        suite = max((p for p in prefixes if metric.startswith(f"{p}.")), key=len, default="")
        suite = suite or metric.partition(".")[0]
        what = ""
        if suite not in prefixes:
            hint = nearest(suite, prefixes) if prefixes else " (the recipe names no suites)"
            what = f"no suite of this recipe has metrics called {suite}.…{hint}"
        elif any(n.numberless(metric) for n in names):
            what = f"lm-eval makes no number of {metric} from a task that is a file; take another, like acc"
        elif not any(n.has(metric) for n in names):
            near = nearest(metric, [k for k in known if k.startswith(f"{suite}.")] or known)
            what = f"no metric is called {metric}{near}"
        else:
            what = _beyond(metric, match, suites)
        if what:
            yield doc.problem(("evaluate", "gates", i), what, at_value=True)
        if arm is not None and (what := _arm(arm, metric, evaluate, names)):
            yield doc.problem(("evaluate", "gates", i), what, at_value=True)


def reach_of(metric: str, suite: Suite) -> tuple[str, tuple[float, float]] | None:
    """The unit of a suite's metric, and the least and the most that it can be; None where that is not known."""
    if suite.judge:
        scale = plugins("judge")[suite.judge.plugin].scale(suite.judge.options)
        how = scale.get(metric.removeprefix(f"{suite.metric_name}."))
        if how is not None and metric.startswith(f"{suite.metric_name}."):
            return (how.unit, REACH[how.unit]) if how.unit in REACH else None
    for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
        begin = suite.task_metric(task, "")
        if metric.startswith(begin) and metric.removeprefix(begin).partition(".")[0] in _SHARES:
            return "share", REACH["share"]
    return None


def _beyond(metric: str, match: re.Match[str], suites: list[Suite]) -> str:
    """Why no number could ever be on one side of a threshold; empty where one can, or where nobody knows."""
    _, op, arm, _, delta, number = match.groups()
    found = next(filter(None, (reach_of(metric, s) for s in suites)), None)
    if found is None:
        return ""
    unit, (low, high) = found
    if arm is not None:
        off = float(delta or 0)
        return f"two {unit}s differ by {high - low:g} at most, not by {off:g}" if off > high - low else ""
    value = float(number)
    if not low <= value <= high:
        share = f" (did you mean {value / 100:g}?)" if high == 1 and 10 <= value <= 100 else ""
        return f"{metric} is a {unit}, from {low:g} to {high:g}; it is never {value:g}{share}"
    if (op, value) in ((">", high), ("<", low)):
        return f"{metric} is a {unit}, from {low:g} to {high:g}; it is never {op} {value:g}: write {op}= {value:g}"
    return ""


def _arm(arm: str, metric: str, evaluate: r.Evaluate, names: list[Names]) -> str:
    """Why a metric cannot be compared with an arm; empty where it can."""
    if arm == "tuned":
        return "the tuned model is what gates are about; compare it with another arm, or with a number"
    arms = ["base", *evaluate.arms]
    if arm not in arms:
        return f"no arm is called {arm}{nearest(arm, arms)}"
    bare = arm != "base" and any(metric.startswith(prefix) for n in names for prefix in n.weights)
    return f"{metric} is measured for base and tuned alone, not for {arm}" if bare else ""


def names_of(suite: Suite, workspace: Workspace) -> Names:
    """What gates may name of one suite."""
    out = Names()
    if suite.judge:
        said = plugins("judge")[suite.judge.plugin].names(suite.judge.options)
        if said is None:
            out.open.add(f"{suite.metric_name}.")
        else:
            out.known |= {f"{suite.metric_name}.{name}" for name in said}
    for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
        out.weights.add(suite.task_metric(task, ""))
        metrics = _task_metrics(task, workspace)
        if metrics is None:
            out.open.add(suite.task_metric(task, ""))
        else:
            out.known |= {suite.task_metric(task, name) for name in metrics}
    for group in _groups(suite):
        out.known.add(suite.loss_metric(group))
        out.weights.add(suite.loss_metric(group))
    return out


def shared(suites: Sequence[Suite], workspace: Workspace) -> Iterator[tuple[int, str]]:
    """Suites that have a metric of an earlier one's name, as names with dots can: which, and a sentence. A gate on it
    would be one on whichever came last."""
    first: dict[str, Suite] = {}
    for i, suite in enumerate(suites):
        for metric in sorted(names_of(suite, workspace).known):
            other = first.setdefault(metric, suite)
            if other.metric_name != suite.metric_name:  # where they are one, `alike` says so
                what = f"{other.common.name!r} and {suite.common.name!r} would both have the metric {metric}"
                yield i, f"{what}; rename one"
                break


def taken_twice(suite: Suite, workspace: Workspace) -> Iterator[str]:
    """Names of metrics that two parts of a suite would share: its judge, its tasks, its groups of texts. What of a task
    only the run will tell may be any name that begins as its metrics do."""
    judge = plugins("judge")[suite.judge.plugin].names(suite.judge.options) if suite.judge else None
    taken = {f"{suite.metric_name}.{name}": "its judge" for name in judge or ()}
    taken |= {suite.loss_metric(g): f"its group {g!r}" for g in _groups(suite)}
    for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
        begin, metrics = suite.task_metric(task, ""), _task_metrics(task, workspace)
        names = sorted(
            name
            for name in taken
            if (name.startswith(begin) if metrics is None else name.removeprefix(begin) in metrics)
        )
        if names:
            may = "may have" if metrics is None else "has"
            yield f"its task {task!r} {may} the metric {names[0]}, as has {taken[names[0]]}; rename the task"


def _groups(suite: Suite) -> Iterable[str]:
    return suite.common.perplexity.texts if suite.common.perplexity else ()


def _task_metrics(task: str, workspace: Workspace) -> set[str] | None:
    """The metrics of an lm-eval task as its file names them; None where it does not say."""
    found = workspace.named("evals", f"tasks/{task}.yaml")
    own = None if found else lmtasks.find(task)
    if own is not None:
        data = lmtasks.read(own)
        if "process_results" in data:  # a function: what it gives, only the run will tell
            return None
    elif not found:
        return None
    else:
        ((name, path),) = found.items()
        try:
            data = parse(decode(path.read_bytes(), name), name).data
        except (RecipeError, OSError):  # what is wrong with it is said where it is read
            return None
    listed = data.get("metric_list") if isinstance(data, dict) else None
    filters = data.get("filter_list") if isinstance(data, dict) else None
    if not isinstance(listed, list) or not all(isinstance(m, dict) and "metric" in m for m in listed):
        return None
    names = {lm_eval_name(str(m["metric"]), m.get("aggregation")) for m in listed} - UNMADE
    if filters is None:
        return names
    if not isinstance(filters, list) or not all(isinstance(f, dict) and "name" in f for f in filters):
        return None
    chains = [str(f["name"]) for f in filters]
    return {name if chain == "none" else f"{name}.{chain}" for name in names for chain in chains}
