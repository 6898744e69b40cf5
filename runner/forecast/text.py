"""A forecast in words, for the terminal."""

from __future__ import annotations

from runner import shown
from runner.forecast import Forecast, On, machines
from runner.forecast.memory import GIB
from runner.shown import duration, size

_PARTS = {
    "weights": "weights",
    "trained": "what is trained",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "logits": "logits",
    "working": "one block at work",
    "overhead": "context and slack",
}


def lines(of: Forecast) -> list[str]:
    """One line a thing that is forecast, and one a machine."""
    out = [("rows", _rows(of)), ("reading", _reading(of)), ("steps", _steps(of)), ("trained", _trained(of))]
    out += [("memory", _memory(of)), ("disk", _disk(of))]
    told = [f"  {name:<8} {said}" for name, said in out if said]
    width = max(len(on.name) for on in of.on)
    told += [f"  on {on.name:<{width}}  {_on(on)}" for on in of.on]
    if any(on.cost is not None for on in of.on):
        told.append(
            f"  prices are typical ones of {machines.PRICED}; docs/forecast.md says how good this forecast is"
        )
    counted = of.made.lengths is not None  # else the first line says so
    return ["forecast", *told, *(f"  note: {said}" for said in of.said[0 if counted else 1 :])]


def _rows(of: Forecast) -> str:
    counted = of.made.lengths
    if counted is None:
        return "not counted yet: run --to prepare"
    return (
        f"{len(counted.train):,} trained, {len(counted.validation):,} validation; "
        f"{sum(counted.train):,} and {sum(counted.validation):,} tokens"
    )


def _reading(of: Forecast) -> str:
    epoch = of.made.epoch
    if epoch is None or not epoch.padded_tokens:
        return ""
    about = "" if epoch.exact else "about "
    if epoch.sequences is not None:
        full = epoch.tokens / epoch.padded_tokens
        more = f" (or up to {epoch.spread:,} more)" if epoch.spread and not epoch.exact else ""
        return f"{about}{epoch.batches:,} batches{more} of packed records, {min(full, 1):.1%} full"
    pad = 1 - epoch.tokens / epoch.padded_tokens
    return f"{epoch.batches:,} batches of up to {epoch.largest:,} tokens, {pad:.1%} of it padding"


def _steps(of: Forecast) -> str:
    steps, recipe, epoch = of.made.steps, of.made.recipe, of.made.epoch
    if steps is None or epoch is None:
        most = recipe.train.max_steps
        return f"{most:,} (max_steps)" if most else ""
    at_most = "at most " if recipe.train.early_stopping else "" if epoch.exact else "about "
    what = "sequences" if recipe.train.packing else "records"
    return f"{at_most}{steps.steps:,} of {recipe.train.effective_batch} {what}; {steps.epochs:.3g} epochs"


def _trained(of: Forecast) -> str:
    shape, what = of.made.shape, of.made.what
    if shape is None or what is None:
        return ""
    return (
        f"{what.parameters:,} parameters, beside {shape.parameters:,} of the base"
        if not what.full
        else (f"all {what.parameters:,} parameters")
    )


def _memory(of: Forecast) -> str:
    memory = of.made.memory
    if memory is None:
        return ""
    great = sorted(memory.parts.items(), key=lambda p: -p[1])[:4]
    parts = ", ".join(f"{_PARTS[name]} {n / GIB:,.1f}" for name, n in great if n)
    where = "" if of.made.profile == "cpu" else " a GPU"
    return f"{shown.memory(memory.total)}{where} at its peak: {parts}"


def _disk(of: Forecast) -> str:
    if not of.disk:
        return ""
    parts = ", ".join(f"{name} {size(n, about=True)}" for name, n in of.disk.items() if name != "merged")
    merged = f"; merged model {size(of.disk['merged'], about=True)} more" if "merged" in of.disk else ""
    return f"{parts}{merged}"


def _on(on: On) -> str:
    said = []
    if on.duration is not None:
        said.append(f"{duration(on.duration.total, about=True):>9}")
    if on.cost is not None:
        said.append(f"US$ {on.cost:.2f}")
    if on.memory is not None and on.limit is not None:
        if on.fits:
            said.append("fits")
        else:
            said.append(f"does not fit: {shown.memory(on.memory)} of {shown.memory(on.limit)}; {_remedy(on)}")
    return "  ".join(said) or "not known yet"


def _remedy(on: On) -> str:
    if on.remedy is None:
        return "no setting makes it fit: take a smaller base model or more memory"
    each = " and ".join(f"{c.setting}: {str(c.after).lower()}" for c in on.remedy.changes)
    return f"{each} would make it fit ({shown.memory(on.remedy.bytes)})"
