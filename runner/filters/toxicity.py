"""Filter `toxicity`: abusive words, or a classifier's score.

`by: words` counts whole words of a list that ships (datasets/words/toxicity.yaml), in three grades, also where they
are disguised: sh1t, f*ck, fuuuck, f u c k. It knows words, not meanings: it cannot tell abuse from a quotation of
it, and the language of older books is full of words that are slurs today. Allow those, or leave out the filter, where
a source is literature: dropping a book's every such passage changes the book.

`by: detoxify` asks a small neural classifier, with weights that are on this machine; nothing is fetched.

`by: moderation` asks the OpenAI-compatible endpoint that the user's settings name (`moderation_url`): texts leave this
machine. Its answers are kept, so each text is asked about once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runner import library
from runner.errors import StepError
from runner.privacy import moderation
from runner.record import Record
from runner.registry import Said, filter

Grade = Literal["mild", "strong", "slur"]
GRADES: tuple[Grade, ...] = ("mild", "strong", "slur")
Word = Annotated[
    str, Meta(pattern=r"^[^\W\d_](?:[^\s\d]{0,38}[^\W\d_])?$", description="One word of letters.")
]

_WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_DISGUISED = re.compile(r"[a-z0-9@$!|*#+]{3,40}")
_SPACED = re.compile(r"(?<![a-z0-9'’])[a-z](?:([ ._*-])[a-z])(?:\1[a-z]){1,10}(?![a-z0-9'’])")
_RUN = re.compile(r"([^\W\d_])\1{2,}")
_LEET = str.maketrans("@4310!|5$7+", "aaeioiisstt")
_LONGEST = 40  # letters of a word
_PIECE, _BATCH = 1500, 32  # characters that the classifier reads at once, and how many such pieces
_MODELS = {"original": "bert-base-uncased", "unbiased": "roberta-base", "multilingual": "xlm-roberta-base"}


class Lists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to the list of words."""

    allow: Annotated[list[Word], Meta(max_length=1000, description="Words that do not count.")] = (
        msgspec.field(default_factory=list)
    )
    deny: Annotated[
        list[Word], Meta(max_length=1000, description="Words that count besides, as slurs do.")
    ] = msgspec.field(default_factory=list)


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    words, at_least = options["words"], options["at_least"]
    if options["by"] == "words":
        if at_least is not None and at_least > 1 and at_least != int(at_least):
            yield ("at_least",), f"{at_least} is no whole number of words; a share is less than 1"
        both = (
            sorted({w.lower() for w in words["allow"]} & {w.lower() for w in words["deny"]}) if words else []
        )
        if both:
            yield ("words", "deny"), f"{both[0]!r} is allowed as well"
        return
    if options["by"] == "detoxify" and not _installed():
        yield ("by",), "detoxify is not installed: pip install detoxify"
    if options["by"] == "detoxify" and options["model"] not in (None, *_MODELS):
        yield ("model",), f"detoxify has {', '.join(_MODELS)}"
    if at_least is not None and at_least > 1:
        yield ("at_least",), f"{at_least} is more than the highest score, 1"
    if words:
        yield ("words",), "only goes with `by: words`"
    if options["grade"] is not None:
        yield ("grade",), "only goes with `by: words`"


@filter(
    "toxicity",
    version=1,
    libraries=("detoxify",),
    check=_wrong,
    asks=lambda options: bool(options["by"] == "moderation"),
)
def toxicity(
    records: Sequence[Record],
    ask: Callable[..., Any] | None = None,
    *,
    by: Annotated[
        Literal["words", "detoxify", "moderation"],
        Meta(
            description="A list of words; the package detoxify with weights that are on this machine; or the "
            "moderation endpoint that your settings name, to which the texts are sent."
        ),
    ] = "words",
    grade: Annotated[
        Grade | None,
        Meta(description="The mildest words that count, with all that are worse. Default: strong."),
    ] = None,
    at_least: Annotated[
        Annotated[float, Meta(gt=0, le=100_000)] | None,
        Meta(
            description="From when on a record is dropped. Words: a number of them (1 and more), or a share of all "
            "words (less than 1); default 1. detoxify: a score; default 0.5. moderation: a score; default: what the "
            "endpoint itself flags."
        ),
    ] = None,
    words: Annotated[Lists | None, Meta(description="Words to allow, and more words to deny.")] = None,
    where: Annotated[
        Literal["text", "answer"],
        Meta(description="Who is listened to: user and assistant, or the assistant alone."),
    ] = "text",
    model: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(
            description="Which of detoxify's models (original, unbiased, multilingual), or the endpoint's. Default: "
            "original, or the endpoint's own."
        ),
    ] = None,
) -> list[Said]:
    """Drop records with abusive language: by a list of words (default), detoxify's classifier, or an endpoint."""
    texts = [r.text if where == "text" else r.answer for r in records]
    if by == "detoxify":
        return _classified(texts, model or "original", at_least or 0.5)
    if by == "moderation":
        assert ask is not None
        return [*moderation.judged(texts, ask, model, at_least)]
    allow = tuple(sorted(words.allow)) if words else ()
    deny = tuple(sorted(words.deny)) if words else ()
    listed, counted = _listed(allow, deny), GRADES[GRADES.index(grade or "strong") :]
    return [_by_words(listed, text, counted, at_least or 1) for text in texts]


def _by_words(listed: WordList, text: str, counted: Sequence[Grade], at_least: float) -> Said:
    found, words = listed.count(text)
    hits = sum(found[g] for g in counted)
    if not hits or hits < (at_least if at_least >= 1 else at_least * words):
        return True
    worst = max((g for g in counted if found[g]), key=GRADES.index)
    return {"mild": "toxicity: rude words", "strong": "toxicity: obscene words", "slur": "toxicity: slurs"}[
        worst
    ]


class WordList:
    """Words and their grades, found whole, also in disguise."""

    def __init__(self, graded: Mapping[str, Grade], phrases: Sequence[str]) -> None:
        self.graded = dict(graded)
        self.starred: dict[tuple[int, str], list[str]] = {}
        for word in self.graded:
            self.starred.setdefault((len(word), word[0]), []).append(word)
        self.phrases = [f" {p} " for p in phrases]

    def count(self, text: str) -> tuple[Counter[str], int]:
        """How many words of each grade there are, and how many words in all."""
        lower = text.lower()
        if not lower.isascii():
            lower = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c))
        words = _WORDS.findall(lower.replace("’", "'"))
        found: Counter[str] = Counter()
        for word, n in Counter(words).items():
            grade = self._grade(word)
            if grade:
                found[grade] += n
        for token in _DISGUISED.findall(lower):
            if not token.isalpha() and (grade := self._disguised(token)):
                found[grade] += 1
        for match in _SPACED.finditer(lower):
            if grade := self.graded.get("".join(c for c in match[0] if c.isalpha())):
                found[grade] += 1
        if any(p.split()[0] in words for p in self.phrases):
            said = f" {' '.join(words)} "
            found["slur"] += sum(said.count(p) for p in self.phrases)
        return +found, len(words)

    def _grade(self, word: str) -> Grade | None:
        """Of a word as it stands, stretched (fuuuck), or of either part of a compound with a hyphen."""
        if word in self.graded:
            return self.graded[word]
        if len(word) > 4 * _LONGEST:
            return None
        if _RUN.search(word):
            once, twice = _RUN.sub(r"\1", word), _RUN.sub(r"\1\1", word)
            return self.graded.get(once) or self.graded.get(twice)
        if word.endswith("'s"):
            return self.graded.get(word[:-2])
        if "-" in word:
            grades = [g for part in word.split("-") if (g := self.graded.get(part))]
            return max(grades, key=GRADES.index, default=None)
        return None

    def _disguised(self, token: str) -> Grade | None:
        token = token.rstrip("!+#|")
        if not any("a" <= c <= "z" for c in token) or token.isalpha():
            return None
        if "*" in token or "#" in token:
            return None if token.strip("*#").isalpha() else self._starred(token)
        plain = token.translate(_LEET)
        return self._grade(plain) or self._grade(token.replace("1", "l").translate(_LEET))

    def _starred(self, token: str) -> Grade | None:
        """f*ck: a word of this length with these letters; two of them at least must stand there."""
        if not token or sum(c.isalpha() for c in token) < 2:
            return None
        for word in self.starred.get((len(token), token[0]), ()):
            if all(a in ("*", "#", b) for a, b in zip(token, word, strict=True)):
                return self.graded[word]
        return None


@lru_cache(maxsize=32)
def _listed(allow: tuple[str, ...], deny: tuple[str, ...]) -> WordList:
    import yaml

    path = library.find("datasets/words/toxicity.yaml")
    if path is None:
        raise StepError("toxicity", "datasets/words/toxicity.yaml, the list of words, is not installed")
    shipped = yaml.safe_load(path.read_text(encoding="utf-8"))
    graded: dict[str, Grade] = {}
    for grade in GRADES:
        for word, endings in re.findall(r"([\w'-]+)(?: \(([^)]*)\))?", shipped[grade]):
            graded |= dict.fromkeys([word, *(word + e for e in endings.split())], grade)
    graded |= dict.fromkeys((w.lower() for w in deny), "slur")
    allowed = {w.lower() for w in allow}
    return WordList({w: g for w, g in graded.items() if w not in allowed}, shipped["threats"])


def _classified(texts: Sequence[str], model: str, at_least: float) -> list[Said]:
    """detoxify's verdict on each text: the highest score of any piece in any class."""
    classifier = _detoxify(model)
    worst: list[tuple[float, str]] = [(0.0, "")] * len(texts)
    pieces = [(n, p) for n, text in enumerate(texts) for p in _pieces(text)]
    for start in range(0, len(pieces), _BATCH):
        some = pieces[start : start + _BATCH]
        scores = classifier.predict([p for _, p in some])
        for label, values in scores.items():
            for (n, _), value in zip(some, values, strict=True):
                worst[n] = max(worst[n], (float(value), str(label)))
    return [f"toxicity: {label}" if score >= at_least else True for score, label in worst]


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            cut = text.rfind(" ", start + 1, end) + 1
            end = cut or end
        if piece := text[start:end].strip():
            yield piece.encode(errors="replace").decode()
        start = end


def _installed() -> bool:
    try:
        version("detoxify")
    except PackageNotFoundError:
        return False
    return True


@lru_cache(maxsize=2)
def _detoxify(model: str) -> Any:
    """The classifier, from files that are here. Raises StepError that says what is missing."""
    try:
        import detoxify  # type: ignore[import-not-found,unused-ignore]
        import huggingface_hub
        import torch
    except ImportError as e:
        raise StepError("toxicity", f"by detoxify needs {e.name}: pip install detoxify") from None
    url = detoxify.detoxify.MODEL_URLS[model]
    weights = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not weights.is_file():
        what = f"by detoxify needs the weights of {model!r} at {weights}: put them there"
        raise StepError("toxicity", what)
    try:
        words = huggingface_hub.snapshot_download(_MODELS[model], local_files_only=True)
    except (OSError, ValueError):
        what = f"by detoxify needs the configuration and tokenizer of {_MODELS[model]!r} in the hub's cache"
        raise StepError("toxicity", what) from None
    return detoxify.Detoxify(model, checkpoint=str(weights), huggingface_config_path=words)
