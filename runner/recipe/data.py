"""The data half of a recipe: sources and what their rows become, filters, dedup, mix, split, budgets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from runner.recipe.common import Count, Fraction, Name, Part, Text


class Prompts(Part, frozen=True, kw_only=True, rename={"continue_": "continue"}):
    """Shares of several kinds of prompt; they sum to 1."""

    instruct: Annotated[Fraction, Meta(description="The user gives an instruction.")] = 0.0
    continue_: Annotated[Fraction, Meta(description="The user says the end of the passage before.")] = 0.0
    question: Annotated[Fraction, Meta(description="Two speakers of the passage talk.")] = 0.0
    rewrite: Annotated[Fraction, Meta(description="The user gives plain notes of the passage.")] = 0.0
    none: Annotated[Fraction, Meta(description="The assistant says the passage, unasked.")] = 0.0


class Passages(Part, frozen=True, kw_only=True):
    """How plain text becomes chat: passages cut at paragraph ends, each part of a conversation."""

    words: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=100_000)], Annotated[int, Meta(ge=1, le=100_000)]],
        Meta(description="Fewest and most words of a passage.", examples=[[80, 250]]),
    ] = (80, 250)
    prompt: Annotated[
        Literal["instruct", "continue", "question", "rewrite", "none"],
        Meta(
            description="What the user says: an instruction, the end of the passage before, one speaker's lines "
            "of a dialogue in the passage (the assistant says the other's), plain notes to be written out, or nothing."
        ),
    ] = "instruct"
    prompts: Annotated[
        Prompts | None,
        Meta(
            description="In place of `prompt`, several kinds and their shares; they sum to 1.",
            examples=[{"instruct": 0.5, "continue": 0.3, "question": 0.2}],
        ),
    ] = None
    otherwise: Annotated[
        Literal["instruct", "continue", "rewrite", "none"] | None,
        Meta(
            description="The prompt of a passage that holds no dialogue, gives no notes, or has too little before it "
            "to go on from. Default: it is left out, with its reason."
        ),
    ] = None
    said_by: Annotated[
        Literal["assistant", "user"],
        Meta(
            description="Who says the passage. `user` turns `instruct` and `rewrite` round: the assistant answers "
            "with what would ask for the passage, or with plain notes of it."
        ),
    ] = "assistant"


class Chat(Part, frozen=True, kw_only=True):
    """How a source's rows are made into conversations."""

    system: Annotated[
        Text | None,
        Meta(
            description="System message of every record that has none.",
            examples=["You are a witty storyteller."],
        ),
    ] = None
    systems: Annotated[
        Annotated[list[Text], Meta(min_length=1, max_length=1000)] | None,
        Meta(
            description="In place of `system`, several: each record that has none gets one of them.",
            examples=[["You are a witty storyteller.", "You speak like Mark Twain."]],
        ),
    ] = None
    system_share: Annotated[
        Fraction, Meta(description="Share of those records that get a system message at all.", examples=[0.9])
    ] = 1.0
    tags_from: Annotated[
        dict[Name, Annotated[str, Meta(min_length=1, max_length=100)]],
        Meta(
            description="Tags that a record's own meta gives: tag → key of the meta. `tags` goes before.",
            examples=[{"author": "author"}],
        ),
    ] = field(default_factory=dict)
    passages: Annotated[
        Passages | None, Meta(description="For sources of plain text; defaults apply if absent.")
    ] = None


class SourceCommon(Part, frozen=True, kw_only=True):
    """Keys that every source takes beside its plug-in's own."""

    name: Annotated[
        Name | None,
        Meta(
            description="Name in weights, ledger and report. Default: the plug-in's.",
            examples=["twain"],
        ),
    ] = None
    chat: Annotated[Chat | None, Meta(description="How rows become conversations.")] = None
    tags: Annotated[
        dict[Name, Annotated[str, Meta(min_length=1, max_length=200)]],
        Meta(
            description="What a mix may weigh by.",
            examples=[{"persona": "twain", "domain": "literature"}],
        ),
    ] = field(default_factory=dict)
    license: Annotated[
        str,
        Meta(
            max_length=200,
            description="Licence of rows that name none.",
            examples=["CC0-1.0"],
        ),
    ] = ""
    limit: Annotated[Count | None, Meta(description="Take only the first so many rows.")] = None


class Source(Struct, frozen=True):
    """One checked item of `sources`: the plug-in it names, the plug-in's options, the common keys."""

    name: str
    plugin: str
    options: dict[str, Any]
    common: SourceCommon


class Use(Struct, frozen=True):
    """One checked one-key map: a filter or a judge, and its options."""

    plugin: str
    options: dict[str, Any]


class Near(Part, frozen=True, kw_only=True):
    """Near-duplicates: records that share most of their word n-grams."""

    jaccard: Annotated[
        float, Meta(ge=0.3, le=1, description="True Jaccard similarity from which two are one.")
    ] = 0.8
    permutations: Annotated[int, Meta(ge=16, le=1024, description="MinHash permutations.")] = 128
    ngram: Annotated[int, Meta(ge=1, le=20, description="Words or characters a shingle.")] = 5
    unit: Annotated[
        Literal["words", "characters"],
        Meta(description="`characters` for scripts without spaces between words; with an ngram of 5 to 10."),
    ] = "words"


class Dedup(Part, frozen=True, kw_only=True):
    """Removal of repeated records; of each group of them one stays.

    Compared is what the assistant says, or, where that is 30 words or fewer, what user and assistant say.
    """

    exact: Annotated[bool, Meta(description="Equal after normalising case and spaces.")] = True
    near: Annotated[Near | None, Meta(description="Near-duplicates; null for none.")] = field(
        default_factory=Near
    )
    within: Annotated[
        Literal["all", "source"],
        Meta(description="`all`: over all sources together. `source`: each by itself."),
    ] = "all"
    keep: Annotated[
        Literal["first", "longest"],
        Meta(description="Which of a group stays: the first, or the one of most words (then the first)."),
    ] = "first"
    prefer: Annotated[
        list[Name],
        Meta(
            description="Sources whose records stay before those of others, in this order.",
            examples=[["talks"]],
        ),
    ] = field(default_factory=list)
    against: Annotated[
        list[str],
        Meta(
            description="Files of records trained on before, or globs of them: what repeats one of them goes.",
            examples=[["runs/twain-v1/data/train.jsonl"]],
        ),
    ] = field(default_factory=list)


class Decontaminate(Part, frozen=True, kw_only=True):
    """Removal of training records that share text with what the model is judged on."""

    against: Annotated[
        Literal["evals", "none"],
        Meta(description="All probes, tasks and held-out texts (`perplexity`) of the recipe's suites."),
    ] = "evals"
    ngram: Annotated[
        int,
        Meta(
            ge=3,
            le=50,
            description="Shared words in a row that count as contamination, without case and punctuation. Shorter "
            "probes are found where all their words stand in a row; of held-out texts, at least 13 must.",
        ),
    ] = 8


class Mix(Part, frozen=True, kw_only=True):
    """In which proportions the records go into training."""

    by: Annotated[
        Name,
        Meta(description="`source`, or a tag that every record carries.", examples=["source"]),
    ] = "source"
    weights: Annotated[
        Annotated[dict[Annotated[str, Meta(min_length=1, max_length=200)], Fraction], Meta(min_length=1)]
        | None,
        Meta(
            description="Share of each source or tag value; they sum to 1. 0 leaves one out.",
            examples=[{"twain": 0.7, "weather": 0.3}],
        ),
    ] = None
    amounts: Annotated[
        Annotated[
            dict[Annotated[str, Meta(min_length=1, max_length=200)], Annotated[int, Meta(ge=0, le=10**12)]],
            Meta(min_length=1),
        ]
        | None,
        Meta(
            description="In place of `weights` and `total`: how many records or tokens of each. 0 leaves one out.",
            examples=[{"twain": 3000, "weather": 1000}],
        ),
    ] = None
    unit: Annotated[Literal["records", "tokens"], Meta(description="What the shares count.")] = "records"
    total: Annotated[
        Count | None,
        Meta(description="How many records or tokens in all. Default: the most that the data allow."),
    ] = None
    repeat_at_most: Annotated[int, Meta(ge=1, le=1000, description="How often one record may be used.")] = 1
    repeats: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=200)], Annotated[int, Meta(ge=1, le=1000)]],
        Meta(description="In place of `repeat_at_most` for those it names.", examples=[{"twain": 3}]),
    ] = field(default_factory=dict)
    order: Annotated[
        Literal["shuffled", "shortest_first", "in_turn"],
        Meta(
            description="In which order they are trained. `in_turn`: one source (or tag value) after the other as the "
            "weights name them, each shuffled."
        ),
    ] = "shuffled"

    @property
    def asked(self) -> dict[str, float]:
        """What is asked of each, as a share or an amount; 0 leaves it out."""
        return dict(self.weights if self.weights is not None else self.amounts or {})

    def cap(self, name: str) -> int:
        """How often one record of it may be used."""
        return self.repeats.get(name, self.repeat_at_most)


class Split(Part, frozen=True, kw_only=True):
    """What is held out to watch training with."""

    validation: Annotated[float, Meta(ge=0, lt=1, description="Share of records held out.")] = 0.02
    stratify: Annotated[
        list[Name], Meta(description="Tags whose shares both halves keep.", examples=[["source"]])
    ] = field(default_factory=lambda: ["source"])
    group: Annotated[
        Literal["document", "record"],
        Meta(description="`document`: no book or conversation stands on both sides."),
    ] = "document"


Budget = Annotated[
    str,
    Meta(
        pattern=r"^>\s*[0-9]+(\.[0-9]+)?\s*%?$",
        description="`>20%` of the input rows, or `>10` rows.",
        examples=[">20%"],
    ),
]


class FailIf(Part, frozen=True, kw_only=True):
    """Budgets: the run fails if more rows are lost than this."""

    rejected: Annotated[
        Budget | None, Meta(description="Rows that could not be read, or that a filter failed on.")
    ] = None
    dropped: Annotated[Budget | None, Meta(description="Rows dropped by filters, dedup or length.")] = None
    by: Annotated[
        dict[Name, Budget],
        Meta(
            description="Rows dropped by one filter, or by `dedup`, `decontaminate` or `render`.",
            examples=[{"language": ">10%"}],
        ),
    ] = field(default_factory=dict)
    sources: Annotated[
        dict[Name, Budget],
        Meta(
            description="Rows of one source that are lost, for whatever reason but the mix.",
            examples=[{"onion": ">50%"}],
        ),
    ] = field(default_factory=dict)
