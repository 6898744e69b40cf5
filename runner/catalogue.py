"""What there is to choose from: plug-ins, suites, base models, and the runs of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner import library, paths
from runner.errors import NeedsTrust, RecipeError, UsageError
from runner.load import load_suite, suite_names
from runner.registry import Kind, plugins
from runner.schema import recipe_schema, suite_schema
from runner.shown import size
from runner.store import Store
from runner.store.garbage import use
from runner.wording import nearest
from runner.workspace import Workspace

NO_REPORT = "no report yet"
PLUGINS: dict[str, Kind] = {"sources": "source", "filters": "filter", "judges": "judge"}


def catalogue(kind: str, workspace: Path) -> list[dict[str, Any]]:
    """Rows of name, about and, for plug-ins, their options' schema."""
    if kind in PLUGINS:
        return [_plugin(kind, name) for name in plugins(PLUGINS[kind])]
    if kind == "suites":
        place = Workspace(workspace)
        return [{"name": n, "about": _suite(n, place)} for n in suite_names(place)]
    if kind == "store":
        return [_held(*one) for one in use(Store(workspace, shown=True)).items()]
    if kind == "models":
        return [_model(p) for p in sorted((library.shelf("recipes") / "base").glob("*.yaml"))]
    reports = sorted((workspace / "runs").glob("*/plan.json"))
    return [_run(p.parent) for p in reports]


def is_run(name: str, workspace: Path, holds: str = "plan.json") -> bool:
    """Whether that is a run's name: its folder is there, and holds that file ("": whatever it holds)."""
    folder = workspace / "runs" / name
    try:
        return Path(name).name == name and ((folder / holds).is_file() if holds else folder.is_dir())
    except (OSError, ValueError):  # longer than a name can be, or with a NUL in it
        return False


def run_folder(name: str, workspace: Path, holds: str = "plan.json") -> Path:
    """`runs/NAME/` of a run. Raises UsageError where there is none, with the nearest that is."""
    if not is_run(name, workspace, holds):
        known = [p.name for p in sorted((workspace / "runs").glob("*")) if is_run(p.name, workspace, holds)]
        raise UsageError(f"no run {name[:200]!r}{nearest(name[:200], known)}")
    return workspace / "runs" / name


def _suite(name: str, workspace: Workspace) -> str:
    try:
        return load_suite(name, workspace).common.description
    except RecipeError as e:
        return f"cannot be used here: {e.problems[0]}"
    except NeedsTrust as e:
        return f"cannot be used here: {e}"


def _plugin(kind: str, name: str) -> dict[str, Any]:
    plugin = plugins(PLUGINS[kind])[name]
    about = plugin.doc.split("\n\n")[0].replace("\n", " ")
    row: dict[str, Any] = {"name": name, "about": about, "version": plugin.version}
    judges = suite_schema()["properties"]["judge"] if kind == "judges" else {}
    named = judges or recipe_schema()["properties"][kind]["items"]
    row["options"] = named["properties"][name].get("properties", {})
    return row


def _model(path: Path) -> dict[str, Any]:
    from runner.yaml12 import parse

    data = parse(path.read_text(encoding="utf-8"), path.name).data
    about = data.get("description") or data["model"]["base"]
    return {"name": f"base/{path.name}", "about": about, "base": data["model"]["base"]}


def _held(name: str, held: tuple[int, int]) -> dict[str, Any]:
    count, total = held
    return {"name": name, "about": f"{count:,}, {size(total)}", "count": count, "bytes": total}


def _run(folder: Path) -> dict[str, Any]:
    try:
        about = paths.read_json(folder / "report.json")["exit"]
    except (OSError, ValueError, KeyError, TypeError):
        about = NO_REPORT
    return {"name": folder.name, "about": about}
