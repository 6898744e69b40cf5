"""A forecast as data, for `recipe plan --json`. The names are an interface: changing one is said in the changelog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.forecast import machines

if TYPE_CHECKING:
    from runner.forecast import Forecast, On


def data(of: Forecast) -> dict[str, Any]:
    whole, epoch, steps = of.made, of.made.epoch, of.made.steps
    counted = whole.lengths
    rows = tokens = reading = None
    if counted is not None:
        rows = {"train": len(counted.train), "validation": len(counted.validation)}
        tokens = {"train": sum(counted.train), "validation": sum(counted.validation)}
    if epoch is not None:
        reading = {
            "sequences": epoch.sequences,
            "batches": epoch.batches,
            "tokens": epoch.tokens,
            "padded_tokens": epoch.padded_tokens,
            "longest": epoch.longest,
            "exact": epoch.exact,
            "spread": epoch.spread,
        }
    return {
        "base": of.base,
        "profile": whole.profile,
        "rows": rows,
        "tokens": tokens,
        "epoch": reading,
        "steps": steps.steps if steps else whole.config.get("max_steps"),
        "passes": steps.passes if steps else None,
        "epochs": steps.epochs if steps else None,
        "parameters": whole.shape.parameters if whole.shape else None,
        "trainable_parameters": whole.what.parameters if whole.what else None,
        "memory": {"bytes": whole.memory.total, "parts": dict(whole.memory.parts)} if whole.memory else None,
        "disk": {"bytes": sum(of.disk.values()), "parts": of.disk},
        "machines": [_machine(on) for on in of.on],
        "prices_of": machines.PRICED,
        "notes": list(of.said),
    }


def _machine(on: On) -> dict[str, Any]:
    changes = None
    if on.remedy is not None:
        each = [{"setting": c.setting, "before": c.before, "after": c.after} for c in on.remedy.changes]
        changes = {"changes": each, "bytes": on.remedy.bytes}
    return {
        "name": on.name,
        "about": on.about,
        "memory_limit_bytes": on.limit,
        "fits": on.fits,
        "remedy": changes,
        "seconds": round(on.duration.total, 1) if on.duration else None,
        "start_seconds": round(on.duration.start, 1) if on.duration else None,
        "cost_usd": round(on.cost, 2) if on.cost is not None else None,
    }
