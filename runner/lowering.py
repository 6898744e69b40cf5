"""What a chat template can say, and records put so that it can say them.

Nothing is known of any template beforehand: `abilities` shows it small made-up records and sees what is lost or
refused. `lower` then changes a record as little as it can, with a note for the ledger of every change, or raises
Unsayable. No text of a record is ever left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from runner import chat
from runner.record import FunctionCall, Message, Record, ToolCall


class Unsayable(Exception):
    """No way to say this record with this template; `str()` is the reason, for the ledger."""


@dataclass(frozen=True)
class Abilities:
    """What a template says.

    `system`: a system message as a turn of its `own`, or only `joined` to the first user turn.
    `tools`: schemas, calls and results; `later`: with more than one question.
    `parallel`: several calls in one turn. `beside`: text beside a call. `empty`: a message without text may have null
    there. `ids`: which ids of calls it takes, any or those of nine letters or digits; `tells`: it says them, so that
    results may stand in any order.
    `spaces`: an answer may begin with white space; else the tokenizer joins that to what stands before the answer.
    `trims`: roles whose texts it says without the white space at their ends. `names`: it says a speaker's name.
    `control`: finds the tokenizer's control tokens, which no text may hold.
    """

    system: Literal["own", "joined"]
    tools: bool
    later: bool
    parallel: bool
    beside: bool
    empty: bool
    ids: Literal["any", "nine"]
    tells: bool
    spaces: bool
    trims: frozenset[str]
    names: bool
    control: re.Pattern[str] | None


@dataclass(frozen=True)
class Lowered:
    """A record that the template can say, and what was changed, in short notes."""

    record: Record
    notes: tuple[str, ...] = ()


NINE = re.compile(r"[A-Za-z0-9]{9}")

_TOOL = {
    "type": "function",
    "function": {
        "name": "water_level",
        "description": "Gauge of a river.",
        "parameters": {"type": "object", "properties": {"river": {"type": "string"}}},
    },
}
_ASK, _SYSTEM = Message("user", "How high does the Tamar stand?"), Message("system", "Be brief, pilot.")
_ANSWER = Message("assistant", "Two metres and a half.")
_ENDINGS = [Message("user", "Is that much?"), Message("assistant", "Not at all in spring.")]
_NAMED = "pilot_of_the_tamar"
_SPACES = ("\n", "\n\n", " ", "  ", "\t", "\n ")


def _called(ids: Sequence[str], text: str | None = None) -> list[Message]:
    """A question, so many calls in one turn, their results, and an answer."""
    rivers = ("Tamar", "Severn")
    calls = [
        ToolCall(i, FunctionCall("water_level", json.dumps({"river": river})))
        for i, river in zip(ids, rivers, strict=False)
    ]
    results = [
        Message("tool", f'{{"metres":{n}.5}}', tool_call_id=i, name="water_level")
        for n, i in enumerate(ids, 2)
    ]
    return [_ASK, Message("assistant", text, calls), *results, _ANSWER]


def _says(renderer: chat.Renderer, messages: list[Message], tools: bool = False) -> bool:
    try:
        renderer.render(Record(messages, [_TOOL] if tools else []))
    except (chat.Lost, chat.Unrenderable):
        return False
    return True


def abilities(renderer: chat.Renderer) -> Abilities:
    """What the renderer's template can say.

    Raises chat.Lost or chat.Unrenderable where it cannot even say a question and its answer.
    """
    renderer.render(Record([_ASK, _ANSWER]))
    two: dict[Literal["any", "nine"], tuple[str, str]] = {
        "any": ("call_1", "call_2"),
        "nine": ("aB3xY7qW2", "Zk4Tn8vR1"),
    }
    # The first way that works. A null is tried first, as most records of calls have one.
    ways = [(form, text) for form in two for text in (None, "")]
    way = next((w for w in ways if _says(renderer, _called(two[w[0]][:1], w[1]), True)), None)
    form, text = way or ("any", None)
    one = _called(two[form][:1], text)
    return Abilities(
        system="own" if _says(renderer, [_SYSTEM, _ASK, _ANSWER]) else "joined",
        tools=way is not None,
        later=way is not None and _says(renderer, [*one, *_ENDINGS], True),
        parallel=way is not None and _says(renderer, _called(two[form], text), True),
        beside=way is not None and _says(renderer, _called(two[form][:1], "Let me see."), True),
        empty=way is not None and text is None,
        ids=form,
        tells=way is not None and _tells(renderer, one, two[form][0]),
        spaces=all(_says(renderer, [_ASK, Message("assistant", f"{space}Two metres.")]) for space in _SPACES),
        trims=_trims(renderer, one if way else []),
        names=_NAMED in renderer.render(Record([replace(_ASK, name=_NAMED), _ANSWER])).text,
        control=_control(renderer),
    )


def _trims(renderer: chat.Renderer, called: list[Message]) -> frozenset[str]:
    """Roles whose texts lose the white space at their ends."""
    out = set()
    for messages in ([_ASK, _ANSWER], [_SYSTEM, _ASK, _ANSWER], called):
        for n, m in enumerate(messages):
            if not m.content or not _says(renderer, messages, bool(called) and messages is called):
                continue
            # An answer's beginning is another matter: `spaces`.
            padded = replace(m, content=f"{m.content}\n" if m.role == "assistant" else f" {m.content}\n")
            if not _says(renderer, [*messages[:n], padded, *messages[n + 1 :]], messages is called):
                out.add(m.role)
    return frozenset(out)


def _tells(renderer: chat.Renderer, messages: list[Message], id: str) -> bool:
    """Whether the id of a call stands with the call and with its result."""
    return renderer.render(Record(messages, [_TOOL])).text.count(id) >= 2


def _control(renderer: chat.Renderer) -> re.Pattern[str] | None:
    tokenizer = renderer.tokenizer
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    words = {t.content for t in added if t.special} | {*tokenizer.all_special_tokens, renderer.stop}
    words = {w for w in words if w.strip()}
    return re.compile("|".join(map(re.escape, sorted(words, key=lambda w: (-len(w), w))))) if words else None


def lower(record: Record, able: Abilities) -> Lowered:
    """`record`, which satisfies the contract, as the template can say it; the result satisfies it too, and lowering
    it again changes nothing. Raises Unsayable."""
    _refuse(record, able)
    notes: list[str] = []
    messages = record.messages
    if able.system == "joined":
        messages = _joined(messages, notes)
    if any(m.tool_calls for m in messages):
        if not able.parallel and any(len(m.tool_calls) > 1 for m in messages):
            messages = _one_by_one(messages, notes)
        elif not able.tells:
            messages = _in_order(messages, notes)
        if able.ids == "nine":
            messages = _nine(messages, notes)
    messages = _texts(messages, able, notes)
    if not notes:
        return Lowered(record)
    return Lowered(replace(record, messages=messages), tuple(notes))


def _refuse(record: Record, able: Abilities) -> None:
    if able.control is not None:
        for text in _said(record):
            if found := able.control.search(text):
                raise Unsayable(f"the template cannot say it: a text holds the control token {found[0]!r}")
    calls = [m for m in record.messages if m.tool_calls]
    if not record.tools and not calls:
        return
    if not able.tools:
        raise Unsayable("the template cannot say it: tools")
    if not able.beside and any((m.content or "").strip() for m in calls):
        raise Unsayable("the template cannot say it: text beside a call")
    if not able.later and sum(m.role == "user" for m in record.messages) > 1:
        raise Unsayable("the template cannot say it: tools with more than one question")


def _said(record: Record) -> Iterator[str]:
    """All texts that a template puts into its own, as it would."""
    for m in record.messages:
        if m.content:
            yield m.content
        for call in m.tool_calls:
            yield call.function.name
            arguments = call.function.arguments
            # \u003c and the like hide a control token from a search, but not from a template
            yield json.dumps(json.loads(arguments), ensure_ascii=False) if "\\" in arguments else arguments
    if record.tools:
        yield json.dumps(record.tools, ensure_ascii=False)


def _joined(messages: list[Message], notes: list[str]) -> list[Message]:
    """Without its system message; the first user turn begins with that text."""
    if messages[0].role != "system":
        return messages
    system, rest = messages[0].content or "", messages[1:]
    if system.strip():
        if not rest or rest[0].role != "user":
            raise Unsayable("the template cannot say it: a system text without a user turn after it")
        rest = [replace(rest[0], content=f"{system}\n\n{rest[0].content}"), *rest[1:]]
        notes.append("system text put before the first user turn")
    else:
        notes.append("empty system message left out")
    return rest


def _answered(messages: list[Message]) -> Iterator[tuple[Message, list[Message]]]:
    """Each message that is no result, with the results that follow it, in the order of its calls."""
    n = 0
    while n < len(messages):
        head, n = messages[n], n + 1
        results: list[Message] = []
        while n < len(messages) and messages[n].role == "tool":
            results.append(messages[n])
            n += 1
        order = {c.id: at for at, c in enumerate(head.tool_calls)}
        if sorted(order) != sorted(m.tool_call_id or "" for m in results):
            raise Unsayable("a call without its result, or a result without its call")
        yield head, sorted(results, key=lambda m: order[m.tool_call_id or ""])


def _one_by_one(messages: list[Message], notes: list[str]) -> list[Message]:
    """Each of several calls in a turn of its own, its result after it. Text stays with the first."""
    out: list[Message] = []
    for head, results in _answered(messages):
        if len(head.tool_calls) < 2:
            out += [head, *results]
            continue
        notes.append(f"{len(head.tool_calls)} calls of one turn said one after another")
        for n, (call, result) in enumerate(zip(head.tool_calls, results, strict=True)):
            out += [replace(head, tool_calls=[call], content=head.content if n == 0 else None), result]
    return out


def _in_order(messages: list[Message], notes: list[str]) -> list[Message]:
    out: list[Message] = []
    for head, results in _answered(messages):
        out += [head, *results]
    if out == messages:
        return messages
    notes.append("results put in the order of their calls")
    return out


def _nine(messages: list[Message], notes: list[str]) -> list[Message]:
    """Ids of nine letters or digits, each once in the record: those that are not are numbered."""
    ids = [c.id for m in messages for c in m.tool_calls]
    taken = {i for i in ids if NINE.fullmatch(i)}
    numbered = (f"call{n:05}" for n in range(1, len(ids) + len(taken) + 1))
    fresh = (i for i in numbered if i not in taken)
    used: set[str] = set()
    new: dict[str, str] = {}  # of the calls that are open
    out: list[Message] = []
    for m in messages:
        if m.role == "tool":
            out.append(replace(m, tool_call_id=new.get(m.tool_call_id or "", m.tool_call_id)))
            continue
        new = {}
        for call in m.tool_calls:
            good = call.id in taken and call.id not in used
            new[call.id] = call.id if good else next(fresh)
            used.add(new[call.id])
        calls = [replace(c, id=new[c.id]) for c in m.tool_calls]
        out.append(replace(m, tool_calls=calls) if calls else m)
    if out == messages:
        return messages
    notes.append("ids of calls rewritten to nine letters or digits")
    return out


def _texts(messages: list[Message], able: Abilities, notes: list[str]) -> list[Message]:
    """Texts that are empty, and the white space that answers begin with."""
    out: list[Message] = []
    blank = spaces = ends = names = nulls = 0
    for m in messages:
        content = m.content
        if m.tool_calls and content and not content.strip() and not able.beside:
            content, blank = None, blank + 1
        if m.role == "assistant" and content and content[0].isspace() and not able.spaces:
            content, spaces = content.lstrip(), spaces + 1
        if m.role in able.trims and content:  # an answer's beginning was looked at above
            kept = content.rstrip() if m.role == "assistant" else content.strip()
            content, ends = kept, ends + (kept != content)
        if content is None and not able.empty and (m.tool_calls or m.role == "tool"):
            content, nulls = "", nulls + 1
        if m.name and m.role != "tool" and not able.names:
            m, names = replace(m, name=None), names + 1
        out.append(m if content is m.content else replace(m, content=content))
    notes += _counted(blank, "blank text beside a call left out")
    notes += _counted(spaces, "white space before an answer left out")
    notes += _counted(ends, "white space at the ends of a text left out")
    notes += _counted(names, "a speaker's name left out")
    notes += _counted(nulls, "no text made an empty one")
    return out


def _counted(n: int, what: str) -> Iterable[str]:
    if n:
        yield what if n == 1 else f"{what} ({n} times)"
