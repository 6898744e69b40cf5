"""lm-eval tasks: local ones, read as the untrusted data that they are, and those that lm-eval brings along.

lm-eval trusts a task file: `!function` imports Python, templates reach Python's objects, a metric
that it does not know is fetched and run; options of generation and patterns are as bad (`taskrules`).
So only known keys are taken, data must stand beside the task file, metrics must be lm-eval's own, and
templates are rendered in Jinja's sandbox, capped (`tasktemplates`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import msgspec.yaml

from runner import linear, lmtasks, taskrules, tasktemplates
from runner.errors import StepError

ALLOWED = """task tag dataset_path dataset_kwargs training_split validation_split test_split
fewshot_split output_type doc_to_text doc_to_choice doc_to_target description target_delimiter
fewshot_delimiter gen_prefix num_fewshot metric_list generation_kwargs filter_list repeats
metadata test_split"""
KEYS = frozenset(ALLOWED.split())


def read_task(folder: Path, name: str, cache: str) -> dict[str, Any]:
    """The task as data, with absolute paths and its data cached in `cache`. Raises StepError."""
    path = folder / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise StepError("lm_eval", f"no task {name!r} in {folder} (there are: {known or 'none'})")
    try:
        task = msgspec.yaml.decode(path.read_bytes())  # safe loader: knows no !function
    except msgspec.MsgspecError as e:
        raise StepError("lm_eval", f"{path}: {e}") from e
    if not isinstance(task, dict) or (unknown := sorted(map(str, task.keys() - KEYS))):
        what = f"unknown keys: {', '.join(unknown)}" if isinstance(task, dict) else "not a mapping"
        raise StepError("lm_eval", f"{path}: {what}")
    if task.get("dataset_path") not in ("json", "csv", "parquet"):
        raise StepError("lm_eval", f"{path}: dataset_path must be json, csv or parquet")
    check_metrics(path, task)
    if bad := next(taskrules.wrong(task), None):
        raise StepError("lm_eval", f"{path}: {bad}")
    _OWN.update(pattern for _, pattern in taskrules.patterns(task))
    TEMPLATES.belong(name, task)
    options = task.get("dataset_kwargs")
    files = options.get("data_files") if isinstance(options, dict) else None
    if not isinstance(files, dict) or not all(isinstance(f, str) for f in files.values()):
        raise StepError("lm_eval", f"{path}: data_files must map each split to one file")
    found = {split: beside(folder, file, path) for split, file in files.items()}
    return {**task, "task": name, "dataset_kwargs": {"data_files": found, "cache_dir": cache}}


def registered_task(name: str, data: Path, cache: str) -> dict[str, Any]:
    """One of lm-eval's own tasks, its functions too, to be read from the files that were fetched. Raises StepError."""
    path = lmtasks.find(name)
    if path is None:
        raise StepError("lm_eval", f"lm-eval has no task {name!r}")
    TEMPLATES.belong(name, lmtasks.read(path))
    files = {file.stem: str(file) for file in sorted(data.glob("*.parquet"))}
    return {
        "include": str(path),
        "task": name,
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": cache},
    }


def beside(folder: Path, name: str, task: Path) -> str:
    """The data file `name`, absolute. lm-eval would look from the current folder."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise StepError("lm_eval", f"{task}: no data file {name!r} beside it")
    return str(file)


# What lm-eval keeps of a document for these metrics is a pair; for all others it is a number.
PAIRS = frozenset("bits_per_byte bleu brier_score byte_perplexity chrf f1 mcc ter word_perplexity".split())
OF_PAIRS = frozenset(
    "bits_per_byte bleu brier_score chrf f1 matthews_corrcoef ter weighted_perplexity".split()
)
OF_NUMBERS = frozenset("mean median nanmean perplexity".split())
UNMADE = frozenset(["acc_all", "bypass", "likelihood"])
"""Metrics that lm-eval registers and makes no number of, from a task that is a file."""


def check_metrics(path: Path, task: dict[str, Any]) -> None:
    """Raises StepError where lm-eval would make no number, or none that means anything."""
    import lm_eval.api.metrics  # noqa: F401  (registers them)
    from lm_eval.api.registry import metric_registry

    entries = task.get("metric_list") or []
    if not isinstance(entries, list):
        raise StepError("lm_eval", f"{path}: metric_list must be a list")
    for entry in entries:
        name = entry.get("metric") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in metric_registry or "hf_evaluate" in entry:
            raise StepError("lm_eval", f"{path}: {name!r} is not a metric of lm-eval's own")
        if name in UNMADE:
            raise StepError(
                "lm_eval", f"{path}: lm-eval makes no number of {name!r} from a task that is a file"
            )
        how = entry.get("aggregation")
        fits = OF_PAIRS if name in PAIRS else OF_NUMBERS
        if how is not None and how not in fits:
            what = f"the aggregation {how!r} is none that lm-eval has for {name!r}"
            raise StepError("lm_eval", f"{path}: {what}; it has {', '.join(sorted(fits))}")


def sandbox() -> None:
    """Let lm-eval render its templates where they cannot reach Python and are paid for, and strangers' patterns have
    linear time."""
    from lm_eval import utils
    from lm_eval.api import metrics
    from lm_eval.filters import extraction

    utils.env = TEMPLATES
    for module in (extraction, metrics):
        module.re = _Engine()


TEMPLATES = tasktemplates.Environment()
_OWN: set[str] = set()
"""Patterns of task files that are not lm-eval's own."""


class _Engine:
    """Python's `re` for lm-eval's own patterns, RE2 for those of `_OWN`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(re, name)

    def compile(self, pattern: str, flags: int = 0) -> Any:
        return linear.compiled(pattern) if pattern in _OWN else re.compile(pattern, flags)

    def sub(self, pattern: str, new: str, text: str, count: int = 0, flags: int = 0) -> str:
        if pattern in _OWN:
            return linear.replaced(pattern, new, text, count)
        return re.sub(pattern, new, text, count=count, flags=flags)
