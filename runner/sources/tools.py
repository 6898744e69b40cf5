"""Source `tools`: tool-calling conversations drawn from a tool set (datasets/tools/NAME.yaml).

Record 7 is the same whether 8 or 8000 are asked for, and on every Python: `runner.toolset.dice` says how. A
conversation that nearly repeats an earlier one is drawn anew. Where a service answers the calls, `fetch` writes the
same conversations, to find out which calls they need; what is drawn cannot hang on the answers there, so nothing is
drawn anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from runner.errors import Problem, RecipeError
from runner.fetching import Fetcher, Item, Keep
from runner.record import Message, Record, Rejected
from runner.registry import SourceContext, ToolSetName, source
from runner.toolset import ToolSet, TopicSet, Voice, cast, load_toolset, talk, topictalk
from runner.toolset.asking import Asking, NoAnswer, Replay, meta_of
from runner.toolset.dice import Dice, order
from runner.toolset.phrases import Phrases
from runner.toolset.repeats import Repeats
from runner.toolset.words import Definition
from runner.toolset.world import Offline, Served, World

Shape = Literal[
    "one_call",
    "two_calls",
    "chained_calls",
    "parallel_calls",
    "follow_ups",
    "missing_argument",
    "ambiguous_argument",
    "unknown_value",
    "unknown_place",
    "tool_error",
    "refusal",
    "irrelevant_tools",
    "no_call",
]
Api = Literal["offline", "open-meteo", "openweathermap"]
Responses = Literal["offline", "recorded", "live"]
Shapes = dict[Shape, Annotated[float, Meta(ge=0)]]
KEEP: dict[Responses, Keep] = {"recorded": "recorded", "live": "live"}
TRIES = 12
"""How often a conversation is drawn anew that nearly repeats an earlier one: a set may have no more to say."""
MOST_OTHERS = 3  # tools that are of no use, in a record whose others are


def fetch(
    net: Fetcher,
    *,
    set: str,
    conversations: int,
    api: Api,
    responses: Responses,
    shapes: Shapes | None,
) -> Iterator[Item]:
    """One item a call (tool and arguments) that the conversations need, holding what its answers come to."""
    file = net.files["set"][0]
    toolset = load_toolset(file.path, file.name)
    if _offline(net.name, toolset, file.name, api, responses) or isinstance(toolset, TopicSet):
        return
    asking = Asking(net, toolset, api, KEEP[responses])
    writer = _TalkWriter(_cast(toolset, "plain", net.seed, Served(toolset, asking.answer), api), [])
    for i, shape, nth in _dealt(net.name, writer, shapes, conversations, file.name):
        with suppress(NoAnswer):  # the call's item says so, and the source for this conversation
            writer.write(i, shape, nth)
        yield from asking.taken()
        net.progress(i + 1, conversations, "conversations")


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    api, responses = options["api"], options["responses"]
    if responses != "offline" and api == "offline":
        yield ("responses",), f"{responses} needs `api`, the service to be asked"
    if responses == "offline" and api != "offline":
        yield ("api",), "is never asked: say `responses`, recorded or live"
    if options["shapes"] == {}:
        yield ("shapes",), "name a shape; left out, there are all that the set has texts for"


@source("tools", version=3, fetch=fetch, fetches=lambda o: o["responses"] != "offline", check=_wrong)
def tools(
    context: SourceContext,
    *,
    set: ToolSetName,
    conversations: Annotated[int, Meta(ge=1, le=1_000_000, description="How many to draw.", examples=[2000])],
    api: Annotated[
        Api,
        Meta(description="The service that answers the calls, where `responses` are recorded or live."),
    ] = "offline",
    responses: Annotated[
        Responses,
        Meta(
            description="Where answers come from: drawn from the tool set (`offline`), asked of the `api` once and "
            "replayed for ever (`recorded`), or asked anew in every fetch (`live`)."
        ),
    ] = "offline",
    voice: Annotated[
        Voice, Meta(description="Whose words the assistant uses: the set's persona, or plain ones.")
    ] = "persona",
    shapes: Annotated[
        Shapes | None,
        Meta(
            description="Share of each shape; they sum to 1, and those not named are left out.",
            extra={"sum": 1},
            extra_json_schema={"propertyNames": {"enum": list(Shape.__args__)}},
            examples=[{"one_call": 0.7, "no_call": 0.3}],
        ),
    ] = None,
    distractors: Annotated[
        Annotated[list[str], Meta(min_length=1)] | None,
        Meta(
            description="Other tool sets (files, or globs of them) whose tools some records offer besides: sets "
            "that cannot do what this one does.",
            extra={"files": "glob"},
            examples=[["datasets/tools/weather.yaml"]],
        ),
    ] = None,
) -> Iterator[Record | Rejected]:
    """Conversations that call tools, drawn from a tool set: one call, several in a row or at once, follow-up
    questions, arguments that are missing, ambiguous or unknown, tools that fail, requests to refuse, tools that do
    not fit, and questions that need none."""
    file = context.files["set"][0]
    toolset = load_toolset(file.path, file.name)
    offline = _offline(context.name, toolset, file.name, api, responses)
    meta = {"license": toolset.license, "origin": f"tools/{toolset.name}", "sha256": file.sha256}
    replay: Replay | None = None
    writer: _Writer
    if isinstance(toolset, TopicSet):
        if distractors:
            what = f"{file.name} is of form 1, whose records offer no distractors"
            raise _refused(context.name, "distractors", what)
        writer = _TopicWriter(toolset, voice, context.seed)
    else:
        world: World = Offline(toolset)
        if not offline:
            replay = Replay(context.raw, toolset, api, iter(context.items))
            world = Served(toolset, replay.answer)
            theirs = meta_of(toolset, api)
            meta |= {**theirs, "license": f"{toolset.license} AND {theirs['license']}"}
        who = _cast(toolset, voice, context.seed, world, api if replay else "offline")
        writer = _TalkWriter(who, _others(toolset, context) if distractors else toolset.distractors)
    repeats = Repeats()
    for i, shape, nth in _dealt(context.name, writer, shapes, conversations, file.name):
        own = {"id": f"{context.name}/{i + 1:06d}", "source": context.name}
        try:
            written = _fresh(writer, None if replay else repeats, i, shape, nth)
        except NoAnswer as e:
            yield Rejected(own["id"], str(e))
            continue
        own["group"] = written.group or own["id"]
        if replay is not None and replay.used:
            own["answers"] = " ".join(replay.used)
            replay.used.clear()
        yield Record(written.messages, written.tools, {"shape": shape}, own | meta)


@dataclass(frozen=True)
class _Written:
    messages: list[Message]
    tools: list[dict[str, Any]]
    group: str

    @property
    def text(self) -> str:
        return Record(self.messages).text


class _Writer(Protocol):
    """Writes conversations of one set, whatever its form."""

    @property
    def seed(self) -> int: ...

    @property
    def set(self) -> ToolSet | TopicSet: ...

    def weights(self) -> dict[str, float]:
        """The usual share of each shape that the set has texts for."""
        ...

    def write(self, i: int, shape: str, nth: int, again: int = 0) -> _Written:
        """Conversation `i`, the `nth` of its shape; drawn anew for the `again`-th time."""
        ...


@dataclass(frozen=True)
class _TopicWriter:
    set: TopicSet
    voice: Voice
    seed: int

    def weights(self) -> dict[str, float]:
        able = topictalk.able(self.set)
        return {shape: weight for shape, weight in topictalk.WEIGHTS.items() if shape in able}

    def write(self, i: int, shape: str, nth: int, again: int = 0) -> _Written:
        made = topictalk.TopicTalk(self.set, self.voice, shape, nth, self.seed, _die(self, i, again), again)
        group = getattr(made, shape)()
        return _Written(made.messages, [msgspec.to_builtins(t.definition) for t in self.set.tools], group)


@dataclass(frozen=True)
class _TalkWriter:
    who: cast.Cast
    others: Sequence[Definition]

    @property
    def seed(self) -> int:
        return self.who.seed

    @property
    def set(self) -> ToolSet:
        return self.who.set

    def weights(self) -> dict[str, float]:
        return {shape: weight for shape, weight in cast.WEIGHTS.items() if shape in self.who.able}

    def write(self, i: int, shape: str, nth: int, again: int = 0) -> _Written:
        die = _die(self, i, again)
        made = talk.Talk(self.who, shape, nth, die, again)
        group = getattr(made, shape)()
        return _Written(made.messages, self._offered(made, die), group)

    def _offered(self, made: talk.Talk, die: Dice) -> list[dict[str, Any]]:
        """The tools of a record: the set's (or, where none is to fit, none of them) and a few others, shuffled."""
        # What does not fit is for the set's author to know: the tools of other sets may be near to its own.
        others = self.set.distractors if made.only_others else self.others
        least = 1 if made.only_others else 0
        count = min(die.pick(range(least, MOST_OTHERS + 1), "others"), len(others))
        chosen = [others[n] for n in order(f"{die.key}/which others", len(others))[:count]]
        offered = chosen if made.only_others else [*(t.definition for t in self.set.tools), *chosen]
        return [msgspec.to_builtins(offered[n]) for n in order(f"{die.key}/offered", len(offered))]


def _die(writer: _Writer, i: int, again: int) -> Dice:
    return Dice(f"{writer.seed}/{writer.set.name}/{i}" + (f"/again {again}" if again else ""))


def _fresh(writer: _Writer, repeats: Repeats | None, i: int, shape: str, nth: int) -> _Written:
    """Conversation `i`, drawn anew while it nearly repeats one of `repeats`, but not for ever."""
    written = writer.write(i, shape, nth)
    for again in range(1, TRIES + 1):
        if repeats is None or not repeats.near(written.text):
            break
        written = writer.write(i, shape, nth, again)
    return written


def _dealt(
    name: str, writer: _Writer, asked: Shapes | None, count: int, file: str
) -> Iterator[tuple[int, str, int]]:
    """(number, shape, how many of that shape came before) of each conversation."""
    usual = writer.weights()
    for one, weight in (asked or {}).items():
        if weight and one not in usual:
            what = f"{file} has no text for the shape {one!r}; it has {', '.join(usual)}"
            raise _refused(name, "shapes", what)
    wanted: Mapping[Any, float] = usual if asked is None else asked
    weights: dict[str, float] = {one: weight for one, weight in wanted.items() if weight}
    drawn: Counter[str] = Counter()
    for i in range(count):
        shape = Dice(f"{writer.seed}/{writer.set.name}/{i}").weighted(weights, "shape")
        yield i, shape, drawn[shape]
        drawn[shape] += 1


def _cast(toolset: ToolSet, voice: Voice, seed: int, world: World, api: Api) -> cast.Cast:
    """With a service, only the tools that it or the set itself answers for take part in calls."""
    served = api != "offline"
    answered = toolset.services[api] if served else {}
    able = [t for t in toolset.tools if not served or t.own or t.name in answered]
    return cast.Cast(toolset, able, voice, seed, world, Phrases(toolset, voice), served)


def _others(toolset: ToolSet, context: SourceContext) -> list[Definition]:
    """Tools of the set's own distractors and of other sets; a name that is taken is left out."""
    found = {d.function.name: d for d in toolset.distractors}
    for file in context.files["distractors"]:
        for tool in load_toolset(file.path, file.name).tools:
            found.setdefault(tool.name, tool.definition)
    return [d for name, d in found.items() if name not in {t.name for t in toolset.tools}]


def _offline(name: str, toolset: ToolSet | TopicSet, file: str, api: Api, responses: Responses) -> bool:
    """Whether the set answers itself. Raises RecipeError where a service is to, and cannot."""
    if responses == "offline":
        return True
    services = toolset.services if isinstance(toolset, ToolSet) else {}
    if api not in services:
        known = f"; it knows {', '.join(services)}" if services else ""
        raise _refused(name, "api", f"{file} does not say how {api} answers its calls{known}")
    return False


def _refused(name: str, option: str, what: str) -> RecipeError:
    """What only the tool set can say of an option of the source `name`: `recipe check` does not read it."""
    return RecipeError([Problem(f"source {name!r}", 0, 0, f"tools.{option}", what)])
