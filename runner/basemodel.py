"""The base model as a step finds it: where it is, and its tokenizer with the recipe's template."""

from __future__ import annotations

from runner import chat
from runner.making import Making


def model_at(m: Making) -> str:
    """Where the base model is: a made or a local folder, relative to the workspace, or a hub id."""
    model = m.plan.loaded.recipe.model
    assert model is not None
    if "model" in m.inputs:
        return m.shown(m.inputs["model"].file("model"))
    local = m.plan.workspace.find(model.base)
    return m.shown(local) if local is not None and local.is_dir() else model.base


def renderer(m: Making) -> chat.Renderer:
    """The tokenizer and template that the recipe names."""
    model = m.plan.loaded.recipe.model
    assert model is not None
    where = model_at(m)
    folder = m.plan.workspace.root / where
    try:
        return chat.Renderer(
            str(folder) if folder.is_dir() else where,
            revision=model.revision,
            template=m.plan.template,
            end_of_turn=model.end_of_turn,
        )
    except (OSError, ValueError) as e:
        raise m.fail(f"no tokenizer for {model.base!r}: {str(e).splitlines()[0]}") from None
