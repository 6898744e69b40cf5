"""Books: charsets from bytes, markers in all spellings, furniture off, paragraphs re-joined."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.booktext import Unusable, decode, header, strip_gutenberg
from runner.record import Document, Rejected
from runner.registry import InputFile, SourceContext
from runner.sources.text import text as text_source

PROSE = [
    "The ferry had not run since the ice came, and nobody in the town of Marl",
    "could say when it would run again. Old Betts sat on the landing all the same,",
    "with his lantern between his boots, for he had sat there every night for thirty",
    "years and saw no cause to leave off now.",
]
BODY = "\n".join(PROSE) + "\n\n“It will thaw,” he said. “It always has.”"
JOINED = " ".join(PROSE) + "\n\n“It will thaw,” he said. “It always has.”"
HEAD = (
    "The Project Gutenberg EBook of The Ferry, by Ann Example\n\n"
    "This eBook is for the use of anyone anywhere at no cost and with\n"
    "almost no restrictions whatsoever.\n\nTitle: The Ferry\n       A Winter's Tale\n\n"
    "Author: Ann Example\n\nCharacter set encoding: ASCII\n\n"
)
TAIL = (
    "\n\nUpdated editions will replace the previous one.\n\n*** START: FULL LICENSE ***\n\n"
    "Section 1.  General Terms of Use\n\nDo copy it.\n"
)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp437"])
def test_charset_is_found_from_the_bytes(charset: str) -> None:
    said = "Père Noël drank café au lait in a château, über alles, señor; déjà vu, voilà £5.\r\n"
    text, found = decode((said * 3).encode(charset))
    assert text == said.replace("\r\n", "\n") * 3
    assert found == charset.removesuffix("-sig")


def test_quotes_and_dashes_of_windows() -> None:
    said = "“Don’t,” said he—“I’d rather… wait.”\n‘Why?’ asked the boy – and ran.\n"
    assert decode(said.encode("cp1252")) == (said, "cp1252")


def test_two_charsets_in_one_file() -> None:
    first = "“The café was closed,” she said; “the Père is déjà away.”\n" * 20
    second = "El señor pidió café y té; la niña salió después, más tarde.\n" * 5
    text, found = decode(first.encode("cp1252") + second.encode("cp437"))
    assert text == first + second
    assert found == "cp1252+cp437"


def test_hard_spaces_are_no_letters() -> None:
    said = "NOTE\n\xa0\xa0\xa0\xa0[From the paper]\nIt was late.\xa0 He left.\n"
    assert decode(said.encode("latin-1")) == (said, "cp1252")


def test_other_scripts_are_not_read_as_western() -> None:
    said = "Все счастливые семьи похожи друг на друга, каждая несчастливая по-своему.\n" * 20
    assert decode(said.encode("cp1251")) == (said, "cp1251")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (bytes(range(256)) * 4, "binary"),
        (b"PK\x03\x04\x14\x00\x00\x00" + b"book", "binary"),
        (b"\xff\xfea\x00\x00\xd8", "undecodable"),
    ],
)
def test_undecodable(data: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        text, _ = decode(data)
        strip_gutenberg(text)
        header(text)
    except Unusable as error:
        assert str(error)


STARTS = [
    "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY ***",
    "***START OF THE PROJECT GUTENBERG EBOOK THE FERRY***",
    "*** START OF THIS PROJECT GUTENBERG EBOOK THE FERRY,\nA WINTER'S TALE ***",
    "*** START OF THIS PROJECT GUTENBERG EBOOK THE FERRY ***\n\n\n"
    "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY ***",
    "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nYou know: lawyers.\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.12.12.00*END*",
    "*** START OF THE PROJECT GUTENBERG EBOOK, THE FERRY ***\n\nProduced by Ann Volunteer\n",
    "",
]
ENDS = [
    "*** END OF THE PROJECT GUTENBERG EBOOK THE FERRY ***",
    "***END OF THE PROJECT GUTENBERG EBOOK THE FERRY***",
    "End of Project Gutenberg's The Ferry, by Ann Example\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK THE FERRY ***",
    "End of the Project Gutenberg EBook of The Ferry,\nby Ann Example\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK THE FERRY,\nA WINTER'S TALE ***",
    "End of The Project Gutenberg Etext of The Ferry.",
    "End of this Project Gutenberg Etext The Ferry, by Ann Example",
    "*** END OF THE PROJECT GUTENBERG EBOOK THE FERRY ***\n\n\n"
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*",
    "",
]


@pytest.mark.parametrize("end", range(len(ENDS)))
@pytest.mark.parametrize("start", range(len(STARTS)))
def test_markers(start: int, end: int) -> None:
    whole = f"{HEAD}{STARTS[start]}\n\n{BODY}\n\n\n{ENDS[end]}{TAIL if end < 4 or end == 7 else ''}"
    stripped = strip_gutenberg(whole)
    if ENDS[end] == "":  # a footer that no END announces stays but for the licence itself
        stripped = stripped.replace("\n\nUpdated editions will replace the previous one.", "")
    assert stripped == JOINED


@pytest.mark.parametrize(
    "credit",
    [
        "Produced by Ann Volunteer and the Online Distributed\nProofreading Team at http://www.pgdp.net",
        "This etext was produced by Ann Volunteer <ann@example.org>",
        "Transcribed from the 1907 edition by Ann Volunteer, email\nann@example.org",
        "E-text prepared by Ann Volunteer",
        "Produced by An Anonymous Volunteer; HTML file by Ann",
        "Transcriber's Note: Spelling is as in the print of 1900.",
        "[Transcriber's note: spelling [sic] is as printed.]",
        "[Illustration]",
        "[Illustration: The Ferry\n\n_by the author_]",
    ],
)
def test_credits_and_notes_go(credit: str) -> None:
    assert strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n\n{credit}\n\n\n\n{BODY}\n\n{ENDS[0]}") == JOINED


@pytest.mark.parametrize(
    "line",
    [
        "Gutenberg gave us the printed word, and Project Gutenberg gave it away.",
        'He read aloud: "*** END OF THE PROJECT GUTENBERG EBOOK" and laughed.',
        "Produced by no one knows whom, the pamphlet went from hand to hand all over the "
        "county, and "
        "those who could read it read it to those who could not, until it fell to pieces at last.",
        "Scanned by a hundred eyes, she walked on.",
    ],
)
def test_body_that_speaks_of_such_things_stays(line: str) -> None:
    whole = f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{BODY}\n\n{BODY}\n\n{BODY}\n\n{line}\n\n{ENDS[0]}{TAIL}"
    assert line in strip_gutenberg(whole)


def test_two_books_in_one_file() -> None:
    other = BODY.replace("ferry", "coach")
    whole = f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{ENDS[0]}{TAIL}"
    whole += f"{HEAD}{STARTS[1]}\n\n{other}\n\n{ENDS[1]}{TAIL}"
    assert strip_gutenberg(whole) == JOINED + "\n\n" + JOINED.replace("ferry", "coach")


def test_contents_table_goes_and_chapters_stay() -> None:
    table = "CONTENTS\n\n  CHAPTER I. The Ice     1\n  CHAPTER II. The Thaw    9\n"
    table += "  CHAPTER III. The Sea   20\n"
    chapters = "\n\n\n".join(f"CHAPTER {n}.\n\n{BODY}" for n in ("I", "II", "III"))
    notice = "NOTICE\n\nNobody in this book is meant to be anybody."
    body = strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n{table}\n\n{notice}\n\n{chapters}\n\n{ENDS[0]}")
    assert body.startswith("NOTICE\n\nNobody in this book")
    assert body.count("CHAPTER") == 3
    assert "CONTENTS" not in body


def test_verse_letters_and_italics() -> None:
    verse = "  Down by the landing\n    The lantern is low;\n"
    verse += "  Who calls for the ferry\n    Must call soft and slow."
    body = strip_gutenberg(
        f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{verse}\n\nHe _never_ owed Mr. ____ a cent, and he "
        f"said so at the landing every day, _not\nonce_ a week.\n\n{ENDS[0]}"
    )
    assert "Down by the landing\n  The lantern is low;\nWho calls" in body
    assert body.endswith("Mr. ____ a cent, and he said so at the landing every day, not once a week.")


@pytest.mark.parametrize(
    "text",
    [
        "One paragraph.\n\nAnother, with snake_case and __init__ and _this_.\n\nCONTENTS\n\n1. a\n\n2. b",
        "No marks at all, " * 50,
        "I wrote to Project Gutenberg once.\n\nThey answered.\n\n[Illustration: none]",
        "Line one is a list\n\nTitle: of sorts",
    ],
)
def test_plain_text_passes_unharmed(text: str) -> None:
    assert strip_gutenberg(text).split() == text.split()
    assert not header(text).gutenberg


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abcA .,\n-—“”_", max_size=400))
def test_rejoining_loses_no_letter(text: str) -> None:
    try:
        out = strip_gutenberg(text)
    except Unusable:
        return
    assert "".join(out.split()) == "".join(text.split())
    assert "\n\n\n" not in out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n", "pointer"),
        (f"{HEAD}{STARTS[0]}\n\n\n{ENDS[0]}{TAIL}", "nothing stands between"),
        (f"{ENDS[0]}\n{TAIL}\n{BODY}\n\nTitle: X\n\n{STARTS[0]}\n", "nothing stands between"),
        (
            "THE FULL PROJECT GUTENBERG LICENSE\nPLEASE READ THIS BEFORE YOU DISTRIBUTE\n" * 30,
            "nothing",
        ),
        (f"{HEAD}{STARTS[0]}\n\n{'3.14159 26535 89793 ' * 200}\n\n{ENDS[0]}", "numbers"),
        (
            f"{HEAD}{STARTS[0]}\n\n{'This audio book is read by a human. ' * 8}It comes as MP3 "
            f"files.\n\n{ENDS[0]}",
            "recording",
        ),
        ("12 34\n", "no letters"),
    ],
)
def test_not_a_book(text: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        strip_gutenberg(text)


def test_header() -> None:
    found = header(f"{HEAD}{STARTS[0]}\n\n{BODY}")
    assert (found.title, found.author) == ("The Ferry A Winter's Tale", "Ann Example")
    old = header(
        f"*****The Project Gutenberg Etext of The Ferry, by Ann Example*****\n\n{STARTS[5]}\n\n{BODY}"
    )
    assert (old.gutenberg, old.title, old.author) == (True, "The Ferry", "Ann Example")
    assert header(f"This is a COPYRIGHTED Project Gutenberg eBook\n\n{HEAD}{STARTS[0]}\n{BODY}").copyrighted


def test_source(tmp_path: Path) -> None:
    files = []
    for name, data in {
        "books/ferry.txt": f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{ENDS[0]}".encode("cp1252"),
        "more/ferry.txt": BODY.encode(),
        "books/none.txt": b"",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        files.append(InputFile(name, path, "ab" * 32))
    context = SourceContext("mine", 1, {"files": tuple(files)}, "")
    first, second, third = text_source(context, files=["**/*.txt"])
    assert isinstance(first, Document) and isinstance(second, Document)
    assert first.text == second.text == JOINED
    assert first.meta == {
        "id": "mine/ferry",
        "source": "mine",
        "group": "books/ferry.txt",
        "title": "The Ferry A Winter's Tale",
        "author": "Ann Example",
        "license": "public domain (USA)",
        "origin": "books/ferry.txt",
        "sha256": "ab" * 32,
        "charset": "cp1252",
    }
    assert (second.meta["id"], second.meta["license"]) == ("mine/ferry~2", "")
    assert third == Rejected("mine/none", "empty", raw="books/none.txt")
