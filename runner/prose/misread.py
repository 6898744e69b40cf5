"""Words that a scanner misread: what a single word looks like when letters were taken for others.

No dictionary: a word counts as misread if no writer makes it (a digit or a stray symbol among letters, a ligature, a
run of stops and commas), if it is one of the commonest English words with one letter taken for its likeness ("tbe",
"aud", "wbich", "fuch"), or if no English word is spelt like that (six consonants, "vv" at its head). Dialect, names and
verse are made of letters in the usual order and pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

Kind = Literal["", "digit", "symbol", "marks", "ligature", "break", "letter", "misread", "unheard"]

ENGLISH_ONLY = frozenset(("misread", "unheard"))

_COMMON = """
    the of and to that was he in it his is with as had for you at not on but be him they have my all she by said
    this from me which were there so one them out or their would what we when her are been no if who into up will
    more then very could do upon now about time some man like your little well other than has its any way down
    only great before such good see must never know made over come here day these two might went long can after
    again old our think those first through every still where much should most people thing right house being
    something without nothing because
    """.split()
# What type looks like in a worn or faded line, and the long s.
_LIKENESS = [pair.split(":") for pair in (
    "h:b b:h e:c c:e n:u u:n t:f f:t s:f m:rn rn:m h:li li:h w:vv d:cl cl:d l:i i:l t:l l:t in:m ri:n r:v y:v "
    "ll:u a:o n:ii h:ii u:ii m:iii o:c w:iv t:i k:lc"
).split()]  # fmt: skip
# Words and dialect that these likenesses also make, and words of other languages in English books.
_REAL = frozenset(
    """
    ail ali alt arc atter ave bad bas ber bere bis bouse bui clay cld clo clown con cur cut doy ean fee haf
    hev hod hos hove hut ifs iii ils info lie lime mau mode mon move onc ond ont ony ore ouf oui sec stilt
    thon thot tike tittle tong tor trom wav weil welt weve whot wilt witl wos yon
    """.split()
)


def _likenesses(words: list[str]) -> Iterator[str]:
    for word in words:
        for real, seen in _LIKENESS:
            at = word.find(real)
            while at >= 0:
                yield word[:at] + seen + word[at + len(real) :]
                at = word.find(real, at + 1)


_MISREAD = frozenset(w for w in _likenesses(_COMMON) if len(w) > 2) - _REAL - frozenset(_COMMON)

LONGEST = 40  # what is longer is an address, a number, a key, or another script's sentence
_AROUND = ".,;:!?\"'“”‘’«»()[]*_-–—…"
_FORMAL = re.compile(r"[/@_=+#$%&{}\[\]()`\\]")  # of addresses, code, formulas
_DIGIT = re.compile(
    r"[a-z]{2}[0156][a-z]|[a-z][01][a-z]{2}|^[01](?!x|min|hou|sec|day|[gkm]b|hz|[ckm]m|kg)[a-z]{3}|^(?:0[fnr]|1[tnfs]|1ts)$",
    re.IGNORECASE,
)
_SYMBOL = re.compile(r"[A-Za-zÀ-ɏ][|^~;•■¬¦¶§©®°¢£¥<>][A-Za-zÀ-ɏ]")
_MARKS = re.compile(r",\.(?!\.)|[:;]\.|[,:;][,:;]|[~^•■¬¦][.,;:'~^•■¬¦]|[.,;:'][~^•■¬¦|]")
_LIGATURE = re.compile(r"[ſﬀ-ﬆ]")
_ROMAN = re.compile(r"[ivxlcdm]+")
# Consonants by which English words (and those they borrow) begin; another pair at the head of a word is none of them.
_ONSET = (
    "b[dhlr] c[hlnrz] d[hjnrw] f[jlrt] g[hlnrw] k[hlnr] ll m[bnp] n[gtyk] p[fhlnrst] rh s[bcdfghjklmnpqrstvwz] "
    "t[hrswz] v[lr] w[hr] x[hmvx] z[hlw]"
).replace(" ", "|")
_UNHEARD = re.compile(rf"[b-df-hj-np-tv-xz]{{6}}|ii[^nt]|^(?=.*[aeiouy])(?!{_ONSET})[b-df-hj-np-tv-xz]{{2}}")


def kind(word: str) -> Kind:
    """What is odd about a word as it stands between spaces; "" for nothing.

    "break" and "letter" are odd only beside certain others: a hyphen at a line's end, a letter among letters.
    """
    if len(word) > LONGEST:
        return ""
    word = word.lstrip(",")  # German and Polish quotations begin with two commas in plain text
    core = word.strip(_AROUND)
    if core.isalpha():
        if len(core) == 1:
            return "letter" if word == core and "b" <= core <= "z" and core not in "io" else ""
        if not core.isascii() and _LIGATURE.search(core):
            return "ligature"
        if word[-1] == "-" and word[-2].islower():
            return "break"
        if len(word) - len(core) > 1 and _MARKS.search(word):
            return "marks"
        return "" if word[0] in "'’‘" else _spelling(core)  # "'ndeed": its head is cut off
    if _FORMAL.search(core):
        return ""
    if _SYMBOL.search(core):
        return "symbol"
    if _MARKS.search(word):
        return "marks"
    return "digit" if _DIGIT.search(core) else ""


def _spelling(word: str) -> Kind:
    if not (word.islower() or word.istitle()):
        return ""
    if word.lower() in _MISREAD:
        return "misread"
    if len(word) < 4 or not word.islower() or not word.isascii() or _ROMAN.fullmatch(word):
        return ""
    return "unheard" if _UNHEARD.search(word) else ""
