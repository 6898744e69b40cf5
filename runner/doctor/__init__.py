"""What `recipe doctor` says: the machine, what is installed, the store, the terminal, tokens and settings; of a recipe,
what it needs and whether that is here.

    findings  one line of it: ok, warn or missing, with what to do
    devices   cores, memory, disk, GPUs
    around    store, tokens, terminal
    needs     what a recipe needs to be installed, and the one line that installs it
    hosts     whether those answer that a recipe asks
    recipe    all that of a recipe
"""

from __future__ import annotations

import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import msgspec

from runner import errors, extras, hardware
from runner.doctor import around, needs
from runner.doctor.devices import machine
from runner.doctor.findings import Area, Finding, code
from runner.settings import SETTINGS, Settings
from runner.steps import version
from runner.workspace import Workspace

__all__ = ["Finding", "doctor", "needs", "text"]


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
        *_installed(),
        *around.store(workspace),
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


def _installed() -> list[Finding]:
    found = [
        Finding("installed", "mirepoix", "ok", f"{version('mirepoix')}, Python {platform.python_version()}")
    ]
    for name, (distribution, about) in extras.EXTRAS.items():
        here = extras.version(distribution)
        said = f"{distribution} {here}" if here else f"not installed ({about})"
        found.append(Finding("installed", name, "ok", said, "" if here else extras.install(name)))
    return found


def _address(value: str) -> str:
    """An address without the name and password that it may carry."""
    scheme, found, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if found else value


def text(facts: dict[str, Any]) -> str:
    """The same for people; of a recipe, with those settings alone that are set."""
    found = facts["findings"]
    about = any(f["area"] == "recipe" for f in found)
    settings = [s for s in facts["settings"] if not about or s["from"] != "default"]
    width = max(len(f["name"]) for f in found)
    out = []
    for area in get_args(Area):
        some = [f for f in found if f["area"] == area]
        if area == "recipe" and settings:
            out += _settings(settings)
        out += [area] if some else []
        for f in some:
            mark = "" if f["state"] == "ok" else f["state"]
            out.append(f"  {mark:<8}{f['name']:<{width}}  {f['said']}".rstrip())
            out += [f"  {'':<8}{'':<{width}}  to do: {f['do']}"] if f["do"] else []
    if facts["install"]:
        out += ["", "to install what the recipe lacks:", f"  {facts['install']}"]
    many = {state: sum(f["state"] == state for f in found) for state in ("missing", "warn")}
    said = [f"{many['missing']} missing"] if many["missing"] else []
    said += [f"{many['warn']} to look at"] if many["warn"] else []
    return "\n".join([*out, "", ", ".join(said) if said else "all is well"])


def _settings(some: list[dict[str, str]]) -> list[str]:
    width = max(len(s["name"]) for s in some)
    rows = [f"  {'':<8}{s['name']:<{width}}  {s['value'] or '-'}  ({s['from']})  {s['about']}" for s in some]
    return ["settings (variable MIREPOIX_NAME, or settings.toml)", *rows]
