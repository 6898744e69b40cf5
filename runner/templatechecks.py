"""The chat template that a recipe brings: looked through by `recipe check`, at its own file, line and column.

A file of the workspace, or what lies in a local model's folder. Jinja is imported only where there is one of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import msgspec

from runner import recipe as r
from runner.errors import Problem
from runner.wording import show
from runner.workspace import Workspace
from runner.yaml12 import Path, Yaml

MOST_BYTES = 4_000_000
"""More than any template needs, so that no file fills the memory."""
MOST_CONFIG = 64 << 20
"""Bytes of a tokenizer_config.json that are looked at."""
NAMED: Path = ("model", "template")
BASE: Path = ("model", "base")


def template(doc: Yaml, model: r.Model, workspace: Workspace) -> Iterator[Problem]:
    """What is wrong with the file that `model.template` names."""
    name = model.template
    found = workspace.find(name)
    if found is None or not found.is_file():
        yield doc.problem(NAMED, f"no file {name!r}", at_value=True)
        return
    with found.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        what = "larger than any template" if len(raw) > MOST_BYTES else "not UTF-8 text"
        yield doc.problem(NAMED, f"{name!r} is {what}", at_value=True)
        return
    yield from _looked(doc, NAMED, text, name)


def own_template(doc: Yaml, model: r.Model, folder: FilePath) -> Iterator[Problem]:
    """What is wrong with the template that a local base model brings along."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file() and file.stat().st_size <= MOST_BYTES:
        text = file.read_text(encoding="utf-8", errors="replace")
        yield from _looked(doc, BASE, text, f"{model.base}/{file.name}")
        return
    if not config.is_file() or config.stat().st_size > MOST_CONFIG:
        return
    for name, text in _of_config(config.read_bytes()):
        yield from _looked(doc, BASE, text, f"{model.base}/{config.name}", name)


def _of_config(raw: bytes) -> Iterator[tuple[str, str]]:
    """(what it is called there, text) of the templates in a tokenizer_config.json."""
    if b'"chat_template"' not in raw:
        return
    try:
        data: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return  # the tokenizer says so when it is loaded
    said = data.get("chat_template") if isinstance(data, dict) else None
    if isinstance(said, str):
        yield "chat_template", said
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict) and isinstance(one.get("template"), str):
            yield f"chat_template {show(str(one.get('name')))}", one["template"]


def _looked(doc: Yaml, path: Path, text: str, file: str, inside: str = "") -> Iterator[Problem]:
    """The faults of a template in `file`; `inside` says where in it, if it is not the whole."""
    from runner.templates import review

    here = doc.problem(path, "", at_value=True)
    named = f"{here.where} names it in {here.file}:{here.line}:{here.column}"
    lines = text.split("\n")
    for fault in review.faults(text):
        if inside:  # a line of JSON: its own lines are none of the file's
            what = f"{inside}, line {fault.line}, column {fault.column}: {fault.what}"
            yield Problem(file, 0, 0, "", f"{what}; {named}")
        else:
            line = lines[fault.line - 1] if 0 < fault.line <= len(lines) else None
            yield Problem(file, fault.line, fault.column, "", f"{fault.what}; {named}", text=line)
