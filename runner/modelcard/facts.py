"""What a card says, as plain data: `model-card.json` of the step `report`, read again by export and push."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Form = Literal["adapter", "merged", "gguf"]


class Base(Struct, frozen=True, kw_only=True):
    """The base model. `hub` is its id on the Hugging Face hub, where it has one; `origin` says where an embedded one
    comes from. `weights` are those that an adapter was trained on: "as they are", or in four bits "nf4", "fp4", with
    "-single" where their constants are not quantized themselves."""

    name: str
    hub: str | None
    revision: str | None
    license: str
    weights: str
    origin: str = ""

    @property
    def four_bits(self) -> tuple[str, bool] | None:
        """Their kind, and whether their constants are quantized too; None where they are as they are."""
        kind, _, single = self.weights.partition("-")
        return (kind, not single) if kind in ("nf4", "fp4") else None


class Template(Struct, frozen=True, kw_only=True):
    """The chat template: `name` as the recipe names it; `own` where it comes as a file beside the adapter.
    `tool_parser` is what vLLM calls the form of its tool calls, where that is known."""

    name: str
    sha256: str | None
    own: bool
    end_of_turn: str | None
    tool_parser: str | None = None


class Right(Struct, frozen=True, kw_only=True):
    """So many rows of a source were used, under this licence, with this attribution; empty where none is stated."""

    licence: str
    source: str
    attribution: str
    rows: int


class Facts(Struct, frozen=True, kw_only=True):
    """All of it. Maps are those of report.json."""

    name: str
    description: str
    base: Base
    template: Template
    max_length: int
    adapter: dict[str, Any]
    train: dict[str, Any]
    languages: list[str]
    datasets: list[str]
    tools: bool
    rights: list[Right]
    terms: list[str]
    rows: dict[str, Any]
    mix: dict[str, Any]
    training: dict[str, Any]
    proof: dict[str, Any]
    suites: list[dict[str, Any]]
    gates: list[dict[str, Any]]
    profile: str
    versions: dict[str, str]
    recipe_yaml: str
    recipe_sha256: str
    step: str
    revisions: dict[str, str] = {}
    """The commit of each of `datasets`, where it is known."""

    @property
    def full(self) -> bool:
        """Whether every weight was trained, and no adapter."""
        return bool(self.adapter["type"] == "full")
