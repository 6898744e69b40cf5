"""The base model as a step finds it: where it is, and its tokenizer with the recipe's template."""

from __future__ import annotations

from dataclasses import dataclass

from runner import chat
from runner.errors import StepError
from runner.making import Making


def model_at(m: Making) -> str:
    """Where the base model is: a made or a local folder, relative to the workspace, or a hub id."""
    model = m.plan.loaded.recipe.model
    assert model is not None
    if "model" in m.inputs:
        return m.shown(m.inputs["model"].file("model"))
    local = m.plan.workspace.find(model.base)
    return m.shown(local) if local is not None and local.is_dir() else model.base


@dataclass(frozen=True)
class Tokenizer:
    """Which tokenizer and template a recipe means; `load` in the process that renders."""

    model: str
    revision: str | None
    template: str | None
    end_of_turn: str | None
    base: str
    step: str

    def load(self) -> chat.Renderer:
        """The renderer. Raises StepError where there is no such tokenizer."""
        try:
            return chat.Renderer(
                self.model, revision=self.revision, template=self.template, end_of_turn=self.end_of_turn
            )
        except (OSError, ValueError) as e:
            raise StepError(self.step, f"no tokenizer for {self.base!r}: {str(e).splitlines()[0]}") from None


def tokenizer(m: Making) -> Tokenizer:
    """The tokenizer and template that the recipe names."""
    model = m.plan.loaded.recipe.model
    assert model is not None
    where = model_at(m)
    folder = m.plan.workspace.root / where
    place = str(folder) if folder.is_dir() else where
    return Tokenizer(place, model.revision, m.plan.template, model.end_of_turn, model.base, m.step.name)


def renderer(m: Making) -> chat.Renderer:
    """That tokenizer, loaded."""
    return tokenizer(m).load()
