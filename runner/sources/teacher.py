"""Source `teacher`: records written by a model behind any OpenAI-compatible endpoint.

Every row is one request with a seed of its own, and every answer is kept by its request: a fetch that was killed
goes on where it stopped. What is kept of a row is the question with the raw answer, so that another schema or
contract can be held against it later without asking again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runner import teaching
from runner.errors import StepError
from runner.fetching import Fetcher, Item, Unfetched, failed
from runner.record import Record, Rejected
from runner.registry import SourceContext, SourceName, ToolSetName, source
from runner.teaching import Asked, Exchange, Format, Task, answers
from runner.teaching.asking import Asker, recorded
from runner.teaching.prompting import BadPrompt, Prompt
from runner.teaching.spending import Budget, Price, Purse, Spent

GIVE_UP = 5  # requests that fail one after the other: the endpoint is down, or will have nothing of us
Variable = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=40)]
Text = Annotated[str, Meta(min_length=1, max_length=20_000)]


def fetch(
    net: Fetcher,
    *,
    model: str,
    task: Task,
    prompt: str | None = None,
    of: str | None = None,
    count: int | None = None,
    variables: dict[str, list[str]] | None = None,
    tools: str | None = None,
    schema: dict[str, Any] | None = None,
    format: Format = "json_schema",
    persona: str = "",
    system: str = "",
    temperature: float | None = None,
    max_tokens: int = 1024,
    samples: int = 1,
    at_most: int | None = None,
    budget: Budget | None = None,
    price: Price | None = None,
) -> Iterator[Item]:
    """One item a row: its question and the answer as it came, or why there is none.

    A bad answer is asked for once more.
    """
    text = prompt if prompt is not None else teaching.PROMPTS[task]
    template = Prompt(text, {*teaching.NAMES, *(variables or {})})
    wanted = schema if schema is not None else teaching.schema_of(task, tools is not None)
    if not net.setting("teacher_url"):
        raise StepError(net.name, "no teacher is set; set teacher_url (MIREPOIX_TEACHER_URL), up to its /v1")
    asker = Asker(net, model, task, template, wanted, format, persona, system, temperature, max_tokens)
    purse = Purse(budget or Budget(), price)
    rows = _rows(net, task, of, count, variables or {}, _definitions(net) if tools else [], samples)
    total = (count or 0) * samples or at_most or 0
    rows = islice(rows, at_most)
    broken, over = 0, ""
    for n, asked in enumerate(rows, 1):
        if isinstance(asked, Item):
            yield asked
            continue
        if over:
            yield Item(asked.key, error=over, left_out=True)
            continue
        try:
            yield asker.ask(asked, purse)
            broken = 0
        except BadPrompt as e:
            yield Item(asked.key, error=f"the prompt cannot be made for it: {e}")
        except Spent as e:
            over = f"not asked: {e}"  # the same words for all that follow: they are one reason
            yield Item(asked.key, error=over, left_out=True)
        except Unfetched as e:
            broken += 1
            if broken == GIVE_UP:
                what = f"{GIVE_UP} requests failed one after the other, the last: {e}"
                kept = f"Answers are kept (spent: {purse}); run it again to go on"
                raise StepError(net.name, f"{what}. {kept}") from None
            yield failed(asked.key, e, {"origin": model})
        net.progress(n, min(total, at_most or total), f"{model}: {purse}")


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    task, of, count, tools = (options[name] for name in ("task", "of", "count", "tools"))
    variables, budget = options["variables"] or {}, options["budget"] or {}
    if of is None and task != "conversation":
        yield ("task",), f"{task} is asked about passages: name an earlier source (of)"
    elif (of is None) == (count is None):
        yield ("count",), "name an earlier source (of), or say how many to write (count): one of the two"
    if tools is not None and task != "conversation":
        yield ("tools",), f"{task} has no use for tools"
    for name in variables:
        if name in teaching.NAMES:
            yield ("variables", name), "prompts call something else so; give it another name"
    if options["prompt"] is not None:
        try:
            Prompt(options["prompt"], {*teaching.NAMES, *variables} - _absent(of, tools))
        except BadPrompt as e:
            yield ("prompt",), str(e)
    if options["schema"] is not None and (what := answers.schema_problem(options["schema"])):
        yield ("schema",), what
    if budget.get("cost") is not None and options["price"] is None:
        yield ("budget", "cost"), "say what tokens cost (price)"


@source(
    "teacher",
    version=2,
    libraries=("jinja2", "jsonschema"),
    fetch=fetch,
    check=_wrong,
    asks=lambda options: "teacher",
)
def teacher(
    context: SourceContext,
    *,
    model: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="The teacher, as its endpoint calls it.",
            examples=["Qwen/Qwen2.5-72B-Instruct"],
        ),
    ],
    task: Annotated[
        Task,
        Meta(
            description="`backtranslate`: the request that a passage answers. `paraphrase`: the passage in other "
            "words. `conversation`: a new one, about variables or a passage, with tools if they are named."
        ),
    ],
    of: Annotated[
        SourceName,
        Meta(description="An earlier source: its records are what is asked about.", examples=["books"]),
    ]
    | None = None,
    count: Annotated[int, Meta(ge=1, le=10_000_000, description="New conversations to write.")] | None = None,
    variables: Annotated[
        dict[Variable, Annotated[list[Text], Meta(min_length=1)]] | None,
        Meta(
            description="Values that prompts draw from, by name; they become tags.",
            examples=[{"topic": ["rivers"]}],
        ),
    ] = None,
    tools: ToolSetName | None = None,
    prompt: Annotated[
        Text,
        Meta(
            description="A Jinja text instead of the task's own. It may name passage, title, author, instruction, "
            "persona, tags, tools, variables, and each variable.",
            examples=["Which question does this answer? {{ passage }}"],
        ),
    ]
    | None = None,
    schema: Annotated[
        dict[str, Any] | None,
        Meta(
            description="JSON Schema of the answer, instead of the task's own; it is checked by us.",
            examples=[{"type": "object", "required": ["request"]}],
        ),
    ] = None,
    format: Annotated[
        Format, Meta(description="How the endpoint is told to answer in JSON; `none` where it knows no way.")
    ] = "json_schema",
    persona: Annotated[
        str,
        Meta(
            max_length=2000,
            description="Who the assistant talks like; prompts name it.",
            examples=["a ship's carpenter"],
        ),
    ] = "",
    system: Annotated[
        str,
        Meta(max_length=20_000, description="System message to the teacher.", examples=["Answer in JSON."]),
    ] = "",
    temperature: Annotated[float, Meta(ge=0, le=2, description="Default: the endpoint's.")] | None = None,
    max_tokens: Annotated[int, Meta(ge=1, le=200_000, description="Longest answer.")] = 1024,
    samples: Annotated[int, Meta(ge=1, le=100, description="Answers for each row.")] = 1,
    at_most: Annotated[int, Meta(ge=1, description="Ask for the first so many rows only.")] | None = None,
    budget: Annotated[
        Budget | None,
        Meta(
            description="What may be spent. Rows that it does not hold are left out, each named in the ledger. A "
            "request is taken to need `max_tokens` and what its prompt is estimated at."
        ),
    ] = None,
    price: Annotated[Price | None, Meta(description="For the cost.")] = None,
) -> Iterator[Record | Rejected]:
    """Records written by a model behind an OpenAI-compatible endpoint: back-translated requests for passages,
    paraphrases, new conversations. Every answer is checked by schema and contract, whatever the endpoint does."""
    wanted = schema if schema is not None else teaching.schema_of(task, tools is not None)
    for item in context.items:
        exchange = msgspec.json.decode(context.raw(item).read_bytes(), type=Exchange)
        id = f"{context.name}/{item.key}"
        try:
            record = recorded(task, exchange.asked, answers.reply(exchange.answer), wanted)
        except answers.Unfit as e:
            yield Rejected(id, str(e), exchange.answer)
            continue
        meta = {"license": context.license or record.meta.get("license", ""), "teacher": model} | item.meta
        own = {
            "id": id,
            "source": context.name,
            "group": record.meta.get("group") or id,
            "sha256": item.sha256,
        }
        yield msgspec.structs.replace(record, meta=record.meta | meta | own)


def _rows(
    net: Fetcher,
    task: Task,
    of: str | None,
    count: int | None,
    variables: dict[str, list[str]],
    tools: list[dict[str, Any]],
    samples: int,
) -> Iterator[Asked | Item]:
    """What is asked about, in order; rows that cannot be are items that say so."""
    rows = net.records(of) if of else (None for _ in range(count or 0))
    for n, record in enumerate(rows):
        key = record.id if record else f"{n + 1:06d}"
        drawn = {v: teaching.dealt(pool, f"{net.seed}/{v}", n) for v, pool in variables.items()}
        try:
            row = teaching.about(record, task) if record else Asked(key)
        except answers.Unfit as e:
            yield Item(key, error=str(e))
            continue
        for s in range(samples):
            own = f"{key}#{s + 1}" if samples > 1 else key
            yield msgspec.structs.replace(row, key=own, variables=drawn, tools=tools)


def _definitions(net: Fetcher) -> list[dict[str, Any]]:
    from runner.toolset import load_toolset

    file = net.files["tools"][0]
    return [msgspec.to_builtins(t.definition) for t in load_toolset(file.path, file.name).tools]


def _absent(of: str | None, tools: str | None) -> set[str]:
    """Names that would always be empty, so that a prompt which needs them is told."""
    return (set() if of else {"passage", "title", "author", "instruction", "tags"}) | (
        set() if tools else {"tools"}
    )
