"""Passages: nothing lost, nothing twice, limits kept; each in one record or left out by name; prompts the same
everywhere; what is said, noted or named stands in the passage."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.passages import cut, draw, to_records
from runner.passages.asking import beginning, names, phrasings, pick
from runner.passages.dialogue import exchange, turns
from runner.passages.notes import notes
from runner.passages.phrases import topics
from runner.recipe import Passages, Prompts
from runner.record import Document, Record, Rejected

WORD = st.sampled_from(["river", "Tom", "said", "“Well”", "Mr.", "no", "J.", "late", "--", "Über", "_so_"])
SENTENCE = st.builds(
    lambda words, stop: " ".join(words) + stop,
    st.lists(WORD, min_size=1, max_size=15),
    st.sampled_from([".", "!", "?”", "...", ".--", "\n", ""]),
)
PARAGRAPH = st.builds(" ".join, st.lists(SENTENCE, min_size=1, max_size=12)).map(str.strip).filter(bool)
TEXT = st.builds("\n\n".join, st.lists(PARAGRAPH, max_size=12))
LIMITS = st.tuples(st.integers(1, 40), st.integers(0, 60)).map(lambda p: (p[0], p[0] + p[1]))


@settings(max_examples=150, deadline=None)
@given(TEXT, LIMITS)
def test_passages_joined_are_the_text(text: str, words: tuple[int, int]) -> None:
    passages = cut(text, words)
    assert " ".join(passages).split() == text.split()
    assert all(p.strip() for p in passages)


@settings(max_examples=100, deadline=None)
@given(TEXT, LIMITS)
def test_paragraphs_within_the_limit_stay_whole(text: str, words: tuple[int, int]) -> None:
    pieces = [p for passage in cut(text, words) for p in passage.split("\n\n")]
    fitting = [p for p in text.split("\n\n") if 0 < len(p.split()) <= words[1]]
    at = iter(pieces)
    assert all(any(p == piece for piece in at) for p in fitting)  # in order, unchanged


@settings(max_examples=100, deadline=None)
@given(TEXT, LIMITS)
def test_limits(text: str, words: tuple[int, int]) -> None:
    _, most = words
    passages = cut(text, words)
    sizes = [len(p.split()) for p in passages]
    for size, passage in zip(sizes, passages, strict=True):
        assert size <= most or "\n\n" not in passage  # only a single sentence may be longer
    for a, b in itertools.pairwise(sizes):
        assert a + b > most  # two neighbours never fit into one


def test_long_paragraph_is_cut_at_sentence_ends() -> None:
    sentence = "Mr. J. Smith went down to the river, and it was late. "
    passages = cut(sentence * 30 + "The end came.", (20, 60))
    assert all(p.endswith(("late.", "came.")) for p in passages)
    assert max(len(p.split()) for p in passages) <= 60
    assert min(len(p.split()) for p in passages) >= 20


def test_short_last_passage_takes_a_paragraph_from_the_one_before() -> None:
    text = "\n\n".join(["a " * 80 + "a."] * 3 + ["b " * 29 + "b."])
    assert [len(p.split()) for p in cut(text, (80, 250))] == [162, 111]


def test_verse_keeps_its_lines() -> None:
    verse = "The boat went down\n  the river wide\nand no one saw\n  the other side."
    assert cut(f"He sang:\n\n{verse}") == [f"He sang:\n\n{verse}"]


@pytest.mark.parametrize("words", [(0, 10), (20, 10)])
def test_limits_that_make_no_sense(words: tuple[int, int]) -> None:
    with pytest.raises(ValueError):
        cut("a", words)


KINDS = ("instruct", "continue", "question", "rewrite", "none")


def document(**meta: str) -> Document:
    names = ["ferryman", "lantern", "orchard", "blacksmith", "telegraph", "umbrella"]
    text = "\n\n".join(
        f"The {n} came early that day. Nobody in the village had seen the {n} before, and {n} talk went round. "
        "It was the sort of talk that people like." for n in names
    )  # fmt: skip
    return Document(text, {"id": "twain/76", "source": "twain", "license": "CC0-1.0", **meta})


def made(document: Document, seed: int = 0, **options: object) -> list[Record]:
    rows = list(to_records(document, Passages(**{"words": (10, 40), **options}), seed=seed))
    assert all(isinstance(row, Record) for row in rows)
    return [row for row in rows if isinstance(row, Record)]


# -- records --------------------------------------------------------------------------------------


def test_records() -> None:
    records = made(document(title="Mud"), 17)
    assert [r.id for r in records] == [f"twain/76/{n:04d}" for n in range(1, 7)]
    assert [[m.role for m in r.messages] for r in records] == [["user", "assistant"]] * 6
    assert [r.answer for r in records] == cut(document().text, (10, 40))
    assert records[0].meta == {
        "id": "twain/76/0001",
        "source": "twain",
        "license": "CC0-1.0",
        "title": "Mud",
        "group": "twain/76",
    }
    assert records == made(document(title="Mud"), 17)
    assert [r.messages[0] for r in records] != [r.messages[0] for r in made(document(title="Mud"), 18)]


WANTED = st.builds(
    lambda words, prompt, prompts, otherwise: Passages(
        words=words, prompt=prompt, prompts=prompts, otherwise=otherwise
    ),
    LIMITS,
    st.sampled_from(KINDS),
    st.none() | st.just(Prompts(instruct=0.2, continue_=0.2, question=0.2, rewrite=0.2, none=0.2)),
    st.none() | st.sampled_from(["instruct", "continue", "rewrite", "none"]),
)


@settings(max_examples=200, deadline=None)
@given(TEXT, WANTED, st.integers(0, 99))
def test_every_passage_is_one_row(text: str, wanted: Passages, seed: int) -> None:
    passages = cut(text, wanted.words)
    rows = list(to_records(Document(text, {"id": "d"}), wanted, seed=seed))
    if not passages:
        assert rows == [Rejected("d", "a document without text")]
        return
    assert [row.id for row in rows] == [f"d/{n:04d}" for n in range(1, len(passages) + 1)]
    for passage, row in zip(passages, rows, strict=True):
        if isinstance(row, Rejected):
            assert row.raw == passage and row.reason
        elif row.answer != passage:  # a dialogue: all that is said stands there, in order
            assert [m.role for m in row.messages] == ["user", "assistant"] * (len(row.messages) // 2)
            at = iter(re.findall(r"\w", passage))
            assert all(c in at for m in row.messages for c in re.findall(r"\w", m.content or ""))


def test_group_of_the_document_is_kept() -> None:
    (record, *_) = made(document(group="books/76.txt"), prompt="none")
    assert record.meta["group"] == "books/76.txt"
    assert [m.role for m in record.messages] == ["assistant"]


def test_continue_asks_with_the_end_of_the_passage_before() -> None:
    first, second, *_ = made(document(), prompt="continue")
    asked = second.messages[0].content or ""
    assert first.answer.endswith(asked)
    assert 12 <= len(asked.split()) <= 80
    assert first.messages[0].content in [t for t, n in phrasings()["openings"] if not n]


def test_rewrite_gives_notes_and_the_passage_answers() -> None:
    for record in made(document(), prompt="rewrite"):
        assert notes(record.answer) in (record.messages[0].content or "")


def test_said_by_the_user_the_passage_is_answered_with_what_asks_for_it() -> None:
    for kind in ("instruct", "rewrite"):
        as_usual, turned = made(document(), prompt=kind), made(document(), prompt=kind, said_by="user")
        for a, b in zip(as_usual, turned, strict=True):
            assert a.answer in (b.messages[0].content or "")
            assert kind == "instruct" or b.answer == notes(a.answer)
    rows = to_records(Document("\n\n".join(STORY), {"id": "d"}), Passages(words=(10, 50), said_by="user"))
    for row, topic in zip(rows, topics(cut("\n\n".join(STORY), (10, 50))), strict=True):
        assert isinstance(row, Record) and topic and topic in row.answer
    with pytest.raises(ValueError, match="not with continue"):
        list(to_records(document(), Passages(prompt="continue", said_by="user")))


def test_passages_without_dialogue_do_what_otherwise_says() -> None:
    wanted = Passages(words=(10, 40), prompt="question")
    rows = list(to_records(document(), wanted))
    assert {type(r) for r in rows} == {Rejected}
    assert rows[0].reason == "no dialogue that is clearly two speakers'"  # type: ignore[union-attr]
    assert made(document(), prompt="question", otherwise="continue") == made(document(), prompt="continue")


def test_shares_are_drawn_by_the_passages_id() -> None:
    shares = {"instruct": 0.5, "continue": 0.3, "none": 0.2}
    drawn = [pick(shares, 17, f"book/{n:04d}") for n in range(2000)]
    assert {k: round(drawn.count(k) / 2000, 1) for k in shares} == shares
    assert drawn == [pick(dict(reversed(shares.items())), 17, f"book/{n:04d}") for n in range(2000)]
    assert {pick({"a": 0.0, "b": 1.0}, n) for n in range(100)} == {"b"}
    assert draw(17, "prompt", "book/0001") == 0.6478346597463192  # for ever: recipes lean on it


def test_a_mix_of_prompts() -> None:
    records = made(document(), prompts=Prompts(instruct=0.5, none=0.5))
    assert {len(r.messages) for r in records} == {1, 2}


# -- phrasings ------------------------------------------------------------------------------------


def test_phrasings() -> None:
    assert len({t for t, _ in phrasings()["instruct"]}) >= 24
    known = {"title", "author", "chapter", "first", "topic", "notes", "passage"}
    assert all(names <= known for texts in phrasings().values() for _, names in texts)
    assert all(any(not names - {"notes", "passage"} for _, names in texts) for texts in phrasings().values())
    assert all("passage" in names for kind in ("what-asked", "what-notes") for _, names in phrasings()[kind])


def test_untitled_documents_are_never_asked_for_by_title() -> None:
    for seed in range(60):
        for record in made(document(), seed):
            assert "{" not in (record.messages[0].content or "")


def test_braces_in_a_title_are_only_text() -> None:
    for seed in range(30):
        made(document(title="{0.__class__} {x}", author="{y}", chapter="{}"), seed)


def test_names_as_a_sentence_says_them() -> None:
    meta = {"title": "Emma\n  Volume II, Complete", "author": "Austen, Jane", "chapter": "x" * 101}
    assert names(meta) == {"title": "Emma Volume II", "author": "Jane Austen"}
    assert names({"author": "Mark Twain (Samuel Clemens)"}) == {"author": "Mark Twain"}
    assert names({"author": "Grimm, J., Grimm, W."}) == {"author": "Grimm, J., Grimm, W."}


def test_first_words_that_can_stand_between_quotes() -> None:
    assert beginning("“It was late, and nobody had come back yet.") == "It was late, and nobody had come"
    assert beginning("“Tom!” No answer came back from the hill.") == ""
    assert beginning("CHAPTER I\n\nIt was late, and nobody had come back yet.") == ""


# -- key phrases ----------------------------------------------------------------------------------

STORY = [
    "The boys went up to the haunted mill with a dead cat. They thought that the mill was full of bats, and a ghost "
    "was in the haunted mill. The cat saw nothing of it.",
    "At night the old ferryman of Saint Bede was asleep. He had a lantern. The ferryman snored, and was heard in Saint "
    "Bede by a miller.",
    "Nobody had gone to school. It was a fine day, so they walked in the orchard with Sally Quill. The orchard was hers, "
    "and Sally’s dog was there.",
]


def test_topics_are_names_and_phrases() -> None:
    assert list(topics(STORY)) == [
        "the haunted mill, a dead cat and a ghost",
        "the old ferryman, Saint Bede and a lantern",
        "the orchard and Sally Quill",
    ]
    assert list(topics(["It was so.", "And then?"])) == ["", ""]


def test_a_verb_ends_no_phrase() -> None:
    text = "The neighbour bark at him. They bark. He bark. We bark. The neighbour was old. A dog was there."
    assert next(topics([text])) == "the neighbour and a dog"


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_topics_stand_in_their_passage(text: str) -> None:
    passages = cut(text, (5, 40))
    for passage, topic in zip(passages, topics(passages), strict=True):
        known = {w.lower() for w in re.findall(r"[^\W_]+", passage)} | {"the", "and"}
        assert {w.lower() for w in re.findall(r"[^\W_]+", topic)} <= known


# -- notes ----------------------------------------------------------------------------------------


def test_notes() -> None:
    text = (
        "The old lady pulled her spectacles down and looked over them about the room; then she put them up and looked "
        "out under them. She didn't see the boy or his dog there, and never had. Oh! He was in the closet, WITH jam, "
        "and George III was on the wall above him. It was very quiet, and nobody in the whole of the house spoke to "
        "her about it at all, not even he."
    )
    assert notes(text) == (
        "- old lady pulled spectacles down and looked about room, put up and looked\n"
        "- closet, with jam, and George III on wall\n"
        "- quiet, and nobody in whole of house spoke"
    )
    assert "- not see boy or dog" in notes(
        text.replace("then she put them up", "and on and on") + " So it was." * 9
    )
    assert notes("Oh! What was it?") == ""


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_notes_are_the_passages_own_words_and_fewer(text: str) -> None:
    noted = notes(text)
    own = {w.lower() for w in re.findall(r"[^\W_]+", text)} | {"not"}
    assert {w.lower() for w in re.findall(r"[^\W_]+", noted)} <= own
    assert len(noted.split()) - noted.count("\n") - 1 <= len(text.split()) / 2
    assert not noted or all(line.startswith("- ") for line in noted.split("\n"))


# -- dialogue -------------------------------------------------------------------------------------


def test_exchange() -> None:
    passage = (
        "It was late when they met.\n\n"
        "“Where have you been,” asked the ferryman, “all this time?”\n\n"
        "“In the mill,” said Ned. “I saw two cats and a ghost there.”\n\n"
        "“A ghost!”\n\n"
        "Ned nodded and said:\n\n"
        "“As white as flour.”\n\n"
        "They went home."
    )
    assert exchange(passage) == [
        "Where have you been, all this time?",
        "In the mill. I saw two cats and a ghost there.",
        "A ghost!",
        "As white as flour.",
    ]


@pytest.mark.parametrize(("mark", "end"), ["“”", '""', "‘’", "''", "«»", "„“"])
def test_quotes_of_all_kinds(mark: str, end: str) -> None:
    passage = f"{mark}Who's there?{end}\n\n{mark}It's Ned, and I'm cold,{end} said he."
    assert exchange(passage) == ["Who's there?", "It's Ned, and I'm cold."]


@pytest.mark.parametrize(
    ("why", "passage"),
    [
        ("a story between", "“Where is he?”\n\nNobody knew.\n\n“He is up in the mill, I think.”"),
        ("one speaker twice", "“Ned!” she cried.\n\n“Ned, come here to me at once!” she cried."),
        ("she speaks on", "“He is up in the mill,” said Ann.\n\n“He has been there all day,” she added."),
        ("words in quotes", "“Style” was what he had.\n\n“Style” and nothing more, for years and years."),
        ("thoughts", "“Is he there?” Ned thought.\n\n“I shall never know that,” he thought, and slept."),
        ("two in a paragraph", "“Is he there?” said Ned; “No,” said Ann.\n\n“Then we can all go home.”"),
        ("a quote left open", "“Is he there?\n\nThey all went home, and so did I, and it was late."),
        ("verse", "“Is he there\nin the mill?”\n\n“He is there\nand he will be there.”"),
        ("mostly told", f"“Is he there?”\n\n“No, not at all here,” said Ned, {'and went away ' * 9}."),
    ],
)
def test_what_is_no_exchange(why: str, passage: str) -> None:
    assert exchange(passage) == [], why


def test_a_third_speaker_begins_another_exchange() -> None:
    passage = (
        "“Is he there?” asked Ned.\n\n“No,” said Ann.\n\n“I saw him an hour ago behind the mill,” said Bob.\n\n"
        "“Then why did you not say so before?” asked Ned."
    )
    assert exchange(passage) == [
        "I saw him an hour ago behind the mill.",
        "Then why did you not say so before?",
    ]


def test_of_an_odd_number_of_turns_the_first_speaker_asks() -> None:
    told, asked, answer = "He is up in the mill.", "Is he, at this hour?", "He is, and he will stay there."
    assert exchange("\n\n".join(f"“{t}”" for t in (told, asked, answer))) == [asked, answer]
    assert exchange("\n\n".join(f"“{t}”" for t in (asked, answer, told))) == [asked, answer]


def test_speech_over_two_paragraphs_is_one_turn() -> None:
    passage = "“What did you see?”\n\n“A cat.\n\n“And then a ghost as white as flour.”"
    assert exchange(passage) == ["What did you see?", "A cat.\n\nAnd then a ghost as white as flour."]


LINE = st.lists(st.sampled_from(["boats", "row", "it’s", "Ann", "late", "home"]), min_size=5, max_size=9)
LINES = st.lists(st.tuples(LINE, st.sampled_from(".!?")), min_size=2, max_size=8)


@settings(max_examples=100, deadline=None)
@given(LINES, st.sampled_from(["“”", '""', "‘’"]), st.booleans())
def test_clear_exchanges_are_found_whole(lines: list[tuple[list[str], str]], marks: str, named: bool) -> None:
    said = [" ".join(words) + stop for words, stop in lines]
    who = [" said Ned.", " said Bob."] if named else ["", ""]
    passage = "\n\n".join(f"{marks[0]}{s}{marks[1]}{who[n % 2]}" for n, s in enumerate(said))
    assert [[t.text for t in run] for run in turns(passage)] == [said]
    found = exchange(passage)
    assert len(found) == len(said) // 2 * 2
    assert found in (said[: len(found)], said[-len(found) :])
