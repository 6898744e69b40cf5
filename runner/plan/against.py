"""What suites judge by: probes, lm-eval's tasks and their data, held-out texts; and that none of it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runner import lmtasks
from runner.fetching import InputFile
from runner.plan.planner import Planner, digests
from runner.steps import version
from runner.store import file_digest
from runner.suite import LmEval, Suite
from runner.workspace import Workspace


@dataclass(frozen=True)
class Against:
    """`judged` are the suites that have a judge, `probes` their files by suite; `tasks` are those of all suites, with
    the files of those that are files; `texts` are held-out ones by suite and group."""

    judged: list[Suite]
    probes: dict[str, tuple[InputFile, ...]]
    tasks: dict[str, LmEval]
    task_files: dict[str, tuple[InputFile, ...]]
    texts: dict[str, tuple[InputFile, ...]]


def against(p: Planner) -> Against:
    """What the suites of a plan judge by. Reads the files to digest them."""
    judged = [s for s in p.suites if s.judge]
    tasks = {t: s.common.lm_eval for s in p.suites if s.common.lm_eval for t in s.common.lm_eval.tasks}
    return Against(
        judged,
        {s.common.name: p.workspace.inputs("evals", s.common.probes) for s in judged if s.common.probes},
        tasks,
        {t: tuple(task_files(t, p.workspace)) for t in tasks},
        {
            f"{s.common.name}/{group}": p.workspace.inputs("glob", globs)
            for s in p.suites
            if s.common.perplexity
            for group, globs in s.common.perplexity.texts.items()
        },
    )


def fetch_tasks(p: Planner) -> list[str]:
    """The steps that fetch the data of lm-eval's own tasks, one a task: first of all, since what is asked must not be
    trained on, and so that none is missing after the training. Their names; they are added once."""
    out = []
    for suite in p.suites:
        for task in suite.common.lm_eval.tasks if suite.common.lm_eval else ():
            path = None if p.workspace.named("evals", f"tasks/{task}.yaml") else lmtasks.find(task)
            if path is None:
                continue
            out.append(f"task.{task}")
            if out[-1] in p.steps:
                continue
            said = lmtasks.read(path)
            kwargs = said.get("dataset_kwargs") or {}
            pinned = suite.common.lm_eval.revisions if suite.common.lm_eval else {}
            options = {
                "task": task,
                "path": said["dataset_path"],
                "subset": said.get("dataset_name"),
                "revision": pinned.get(task, kwargs.get("revision")),
                "splits": lmtasks.splits(said),
                "lm_eval": version("lm-eval"),
            }
            p.add(out[-1], "task", "prepare", [], options)
    return list(dict.fromkeys(out))


def contaminated(p: Planner, data: dict[str, Path] | None = None) -> None:
    """The step that looks for what is judged by in what is, or was, trained on: of a recipe that has it not taken out,
    before anything is trained; of a run that is judged by other suites, in its `data`, files by their names."""
    by = against(p)
    clean = data is None and (p.recipe.decontaminate.against == "evals" or "split" not in p.steps)
    if clean or not (by.judged or by.tasks or by.texts):
        return
    known = [(s, s.common.lm_eval) for s in p.suites if s.common.lm_eval]
    asked = [(s, t, o.limit) for s, o in known for t in o.tasks]
    options: dict[str, Any] = {
        "probes": digests(by.probes),
        "limits": {s.common.name: s.common.limit for s in by.judged},
        "tasks": {t: [limit, digests({t: by.task_files[t]})] for _, t, limit in asked},
        "texts": digests(by.texts),
        "suites": [msgspec.to_builtins(s.common.perplexity) for s in p.suites if s.common.perplexity],
        "ngram": p.recipe.decontaminate.ngram,
    }
    if data is not None:
        options["data"] = {name: file_digest(path) for name, path in data.items()}
    details = {
        "probes": [(s, f) for s in by.judged for f in by.probes[s.common.name]],
        "tasks": [(s, t, by.task_files[t], limit) for s, t, limit in asked],
        "texts": by.texts,
        "data": data,
    }
    needs = [*(["split"] if data is None else []), *fetch_tasks(p)]
    p.add("contaminated", "contaminated", "train", needs, options, **details)


def task_files(task: str, workspace: Workspace) -> list[InputFile]:
    """The files of an lm-eval task: its YAML and the data of the same shelf that the YAML names."""
    from runner.yaml12 import decode, parse

    found = list(workspace.inputs("evals", f"tasks/{task}.yaml"))
    for file in found[:1]:
        doc = parse(decode(file.path.read_bytes(), file.name), file.name)
        options = doc.data.get("dataset_kwargs") if isinstance(doc.data, dict) else None
        data = options.get("data_files") or {} if isinstance(options, dict) else {}
        names = data.values() if isinstance(data, dict) else [data]
        found += [f for n in names for f in workspace.inputs("evals", f"tasks/{Path(str(n)).name}")]
    return found
