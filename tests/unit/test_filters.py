"""Filters `words` and `language`, on records as people and tools make them."""

from __future__ import annotations

import pytest

from runner.filters.language import language
from runner.filters.words import words
from runner.record import Message, Record


def record(*turns: str) -> Record:
    roles = ("user", "assistant")
    return Record([Message(roles[i % 2], t) for i, t in enumerate(turns)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "limits", "verdict"),
    [
        ("one two three", {}, True),
        ("one two three", {"min": 3, "max": 3}, True),
        ("one two three", {"min": 4}, "too few words"),
        ("one two three", {"max": 2}, "too many words"),
        ("", {"min": 1}, "too few words"),
        ("", {}, True),
    ],
)
def test_words(text: str, limits: dict[str, int], verdict: bool | str) -> None:
    assert words(record(text), **limits) == verdict


def test_words_counts_what_people_say_only() -> None:
    chat = Record(
        [
            Message("system", "a b c d"),
            Message("user", "one"),
            Message("tool", "x y z"),
            Message("assistant", "two"),
        ]
    )
    assert words(chat, min=2, max=2) is True


ENGLISH = [
    ("What's the weather like in Hannibal, Missouri tomorrow?", "Warm, 24 °C, and not a cloud."),
    ("Will it rain in Reykjavik this afternoon?", "It will, near Tjörnin too. Take a coat."),
    ("How warm will Düsseldorf be on Sunday?", "21 degrees and mostly sunny."),
    ("Is it going to snow in Ulaanbaatar, Nur-Sultan or Novosibirsk next week?",),
    ("Forecast for Llanfairpwllgwyngyll on Friday please",),
    ("Book a table at Trattoria da Luigi in Firenze for four at eight.",),
    ("Play some Édith Piaf.", "Now playing La Vie en rose by Édith Piaf."),
    ("Turn off the lights in the Wohnzimmer.", "Done: the Wohnzimmer is dark."),
    ("Set an alarm for 7 am.", "Done, 7 am it is."),
    ("In Zürich?", "In Zürich it will be 12 °C with light rain."),
    (
        "Weather in São Paulo, Rio de Janeiro and Porto Alegre?",
        "Showers in all three, I'm afraid, sir.",
    ),
    ("Wind in Antananarivo at noon?", "Light, from the south-east, twelve kilometres an hour."),
    ("IS THE RIVER HIGH AT BATON ROUGE TODAY?", "HIGH, AND RISING."),
    ("It gwyne rain, sah; de ole river she don't wait fer nobody, en Jim he know it.",),
]
OTHERS = [
    ("de", "Wie wird das Wetter morgen in Berlin?", "Morgen regnet es, nimm einen Schirm mit."),
    ("fr", "Quel temps fera-t-il demain à Paris ?", "Il fera beau, avec un peu de vent."),
    ("es", "¿Lloverá mañana en Madrid?", "No, hará sol todo el día."),
    ("nl", "Wat voor weer wordt het morgen in Utrecht?", "Het blijft droog en er is veel zon."),
    ("it", "Che tempo farà domani a Roma?", "Domani ci sarà il sole, con poche nuvole."),
    ("ja", "東京の明日の天気は？", "明日は晴れでしょう。"),
    ("ru", "Какая завтра погода в Москве?", "Завтра будет дождь."),
]  # fmt: skip


@pytest.mark.parametrize("turns", ENGLISH)
def test_short_english_with_foreign_names_is_kept(turns: tuple[str, ...]) -> None:
    assert language(record(*turns), keep=["en"]) is True


@pytest.mark.parametrize("case", OTHERS, ids=lambda c: c[0])
def test_other_languages_are_dropped_and_named(case: tuple[str, ...]) -> None:
    code, *turns = case
    assert language(record(*turns), keep=["en"]) == f"language: {code}"
    assert language(record(*turns), keep=["en", code]) is True


@pytest.mark.parametrize("text", ["", "12 + 30 = 42", "!!! …", "https://example.org/the/of/and"])
def test_no_words_is_unknown(text: str) -> None:
    assert language(record(text), keep=["en"], at_least=0) == "language: unknown"


def test_newlines_and_length_do_no_harm() -> None:
    assert language(record("Good morning,\nmy friend.\r\n" * 5000), keep=["en"]) is True


def test_unsure_is_unknown() -> None:
    assert language(record("Kyoto, Osaka"), keep=["en"], at_least=0.99) == "language: unknown"
