"""How a passage is asked for: one of the phrasings of datasets/prompts/passages.yaml whose names are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from string import Formatter

from runner import textscan
from runner.passages import headings
from runner.passages.dialogue import turns
from runner.passages.english import plain, read, words

_LONGEST_NAME = 100  # characters; what is longer is no title to ask by
_FIRST_WORDS = 7
# What is Project Gutenberg's own, or says where a text is from, in the place of the text: titles and licence, credits,
# addresses, and what it says of itself at the beginning of a sentence.
_PG = r"project[\s_]+gutenberg"
_FURNITURE = re.compile(
    rf"\b{_PG}\s*(?:-\s?tm\b|\(tm\)|[™®])"
    rf"|\b{_PG}(?:['’]s)?[\s_]+(?:e-?books?|e-?texts?|editions?|licen[cs]e|trademark|presentation|electronic|literary"
    r"[\s_]+archive)\b"
    rf"|\bwelcome[\s_]+to[\s_]+(?:the[\s_]+)?{_PG}"
    r"|\b(?:produced|prepared|scanned|typed|transcribed|digiti[sz]ed|proofread)[\s_]+(?:by\b"
    rf"(?:[^.\n]|(?<=\b[a-z])\.){{0,100}}[\s_])?for[\s_]+(?:the[\s_]+)?{_PG}"
    rf"|(?:^|[\n.!?])[ _]{{0,4}}(?:the[\s_]+)?{_PG}(?:['’]s\b[^.\n]{{1,100}}\bby\b"
    r"|[\s_]+(?:offers|presents|provides|thanks)\b)"
    r"|\bgutenberg\.(?:org|net|us)\b|\bpglaf\.org\b",
    re.I,
)
# Said by somebody in the text: an opening quote stands before a word, the closing one in the same paragraph.
_QUOTED = re.compile(r"(?:(?<=[\s(\[—:-])|^)(?:[\"“„](?=\S)[^\"”“\n]{0,300}[\"”“]|«[^»\n]{0,300}»)", re.M)
_BRAND = re.compile(
    r"\b(?:the\s+)?project\s+gutenberg(?:['’]s|\s+(?:e-?book|e-?text|edition)(?:\s+of)?)?\s*", re.I
)
_GREETING = re.compile(
    r"[\"“‘']?(?:(?:my\s+)?(?:very\s+)?dear(?:est)?|to|messrs\.?)\s+[\w.’' ]{2,40}[,:;—-]", re.I
)
_CLOSING = re.compile(
    r"\b(?:yours?|affectionate|obedient|humble)\b[^.]{0,40}\b(?:truly|sincerely|ever|servant|friend|respectfully)\b",
    re.I,
)
_LETTER = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")


@lru_cache
def phrasings() -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    """For each kind the phrasings, each with the names that stand in it."""
    return {
        kind: tuple((t, frozenset(n for _, n, _, _ in Formatter().parse(t) if n)) for t in texts)
        for kind, texts in read("passages").items()
    }


def _number(*what: object) -> int:
    return int.from_bytes(sha256("\0".join(map(str, what)).encode()).digest()[:8], "big")


def draw(*what: object) -> float:
    """A number from 0 up to 1 that is the same everywhere: a hash of `what`."""
    return _number(*what) / 2**64


def pick(shares: Mapping[str, float], *what: object) -> str:
    """A name drawn by its share; the order in which they are written does not matter."""
    names = sorted(n for n, share in shares.items() if share > 0)
    left = draw(*what) * sum(shares[n] for n in names)
    for name in names[:-1]:
        left -= shares[name]
        if left < 0:
            return name
    return names[-1]


def ask(kind: str, known: Mapping[str, str], seed: int, record_id: str, must: str = "") -> str:
    """One phrasing of that kind among those whose names are known, by a hash that is the same everywhere.

    With `must`, one in which that name stands, if it is known.
    """
    texts = [
        t for t, names in phrasings()[kind] if names <= known.keys() and (must in names or must not in known)
    ]
    return texts[_number(seed, record_id) % len(texts)].format_map(known)


def askable(kind: str, known: Mapping[str, str]) -> bool:
    """Whether any phrasing of that kind can be said with what is known."""
    return any(names <= known.keys() for _, names in phrasings()[kind])


def names(meta: Mapping[str, str]) -> dict[str, str]:
    """Title, author and chapter as a sentence may say them; what is missing or too long is left out.

    "Twain, Mark" becomes "Mark Twain", "Mark Twain (Samuel Clemens)" too; "Emma, Complete" becomes "Emma". A chapter
    that has a number and no name of its own is none to ask by.
    """
    found = {k: " ".join(meta.get(k, "").split()) for k in ("title", "author", "chapter")}
    author = re.sub(r"\s*\([^()]*\)", "", found["author"])
    found["title"] = unbranded(found["title"]).removesuffix(", Complete")
    found["chapter"] = headings.name(found["chapter"]) if len(found["chapter"]) <= 2 * _LONGEST_NAME else ""
    last, comma, first = author.partition(", ")
    if comma and first and "," not in first and not any(c.isdigit() for c in author):
        author = f"{first} {last}"
    found["author"] = author
    return {k: v for k, v in found.items() if 0 < len(v) <= _LONGEST_NAME}


def beginning(passage: str) -> str:
    """The first words of a passage; "" where they cannot stand between quotes: a heading, or speech that ends."""
    paragraph = passage.partition("\n")[0].split(None, _FIRST_WORDS)
    first = " ".join(paragraph[:_FIRST_WORDS]).strip("\"“”'‘’«»,;:-—– ")
    return first if len(paragraph) >= _FIRST_WORDS and not set(first) & set('"“”«»') else ""


def unbranded(title: str) -> str:
    """A title without Project Gutenberg's name: of books in the public domain it asks that it be taken off."""
    rest = _BRAND.sub("", title).strip(" ,:;-—")
    return title if rest == title else re.sub(r"^(?:complete|entire)\b", r"The \g<0>", rest, flags=re.I)


def branded(text: str) -> bool:
    """Whether Project Gutenberg speaks in it, in its titles, licence, credits, addresses or of itself; a sentence that
    merely names it, or quotes it, is the text's own.
    """
    if not textscan.holds(text, "gutenberg") and not textscan.holds(text, "pglaf"):
        return False
    return bool(_FURNITURE.search(_QUOTED.sub(" ", text)))


def kind_of(passage: str) -> str:
    """What sort of text it plainly is: "letter", "dialogue", "poem"; "" for all else."""
    paragraphs = passage.split("\n\n")
    if any(_GREETING.match(p.strip()) for p in paragraphs[:2]) and _CLOSING.search(passage):
        return "letter"
    said = sum(p.lstrip()[:1] in '"“‘«„' for p in paragraphs)
    talk = len(paragraphs) >= 4 and said >= 0.7 * len(paragraphs)
    if talk and any(len(run) > 2 for run in turns(passage)):  # no speech in many paragraphs
        return "dialogue"
    verse = [p for p in paragraphs if p.count("\n") >= 3]
    return "poem" if verse and sum(map(len, verse)) > 0.7 * len(passage) else ""


def speakers(passage: str) -> str:
    """The two who talk in it, "Tom and Mrs. Bennet", where the text names them, and no third."""
    found = {t.speaker: None for run in (turns(passage) if len(passage) < 100_000 else ()) for t in run}
    named: list[str] = []
    for speaker in found:
        if shown := _as_written(speaker, passage):
            named.append(shown)
        if len(named) > 2:
            return ""
    return " and ".join(named) if len(named) == 2 else ""


def _as_written(speaker: str, passage: str) -> str:
    """A speaker's name with its capitals; "" for "he" and "old lady"."""
    own = speaker.split()
    if not own or set(own) <= words("titles") | words("function"):
        return ""
    found = list(_LETTER.finditer(passage))
    low = [plain(m[0]) for m in found]
    for i in range(len(low) - len(own) + 1):
        if low[i : i + len(own)] == own and all(
            m[0][0].isupper() and not m[0].isupper() for m in found[i : i + len(own)]
        ):
            between = [passage[a.end() : b.start()] for a, b in pairwise(found[i : i + len(own)])]
            if all(b in (" ", ". ") for b in between):
                return passage[found[i].start() : found[i + len(own) - 1].end()]
    return ""
