"""The lm-eval tasks of a suite: files of the workspace or of mirepoix, else tasks that lm-eval brings along."""

from __future__ import annotations

from collections.abc import Iterator

from runner import extras, library, lmtasks, taskrules
from runner.errors import Problem, RecipeError
from runner.suite import LmEval
from runner.wording import nearest
from runner.workspace import Workspace
from runner.yaml12 import Yaml, decode, parse


def tasks(doc: Yaml, wanted: LmEval, workspace: Workspace) -> Iterator[Problem]:
    """What is wrong with the tasks that a suite names, each at its place."""
    yield from _files(wanted, workspace)
    own = [t for t in wanted.tasks if not workspace.named("evals", f"tasks/{t}.yaml")]
    for i, task in enumerate(wanted.tasks):
        if task in wanted.tasks[:i]:
            yield doc.problem(("lm_eval", "tasks", i), f"the task {task!r} is named twice", at_value=True)
        elif task in own and (what := _unknown(task, workspace)):
            yield doc.problem(("lm_eval", "tasks", i), what, at_value=True)
    for task in wanted.revisions:
        if task not in own:
            what = "a revision is that of the data of one of lm-eval's own tasks"
            what += (
                " that the suite names" + nearest(task, own)
                if task not in wanted.tasks
                else "; this is a file"
            )
            yield doc.problem(("lm_eval", "revisions", task), what)


def _files(wanted: LmEval, workspace: Workspace) -> Iterator[Problem]:
    """What the task files themselves may not ask for. What else is wrong with them, lm-eval's step says."""
    shelf = library.shelf("evals")
    for task in wanted.tasks:
        for shown, path in workspace.named("evals", f"tasks/{task}.yaml").items():
            try:
                doc = parse(decode(path.read_bytes(), shown), shown)
            except RecipeError as e:
                yield from e.problems
                continue
            data = doc.data
            for what in taskrules.wrong(data) if isinstance(data, dict) else ():
                yield Problem(shown, 1, 1, "", what)
            if isinstance(data, dict) and not path.is_relative_to(shelf):  # ours are read by a test
                yield from _templates(doc)


def _templates(doc: Yaml) -> Iterator[Problem]:
    """What is wrong with the templates of a task file, each at its key."""
    from runner import tasktemplates

    for key in tasktemplates.KEYS:
        said = doc.data.get(key)
        texts = {(key, i): one for i, one in enumerate(said)} if isinstance(said, list) else {(key,): said}
        for path, text in texts.items():
            if not isinstance(text, str) or "{" not in text:
                continue
            for fault in tasktemplates.faults(text):
                line = f"line {fault.line}, " if "\n" in text.strip() else ""
                what = f"{line}column {fault.column} of the template: {fault.what}"
                yield doc.problem(path, what, at_value=True)


def _unknown(task: str, workspace: Workspace) -> str:
    """Why a task that is no file cannot be run; empty where it can."""
    known = lmtasks.index()
    path = lmtasks.find(task)
    if path is not None:
        why = lmtasks.unfit(lmtasks.read(path))
        return f"lm-eval's task {task} cannot be run here: {why}" if why else ""
    if known.get(task) == "":
        members = sorted(t for t, file in known.items() if file and t.startswith(f"{task}_"))
        some = f", such as {', '.join(members[:3])}" if members else ""
        return f"{task} is a group of lm-eval's tasks; name those that you mean{some}"
    files = [path.stem for _, path in workspace.glob("evals/tasks/*.yaml")]
    # There are thousands: only those that begin alike are compared.
    near = nearest(task, [*files, *(t for t in known if t[:1].lower() == task[:1].lower())])
    missing = "" if known else f" (lm-eval is not installed: {extras.install('eval')})"
    return f"no task file evals/tasks/{task}.yaml, and lm-eval has no such task{missing}{near}"
