"""Books: charsets from bytes, markers in all spellings, furniture off, paragraphs re-joined."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.booktext import Unusable, decode, header, read_book, strip_gutenberg
from runner.booktext.chapters import chapters
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


OLD_HEAD = (
    "**The Project Gutenberg Etext of The Ferry, by Ann Example**\n\nCopyright laws are changing all over the world\n\n"
    "The Ferry\n\nby Ann Example\n\nMay, 1994 [Etext #140]\n\n"
)


@pytest.mark.parametrize("head", [HEAD, OLD_HEAD], ids=["new", "old"])
@pytest.mark.parametrize(
    "start",
    [
        "*** start of project gutenberg ebook\nTHE FERRY ***",
        "*** START OF THIS PROJECT\nGUTENBERG EBOOK THE FERRY ***",
        "***** START OF THE PROJECT GUTENBERG EBOOK 76 *****",
        "*** START OF THE PROJECT GUTENBERG EBOOK, THE FERRY, VOLUME 2\n(OF 3), A TALE OF ICE AND\nOF WATER ***",
        "ENDTHE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END*THE SMALL PRINT! FOR COPYRIGHT PROTECTED ETEXTS*Ver.04.29.93*END*",
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.10.04.01*END*\n[Portions of this header are copyright (C) 2001\n"
        "and may be reprinted only when free of all fees.]\n[Project Gutenberg is a TradeMark.]",
    ],
)
def test_more_starts(head: str, start: str) -> None:
    assert strip_gutenberg(f"{head}{start}\n\n\n{BODY}\n\n{ENDS[0]}") == JOINED


@pytest.mark.parametrize(
    "end",
    [
        "End of this is COPYRIGHTED Project Gutenberg Etext The Ferry",
        "End of this Etext by Ann Example, Project Gutenberg",
        "End of Gutenberg Etext of The Ferry",
        "[End of The Project Gutenberg Etext of The Ferry]",
        "----------\nEnd of the Project Gutenberg EBook of The Ferry",
        "End of the Project\nGutenberg EBook of The Ferry",
        "*** END OF THIS PROJECT\nGUTENBERG EBOOK THE FERRY ***",
        "Fin de l'Etext de Project Gutenberg",
        "Ende dieses Projekt Gutenberg Etextes",
    ],
)
def test_more_ends(end: str) -> None:
    whole = f"{HEAD}{STARTS[0]}\n\n\n{BODY}\n\n\n{end}\n\n\nUpdated editions will replace it.\n"
    assert strip_gutenberg(whole).removesuffix("----------").strip() == JOINED


@pytest.mark.parametrize(
    "credit",
    [
        "This eBook was produced by: Ann Volunteer",
        "Text file produced by Ann Volunteer\n\nHTML file produced by Ann Volunteer",
        "This eBook was converted to HTML, with additional editing, by Ann Volunteer",
        "******The Project Gutenberg Etext of The Ferry******",
        "Project Gutenberg's The Ferry, by Ann Example",
        "(This file was produced from images generously made available by The Internet Archive)",
        "Credits: Ann Volunteer and the Online Distributed Proofreading Team",
        "Updated: 2022-11-08",
        "HTML version by Ann Volunteer",
        "The following is a public domain etext, scanned by Ann Volunteer",
    ],
)
def test_more_credits(credit: str) -> None:
    title = "THE FERRY\n\nby Ann Example\n\n"
    for start in (STARTS[0], STARTS[5]):
        found = strip_gutenberg(f"{HEAD}{start}\n\n\n{credit}\n\n\n\n{title}\n\n{BODY}\n\n{ENDS[0]}")
        assert found == title + JOINED


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


LONG = " ".join(PROSE) * 2  # a chapter is more than a few words


def headings(*parts: str, titles: tuple[str, ...] = ()) -> list[str]:
    text = "\n\n".join(parts)
    found = chapters(text, frozenset(titles))
    assert "\n\n".join(c.text for c in found) == text
    return [c.heading for c in found]


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        ("CHAPTER I.", "CHAPTER II.", "CHAPTER III."),
        ("Chapter 1", "Chapter 2", "Chapter 3"),
        ("CHAPTER I. The Ice", "CHAPTER II. The Thaw", "CHAPTER III. The Sea"),
        ("STAVE ONE", "STAVE TWO", "STAVE THREE"),
        ("Chapter the First", "Chapter the Second", "Chapter the Last"),
        ("I.", "II.", "III."),
        ("I. THE ICE", "II. THE THAW", "III. THE SEA"),
        ("1", "2", "3"),
        ("Erstes Kapitel.", "Zweites Kapitel.", "Fünfunddreißigstes Kapitel."),
        ("CHAPITRE PREMIER", "CHAPITRE II", "CHAPITRE III"),
        ("Letter 1", "Letter 2", "Chapter 1"),
        ("ADVENTURE I. THE ICE", "ADVENTURE II. THE THAW", "III. THE ADVENTURE OF THE SEA"),
    ],
)
def test_chapters_of_many_kinds(first: str, second: str, third: str) -> None:
    assert headings(first, LONG, second, LONG, third, LONG) == [h.rstrip(".") for h in (first, second, third)]


def test_parts_and_titles_go_with_the_chapter_that_follows() -> None:
    found = headings(
        "BOOK ONE", "THE ICE", "I.", "THE EVE", LONG, "II.", LONG, LONG, "BOOK TWO", "I.", LONG, "II.", LONG
    )
    assert found == ["BOOK ONE. THE ICE. I. THE EVE", "II", "BOOK TWO. I", "II"]


def test_what_stands_before_and_after_the_chapters() -> None:
    found = headings("THE FERRY", LONG, "CHAPTER I", LONG, "CHAPTER II", LONG, "APPENDIX", LONG, "THE END")
    assert found == ["", "CHAPTER I", "CHAPTER II", "APPENDIX"]
    assert headings("THE FERRY", "CHAPTER I", LONG, "CHAPTER II", LONG) == ["CHAPTER I", "CHAPTER II"]


@pytest.mark.parametrize(
    "parts",
    [
        (LONG, "I.", LONG),
        (LONG, "1. Flour", "2. Eggs", "3. Milk", LONG),
        ("CHAPTER I", "The Ice", "CHAPTER II", "The Thaw", "CHAPTER III", "The Sea", LONG),
        (LONG, "Part of the town was under water.", LONG, "Book me a place, he said.", LONG),
        (LONG, "I", "I", "I", LONG),
        (LONG, "Chapter and verse", LONG),
        ("",),
    ],
)
def test_no_chapters(parts: tuple[str, ...]) -> None:
    assert headings(*parts) == [""]


def test_titles_of_the_contents_table_part_a_collection() -> None:
    table = "CONTENTS:\n\n  My Watch\n  Political Economy\n  The Ferry"
    stories = [f"{t}\n\n{LONG}" for t in ("MY WATCH--[Written in 1870.]", "POLITICAL ECONOMY", "THE FERRY")]
    body = read_book(f"{HEAD}{STARTS[0]}\n\n{table}\n\n\n" + "\n\n\n".join(stories) + f"\n\n{ENDS[0]}")
    assert [c.heading for c in body.chapters] == [
        "MY WATCH--[Written in 1870.]",
        "POLITICAL ECONOMY",
        "THE FERRY",
    ]


@pytest.mark.parametrize(
    "table",
    [
        "   I. The Ice\n  II. The Thaw\n III. The Sea\n  IV. The Ferry",
        "CONTENTS\n\nCHAPTER I.\nThe Ice--A Lantern\n\nCHANTER II.\nThe Thaw--Betts Speaks\n\nCHAPTER III.\n"
        "The Sea--Nobody Comes\n\nCHAPTER IV.\nThe Ferry--The End",
        "ILLUSTRATIONS\n\nThe Lantern    Frontispiece\n\nOld Betts upon the landing,\n  with his lantern    12\n\nMarl    30",
        "Contents\n\n" + "\n".join(f"Chapter {n}.\nA long account of what the {x} did to Marl, and of the lantern; "
        f"with Betts, who speaks of it." for n, x in zip(("I", "II", "III", "IV", "V"), "abcde", strict=True)),
        "List of Illustrations\n\n" + "\n".join(f"The lantern, {n}." for n in "abcdefgh"),
    ],
)  # fmt: skip
def test_contents_tables_of_many_kinds_go(table: str) -> None:
    story = "\n\n\n".join(
        f"CHAPTER {n}. {t}\n\n{BODY}"
        for n, t in [("I", "THE ICE"), ("II", "THE THAW"), ("III", "THE SEA"), ("IV", "THE FERRY")]
    )
    found = strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n{table}\n\n\n{story}\n\n{ENDS[0]}")
    assert found.startswith("CHAPTER I. THE ICE\n\nThe ferry had not run")
    assert found.count("CHAPTER") == 4


def test_a_numbered_list_that_the_book_does_not_repeat_stays() -> None:
    rules = "  I. Wake early\n II. Keep the lamp\nIII. Say little\n IV. Sleep"
    assert "II. Keep the lamp" in strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n{rules}\n\n{BODY}\n\n{ENDS[0]}")


@pytest.mark.parametrize(
    ("whole", "remark"),
    [
        (f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{ENDS[0]}{TAIL}", ""),
        (f"{HEAD}{STARTS[0]}\n\n{BODY}", "no mark of Project Gutenberg's ends it: it may be cut off"),
        (f"{HEAD}{STARTS[5]}\n\n{BODY}", ""),
        (f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{ENDS[0]}{TAIL}" * 2, "2 books in one file"),
        (BODY, "it bears no mark of Project Gutenberg's"),
    ],
)
def test_remarks(whole: str, remark: str) -> None:
    assert read_book(whole).remark == remark


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "\t",
        "[",
        "[illustration ",
        "_a",
        "*",
        "a@",
        "* ",
        "a  ",
        "\n",
        "I.\n\n",
        "CHAPTER I.\n\n",
        "....",
        "-- ",
    ],
)
def test_monotony_takes_no_time(piece: str) -> None:
    """Patterns that go back over what they read would take minutes for these."""
    text = f"{HEAD}{STARTS[0]}\n\nCONTENTS\n\n{piece * (200_000 // len(piece))}b\n\n{BODY}\n\n{ENDS[0]}"
    try:
        assert "ferry" in read_book(text).text
    except Unusable as error:
        assert "numbers or symbols" in str(error)


def test_more_lines_than_any_book_has_are_refused() -> None:
    with pytest.raises(Unusable, match="more than 1500000 lines"):
        strip_gutenberg("a\n" * 1_500_001)


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
        ("12 34\n", "numbers or symbols"),
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
    works = HEAD.replace("Title: The Ferry", "Title: The Entire Project Gutenberg Works of Ann Example")
    assert header(f"{works}{STARTS[0]}\n\n{BODY}").title.startswith("The Entire Works of Ann Example")
    assert header(f"This is a COPYRIGHTED Project Gutenberg eBook\n\n{HEAD}{STARTS[0]}\n{BODY}").copyrighted


def test_a_file_too_large_to_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate((20 << 20) + 1)
    context = SourceContext("mine", 1, {"files": (InputFile("large.txt", path, ""),)}, "")
    assert list(text_source(context, files=["*"])) == [
        Rejected("mine/large", "larger than 20 MB", "large.txt")
    ]


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Error 503: backend overloaded, come again later.\n", "a server sent"),
        ("404 Not Found\n\nThis mirror does not hold the file.\n", "a server sent"),
        ("Index of /files/5/5\n\n5.txt 55K\n", "a server sent"),
        ("<!-- cached --><div><p>Index of /files/5</p></div>", "HTML"),
        (f"<p>{BODY}</p>", "HTML"),
        ("%PDF-1.4\n" + BODY, "PDF"),
        ('{"error": "rate limited", "after": 30}', "JSON"),
        ("\n".join(f"A Book of {n} Winters, by Ann Example      {9000 + n}" for n in range(80)), "listing"),
        (
            "\n\n".join(f"A Book, by Ann Example  {n}\n  [Subtitle: A]\n  [Language: B]" for n in range(80)),
            "listing",
        ),
    ],
)
def test_what_comes_instead_of_a_book_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(Unusable, match=f"not a book: .*{reason}"):
        read_book(text)


@pytest.mark.parametrize(
    "first", ["503 was the number of the house.", "Error is a winter road.", "<<Wait>>, he said."]
)
def test_an_ordinary_text_that_begins_alike_is_kept(first: str) -> None:
    assert read_book(f"{first}\n\n{BODY}").text.startswith(first)


STANZA = (
    "The lamp is low on harbour stones,\n  And o'er the ice they steer;\n"
    "Old Betts has lit his pipe again,\n  And waits another year."
)


@pytest.mark.parametrize("before", ["", BODY + "\n\n"], ids=["verse only", "prose too"])
def test_stanzas_with_alternate_indents_stay_whole(before: str) -> None:
    body = strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n{before}" + f"{STANZA}\n\n" * 6 + ENDS[0])
    assert body.endswith("\n\n".join([STANZA] * 6))


def test_a_heading_amid_the_page_is_no_verse() -> None:
    body = strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n{' ' * 30}MARL.\nThe Ice; The Thaw.\n\n{ENDS[0]}")
    assert body.endswith("MARL.\n\nThe Ice; The Thaw.")


@pytest.mark.parametrize("page", [" ... ", " ........ ", "    ", " "])
@pytest.mark.parametrize(
    ("heading", "entry", "own"),
    [
        ("CONTENTS", "CHAPTER {r}. {t}", "CHAPTER {r}"),
        ("INHALT", "{n}. Kapitel: {t}", "{n}. Kapitel"),
        ("INHALT", "{n}. Kapitel: {t}", "{n}. Kapitel: {t}"),
        ("INHALT", "{n}. Kapitel: {t}", "Kapitel {n}"),
        ("TABLE DES MATIÈRES", "{r}. {t}", "{r}"),
        ("TABLE DES MATIÈRES", "{r}. {t}", "CHAPITRE {r}"),
    ],
)
def test_contents_tables_with_pages_go_and_no_heading_with_them(
    page: str, heading: str, entry: str, own: str
) -> None:
    parts = [{"n": str(n), "r": r, "t": f"Le quai {r}"} for n, r in enumerate(("I", "II", "III"), 1)]
    table = "\n".join(entry.format(**p) + page + str(7 * n + 1) for n, p in enumerate(parts))
    text = "\n\n\n".join(f"{own.format(**p)}\n\n{BODY.replace('Marl', p['t'])}" for p in parts)
    book = read_book(
        f"{HEAD}{STARTS[0]}\n\nBOOK 12\n\nBY ANN EXAMPLE\n\n\n{heading}\n\n{table}\n\n\n{text}\n\n{ENDS[0]}"
    )
    assert book.text.startswith(f"BOOK 12\n\nBY ANN EXAMPLE\n\n{own.format(**parts[0])}\n\nThe ferry")
    if len(book.chapters) > 1:  # chapters of seventy words are too short for some
        assert "EXAMPLE" not in book.chapters[0].heading


def test_a_title_page_is_no_heading_of_the_first_chapter() -> None:
    found = headings("BOOK 12", "BY ANN EXAMPLE", "1. Kapitel: Der Kai", LONG, "2. Kapitel: Das Eis", LONG)
    assert found == ["1. Kapitel: Der Kai", "2. Kapitel: Das Eis"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (
            "*** ANFANG DES PROJEKT GUTENBERG EBOOKS DIE FÄHRE ***",
            "*** ENDE DIESES PROJEKT GUTENBERG EBOOKS ***",
        ),
        (
            "*** DÉBUT DE CE LIVRE DU PROJECT GUTENBERG LE BAC ***",
            "*** FIN DE CE LIVRE DU PROJET GUTENBERG ***",
        ),
        ("*** INICIO DEL LIBRO DEL PROYECTO GUTENBERG ***", "*** FIN DEL LIBRO DEL PROYECTO GUTENBERG ***"),
        ("*** INIZIO DEL PROGETTO GUTENBERG ***", "*** FINE DEL PROGETTO GUTENBERG ***"),
        ("*** INÍCIO DO PROJETO GUTENBERG ***", "*** FIM DO PROJETO GUTENBERG ***"),
        ("<<< START OF THE PROJECT GUTENBERG EBOOK >>>", "<<< END OF THE PROJECT GUTENBERG EBOOK >>>"),
        (STARTS[0], "This site is full of FREE ebooks - Project Gutenberg Australia"),
    ],
)
def test_marks_of_other_lands(start: str, end: str) -> None:
    assert strip_gutenberg(f"{HEAD}{start}\n\nCHAPTER I\n\n{BODY}\n\n{end}\n") == f"CHAPTER I\n\n{JOINED}"


@pytest.mark.parametrize(
    "note",
    [
        "Note du transcripteur: l'orthographe est celle de 1900.",
        "Anmerkungen zur Transkription: wie gedruckt.",
        "Nota del transcriptor: como se imprimió.",
        "Nota del trascrittore: come stampato.",
        "Opmerking van de bewerker: als gedrukt.",
        "Siirtäjän huomautus: painettu näin.",
        "Nota do transcritor: como impresso.",
        "Abbildung: Der Kai",
    ],
)
def test_notes_in_other_languages_go(note: str) -> None:
    assert strip_gutenberg(f"{HEAD}{STARTS[0]}\n\n{BODY}\n\n[{note}]\n\n{ENDS[0]}") == JOINED


@pytest.mark.parametrize("sign", ["of Mainz, said the sign.", "of Mainz", "EBook, said the sign of Mainz."])
def test_a_sentence_that_begins_as_an_end_ends_nothing(sign: str) -> None:
    whole = f"{HEAD}{STARTS[0]}\n\n{BODY}\n\nEnd of the Project Gutenberg {sign}\n\n{BODY}\n\n{ENDS[0]}"
    assert strip_gutenberg(whole).count(JOINED) == 2


TALES = {
    "Żółta łódź płynęła przez rzekę, a dziewczyna śpiewała o wiośnie, która miała nadejść później.": "iso8859_2 cp1250",
    "Žluťoučký kůň běžel přes řeku, když svítilo slunce a ptáci zpívali příliš tiše.": "iso8859_2 cp1250 cp852",
    "Egyszer volt egy öreg király, akinek három fia volt; a legkisebb elindult szerencsét próbálni, s ő győzött.": "iso8859_2",
    "La plus jeune était si belle que le soleil lui-même s'étonnait à chaque fois; ça ne dura guère.": "cp1252",
    "Die Fähre fuhr nicht, und der König hörte die Töchter draußen über das Eis gehen.": "cp1252 cp437",
    "Младшая была так хороша, что само солнце дивилось, когда светило ей в лицо.": "koi8_r cp866 cp1251",
    "むかし、あるところに王さまがいました。三人のむすめがあり、たいへん美しかったのです。": "cp932 euc_jp",
    "从前有一个国王，他有三个女儿；最小的女儿非常美丽，连太阳也感到惊奇。": "gb18030",
    "從前有一個國王，他有三個女兒；最小的女兒非常美麗，連太陽也感到驚奇。": "big5",
}


@pytest.mark.parametrize(("tale", "charset"), [(t, c) for t, names in TALES.items() for c in names.split()])
def test_books_of_other_languages_and_scripts(tale: str, charset: str) -> None:
    """Their charset is found under an English licence, and nothing of them is too short to be a book."""
    whole = f"{HEAD}{STARTS[0]}\n\n" + f"{tale}\n\n" * 12 + ENDS[0] + TAIL * 20
    text, _ = decode(whole.encode(charset))
    assert text == whole
    assert read_book(text).text == "\n\n".join([tale] * 12)


def test_lines_without_spaces_are_joined_without() -> None:
    line = "むかしあるところに王さまがいました三人のむすめがありたいへん美し"
    whole = f"{HEAD}{STARTS[0]}\n\n" + f"{line}\n{line}\n\n" * 8 + ENDS[0]
    assert strip_gutenberg(whole) == "\n\n".join([line * 2] * 8)
