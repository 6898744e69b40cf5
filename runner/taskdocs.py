"""The documents of lm-eval tasks, and the texts of what models are judged by that must not be trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner import lmtasks
from runner.contamination import plain
from runner.datafiles.kinds import kind_of, rows
from runner.datafiles.opened import Bad, Unreadable
from runner.fetching import InputFile
from runner.store import Artifact
from runner.yaml12 import decode, parse

FEWEST = 3
"""Words of which a text consists at least that is looked for."""
# Of a probe or a task's document: what is no text to be judged by, or the same in all of them.
_ASIDE = ("tools", "id", "tags", "expect")
# "All of the above" tells nothing: what is chosen from is looked for only where it is long.
_CHOSEN = ("choices", "options", "endings")


def documents(file: InputFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line or number, document) of a file of probes or of a task's data, of any kind that lm-eval reads; nothing of
    others. Raises ValueError that names a row which is none."""
    kind = kind_of(file.name)
    if kind not in ("jsonl", "json", "csv", "tsv", "parquet"):
        return
    try:
        for number, _, value in rows(file.path, file.name, kind):
            if isinstance(value, Bad):
                raise ValueError(f"{file.name}, line {number}: {value.reason}")
            yield number, value
    except Unreadable as e:
        raise ValueError(f"{file.name}: {e}") from None


def texts(data: Any, chosen: int, fewest: int = FEWEST) -> Iterator[str]:
    """Texts of at least `fewest` words in a probe or a task's document; of what is chosen from, of `chosen` words."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in _ASIDE:
                yield from texts(value, chosen, chosen if key in _CHOSEN else fewest)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from texts(value, chosen, fewest)
    elif isinstance(data, str) and len(plain(data).split()) >= fewest:
        yield data


class Asked:
    """What a task asks: which of its files holds the documents that are asked, and which fields of them."""

    def __init__(self, task: dict[str, Any], files: list[InputFile]) -> None:
        self.files = files
        rolling = task.get("output_type") == "loglikelihood_rolling"
        asks = [task.get("doc_to_text"), task.get("doc_to_target") if rolling else None]
        self.fields = {field for text in asks if isinstance(text, str) for field in _fields(text)}

    @classmethod
    def local(cls, files: tuple[InputFile, ...]) -> Asked:
        """Of a task that is a file: its YAML, then its data (`plan.task_files`)."""
        task: Any = parse(decode(files[0].path.read_bytes(), files[0].name), files[0].name).data
        task = task if isinstance(task, dict) else {}
        options = task.get("dataset_kwargs")
        named = options.get("data_files") if isinstance(options, dict) else None
        name = named.get(lmtasks.asked(task)) if isinstance(named, dict) else None
        wanted = [f for f in files[1:] if isinstance(name, str) and Path(f.name).name == Path(name).name]
        return cls(task, wanted or list(files[1:]))

    @classmethod
    def fetched(cls, name: str, data: Artifact) -> Asked:
        """Of a task that lm-eval brings along: the split that is asked, of what was fetched for it."""
        path = lmtasks.find(name)
        task = lmtasks.read(path) if path else {}
        file = f"{lmtasks.asked(task)}.parquet"
        return cls(task, [InputFile(f"task {name}/{file}", data.file(file), data.manifest.files[file])])

    def of(self, document: dict[str, Any], chosen: int) -> Iterator[str]:
        """The texts of a document that its question is made of; all that it has, where the task does not tell which."""
        part = {key: value for key, value in document.items() if key in self.fields}
        yield from texts(part or document, chosen)


def _fields(template: str) -> set[str]:
    """The fields that a template names. lm-eval takes the name of a field for a template, too. Nothing is rendered."""
    from jinja2 import Environment, TemplateError, meta

    if template.isidentifier():
        return {template}
    try:
        return set(meta.find_undeclared_variables(Environment(autoescape=False).parse(template)))
    except TemplateError:
        return set()
