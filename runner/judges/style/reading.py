"""Text → what the classifier sees of it: words with names masked, and n-grams with the topic masked.

A classifier of style is fooled by whatever goes with a voice and is not the voice: who and what a text is about, the
cast of a story, how an edition prints quotes and dashes. So none of it is seen:

- names (words with a capital that hardly anybody here writes without), numbers, and words that only one work has: "_";
- he, she and they are one word, his, her and their another: they tell who is told of;
- quotation marks, brackets and dashes are left out; , ; : and . ! ? stay, and a second reading knows only "," and ".".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

MASK = "_"
COMMON = 600
"""Words that stay in a text when its topic is masked: the commonest, each group of texts counting the same."""

_TOKEN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\d+|[.!?…]+|[,;:]")
_ENDS = frozenset(".!?…")
_FORMS = {
    "he": "she they",
    "his": "him her hers them their theirs",
    "himself": "herself themselves",
    "he's": "she's they're they've",
    "he'd": "she'd they'd",
    "he'll": "she'll they'll",
}
_CAST = {form: one for one, forms in _FORMS.items() for form in forms.split()}
_ALWAYS = frozenset((*_CAST, *_FORMS, "i", "i'm", "i've", "i'd", "i'll"))  # "I" always has a capital


def tokens(text: str) -> list[str]:
    """Words as they are written, numbers, and the marks that count."""
    return _TOKEN.findall(re.sub("[‘’ʼ´`]", "'", text))


def _is_word(token: str) -> bool:
    return token[0].isalpha()


def _mark(token: str) -> str:
    """A mark: the first of "?!", and "." for the character "…"."""
    return token[0].replace("…", ".")


class Lexicon:
    """What of a text is a name, and which words are common. Learnt from texts without their labels."""

    def __init__(self, texts: Sequence[Sequence[str]], groups: Sequence[str], common: int = COMMON) -> None:
        """`texts` as tokens, `groups` the work or author of each."""
        homes: dict[str, str | None] = {}  # None: more than one group writes it without a capital
        for text, group in zip(texts, groups, strict=True):
            for word in {t for t in text if t.islower()}:
                if homes.setdefault(word, group) != group:
                    homes[word] = None
        self.known = _ALWAYS | {w for w, home in homes.items() if home is None}
        counts: dict[str, Counter[str]] = {}
        for text, group in zip(texts, groups, strict=True):
            counts.setdefault(group, Counter()).update(t for t in self.words(text) if _is_word(t))
        share: Counter[str] = Counter()
        for group in sorted(counts):
            of = counts[group].total()
            for word, n in counts[group].items():
                share[word] += n / of  # type: ignore[assignment]
        order = sorted(share.items(), key=lambda item: (-item[1], item[0]))
        self.common = frozenset(word for word, _ in order[:common])

    def words(self, text: Sequence[str]) -> list[str]:
        """The tokens with names, numbers and unknown words masked and the cast made one."""
        out = []
        for token in text:
            if not token[0].isalnum():
                out.append(_mark(token))
                continue
            word = token.lower()
            out.append(_CAST.get(word, word) if word in self.known else MASK)
        return out

    def names(self, text: Sequence[str]) -> list[str]:
        """The names in it: words with a capital that are not known without."""
        return [t for t in text if _is_word(t) and t[0].isupper() and t.lower() not in self.known]

    def flat(self, words: Sequence[str]) -> list[str]:
        """The second reading: of all marks only "," and ".", never two in a row."""
        out: list[str] = []
        for word in words:
            mark = "" if word == MASK or word[0].isalnum() else "." if word in _ENDS else ","
            if not mark:
                out.append(word)
            elif out and out[-1] in (",", "."):
                out[-1] = max(out[-1], mark)  # "." ends what "," parts
            else:
                out.append(mark)
        return out

    def masked(self, words: Sequence[str]) -> list[str]:
        """The topic masked: only common words and marks are left."""
        return [w if w in self.common or not (w == MASK or w[0].isalnum()) else MASK for w in words]


def grams(words: Sequence[str], longest: int) -> list[str]:
    """All runs of 1 to `longest` words, but those with nothing but masks: how many names there are is no style."""
    runs = (words[i : i + n] for n in range(1, longest + 1) for i in range(len(words) - n + 1))
    return [" ".join(run) for run in runs if any(word != MASK for word in run)]
