"""Finding plug-ins: those that stand in their folder, and third parties' through the entry-point group."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from importlib.metadata import entry_points

from runner.registry.declare import DECLARED
from runner.registry.plugin import Kind, Plugin

FOLDERS: dict[Kind, str] = {"source": "sources", "filter": "filters", "judge": "judges"}


@lru_cache
def _discover(kind: Kind) -> None:
    package = importlib.import_module(f"runner.{FOLDERS[kind]}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


@lru_cache
def _third_parties() -> None:
    for entry in entry_points(group="mirepoix.plugins"):
        entry.load()


def plugins(kind: Kind) -> dict[str, Plugin]:
    """All plug-ins of a kind, by name, in alphabetical order."""
    _discover(kind)
    _third_parties()
    return {n: p for (k, n), p in sorted(DECLARED.items()) if k == kind}
