"""Everything looked at, for a machine and for a recipe on it."""

from __future__ import annotations

import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from runner import errors, extras, hardware
from runner.doctor import around
from runner.doctor.devices import machine
from runner.doctor.findings import code
from runner.doctor.installed import installed
from runner.settings import SETTINGS, Settings
from runner.steps import version
from runner.workspace import Workspace


def doctor(
    workspace: Path,
    settings: Settings,
    recipe: Path | None = None,
    *,
    online: bool = False,
    trust: Collection[str] = (),
) -> dict[str, Any]:
    """Look at everything, and at a recipe: facts, never secrets, as JSON has them.

    `findings` are the lines of it; `install` is the one line that installs what the recipe lacks, "" where it lacks
    nothing or none was named; `settings` are those in force, of a secret one only whether it is set; `exit` is 3 where
    something is missing that the recipe needs. `online` asks the hosts that it will ask; else nothing is sent.

    Raises UsageError for a workspace or a recipe that is not there.
    """
    if not workspace.is_dir():
        raise errors.UsageError(f"no folder {str(workspace)!r} to work in")
    found = [
        *machine(workspace),
        *installed(),
        *around.store(workspace),
        *around.artifact_store(settings),
        *around.terminal(),
        *around.tokens(),
    ]
    install = ""
    if recipe is not None:
        from runner.doctor import recipe as of_recipe  # the forecast, and a client

        place = Workspace(workspace.resolve(), frozenset(trust))
        some, install = of_recipe.recipe(recipe, place, settings, online)
        found += some
    return {
        "ok": code(found) == errors.OK,
        "exit": code(found),
        "mirepoix": version("mirepoix"),
        "python": platform.python_version(),
        "profile": hardware.profile(),
        "findings": [msgspec.to_builtins(f) for f in found],
        "install": install,
        "extras": {name: extras.version(distribution) for name, (distribution, _) in extras.EXTRAS.items()},
        "settings": [
            {
                "name": name,
                "value": ("set" if settings[name] else "") if setting.secret else _address(settings[name]),
                "from": settings.origin[name],
                "about": setting.about,
            }
            for name, setting in SETTINGS.items()
        ],
    }


def _address(value: str) -> str:
    """An address without the name and password that it may carry."""
    scheme, found, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if found else value
