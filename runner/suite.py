"""The frozen types of a suite: what is judged, on which probes, by which judge."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from runner.recipe import Count, Name, Part, Use


class LmEval(Part, frozen=True, kw_only=True):
    """Tasks of lm-eval."""

    tasks: Annotated[list[Name], Meta(min_length=1, description="Names of evals/tasks/*.yaml.")]
    limit: Annotated[Count | None, Meta(description="Only the first so many documents.")] = None
    fewshot: Annotated[int, Meta(ge=0, le=64, description="Solved examples before each.")] = 0


class Perplexity(Part, frozen=True, kw_only=True):
    """Mean loss of both arms on passages of held-out plain texts, by groups that you name."""

    texts: Annotated[
        dict[Name, Annotated[list[str], Meta(min_length=1)]],
        Meta(
            min_length=1,
            description="Group → globs of text files in the workspace.",
            examples=[{"same_author": ["held-out/twain/*.txt"]}],
        ),
    ]
    passages: Annotated[Count, Meta(description="Passages of each file.")] = 20
    words: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=100_000)], Annotated[int, Meta(ge=1, le=100_000)]],
        Meta(description="Fewest and most words of a passage."),
    ] = (80, 250)


class SuiteCommon(Part, frozen=True, kw_only=True):
    """A suite as its YAML stands, but for its judge, whose schema comes from the registry."""

    suite: Annotated[Literal[1], Meta(description="Version of the suite language.")]
    name: Name
    description: Annotated[str, Meta(max_length=2000, description="What it judges.")] = ""
    probes: Annotated[str | None, Meta(description="JSONL of held-out prompts, under evals/.")] = None
    max_new_tokens: Annotated[int, Meta(ge=1, le=100_000, description="Longest answer.")] = 128
    limit: Annotated[Count | None, Meta(description="Only the first so many probes.")] = None
    lm_eval: LmEval | None = None
    perplexity: Perplexity | None = None


class Suite(Struct, frozen=True):
    """A checked suite: its common keys and its judge, if it has one."""

    common: SuiteCommon
    judge: Use | None

    @property
    def metric_name(self) -> str:
        """The suite's name as gates write it."""
        return self.common.name.replace("-", "_")
