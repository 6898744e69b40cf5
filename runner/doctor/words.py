"""What the doctor found, for people."""

from __future__ import annotations

from typing import Any, get_args

from runner.doctor.findings import Area


def text(facts: dict[str, Any]) -> str:
    """The facts in lines; of a recipe, with those settings alone that are set."""
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
