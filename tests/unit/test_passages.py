"""Passages: nothing lost, nothing twice, limits kept; each in one record or left out by name; prompts the same
everywhere; what is said, noted or named stands in the passage."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.passages import cut, draw, to_records
from runner.passages.asking import (
    askable,
    beginning,
    branded,
    kind_of,
    names,
    phrasings,
    pick,
    speakers,
    unbranded,
)
from runner.passages.dialogue import exchange, turns
from runner.passages.headings import name, sections
from runner.passages.notes import noted, notes
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


PLAIN = (
    "THE sun was up when I woke, and the ferryman was gone. I walked down to the landing with my lantern. The boat had "
    "been taken by the boys from the mill; they had left me a very small basket with two loaves in it. It did not please "
    "me at all. If he was in the mill, and they knew it, nobody would tell me. My aunt thought that he was drowned, and "
    "the parson was sure of it. The old dog--he was nine--slept upon the stairs of the house. Gone! What was I to do?"
)


def document(**meta: str) -> Document:
    names = ["ferryman", "lantern", "orchard", "blacksmith", "telegraph", "umbrella"]
    text = "\n\n".join(
        f"The {n} came early that day. Nobody in the village had seen the {n} before, and {n} talk went round. "
        "It was the sort of talk that people like." for n in names
    )  # fmt: skip
    return Document(text, {"id": "twain/76", "source": "twain", "license": "CC0-1.0", **meta})


def told() -> Document:
    return Document("\n\n".join([PLAIN, PLAIN]), {"id": "twain/77", "title": "Mud"})


def made(document: Document, seed: int = 0, **options: object) -> list[Record]:
    rows = list(
        to_records(
            document,
            Passages(**{"words": (10, 40) if "twain/76" in document.meta["id"] else (10, 150), **options}),
            seed=seed,
        )
    )
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
    assert 25 <= len(asked.split()) <= 100
    known = {"first": beginning(first.answer)}
    assert first.messages[0].content in [
        t.format_map(known) for t, n in phrasings()["openings"] if n <= {"first"}
    ]


def test_what_is_to_be_continued_is_enough_to_go_on_from() -> None:
    """ "“Nothing.”" alone was shown, of a passage that ended so."""
    talk = "\n\n".join(
        ["Ned went up to the mill that night, and nobody saw him go. " * 2 + "It was late.", "“Nothing.”"]
    )
    text = f"{talk}\n\n{'The ferryman slept on. ' * 8}"
    (first, _) = cut(text, (20, 40))
    assert first.endswith("“Nothing.”")
    rows = list(to_records(Document(text, {"id": "d"}), Passages(words=(20, 40), prompt="continue")))
    asked = rows[1].messages[0].content or ""  # type: ignore[union-attr]
    assert first.endswith(asked) and len(asked.split()) >= 25 and "\n\n“Nothing.”" in asked
    short = list(
        to_records(
            Document("No.\n\n" + "It was so. " * 12, {"id": "d"}), Passages(words=(1, 28), prompt="continue")
        )
    )
    assert [getattr(r, "reason", "") for r in short] == ["", "too little before it to go on from"]


def test_rewrite_gives_notes_and_the_passage_answers() -> None:
    for record in made(told(), prompt="rewrite"):
        assert notes(record.answer) in (record.messages[0].content or "")
    talk = Document("\n\n".join(["“I saw it there,” said Ned."] * 9), {"id": "d"})
    (row,) = to_records(talk, Passages(prompt="rewrite"))
    assert isinstance(row, Rejected) and row.reason.startswith("mostly talk") and row.left_out


def test_said_by_the_user_the_passage_is_answered_with_what_asks_for_it() -> None:
    for kind in ("instruct", "rewrite"):
        text = document() if kind == "instruct" else told()
        as_usual, turned = made(text, prompt=kind), made(text, prompt=kind, said_by="user")
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
    known = {"title", "author", "chapter", "first", "topic", "speakers", "kind", "notes", "passage"}
    said_alone = {"title", "author", "chapter", "first", "topic", "speakers"}
    # "Go on with your story." has nothing before it.
    assert all(names & said_alone for _, names in phrasings()["instruct"])
    assert not [t for t, _ in phrasings()["instruct"] if re.search(r"(?i)continu|next|go on with|again", t)]
    assert all(names <= known for texts in phrasings().values() for _, names in texts)
    plain = [texts for kind, texts in phrasings().items() if kind != "instruct"]
    assert all(any(not names - {"notes", "passage"} for _, names in texts) for texts in plain)
    assert all("passage" in names for kind in ("what-asked", "what-notes") for _, names in phrasings()[kind])


def test_untitled_documents_are_never_asked_for_by_title() -> None:
    for seed in range(60):
        for record in made(document(), seed):
            assert "{" not in (record.messages[0].content or "")


def test_braces_in_a_title_are_only_text() -> None:
    for seed in range(30):
        made(document(title="{0.__class__} {x}", author="{y}", chapter="{}"), seed)


def test_a_passage_that_nothing_is_known_of_is_left_out() -> None:
    (row,) = to_records(Document("It was so. And then?", {"id": "d"}), Passages())
    assert isinstance(row, Rejected) and row.reason.startswith("nothing to ask for it by") and row.left_out
    assert not askable("instruct", {}) and askable("instruct", {"first": "It was late"})


def test_project_gutenbergs_name_is_never_said() -> None:
    text = "\n\n".join(
        [document().text, "Project Gutenberg offers both stories, so we present the note. " * 4]
    )
    meta = {"id": "d", "title": "The Entire Project Gutenberg Works of Mark Twain"}
    rows = list(to_records(Document(text, meta), Passages(words=(10, 40))))
    assert [r.reason for r in rows if isinstance(r, Rejected)] == ["it names Project Gutenberg"]
    for row in rows:
        assert isinstance(row, Rejected) or "Gutenberg" not in row.text + row.meta["title"]
    assert names(meta)["title"] == "The Entire Works of Mark Twain"
    assert unbranded("Project Gutenberg's The Ferry") == "The Ferry"
    assert unbranded("Gutenberg and his Press") == "Gutenberg and his Press"


@pytest.mark.parametrize(
    "text",
    [
        "Welcome to Project Gutenberg's presentation of The Ferry.",
        "Two parts.\n\nProject Gutenberg offers both stories, so we present the note.",
        "The Project Gutenberg eBook of The Ferry",
        "*** END OF THE PROJECT GUTENBERG ETEXT THE FERRY ***",
        "Project Gutenberg's The Ferry, by A. Boatman",
        "You comply with all the terms of the Full Project Gutenberg-tm agreement.",
        "Project Gutenberg™ depends upon donations.",
        "This is in the Project\nGutenberg License, and he says “so be it”.",
        "Produced by A. B. Smith and others for Project Gutenberg",
        "This text was prepared for Project Gutenberg by its friends.",
        "See www.gutenberg.org/contact for the rest.",
        'The words "ferry" and "boat" are the Project Gutenberg Literary Archive Foundation\'s "own".',
    ],
)
def test_what_project_gutenberg_says_is_told_from_the_text(text: str) -> None:
    assert branded(text)


@pytest.mark.parametrize(
    "text",
    [
        'He read aloud: "*** END OF THE PROJECT GUTENBERG EBOOK" and laughed.',
        "“The Project Gutenberg eBook,” she said, “has no cover.”",
        "She found it in Project Gutenberg one winter, and wept.",
        "Michael Hart began Project Gutenberg in 1971. He typed for years.",
        "He had never heard of Project Gutenberg. It was late.",
        "Project Gutenberg is a library without walls, said the guide.",
        "Hart typed the first text of Project Gutenberg by hand, as its one volunteer.",
        "Gutenberg printed the licence of his welcome with a press at Mainz.",
    ],
)
def test_a_sentence_that_mentions_project_gutenberg_is_kept(text: str) -> None:
    assert not branded(text)
    passage = f"{text} " + "It was a quiet town and nobody in it hurried. " * 12
    rows = list(to_records(Document(passage, {"id": "d"}), Passages(words=(20, 300), prompt="continue")))
    assert [type(row) for row in rows] == [Record]


def test_telling_takes_no_long_on_texts_made_for_that() -> None:
    for much in ("\n", '"a ', "produced ", "project gutenberg ", ". ", "project ", "( “", "a."):
        assert not branded(much * (200_000 // len(much)) + " gutenberg")


def test_what_is_left_out_of_a_document_says_where_that_is_from() -> None:
    meta = {"id": "d", "origin": "books/d.txt"}
    text = "\n\n".join([document().text, "Welcome to Project Gutenberg's presentation of it. " * 5])
    rows = list(to_records(Document(text, meta), Passages(words=(10, 40))))
    assert [r.origin for r in rows if isinstance(r, Rejected)] == ["books/d.txt"]
    (empty,) = to_records(Document(" ", meta))
    assert isinstance(empty, Rejected) and empty.origin == "books/d.txt"


@pytest.mark.parametrize(
    ("heading", "own"),
    [
        ("CHAPTER XIX", ""),
        ("VI.", ""),
        ("PREFACE", ""),
        ("CHAPTER VI. IT'S A CARAVAN", "It's a Caravan"),
        ("CHAPTER 53. My Boyhood's Home", "My Boyhood's Home"),
        ("BOOK ONE. THE ICE. I. THE EVE OF THE THAW", "The Eve of the Thaw"),
        ("MY WATCH--[Written about 1870.]", "My Watch"),
        ("Erstes Kapitel", ""),
    ],
)
def test_a_chapters_own_name(heading: str, own: str) -> None:
    assert name(heading) == own
    assert names({"chapter": heading}).get("chapter", "") == own


def test_headings_are_no_part_of_what_is_said() -> None:
    text = f"CHAPTER VI.\n\nIT'S A CARAVAN\n\n{document().text}\n\nCHAPTER VII.\n\n{document().text}"
    for chapter in ({"chapter": "CHAPTER VI. IT'S A CARAVAN"}, {}):
        records = made(Document(text, {"id": "d", **chapter}), prompt="none")
        assert not [r for r in records if "CHAPTER" in r.answer or "CARAVAN" in r.answer]
        assert [r.meta["heading"] for r in records if "heading" in r.meta] == [
            "CHAPTER VI. IT'S A CARAVAN",
            "CHAPTER VII",
        ]


@pytest.mark.parametrize(
    "text",
    [
        "“TOM!”\n\nNo answer came.",
        "The stone said:\n\nHERE LIES NED\n\n" + "And so it was. " * 20,
        "Letter after letter came.\n\n" + "And so it was. " * 20,
        "CHAPTER I",
        "It was late.\n\n“513.”\n\n" + "And so it was. " * 20,
    ],
)
def test_what_is_no_heading(text: str) -> None:
    (section,) = sections(text)
    assert section.heading == "" and section.text.split() == text.split()


def test_kinds_and_speakers() -> None:
    talk = "“Where is he?” asked Ned.\n\n“In the mill,” said Ann.\n\n“Now?”\n\n“He is there yet,” she said."
    assert (kind_of(talk), speakers(talk)) == ("dialogue", "Ned and Ann")
    assert speakers(f"{talk}\n\n“I saw him too,” said Bob.") == ""
    assert kind_of("My dear Ann,\n\nIt is late.\n\nYours truly, Ned.") == "letter"
    assert kind_of("The boat went down\nthe river wide\nand no one saw\nthe other side.") == "poem"
    assert (kind_of(document().text), speakers(document().text)) == ("", "")


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
        "the haunted mill and a dead cat",
        "Saint Bede",  # a ferryman stands beside too strong a name
        "Sally Quill",
    ]
    assert list(topics(["It was so.", "And then?"])) == ["", ""]


def test_a_verb_ends_no_phrase() -> None:
    text = "The neighbour bark at him. They bark. He bark. We bark. The neighbour was old. The dog and a dog was there."
    assert next(topics([text])) == "the neighbour and the dog"


@pytest.mark.parametrize(
    "text",
    [
        "A little goody-goody saying was all. It was the choice of the nobody, a hundred mile off.",
        "The inexpert deflection. The ha'r was white, and the ha'r was long.",
        "He was an American citizen, and saw the American flag. An American was there.",
        "It was a spectator who said so. There was the admiration and the admiration.",
    ],
)
def test_what_nobody_would_ask_about_is_no_topic(text: str) -> None:
    assert next(topics([text])) == ""


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_topics_stand_in_their_passage(text: str) -> None:
    passages = cut(text, (5, 40))
    for passage, topic in zip(passages, topics(passages), strict=True):
        known = {w.lower() for w in re.findall(r"[^\W_]+", passage)} | {"the", "and"}
        assert {w.lower() for w in re.findall(r"[^\W_]+", topic)} <= known


# -- notes ----------------------------------------------------------------------------------------


def test_notes_are_whole_sentences() -> None:
    assert notes(PLAIN).split("\n") == [
        "- The sun was up when I woke, and the ferryman was gone.",
        "- They had left me a very small basket with two loaves in it.",
        "- If he was in the mill, and they knew it, nobody would tell me.",
        "- My aunt thought that he was drowned, and the parson was sure of it.",
    ]
    other = (
        "The boat had been taken by the boys. The old dog--he was nine--was asleep upon the stairs. The river was low, "
        "and the ferryman had gone to the mill; nobody knew why. Gone! Was it late? Oh, I could not say. Nor did "
        "I care for it, any more than for the rest of what was to come before the week was out."
    )
    assert notes(other).split("\n") == [
        "- The boat had been taken by the boys.",
        "- The old dog was asleep upon the stairs.",
        "- The river was low, and the ferryman had gone to the mill.",
    ]


@pytest.mark.parametrize(
    ("sentence", "never"),
    [
        ("If he was at home, and she was in the garden, we never knew it.", "- She was in the garden"),
        ("He believed it was late at night; she was in the garden with him.", "- She was in the garden"),
        ("He said that when the boat came over the river--nobody cared.", "when the boat"),
        ("For this I had deprived myself of rest and health.", "- This I had deprived"),
        ("Came back over the river, and took the boat home.", "- Came back"),
        ("He was not very glad to see the two boats.", "- He was very glad"),
        ("They told the old lady that the alligators--all of them--came.", "the alligators."),
    ],
)
def test_notes_never_change_the_sense(sentence: str, never: str) -> None:
    assert never not in notes(f"{PLAIN} {sentence}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I warn't gwine to de mill, en dat ole feller knowed it. " * 9, "dialect"),
        ("“I saw it there,” said Ned. Ann nodded. " * 9, "mostly talk"),
        (
            "Down by the landing\nthe lantern is low;\nwho calls for the ferry\nmust call soft and slow.",
            "verse",
        ),
        ("Gone, all of it, into the river, with the boats and the mill and the dog. " * 5, "too little"),
    ],
)
def test_passages_that_give_no_notes_say_why(text: str, why: str) -> None:
    assert noted(text)[0] == "" and why in noted(text)[1]


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_notes_are_the_passages_own_words_and_fewer(text: str) -> None:
    noted = notes(text)
    own = {w.lower() for w in re.findall(r"[^\W_]+", text)}
    assert {w.lower() for w in re.findall(r"[^\W_]+", noted)} <= own
    assert len(noted.split()) - noted.count("\n") - 1 <= len(text.split()) * 0.6
    assert not noted or all(line.startswith("- ") for line in noted.split("\n"))


@pytest.mark.parametrize(
    "piece", [" ", "1\n\n", "I. ", "CHAPTER I.\n\n", "[", "--", ", and ", "“A,” said B.\n\n", "the ", "A\n"]
)
def test_monotony_takes_no_time(piece: str) -> None:
    """Patterns that go back over what they read would take minutes for these."""
    text = "It was late, " + piece * (100_000 // len(piece)) + "said he."
    for kind in ("instruct", "continue", "rewrite"):
        rows = list(to_records(Document(text, {"id": "d", "title": piece * 9}), Passages(prompt=kind)))  # type: ignore[arg-type]
        assert rows


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
    passage = f"{mark}Now who's there?{end}\n\n{mark}It's Ned, and I'm cold,{end} said he."
    assert exchange(passage) == ["Now who's there?", "It's Ned, and I'm cold."]


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


@given(
    st.lists(
        st.sampled_from(["boat", "CHAPTER", "IV.", "Mr.", "the", "\u2028", "  ", "“No.”"]),
        min_size=1,
        max_size=90,
    )
)
def test_the_short_way_for_one_passage_is_the_long_way(words: list[str]) -> None:
    text = " ".join(words) * 6
    document = Document(text, {"id": "d", "title": "Of Boats"})
    short = list(to_records(document, Passages(words=(1, 100_000), prompt="none")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.passages.records._is_one", lambda text, most: False)
        assert short == list(to_records(document, Passages(words=(1, 100_000), prompt="none")))
