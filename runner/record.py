"""The frozen types of the data: documents, chat records, rejected rows, probes, answers and scores.

A record is one JSONL line in the chat format that OpenAI made usual: `messages`, optional `tools`,
`tags` (what a mix may weigh by) and `meta` (where it came from). Tool-call arguments are JSON *strings*:
dict arguments lose their nulls and Arrow merges their shapes across rows.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class FunctionCall(Struct, frozen=True):
    name: str
    arguments: str  # JSON text


class ToolCall(Struct, frozen=True):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"

    def __post_init__(self) -> None:
        if self.type != "function":
            raise ValueError("only tool calls of type 'function' are known")


class Message(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    name: str | None = None
    weight: Literal[0, 1] | None = None  # 1: trained, 0: not; absent: as the recipe says


class Record(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One chat conversation. `meta` holds id, source, group, license, origin and sha256 of the raw bytes."""

    messages: list[Message]
    tools: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.meta.get("id", "")

    @property
    def text(self) -> str:
        """What people say in it, in order: user and assistant text, without system text, tools or results."""
        said = [m.content for m in self.messages if m.role == "user" or m.role == "assistant"]
        return said[0] or "" if len(said) == 1 else "\n".join([t for t in said if t])

    @property
    def answer(self) -> str:
        """What the model would learn to say: the assistant's text alone."""
        return "\n".join([m.content for m in self.messages if m.role == "assistant" and m.content])


LONG = 200
"""Characters from which an answer alone tells what a record teaches."""


class Turn(Struct):
    """The part of a message that says something, whoever says it."""

    role: str
    content: str | None = None


class Said(Struct):
    """The part of a record that dedup and decontaminate look at."""

    messages: list[Turn]

    @property
    def turns(self) -> list[str]:
        return [m.content for m in self.messages if m.role in ("user", "assistant") and m.content]

    @property
    def compared(self) -> str:
        """What is compared with other records: what the assistant says, where that is long enough to be told by.

        A passage that is asked for in two ways is one passage; a short answer is told from its like by its question.
        """
        parts = [m.content for m in self.messages if m.role == "assistant" and m.content]
        said = parts[0] if len(parts) == 1 else "\n".join(parts)
        return said if len(said) >= LONG else "\n".join(self.turns)


class Edited(Struct, frozen=True):
    """What a filter gives back that changes a record; `what` says so in the ledger: "2 e-mail addresses redacted"."""

    record: Record
    what: str


class Document(Struct, frozen=True):
    """Plain text that is not yet a conversation; `text` has paragraphs parted by blank lines."""

    text: str
    meta: dict[str, str]


class Rejected(Struct, frozen=True):
    """An input row that became no record: kept, counted and named in the ledger, never lost.

    `left_out`: nothing is wrong with it, but the source's options, or what the row says of itself (a removed post),
    keep it out. It counts as dropped, not as rejected.
    `origin`: where it stands, as a record's: "FILE:LINE", or FILE where a whole file is rejected.
    """

    id: str
    reason: str
    raw: str = ""
    left_out: bool = False
    origin: str = ""


class Recorded(Struct, frozen=True, forbid_unknown_fields=True):
    """One call of a tool and what it gave: any JSON, an object with "error" for one that failed."""

    name: str
    arguments: dict[str, Any]
    result: Any


class Probe(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A held-out prompt. `expect` is what the judge of its suite compares with; its shape is the judge's.

    Where it has a `world`, that answers the model's calls, and the model goes on; `then` is what the user says next,
    each once the model has answered in words.

    Probes of one `family` (the same question in other words, several on one text) are counted on together: what they
    say is worth less than as many that have nothing to do with each other. One without is its own.
    """

    id: str
    messages: list[Message]
    tools: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    expect: dict[str, Any] = field(default_factory=dict)
    family: str = ""
    world: list[Recorded] = field(default_factory=list)
    then: list[str] = field(default_factory=list)

    @property
    def talks(self) -> bool:
        """Whether one answer may not be all that is said."""
        return bool(self.world or self.then)


class Answer(Struct, frozen=True, omit_defaults=True):
    """What one arm said to one probe. `raw` is the text as generated, special tokens taken off;
    `message` is it parsed, absent (with `parse_error`) where it cannot be; `finish` is stop or length.
    `repeat` counts the answers to one probe where several are sampled. `failed` says why there is no answer at
    all: such a one is counted and never judged, so `raw` is empty. `talk` is what was said before the last message:
    earlier calls, what the probe's world gave for them, what the user said then."""

    id: str
    arm: str
    raw: str
    finish: Literal["stop", "length"]
    message: Message | None = None
    parse_error: str | None = None
    repeat: int = 0
    failed: str | None = None
    talk: list[Message] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What the model said in words: the text beside tool calls, or the raw text where no message was read."""
        last = (self.message.content or "") if self.message else self.raw
        return "\n".join([m.content for m in self.talk if m.role == "assistant" and m.content] + [last])

    @property
    def calls(self) -> list[FunctionCall]:
        """All calls that the model made, in order."""
        said = [m for m in self.talk if m.role == "assistant"] + ([self.message] if self.message else [])
        return [c.function for m in said for c in m.tool_calls]


class Score(Struct, frozen=True, omit_defaults=True):
    """One judge's number for one answer. A `value` of None is missing (with a reason), never 0."""

    id: str
    arm: str
    metric: str
    value: float | None
    reason: str = ""


class Metric(Struct, frozen=True):
    """How a metric is read: `unit` is share, grade (1 to 5), words, score …; `better` says which way is."""

    unit: str = "share"
    better: Literal["higher", "lower"] | None = "higher"


class Verdict(Struct, frozen=True):
    """All that a judge says: scores of every answer, and facts about the judge itself (its accuracy, F1 …).

    `metrics` says of those that are no shares, or better when lower, how they are read.
    """

    scores: list[Score]
    facts: dict[str, float]
    metrics: dict[str, Metric] = {}


class Fate(Struct, frozen=True, omit_defaults=True):
    """What became of one input row: the ledger's row. `by` names the part of the recipe that decided."""

    id: str
    source: str
    fate: Literal["trained", "validation", "dropped"]
    by: str = ""
    reason: str = ""
    of: str = ""  # of a duplicate: the row that was kept; of contamination: the probe
    times: int = 1  # how often the mix used it
    tokens: int | None = None
    license: str = ""
    origin: str = ""
    attribution: str = ""  # what a source asks to be named with it
    edits: str = ""  # what filters changed in it
