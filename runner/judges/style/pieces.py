"""Labelled texts and whole works → pieces of like length, each with its kind and the group that it is held out with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from runner.booktext import Unusable, decode, strip_gutenberg
from runner.errors import Problem, StepError
from runner.fetching import InputFile
from runner.judges.style.kinds import MODERN, OTHER, PERIOD, PERSONA
from runner.passages.cutting import sentences
from runner.record import Message, Record

MOST_OF_PERSONA, MOST_OF_OTHERS = 120, 200
"""Pieces of one work of the persona, and of one work of anybody else: no long book outweighs the rest."""
SHARED = 0.05
"""Works that share more of the shorter one's sentences are held out together: editions, parts, collections."""
_SHORTEST_SHARED = 8  # words of a sentence that cannot be in two works by chance


class Piece(NamedTuple):
    text: str
    kind: str
    group: str


class StyleText(Struct, frozen=True):
    """One labelled text. Texts of one `group` are never on both sides of a held-out split."""

    text: str
    label: str
    group: str
    kind: str = ""


class WorkText(Struct, frozen=True):
    """A line of a work's JSONL: a text, or a conversation of which the assistant's words count."""

    text: str = ""
    author: str = ""
    messages: list[Message] = field(default_factory=list)

    @property
    def words(self) -> str:
        return self.text or Record(self.messages).answer


class Work(NamedTuple):
    name: str
    author: str
    text: str


def unreadable(name: str, path: Path, kind: type[StyleText] | type[WorkText]) -> Iterator[Problem]:
    """The lines of a JSONL that are none of a kind, before anything is trained that they would judge."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            if line.strip():
                msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            yield Problem(name, number, 1, "", f"not a text to judge style by: {e}")


def labelled(files: Sequence[InputFile], name: str, persona: str) -> list[Piece]:
    """The labelled texts of a JSONL, uncut. Raises StepError, naming the line that is wrong."""
    found = []
    for file in files:
        for number, line in enumerate(file.path.read_bytes().split(b"\n"), 1):
            try:
                if line.strip():
                    t = msgspec.json.decode(line, type=StyleText)
                    kind = t.kind if t.kind in (PERIOD, MODERN) else OTHER
                    found.append(Piece(t.text, PERSONA if t.label == persona else kind, t.group))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
                raise StepError("style", f"{name}:{number}: {e}") from e
    return found


def works(files: Sequence[InputFile], authors: Mapping[str, str]) -> list[Work]:
    """Whole works: plain text (of Project Gutenberg too), or JSONL. Raises StepError for what is neither.

    A work's author is what `authors` or its JSONL says; else the folder it lies in, where the files lie in several;
    else it has one of its own.
    """
    folders = {str(PurePosixPath(f.name).parent) for f in files}
    found: list[Work] = []
    for file in files:
        path = PurePosixPath(file.name)
        author = authors.get(path.name) or (str(path.parent) if len(folders) > 1 else file.name)
        found += _read(file, author)
    return found


def _read(file: InputFile, author: str) -> Iterator[Work]:
    data = file.path.read_bytes()
    if not file.name.endswith(".jsonl"):
        try:
            yield Work(file.name, author, strip_gutenberg(decode(data)[0]))
        except Unusable as e:
            raise StepError("style", f"{file.name}: {e}") from None
        return
    said: dict[str, list[str]] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            if line.strip():
                row = msgspec.json.decode(line, type=WorkText)
                said.setdefault(row.author or author, []).append(row.words)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise StepError("style", f"{file.name}:{number}: {e}") from e
    for by, texts in said.items():
        yield Work(f"{file.name} ({by})" if by != author else file.name, by, "\n\n".join(texts))


def cut(text: str, words: int) -> list[str]:
    """Pieces of `words` words, give or take a quarter, that begin and end with a sentence where that can be.

    What is left at the end is left out where it is shorter than three quarters: all kinds of texts are cut to the
    same lengths, or a classifier learns the length.
    """
    pieces: list[str] = []
    piece: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        for _, sentence in sentences(paragraph):
            rest = sentence.split()
            while rest:
                room = words - len(piece)
                if len(rest) > room and len(rest) - room > min(room, words // 4):  # it ends too far behind
                    if len(piece) * 4 < words * 3:
                        piece, rest = piece + rest[:room], rest[room:]
                    pieces.append(" ".join(piece))
                    piece = []
                    continue
                piece, rest = piece + rest, []
                if len(piece) >= words:
                    pieces.append(" ".join(piece))
                    piece = []
    if len(piece) * 4 >= words * 3:
        pieces.append(" ".join(piece))
    return pieces


def spread(pieces: Sequence[str], most: int) -> list[str]:
    """At most so many, from all parts of the work."""
    if len(pieces) <= most:
        return list(pieces)
    return [pieces[i * len(pieces) // most] for i in range(most)]


def of_works(found: Mapping[str, Sequence[Work]], words: int) -> list[Piece]:
    """Pieces of works of each kind; a work of the persona is a group, and so is an author of the others.

    Works that share text are one group, whosever they are: nothing that is tested was trained on.
    """
    every = [(kind, work) for kind, some in found.items() for work in some]
    groups = [f"{kind}/{w.name if kind == PERSONA else w.author}" for kind, w in every]
    joined = _joined(groups, [w.text for _, w in every])
    out = []
    for (kind, work), group in zip(every, groups, strict=True):
        most = MOST_OF_PERSONA if kind == PERSONA else MOST_OF_OTHERS
        out += [Piece(p, kind, joined[group]) for p in spread(cut(work.text, words), most)]
    return out


def _joined(groups: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    """Group → the group that it goes with: itself, or the first with which it shares sentences."""
    said = [_sentences(text) for text in texts]
    home: dict[str, list[int]] = {}
    for n, some in enumerate(said):
        for sentence in some:
            home.setdefault(sentence, []).append(n)
    shared: dict[tuple[int, int], int] = {}
    for where in home.values():
        for i, a in enumerate(where):
            for b in where[i + 1 :]:
                shared[a, b] = shared.get((a, b), 0) + 1
    root = {g: g for g in groups}

    def find(group: str) -> str:
        while root[group] != group:
            group = root[group]
        return group

    for (a, b), n in sorted(shared.items()):
        if n > SHARED * min(len(said[a]), len(said[b])):
            first, other = sorted((find(groups[a]), find(groups[b])))
            root[other] = first
    return {g: find(g) for g in groups}


def _sentences(text: str) -> set[str]:
    """The longer sentences, letters and digits only: editions differ in their marks."""
    found = set()
    for paragraph in re.split(r"\n\s*\n", text):
        for _, sentence in sentences(paragraph):
            words = re.findall(r"\w+", sentence.lower())
            if len(words) >= _SHORTEST_SHARED:
                found.add(" ".join(words))
    return found
