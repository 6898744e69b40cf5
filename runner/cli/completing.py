"""What Tab offers: runs, suites, base models and recipes by name; files where files are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from runner import api
from runner.errors import MirepoixError, UsageError

SHELLS = ("bash", "zsh", "fish")
Names = Callable[[click.Context], Iterable[str]]
_HOW = {
    "bash": 'put  eval "$(recipe completion bash)"  into ~/.bashrc',
    "zsh": 'put  eval "$(recipe completion zsh)"  into ~/.zshrc, after compinit',
    "fish": "recipe completion fish > ~/.config/fish/completions/recipe.fish",
}


def _workspace(context: click.Context) -> Path:
    return Path(context.params.get("workspace") or ".")


def runs(context: click.Context) -> list[str]:
    return api.shelf.runs(_workspace(context))


def suites(context: click.Context) -> list[str]:
    return api.shelf.suites(_workspace(context))


def models(context: click.Context) -> list[str]:
    return api.shelf.shipped("base")


def recipes(context: click.Context) -> list[str]:
    """Those that come along; the user's own are files."""
    return [f"recipes/{name}" for name in api.shelf.shipped()]


def tool_sets(context: click.Context) -> list[str]:
    return api.shelf.tool_sets(_workspace(context))


def of_kind(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names that `recipe list KIND NAME` takes."""
    try:
        rows = api.shelf.catalogue(context.params.get("kind") or "runs", _workspace(context))
    except (MirepoixError, OSError):
        return []
    return [CompletionItem(r["name"], help=r["about"]) for r in rows if r["name"].startswith(incomplete)]


# Parameters by name, whatever verb has them → the names to offer, and whether a file will do as well.
_OFFERED: dict[str, tuple[Names, bool]] = {
    "run_name": (runs, False),
    "run": (runs, False),
    "runs": (runs, False),
    "recipe": (recipes, True),
    "recipes": (recipes, True),
    "suites": (suites, False),
    "base": (models, False),
    "model": (runs, True),
    "tools": (tool_sets, False),
}


def attach(verbs: click.Group) -> None:
    """Have Tab offer those names for each argument and option of that name, in all verbs."""
    for verb in verbs.commands.values():
        if isinstance(verb, click.Group):
            attach(verb)
        for param in verb.params:
            if isinstance(param.type, click.Choice) or param.name not in _OFFERED:
                continue
            names, files = _OFFERED[param.name]
            param.shell_complete = _offering(names, files)  # type: ignore[assignment,method-assign]


def _offering(names: Names, files: bool) -> Callable[[click.Context, str], list[CompletionItem]]:
    def offered(context: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so; where there is none, files. What is wrong is for the verb to say, not for Tab."""
        try:
            found = [CompletionItem(name) for name in names(context) if name.startswith(incomplete)]
        except (MirepoixError, OSError):
            found = []
        a_file = files and (not found or api.shelf.begins_a_file(incomplete))
        return [CompletionItem(incomplete, type="file")] if a_file else found

    return offered


def script(verbs: click.Group, shell: str) -> tuple[str, str]:
    """What a shell has to run so that Tab completes, and how to have it do so. Raises UsageError for another shell."""
    kind: Any = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell!r}; there is one for {', '.join(SHELLS)}")
    return str(kind(verbs, {}, "recipe", "_RECIPE_COMPLETE").source()), _HOW[shell]
