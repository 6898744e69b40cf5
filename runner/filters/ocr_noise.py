"""Filter `ocr_noise`: text that a scanner misread.

The share of words that no writer makes: digits and stray symbols among letters ("th1s", "wi|l"), runs of stops and
commas (".,;"), ligatures and the long s, words broken at a line's end ("exam- ple") or into letters ("b o o k"), and
in English the commonest words with a letter taken for its likeness ("tbe", "aud", "fuch") or spelt as no word is.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.prose.misread import ENGLISH_ONLY, LONGEST, kind
from runner.prose.stopwords import ENGLISH
from runner.prose.texts import without_code
from runner.record import Record
from runner.registry import filter

_VOCABULARY = 1 << 18  # words whose kind is kept
_WORDS = 200_000  # looked at of one text
_ENGLISH_SHARE = 0.15  # of stop words: half of what clean English has, for some are misread
_FORMAL_SHARE = 0.1  # of words that look like code or a table: more of them is no running text
_SIGNS = frozenset("= == + - * / | || < > <= >= => -> := { } # // && != += :".split())
_LINE_ENDS = (");", "):", "};", "{", "}", "];", "',", '",', '":')
_NO_BREAK = frozenset("and or to und oder bis et ou y o e og och en of".split())


class _Kinds(dict[str, str]):
    """What is odd about each word, remembered: text is made of few words."""

    def __missing__(self, word: str) -> str:
        if len(word) > LONGEST:
            return ""
        if len(self) >= _VOCABULARY:
            self.clear()
        self[word] = found = kind(word)
        return found


_KINDS = _Kinds()


@filter("ocr_noise", version=1)
def ocr_noise(
    record: Record,
    *,
    at_most: Annotated[
        float, Meta(ge=0, le=1, description="Largest share of misread words.", examples=[0.05])
    ] = 0.01,
    from_words: Annotated[
        int, Meta(ge=1, le=10_000, description="Texts of fewer words than this are not judged.")
    ] = 10,
    fewest: Annotated[
        int, Meta(ge=1, le=10_000, description="Fewer misread words than this are never too many.")
    ] = 2,
) -> bool | str:
    """Drop records of which more than a share of the words were misread by a scanner.

    User and assistant text is looked at, without fenced code. Dialect, verse, names, addresses, tables and formulas
    are not noise; where a text is not English only the signs count that hold in all languages.

    The default was measured: of 1,450,000 words of 30 well-read books, 1 in 30,000 looks misread; where a scanner
    gets every seventh word wrong, 1 in 13 does.
    """
    words = without_code(record.text).split(None, _WORDS)
    del words[_WORDS:]
    odd = len(words) - list(map(_KINDS.__getitem__, words)).count("")
    limit = max(at_most * len(words), fewest - 1)
    if odd <= limit or len(words) < from_words:
        return True
    return "OCR noise" if _misread(words) > limit else True


def _misread(words: list[str]) -> int:
    """The misread words, now that it matters: with a look at their neighbours, and at what the text is."""
    if sum(_formal(word) for word in words) > _FORMAL_SHARE * len(words):
        return 0
    english = sum(word.lower() in ENGLISH for word in words) >= _ENGLISH_SHARE * len(words)
    count = alone = 0
    names: set[str] = set()
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if len(word) == 1 and word.isalpha() and word.islower():
            alone += 1
            continue
        count += alone > 2
        alone = 0
        odd = _KINDS[word]
        if odd == "break":
            count += after[:1].islower() and after not in _NO_BREAK
        elif odd in ("digit", "symbol"):  # once each: a name may be spelt like that, and come often
            names.add(word.lower().strip(".,;:!?'\"’”)"))
        elif odd and (english or odd not in ENGLISH_ONLY):
            count += 1
    return count + len(names) + (alone > 2)


def _formal(word: str) -> bool:
    """Whether it looks like code, a table's frame or a formula: one of its signs by itself, or a line's end in code."""
    return word in _SIGNS or word.endswith(_LINE_ENDS) or "_" in word.strip("_") or "()" in word
