"""The page of the command line: every verb with its arguments and options, and what the exit codes mean."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner.reference.nodes import code
from runner.reference.tables import MADE

if TYPE_CHECKING:
    import click

_SHARED = ("workspace", "as_json")
CODES = (
    ("0", "It is done."),
    ("1", "A gate failed; or `replay` or `verify` found that something differs."),
    (
        "2",
        "The recipe is wrong, something is not as it was locked, or the command line asks for what is not there.",
    ),
    ("3", "A step failed, and said why and where its log is; or what is needed is not installed."),
    ("4", "The recipe wants what only you may allow: `--trust`."),
    ("5", "A gate is inconclusive, and none failed."),
    ("75", "The same run is at work already."),
    ("129, 130, 131, 143", "Interrupted, by SIGHUP, SIGINT, SIGQUIT, SIGTERM. Run it again to go on."),
    ("141", "Nobody reads what it says."),
)


def page(verbs: click.Group) -> str:
    """All verbs by name, after what they share."""
    shared = next(iter(verbs.commands.values())).params
    out = [
        MADE,
        "# Commands and exit codes\n",
        "`recipe VERB -h` says the same on a terminal. After `make`, the command is `.venv/bin/recipe`.\n",
        "## Options of every verb\n",
        _options([p for p in shared if p.name in _SHARED]),
        "## Exit codes\n",
        "| code | what it means |\n|---|---|\n" + "\n".join(f"| {c} | {said} |" for c, said in CODES) + "\n",
    ]
    for name, verb in sorted(_flat(verbs)):
        out += [f"## `recipe {name}`\n", f"```\nrecipe {name} {_usage(verb)}\n```\n", _about(verb)]
        own = [p for p in verb.params if p.param_type_name == "option" and p.name not in _SHARED]
        if own:
            out.append(_options(own))
    return "\n".join(out)


def _flat(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, verb in group.commands.items():
        if verb.hidden:
            continue
        if isinstance(getattr(verb, "commands", None), dict):
            yield from _flat(verb, f"{before}{name} ")  # type: ignore[arg-type]
        else:
            yield f"{before}{name}", verb


def _usage(verb: click.Command) -> str:
    import click

    context = click.Context(verb)
    return " ".join(verb.collect_usage_pieces(context))


def _about(verb: click.Command) -> str:
    text = inspect.cleandoc(verb.help or "").replace("\b\n", "")
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if "\n  " in p else re.sub(r"\s*\n\s*", " ", p) for p in paragraphs) + "\n"


def _options(params: list[Any]) -> str:
    lines = ["| option | takes | what it does |", "|---|---|---|"]
    for p in params:
        names = ", ".join(code(n) for n in [*p.opts, *p.secondary_opts])
        takes = "" if p.is_flag else _takes(p)
        several = " (several)" if p.multiple else ""
        lines.append(f"| {names} | {takes}{several} | {_meaning(p)} |")
    return "\n".join(lines) + "\n"


def _takes(p: Any) -> str:
    import click

    if isinstance(p.type, click.Choice):
        return ", ".join(code(c) for c in p.type.choices)
    if isinstance(p.type, click.IntRange | click.FloatRange):
        low, high = p.type.min, p.type.max
        return f"{low} to {high}" if high is not None else f"{low} or more"
    return code(p.metavar or p.type.name.upper())


def _meaning(p: Any) -> str:
    said = (p.help or "").replace("|", "\\|").strip()
    default = (
        p.default if isinstance(p.default, str | int | float) and not isinstance(p.default, bool) else None
    )
    if default is not None and "Default" not in said:
        said = f"{said} Default: {default}."
    if p.required:
        said = f"{said} Required."
    return said.strip()
