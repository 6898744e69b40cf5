"""Which steps of a plan are made already, and in words why the others run."""

from __future__ import annotations

from typing import Any

from runner.steps import Plan, Step
from runner.store import Store


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """What changed between two ingredients, as `filters[2].at_least 40→60`."""
    if isinstance(old, dict) and isinstance(new, dict):
        out = []
        for key in dict.fromkeys([*old, *new]):
            here = f"{path}.{key}" if path else str(key)
            if key not in old:
                out.append(f"{here} added")
            elif key not in new:
                out.append(f"{here} removed")
            else:
                out += differences(old[key], new[key], here)
        return out
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            d
            for i, (a, b) in enumerate(zip(old, new, strict=True))
            for d in differences(a, b, f"{path}[{i}]")
        ]
    if old == new:
        return []
    short = [str(v) if len(str(v)) <= 24 else str(v)[:12] + "…" for v in (old, new)]
    return [f"{path} {short[0]}→{short[1]}"]


def why(step: Step, before: dict[str, Any] | None, changed: set[str]) -> str:
    """In words: why this step is not simply taken from the store."""
    if before is None:
        return "never made"
    own = differences(
        {k: v for k, v in before.items() if k != "needs"},
        {k: v for k, v in step.ingredients.items() if k != "needs"},
    )
    above = [n for n in step.needs if n in changed]
    if own:
        return ", ".join(own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")
    if above:
        return f"after {', '.join(above[:3])}" + (" …" if len(above) > 3 else "")
    return "its artifact is gone"


def status(plan: Plan, store: Store, before: dict[str, Any]) -> list[tuple[Step, bool, str]]:
    """For each step: is it made already, and why not. `before` has the ingredients of the last run, by step."""
    out, changed = [], set[str]()
    for step in plan.steps:
        made = store.get(step.fingerprint, verify=False) is not None
        if not made:
            changed.add(step.name)
        out.append((step, made, "" if made else why(step, before.get(step.name), changed)))
    return out
