"""One record as the model sees it: what `recipe show R render ID` prints. Loads the tokenizer, nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from runner import basemodel, chat, templates
from runner.errors import UsageError
from runner.lookup import Lookup
from runner.record import Record
from runner.store import Store


def rendered(look: Lookup, id: str) -> dict[str, Any]:
    """The text that the template makes of a row (or a part of it, `ID#2`), where in it is what is trained, and tokens.

    Raises UsageError for a row that is none, StepError where there is no tokenizer.
    """
    plan = look.plan
    if plan.loaded.recipe.model is None:
        raise UsageError(f"{look.name!r} names no model: nothing is rendered")
    name, part = _whole(look, id)
    number = look.number(fate := look.fate(name))
    if number is None:
        raise UsageError(f"{name!r} never became a record: {fate.reason}")
    parts = [msgspec.json.decode(line, type=Record) for line in look.shelf.one(number).splitlines()]
    chosen = [p for p in parts if p.id == id] if part else parts
    if not chosen:
        raise UsageError(f"{name!r} has no part {part}; there are {len(parts)}")
    model = next((s for s in plan.steps if s.name == "model"), None)
    made = Store(plan.workspace.root).get(model.fingerprint) if model else None
    if model and made is None:
        raise UsageError(
            f"the base model of {look.name!r} is not made; run it first: recipe run … --to prepare"
        )
    render = basemodel.tokenizer_of(plan, made, "show").load()
    return {"row": msgspec.to_builtins(fate), "parts": [_said(render, record) for record in chosen]}


def _whole(look: Lookup, id: str) -> tuple[str, str]:
    """The row that an id means, and which part of it: `ID#2` is a part where no row is called so."""
    whole, _, part = id.rpartition("#")
    if not whole or not part.isdigit():
        return id, ""
    try:
        return look.fate(id).id, ""
    except UsageError:
        return whole, part


def _said(render: chat.Renderer, record: Record) -> dict[str, Any]:
    try:
        done = render.render(record)
    except (chat.Unrenderable, chat.Lost) as e:
        return {"id": record.id, "error": str(e)}
    except templates.TooMuch as e:
        return {"id": record.id, "error": f"the template {e}"}
    return {
        "id": record.id,
        "text": done.text,
        "trained": [list(place) for place in done.places],
        "tokens": len(done.ids),
        "trained_tokens": sum(done.trained),
    }
