"""Every shipped template, with each kind of conversation: trained as written, lowered, or refused with the reason.

The checker knows nothing of templates. It finds every text of the record in the rendering and every call and schema as
JSON, and sees that what is trained lies where the assistant speaks and ends with the stop token.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import library
from runner.calls import MARKS, form_of, parse_answer
from runner.chat import Rendered, Renderer, Unrenderable, for_template, for_trainer
from runner.checks import templates
from runner.contract import broken
from runner.jobs.generate import spoken
from runner.lowering import Abilities, Unsayable, abilities, lower
from runner.record import FunctionCall, Message, Record, ToolCall

pytest.importorskip("transformers", reason="transformers is not installed")


@dataclass(frozen=True)
class Family:
    """Control tokens of a family as its tokenizers have them: one token each."""

    special: tuple[str, ...]
    eos: str
    bos: str | None = None
    end_of_turn: str | None = None
    words: str = "new"  # how text is cut into words: as Llama 3 and Qwen do, or as GPT-2 did


CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
FAMILIES = {
    "chatml-tools": Family(CHATML, "<|im_end|>", words="gpt2"),
    "gemma": Family(
        ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"), "<eos>", "<bos>", "<end_of_turn>"
    ),
    "granite-3": Family(
        ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"),
        "<|end_of_text|>", "<|end_of_text|>", words="gpt2",
    ),
    "llama-3.1": Family(
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
         "<|eot_id|>", "<|python_tag|>"),
        "<|end_of_text|>", "<|begin_of_text|>", "<|eot_id|>",
    ),
    "mistral-v3": Family(
        ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
         "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        "</s>", "<s>",
    ),
    "qwen": Family(CHATML, "<|im_end|>"),
    "qwen3": Family(CHATML, "<|im_end|>"),
}  # fmt: skip

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def tokenizer(family: Family, folder: Path) -> Path:
    """A byte-level tokenizer of a few hundred tokens, with the family's control tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family.words == "gpt2")
    new = [pre_tokenizers.Split(Regex(WORDS), "isolated"), cut]
    backend.pre_tokenizer = cut if family.words == "gpt2" else pre_tokenizers.Sequence(new)
    backend.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(  # type: ignore[no-untyped-call]
        vocab_size=400,
        special_tokens=list(family.special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(
        ["the pilot of the harbour asks\n\n\n  how high the tide is, Oban?"] * 9, trainer
    )
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=family.eos, bos_token=family.bos)
    made.save_pretrained(folder)
    return folder


def renderer(folder: Path, family: Family, template: str) -> Renderer:
    return Renderer(
        str(tokenizer(family, folder)), revision=None, template=template, end_of_turn=family.end_of_turn
    )


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Renderer, Abilities]]:
    """Each shipped template on a tokenizer of its family, and what it was found to say."""
    out = {}
    for name, family in FAMILIES.items():
        path = library.find(templates()[name])
        assert path is not None
        made = renderer(tmp_path_factory.mktemp(name), family, path.read_text(encoding="utf-8"))
        out[name] = made, abilities(made)
    return out


# --- the conversations -------------------------------------------------------------------------------------------

TIDE = {
    "type": "function",
    "function": {
        "name": "get_tide",
        "description": "Height of the tide at a harbour, by the \"almanac\".",
        "parameters": {
            "type": "object",
            "properties": {
                "harbour": {"type": "string", "description": "Its name.", "enum": ["Oban", "Wick", "Kirkwall", "São Tomé"]},
                "hour": {"type": ["integer", "null"]},
                "options": {"type": ["object", "null"], "properties": {"datum": {"type": ["string", "null"]}}},
            },
            "required": ["harbour"],
        },
    },
}  # fmt: skip
WIND = {
    "type": "function",
    "function": {"name": "get_wind", "description": "Force of the wind.", "parameters": {"type": "object"}},
}
SYSTEM = Message("system", "You pilot ships into the firth, and keep it short.")
ASK, BOTH = Message("user", "How high stands the tide at Oban?"), Message("user", "At Oban and at Wick?")
SAY = Message("assistant", 'It stands at "three" metres and a quarter.')


def call(id: str, harbour: str, **more: Any) -> ToolCall:
    return ToolCall(
        id, FunctionCall("get_tide", json.dumps({"harbour": harbour, **more}, ensure_ascii=False))
    )


def calls(*made: ToolCall, text: str | None = None) -> Message:
    return Message("assistant", text, list(made))


def result(id: str, text: str) -> Message:
    return Message("tool", text, tool_call_id=id)


OBAN, WICK = result("call_1", '{"metres": 3.25}'), result("call_2", '{"metres": 1.75}')
PARALLEL = calls(call("call_1", "Oban"), call("call_2", "Wick"))
UNICODE = "Ebbe 🌊👩‍🚀, e\u0301tale; מים, \u202eمد\u202c; 潮位は「高い」。\ufeff ﷽ \U0001f1f5\U0001f1f9 <b>&amp;</b> \\n {{x}} {% raw %}"


def tooled(*messages: Message) -> Record:
    return Record(list(messages), [TIDE, WIND])


CASES: dict[str, Record] = {
    "single call": tooled(SYSTEM, ASK, calls(call("call_1", "Oban", hour=6)), OBAN, SAY),
    "two calls, one after another": tooled(
        SYSTEM, BOTH, calls(call("call_1", "Oban")), OBAN, calls(call("call_2", "Wick")), WICK, SAY
    ),
    "parallel calls": tooled(SYSTEM, BOTH, PARALLEL, OBAN, WICK, SAY),
    "parallel calls, results in another order": tooled(SYSTEM, BOTH, PARALLEL, WICK, OBAN, SAY),
    "text beside a call": tooled(ASK, calls(call("call_1", "Oban"), text="Let me look it up."), OBAN, SAY),
    "null content": msgspec.json.decode(
        msgspec.json.encode(
            {
                "messages": [
                    {"role": "user", "content": ASK.content},
                    {"role": "assistant", "content": None, "tool_calls": [call("call_1", "Oban")]},
                    {"role": "tool", "tool_call_id": "call_1", "content": None},
                    {"role": "assistant", "content": SAY.content},
                ],
                "tools": [TIDE],
            }
        ),
        type=Record,
    ),
    "tool error": tooled(
        ASK, calls(call("call_1", "Oban")), result("call_1", "Error 503: gauge 'Oban' is \"down\"\n  at line 7"), SAY
    ),
    "tools, but no call": tooled(SYSTEM, ASK, SAY),
    "system text": Record([SYSTEM, ASK, SAY]),
    "no system": Record([ASK, SAY]),
    "the assistant begins": Record([SYSTEM, SAY, ASK, Message("assistant", "As I said.")]),
    "multi-turn": tooled(
        SYSTEM, Message("user", "Good morning."), Message("assistant", "To you too."), ASK,
        calls(call("call_1", "Oban")), OBAN, SAY, Message("user", "And at Wick?"), calls(call("call_2", "Wick")), WICK,
        Message("assistant", "Half of that."), Message("user", "Thanks!"), Message("assistant", "Fair winds."),
    ),
    "over-long": Record(
        [ASK, Message("assistant", " ".join(f"mark {n} at {n * 7} feet;" for n in range(4000)) + " and no more.")]
    ),
    "unicode": tooled(
        Message("system", f"System {UNICODE}"), Message("user", f"User {UNICODE}"),
        calls(call("call_1", "São Tomé", options={"datum": f"Call {UNICODE}"})),
        result("call_1", f"Result {UNICODE}"), Message("assistant", f"🌊 Answer {UNICODE}"),
    ),
    "nested arguments with nulls": tooled(
        ASK,
        calls(call("call_1", "Oban", hour=None, options={"datum": None, "list": [None, {"deep": None, "n": 1.5e-9}], "": ""})),
        OBAN, SAY,
    ),
    "an answer that begins with blank lines": Record([ASK, Message("assistant", "\n\nThree metres.\n")]),
}  # fmt: skip

AS_WRITTEN = ""
NINE, ORDER = "ids of calls rewritten to nine letters or digits", "results put in the order of their calls"
BLANKS, BESIDE = (
    "white space before an answer left out",
    "refused: the template cannot say it: text beside a call",
)
# What is not trained as it is written: (template, case) → the note, or why it is refused.
EXPECTED = (
    {
        ("mistral-v3", case): NINE
        for case, record in CASES.items()
        if any(m.tool_calls for m in record.messages)
    }
    | {(n, "parallel calls, results in another order"): ORDER for n in FAMILIES if n != "mistral-v3"}
    | {
        (n, "an answer that begins with blank lines"): BLANKS
        for n in FAMILIES
        if n not in ("mistral-v3", "granite-3")
    }
    | {(n, "text beside a call"): BESIDE for n in ("llama-3.1", "granite-3")}
)


# --- the checker -------------------------------------------------------------------------------------------------


def at(words: str, text: str, begin: int) -> tuple[int, int] | None:
    """Where `words` first stand in `text`, as they are or as JSON escapes them."""
    forms = [words, *(json.dumps(words, ensure_ascii=a)[1:-1] for a in (False, True))]
    found = [(p, p + len(f)) for f in forms if (p := text.find(f, begin)) >= 0]
    return min(found, default=None)


def objects(text: str) -> list[Any]:
    """Every JSON object in a text, nested ones too."""
    out = []
    for n, letter in enumerate(text):
        if letter == "{":
            try:
                out.append(json.JSONDecoder().raw_decode(text, n)[0])
            except ValueError:
                continue
    return out


def check(made: Renderer, record: Record) -> Rendered:
    """All of the record stands in its rendering, in order; exactly the assistant's turns are trained, and end."""
    done = made.render(record)
    encoded = made.tokenizer(done.text, add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["input_ids"] == done.ids
    runs: list[tuple[int, int]] = []
    for (a, b), trained, before in zip(
        encoded["offset_mapping"], done.trained, [False, *done.trained], strict=False
    ):
        if trained and before:
            runs[-1] = (runs[-1][0], max(b, runs[-1][1]))
        elif trained:
            runs.append((a, b))
    place, n = 0, 0
    said = [m for m in record.messages if m.content or m.tool_calls]
    for m, following in zip(said, [*said[1:], None], strict=True):
        if m.role != "assistant":
            found = at(m.content or "", done.text, place)
            assert found, f"lost: {m.content!r}"
            place = found[1]
            assert not any(a < place and found[0] < b for a, b in runs), f"trained: {m.content!r}"
            continue
        assert n < len(runs), f"not trained: {m}"
        a, b = runs[n]
        turn, n = done.text[a:b], n + 1
        assert a >= place, "trained before it is the assistant's turn"
        assert turn.endswith(made.stop), "no stop token is trained"
        assert turn.count(made.stop) == 1
        assert (m.content or "") in turn, f"not trained: {m.content!r}"
        rest = turn[: -len(made.stop)].replace(m.content or "", "", 1)
        assert m.tool_calls or not rest.strip(), f"trained beside the text: {rest!r}"
        arguments = [json.loads(c.function.arguments) for c in m.tool_calls]
        there = objects(turn)
        for c, values in zip(m.tool_calls, arguments, strict=True):
            assert at(c.function.name, turn, 0) and values in there, f"not trained: {c}"
        if following is not None and following.content and following.role != "assistant":
            found = at(following.content, done.text, b)
            assert found and found[0] >= b
        place = b
        prompt(made, record, m, done)
    assert n == len(runs), f"trained, but no turn of the assistant: {[done.text[a:b] for a, b in runs[n:]]}"
    there = objects(done.text)
    for tool in record.tools:
        function = tool["function"]
        assert at(function["name"], done.text, 0) and at(function["description"], done.text, 0)
        assert function["parameters"] in there
        assert not any(at(function["description"], done.text[a:b], 0) for a, b in runs)
    return done


def prompt(made: Renderer, record: Record, turn: Message, done: Rendered) -> None:
    """The tokens before a trained turn are those that the model gets when it is asked."""
    before = record.messages[: next(n for n, m in enumerate(record.messages) if m is turn)]
    if before:
        text = made._text([for_template(m) for m in before], record.tools or None, prompt=True)
        ids = made.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert done.ids[: len(ids)] == ids


def lowered(record: Record, able: Abilities) -> tuple[Record, tuple[str, ...]]:
    """Lowered, still good, and no further to lower."""
    assert broken(record) is None
    out = lower(record, able)
    assert broken(out.record) is None
    again = lower(out.record, able)
    assert again.record == out.record and again.notes == ()
    assert (out.record == record) == (out.notes == ())
    return out.record, out.notes


# --- the suite ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("template", FAMILIES)
def test_case(template: str, case: str, shipped: dict[str, tuple[Renderer, Abilities]]) -> None:
    made, able = shipped[template]
    expected = EXPECTED.get((template, case), AS_WRITTEN)
    if expected.startswith("refused: "):
        with pytest.raises(Unsayable, match=expected.removeprefix("refused: ")):
            lower(CASES[case], able)
        return
    record, notes = lowered(CASES[case], able)
    assert "; ".join(notes) == expected
    done = check(made, record)
    assert case != "over-long" or len(done.ids) > 8192


@pytest.mark.parametrize("template", FAMILIES)
def test_a_control_token_as_text_is_refused(
    template: str, shipped: dict[str, tuple[Renderer, Abilities]]
) -> None:
    able = shipped[template][1]
    for token in FAMILIES[template].special:
        escaped = json.dumps({"harbour": "Oban", "options": {"datum": token}}).replace("<", "\\u003c")
        hidden = ToolCall("call_1", FunctionCall("get_tide", escaped))
        for record in (
            Record([Message("user", f"What is {token}, please?"), SAY]),
            Record([ASK, Message("assistant", f"It is {token} metres.")]),
            tooled(ASK, calls(hidden), OBAN, SAY),
            tooled(ASK, calls(call("call_1", "Oban")), result("call_1", token), SAY),
            Record([ASK, SAY], [{"type": "function", "function": {"name": "f", "description": token}}]),
        ):
            with pytest.raises(Unsayable, match="control token"):
                lower(record, able)


@pytest.mark.parametrize("template", FAMILIES)
def test_what_is_trained_can_be_read(template: str, shipped: dict[str, tuple[Renderer, Abilities]]) -> None:
    """Answers that are word for word what was trained are read as the text and calls that they were."""
    made, able = shipped[template]
    form = form_of(made.tokenizer.chat_template)
    for case, record in CASES.items():
        try:
            out = lower(record, able).record
        except Unsayable:
            continue
        done = made.render(out)
        turns = [
            [done.ids[i] for i in places]
            for wanted, places in groupby(range(len(done.ids)), done.trained.__getitem__)
            if wanted
        ]
        said = [m for m in out.messages if m.role == "assistant"]
        assert len(turns) == len(said)
        for ids, m in zip(turns, said, strict=True):
            message, reason = parse_answer(spoken(made.tokenizer, ids, MARKS.get(form)), form)
            assert message is not None, (case, reason)
            assert (message.content or "") == (m.content or "").strip()
            asked, got = (
                [(c.function.name, json.loads(c.function.arguments)) for c in x.tool_calls]
                for x in (m, message)
            )
            assert got == asked, case


def test_what_stands_between_prompt_and_answer(shipped: dict[str, tuple[Renderer, Abilities]]) -> None:
    """A space of the template's own is the prompt's, unless one token holds it and the answer's beginning; a token that
    holds the prompt's end and the answer's beginning is never asked for."""
    mistral, llama = shipped["mistral-v3"][0], shipped["llama-3.1"][0]
    done = mistral.render(Record([ASK, Message("assistant", "🌊")]))
    assert done.spans == ["🌊</s>"]
    assert mistral.tokenizer.decode([i for i, t in zip(done.ids, done.trained, strict=True) if t]) == "🌊</s>"
    done = mistral.render(Record([ASK, Message("assistant", "how high?")]))
    assert (
        mistral.tokenizer.decode([i for i, t in zip(done.ids, done.trained, strict=True) if t])
        == " how high?</s>"
    )
    with pytest.raises(Unrenderable, match="joins an answer's beginning to its prompt"):
        llama.render(Record([ASK, Message("assistant", "\nThree.")]))
    assert llama.render(Record([SAY])).spans == [f"{SAY.content}<|eot_id|>"]


def test_there_are_enough_cases_and_no_template_is_left_out() -> None:
    assert len(FAMILIES) * len(CASES) >= 60
    assert sorted(FAMILIES) == sorted(templates())


def test_what_is_said_of_each_template(shipped: dict[str, tuple[Renderer, Abilities]]) -> None:
    path = library.find("recipes/base/templates.json")
    assert path is not None
    about = json.loads(path.read_bytes())
    assert sorted(about) == sorted(templates())
    for name, entry in about.items():
        assert entry.keys() == {"for", "end_of_turn", "tool_parser"}
        assert entry["end_of_turn"] == shipped[name][0].stop
        front = library.find(templates()[name]).read_text(encoding="utf-8").partition("-#}")[0]  # type: ignore[union-attr]
        assert name == "chatml-tools" or f"parser {entry['tool_parser']}" in " ".join(front.split())


def test_a_checker_that_sees(shipped: dict[str, tuple[Renderer, Abilities]], tmp_path: Path) -> None:
    """Each way to lose something, built into a good template, is seen by the checker itself."""
    family, case = FAMILIES["qwen"], CASES["multi-turn"]
    path = library.find(templates()["qwen"])
    assert path is not None
    text = path.read_text(encoding="utf-8")
    for n, (old, new) in enumerate(
        {
            "'<|im_start|>user\\n' + message.content": "'<|im_start|>user\\n'",
            "+ (message.content or '') + '\\n</tool_response>'": "+ '\\n</tool_response>'",
            "lead.tools + '\\n' + tool | tojson": "lead.tools + '\\n' + tool.function.name",
            "+ (arguments or '{}') +": "+ '{}' +",
            "<|im_start|>assistant\\n' + (message.content or '')": "<|im_start|>assistant\\n'",
            "{{- '<|im_end|>\\n' -}}\n{%- elif message.role == 'user'": (
                "{{- '<|im_end|>\\n' if loop.last -}}\n{%- elif message.role == 'user'"
            ),
        }.items()
    ):
        assert old in text
        worse = renderer(tmp_path / str(n), family, text.replace(old, new))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("runner.chat._check", lambda *_: None)
            patch.setattr(Renderer, "_check_tools", lambda *_: None)
            with pytest.raises(AssertionError):
                check(worse, case)


# --- the families' own templates, and others' reading of ours ------------------------------------------------------

OWN = {
    "llama3_1": (
        "llama-3.1",
        {"system": "own", "tools": True, "parallel": False, "beside": False, "tells": False},
    ),
    "qwen2_5": ("qwen", {"system": "own", "tools": True, "parallel": True, "beside": True, "empty": True}),
    "qwen3": ("qwen3", {"system": "own", "tools": True, "parallel": True, "beside": True, "later": True}),
    "gemma": ("gemma", {"system": "joined", "tools": False}),
}


@pytest.mark.parametrize("own", OWN)
def test_a_familys_own_template(own: str, tmp_path: Path) -> None:
    """As TRL has it: what it can say is found out, and every record is lowered to that, or refused."""
    trl = pytest.importorskip("trl", reason="trl is not installed")
    source = Path(trl.__file__).parent / "chat_templates" / f"{own}.jinja"
    if not source.is_file():
        pytest.skip("this trl has no such template")
    name, expected = OWN[own]
    made = renderer(tmp_path, FAMILIES[name], source.read_text(encoding="utf-8"))
    able = abilities(made)
    assert {k: getattr(able, k) for k in expected} == expected
    said = 0
    for case, record in CASES.items():
        if "blank lines" in case:  # some of them trim
            continue
        try:
            out, _ = lowered(record, able)
            made.render(out)
        except (Unsayable, Unrenderable):
            continue
        said += 1
        if own != "qwen3":  # it trains an empty thought that the record does not hold
            check(made, out)
    assert said >= (3 if own == "gemma" else 10)


def test_one_call_after_another_where_a_template_cannot_say_several(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="trl is not installed")
    source = Path(trl.__file__).parent / "chat_templates" / "llama3_1.jinja"
    made = renderer(tmp_path, FAMILIES["llama-3.1"], source.read_text(encoding="utf-8"))
    record, notes = lowered(CASES["parallel calls, results in another order"], abilities(made))
    assert notes == ("2 calls of one turn said one after another",)
    assert record == CASES["two calls, one after another"]


def test_mistral_says_it_as_mistral_does(shipped: dict[str, tuple[Renderer, Abilities]]) -> None:
    """mistral-common is the family's own word on its v3 format."""
    pytest.importorskip("mistral_common", reason="mistral-common is not installed")
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    made, able = shipped["mistral-v3"]
    theirs = MistralTokenizer.v3()
    for case in ("single call", "parallel calls", "two calls, one after another"):
        record, _ = lowered(CASES[case], able)
        rows = [msgspec.to_builtins(m) for m in record.messages]
        asked: Any = ChatCompletionRequest.from_openai(messages=rows[:-1], tools=record.tools)
        text = theirs.encode_chat_completion(asked).text.replace("\u2581", " ").replace("<0x0A>", "\n")
        ours = made._text([for_template(m) for m in record.messages[:-1]], record.tools, prompt=True)
        assert ours == text, case


def test_mistral_takes_the_ids_of_any_server(shipped: dict[str, tuple[Renderer, Abilities]]) -> None:
    made = shipped["mistral-v3"][0]
    id = "call_6f1c0e9a4b7d"
    done = made.render(tooled(ASK, calls(call(id, "Oban")), result(id, "{}"), SAY))
    assert done.text.count(f'id": "{id[-9:]}"') == 2
    with pytest.raises(Unrenderable, match="nine letters or digits"):
        made.render(tooled(ASK, calls(call("call_123456", "Oban")), result("call_123456", "{}"), SAY))


AXOLOTL = """
import json, sys
from transformers import AutoTokenizer
from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter, ChatTemplateStrategy
out = []
for line in open(sys.argv[1], encoding="utf-8"):
    job = json.loads(line)
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    prompter = ChatTemplatePrompter(
        tokenizer, job["template"], max_length=10**6, message_property_mappings={"role": "role", "content": "content"}
    )
    strategy = ChatTemplateStrategy(
        prompter, tokenizer, False, 10**6, roles_to_train=["assistant"], train_on_eos="turn",
        eot_tokens=[job["stop"]],
    )
    done = [strategy.tokenize_prompt(row) for row in job["rows"]]
    out.append([[d["input_ids"], [x != -100 for x in d["labels"]]] for d in done])
print("\\n" + json.dumps(out))
"""


def test_axolotl_trains_the_same_tokens(
    shipped: dict[str, tuple[Renderer, Abilities]], tmp_path: Path
) -> None:
    """What the proof will ask for every record of a run, asked for every case of every template."""
    pytest.importorskip("axolotl.common", reason="axolotl is not installed")
    jobs, expected = [], []
    for made, able in shipped.values():
        records = []
        for record in CASES.values():
            try:
                records.append(lower(record, able).record)
            except Unsayable:
                continue
        rendered = [made.render(record) for record in records]
        expected.append([[done.ids, done.trained] for done in rendered])
        rows = [for_trainer(record) for record in records]
        tokenizer = made.tokenizer
        jobs.append(
            {
                "model": tokenizer.name_or_path,
                "template": tokenizer.chat_template,
                "stop": made.stop,
                "rows": rows,
            }
        )
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", AXOLOTL, str(path)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name, theirs, ours in zip(shipped, json.loads(done.stdout.splitlines()[-1]), expected, strict=True):
        for n, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            assert a == b, (name, n)


# --- any conversation ---------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
uttered = text.filter(lambda t: bool(t.strip()))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
identifiers = st.text(
    st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12
) | st.sampled_from(["call_1", "call_2", "abcDEF123", "call00001", "call00002"])


@st.composite
def conversations(draw: st.DrawFn) -> Record:
    """Any conversation that the contract allows."""
    messages = [Message("system", draw(text))] if draw(st.booleans()) else []
    names = draw(st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), min_size=1, max_size=3, unique=True))
    tools = [
        {"type": "function", "function": {"name": n, "description": draw(text), "parameters": {}}}
        for n in names
    ]
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(uttered)))
        for _ in range(draw(st.integers(0, 2))):
            ids = draw(st.lists(identifiers, min_size=1, max_size=3, unique=True))
            made = [
                ToolCall(
                    i,
                    FunctionCall(
                        draw(st.sampled_from(names)),
                        json.dumps(
                            draw(st.dictionaries(text, values, max_size=3)), ensure_ascii=draw(st.booleans())
                        ),
                    ),
                )
                for i in ids
            ]
            messages.append(Message("assistant", draw(st.none() | text), made))
            messages += [
                Message("tool", draw(st.none() | text), tool_call_id=i) for i in draw(st.permutations(ids))
            ]
        messages.append(Message("assistant", draw(uttered)))
    return Record(messages, tools if any(m.tool_calls for m in messages) or draw(st.booleans()) else [])  # fmt: skip


def pieces(record: Record) -> list[str]:
    """All that a record says, each piece for itself, in no order."""
    out = [(m.content or "").strip() for m in record.messages]
    out += [f"{c.function.name}({c.function.arguments})" for m in record.messages for c in m.tool_calls]
    return sorted(p for p in out if p)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations(), st.sampled_from(sorted(FAMILIES)))
def test_any_conversation(
    shipped: dict[str, tuple[Renderer, Abilities]], record: Record, template: str
) -> None:
    made, able = shipped[template]
    try:
        out, _ = lowered(record, able)
    except Unsayable as e:
        assert not able.beside and "text beside a call" in str(e)
        return
    assert pieces(out) == pieces(record)
    rendered = made.render(out).text
    for m in out.messages:
        assert at(m.content or "", rendered, 0)
        for c in m.tool_calls:
            assert json.loads(c.function.arguments) in objects(rendered)


any_abilities = st.builds(
    Abilities,
    system=st.sampled_from(["own", "joined"]), tools=st.booleans(), later=st.booleans(), parallel=st.booleans(),
    beside=st.booleans(), empty=st.booleans(), ids=st.sampled_from(["any", "nine"]), tells=st.booleans(),
    spaces=st.booleans(), control=st.none(),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations(), any_abilities)
def test_lowering_keeps_the_contract_and_every_text(record: Record, able: Abilities) -> None:
    try:
        out, _ = lowered(record, able)
    except Unsayable:
        return
    whole = "\n".join(m.content or "" for m in out.messages)
    for m in record.messages:
        assert (m.content or "").strip() in whole
    made = [c.function for m in out.messages for c in m.tool_calls]
    assert made == [c.function for m in record.messages for c in m.tool_calls]
    assert out.tools == record.tools and out.meta == record.meta and out.tags == record.tags
    assert able.parallel or all(len(m.tool_calls) < 2 for m in out.messages)
    if able.ids == "nine":
        ids = [c.id for m in out.messages for c in m.tool_calls]
        assert len(set(ids)) == len(ids) and all(len(i) == 9 and i.isalnum() for i in ids)
