"""The charset of a text, found from its bytes: what a header declares is not believed.

One Gutenberg file in ten declares the wrong one, and some hold two (a CP437 half in a cp1252
file), so bytes that are not UTF-8 are judged by how well each reading fits its neighbours:
first for the file, then line by line where a line's own bytes speak clearly for another
charset.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import lru_cache

from runner.booktext.letters import WESTERN as _WESTERN
from runner.booktext.letters import east_asian, other_charset
from runner.booktext.marks import Unusable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The charset with what its users have added.
_WIDER = {"cp932": "cp932", "euc_jp": "euc_jp", "gb18030": "gb18030", "big5": "big5hkscs", "euc_kr": "cp949"}
_ASCII_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTER = frozenset(_ASCII_LETTERS) | frozenset(range(0x80, 0x100))
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CLEAR = 1.5  # by how much a single line must fit better before it leaves the file's charset


def decode(data: bytes) -> tuple[str, str]:
    """The text and the charset it was in ("utf-8", "cp1252", "cp1252+cp437" …); newlines become
    LF.

    Raises: Unusable for bytes that are empty, binary, or in no charset that can be made out.
    """
    if not data.strip():
        raise Unusable("empty")
    for bom, name in _BOMS:
        if data.startswith(bom):
            try:
                return _newlines(data.decode(name)), name.removesuffix("-sig")
            except UnicodeDecodeError:
                if name != "utf-8-sig":
                    raise Unusable(f"undecodable: begins as {name} but is not") from None
                data = data[len(bom) :]
    controls = sum(data.count(c) for c in range(32) if c not in b"\t\n\v\f\r\x1a\x1b")
    if b"\0" in data or controls > len(data) / 200:
        raise Unusable("binary")
    if data.isascii():
        return _newlines(data.decode("ascii")), "ascii"
    try:
        return _newlines(data.decode("utf-8")), "utf-8"
    except UnicodeDecodeError:
        return _not_utf8(data)


def _newlines(text: str) -> str:
    # A byte order mark also stands in the middle where files were glued; \x1a is DOS's end of file.
    text = text.replace("\ufeff", "").replace("\x1a", "")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _not_utf8(data: bytes) -> tuple[str, str]:
    lines = data.splitlines(keepends=True)
    # A file of UTF-8 with a few bad lines is judged by those.
    strays = (
        data
        if b"\xc3" not in data and b"\xe2" not in data
        else b"".join(line for line in lines if not _is_utf8(line))
    )
    name = east_asian(strays) or other_charset(strays)
    if name and len(strays) * 2 > sum(len(line) for line in lines if not line.isascii()):
        try:
            return _newlines(data.decode(_WIDER.get(name, name))), name
        except UnicodeDecodeError:
            if name in _WIDER:  # a byte went lost on the way
                return _newlines(data.decode(_WIDER[name], "replace").replace("\ufffd", "")), name
    scores = [{name: sum(_fits(name, line)) for name in _WESTERN} for line in lines]
    high = sum(b >= 0x80 for b in data)
    total = {name: sum(s[name] for s in scores) for name in _WESTERN}
    main = max(_WESTERN, key=lambda name: total[name])  # ties: the first, cp1252
    plain = len(data) - len(data.translate(None, _ASCII_LETTERS))
    if high > plain or (total[main] < 0 and b"\xc3" not in data):
        return _other(data)  # Cyrillic, Greek …: mostly above ASCII
    used: set[str] = set()
    out = []
    for line, score in zip(lines, scores, strict=True):
        if line.isascii():
            out.append(line.decode("ascii"))
            continue
        name = max(_WESTERN, key=lambda n: (score[n], n == main))
        name = name if score[name] - score[main] >= _CLEAR else main
        try:
            out.append(line.decode("utf-8"))  # valid by chance is all but impossible
            used.add("utf-8")
        except UnicodeDecodeError:
            # cp1252 leaves five bytes open; Latin-1 reads them as controls, which are then dropped.
            out.append(line.decode("latin-1").translate(dict(enumerate(_table(name)))))
            used.add(name)
    return _newlines("".join(out)), "+".join(sorted(used, key=lambda n: (n != main, n)))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _other(data: bytes) -> tuple[str, str]:
    """Neither reading looks like Western text: ask charset-normalizer."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[:200_000]).best()
    if best is None:
        raise Unusable("undecodable: no charset fits the bytes")
    try:
        return _newlines(data.decode(best.encoding)), best.encoding
    except UnicodeDecodeError:
        raise Unusable("undecodable: no charset fits the bytes") from None


@lru_cache
def _table(name: str) -> tuple[str, ...]:
    return tuple(bytes([b]).decode(name, "replace").replace("\ufffd", "") for b in range(256))


def _fits(name: str, line: bytes) -> Iterator[float]:
    """For every byte above ASCII: +1 where its reading fits what stands around it, less where
    not.
    """
    if line.isascii():
        return
    table = _table(name)
    for i, b in enumerate(line):
        if b >= 0x80:
            before = line[i - 1] if i else 0x20
            after = line[i + 1] if i + 1 < len(line) else 0x20
            yield _fit(table[b], before, after) if b not in (before, after) else _twin(table[b])


def _twin(char: str) -> float:
    """The same byte twice in a row: rules and runs of hard spaces, hardly ever accented letters."""
    return 1 if char == "\xa0" else -0.5


def _fit(char: str, before: int, after: int) -> float:
    touching = before in _LETTER or after in _LETTER
    if not char:
        return -2
    if char in "‘“„‚":
        return 1 if before not in _LETTER and after in _LETTER else -1
    if char in "’”":
        return 1 if before > 0x20 or (char == "’" and after in _LETTER) else -1
    if char in "—–…£":
        return 1
    if char == "\xa0":
        return 0 if before in _LOWER and after in _LOWER else 1
    if char == "\xad":  # Latin-1's soft hyphen; some old files write a dash as "-\xad"
        return 1 if before == 0x2D else 0
    if char in "¿¡":
        return 0.5 if after in _LETTER and before not in _LETTER else -1
    if char in "•™§°½¼¾«»©®¢·²³¹×÷†‡":
        return 0.5 if not (before in _LOWER and after in _LOWER) else 0
    if not char.isalpha() or char in "ªºµƒ" or ord(char) > 0x24F:
        return -1  # box drawing, Greek letters of CP437 …
    if not touching:
        return 0.2 if char in "àéêóòáèìùôûÀÉ" and before <= 0x20 >= after else -0.5
    if char.isupper():
        return -1 if before in _LOWER else 1
    return -1 if after in _UPPER and before not in _UPPER else 1
