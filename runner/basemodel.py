"""The base model as a step finds it: where it is, and its tokenizer with the recipe's template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner import chat, trouble
from runner.errors import StepError
from runner.making import Making
from runner.steps import Plan
from runner.store import Artifact


def model_at(m: Making) -> str:
    """Where the base model is: a made or a local folder, relative to the workspace, or a hub id."""
    folder = folder_of(m.plan, m.inputs.get("model"))
    return m.shown(folder) if isinstance(folder, Path) else folder


def folder_of(plan: Plan, made: Artifact | None) -> Path | str:
    """The folder of a plan's base model, or its hub id. `made` is the artifact of the step `model`, if there is one."""
    model = plan.loaded.recipe.model
    assert model is not None
    if made is not None:
        return made.file("model")
    local = plan.workspace.find(model.base)
    return local if local is not None and local.is_dir() else model.base


@dataclass(frozen=True)
class Tokenizer:
    """Which tokenizer and template a recipe means; `load` in the process that renders."""

    model: Path | str  # a path, so that it is found where batch functions run
    revision: str | None
    template: str | None
    end_of_turn: str | None
    base: str
    step: str
    learnt: chat.Learnt = chat.ASSISTANT

    def load(self) -> chat.Renderer:
        """The renderer. Raises StepError where there is no such tokenizer."""
        try:
            return chat.Renderer(
                str(self.model),
                revision=self.revision,
                template=self.template,
                end_of_turn=self.end_of_turn,
                learnt=self.learnt,
            )
        except StepError:
            raise
        except Exception as e:  # whatever a library makes of files that a stranger wrote
            said = trouble.words(f"{type(e).__name__}: {e}", trouble.About(self.base, self.revision))
            what = said or f"no tokenizer for {self.base!r}: {_first(e)}"
            raise StepError(self.step, what) from None


def tokenizer(m: Making) -> Tokenizer:
    """The tokenizer and template that the recipe names."""
    return tokenizer_of(m.plan, m.inputs.get("model"), m.step.name)


def tokenizer_of(plan: Plan, made: Artifact | None, step: str) -> Tokenizer:
    """As `tokenizer`, of a plan; `step` is named in errors."""
    model = plan.loaded.recipe.model
    assert model is not None
    return Tokenizer(
        folder_of(plan, made),
        model.revision,
        plan.template,
        model.end_of_turn,
        model.base,
        step,
        learnt(plan),
    )


def positions(m: Making) -> int | None:
    """The most tokens that the base model can hold; None where its config does not say."""
    from transformers import AutoConfig

    who = tokenizer(m)
    try:
        config = AutoConfig.from_pretrained(str(who.model), revision=who.revision, trust_remote_code=False)
        return int(getattr(config, "max_position_embeddings", 0) or 0) or None
    except Exception as e:  # as above
        raise StepError(m.step.name, f"the config.json of {who.base!r} cannot be used: {_first(e)}") from None


def _first(error: Exception) -> str:
    """The first line of what a library says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def learnt(plan: Plan) -> chat.Learnt:
    """Which turns the recipe has trained."""
    train = plan.loaded.recipe.train
    return chat.Learnt(tuple(train.roles), train.turns)


def renderer(m: Making) -> chat.Renderer:
    """That tokenizer, loaded."""
    return tokenizer(m).load()
