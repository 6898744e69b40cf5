"""The style judge: does an answer sound like the persona? A classifier trained on texts held out from training.

How such a judge fools itself, and what is done here, is in docs/judges-style.md. In short: two feature sets see neither
names nor topic, another asks for each kind of other texts (modern, of the period), and the *lowest* counts; whole works
and authors are held out; probabilities are calibrated on what was held out; and how good all that is, and what moves it
that should not, is stated as facts. It compares a voice with the texts it was given; whether an answer is true it
cannot tell, only whether the facts that a probe requires are still in it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from runner.errors import Problem, StepError
from runner.judges.style.answers import HEARD, KEPT, lost, unfit, wants
from runner.judges.style.kinds import FACTS, MODERN, OTHER, PERIOD, PERSONA
from runner.record import Metric, Score, Verdict
from runner.registry import Files, JudgeContext, ProbeFile, judge, wants_of

if TYPE_CHECKING:
    from runner.judges.style.classifier import Classifier

METRICS = (*HEARD, KEPT)
_WORKS = {"persona_works": PERSONA, "period_works": PERIOD, "modern_works": MODERN}
_GLOBS = (
    "Plain text (of Project Gutenberg too) or JSONL of {text, author} or {messages}; files, or globs of them."
)
_EXTRA = {"files": "glob"}


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if options["texts"]:
        return
    if not options["persona_works"]:
        yield (), "needs texts, or persona_works beside period_works or modern_works"
    elif not (options["period_works"] or options["modern_works"]):
        yield ("persona_works",), "needs period_works or modern_works beside it: who else writes"


def _look(files: Mapping[str, Mapping[str, Path]]) -> Iterator[Problem]:
    """Each line of `texts`, and of works in JSONL, that cannot be read."""
    from runner.judges.style import pieces as p

    for option, some in files.items():
        for name, path in some.items():
            if option == "texts" or name.endswith(".jsonl"):
                yield from p.unreadable(name, path, p.StyleText if option == "texts" else p.WorkText)


@judge(
    "style",
    version=4,
    libraries=("scikit-learn", "scipy", "numpy"),
    metrics=dict.fromkeys(METRICS, Metric()) | dict.fromkeys(FACTS),
    check=_wrong,
    look=_look,
    wants=wants,
)
def style(
    context: JudgeContext,
    *,
    texts: ProbeFile | None = None,
    persona: Annotated[str, Meta(description="The label sought in `texts`.")] = "persona",
    persona_works: Annotated[
        Files | None,
        Meta(description=f"Works of the persona, held out from training. {_GLOBS}", extra=_EXTRA),
    ] = None,
    period_works: Annotated[
        Files | None,
        Meta(description=f"Works of its contemporaries, a folder an author. {_GLOBS}", extra=_EXTRA),
    ] = None,
    modern_works: Annotated[
        Files | None,
        Meta(description=f"Modern texts, as assistants and papers write. {_GLOBS}", extra=_EXTRA),
    ] = None,
    about_works: Annotated[
        Files | None,
        Meta(
            description="Texts *about* the persona by others: never trained on; how many are called the persona's "
            f"is a fact. {_GLOBS}",
            extra=_EXTRA,
        ),
    ] = None,
    authors: Annotated[
        dict[str, str] | None,
        Meta(
            description="File name → author, of works whose folder does not say it.",
            examples=[{"46.txt": "Dickens"}],
        ),
    ] = None,
    words: Annotated[
        int, Meta(ge=20, le=2000, description="Words of the pieces that works are cut to.")
    ] = 200,
    threshold: Annotated[
        float,
        Meta(
            ge=0.05,
            le=0.95,
            description="Probability from which a text counts as the persona's. Higher: fewer others are taken for it.",
        ),
    ] = 0.52,
) -> Verdict:
    """Score answers 1 where a classifier hears the persona (probability `threshold` or more), else 0.

    Its texts are lines of `texts`, {"text", "label", "group", "kind": "modern" or "period"}, of which `persona` is the
    label sought; or whole works, cut to pieces; or both. An answer longer than one and a half pieces is cut too, and
    the mean counts. A probe whose `expect` says {"required": ["a fact", ["or", "one of these"]]} is also scored on
    content_kept: 1 where the answer holds them all. The facts measure the classifier on works and authors it never saw.
    """
    from runner.judges.style import pieces as p  # numpy, and the patterns of books
    from runner.judges.style.classifier import Classifier
    from runner.judges.style.measures import measure

    name = texts or "persona_works"
    pieces = p.labelled(context.files.get("texts", ()), name, persona)
    if len(pieces) > 0 and not 0 < sum(x.kind == PERSONA for x in pieces) < len(pieces):
        raise StepError("style", f"{texts}: needs texts with and without the label {persona!r}")
    length = words
    if pieces:  # they are not cut
        length = max(1, round(statistics.median(len(x.text.split()) for x in pieces)))
    by = authors or {}
    pieces += p.of_works({k: p.works(context.files.get(o, ()), by) for o, k in _WORKS.items()}, length)
    if not 0 < sum(x.kind == PERSONA for x in pieces) < len(pieces):
        raise StepError(
            "style", f"{name}: no piece of {length} words in the works of the persona, or of others"
        )
    context.progress(0, 0, "training the style classifier")
    classifier = Classifier(pieces, length, name, context.mapped)
    facts = measure(classifier, context.seed, threshold)
    about = p.of_works({OTHER: p.works(context.files.get("about_works", ()), by)}, length)
    if about:
        said = classifier.probability([x.text for x in about])
        facts["check.about"] = round(sum(x >= threshold for x in said) / len(said), 6)
    return Verdict(list(_scores(context, classifier, threshold)), facts)


def _scores(context: JudgeContext, classifier: Classifier, threshold: float) -> Iterable[Score]:
    expected = wants_of(context.probes, wants)
    said = list(context.said("style"))
    heard = probabilities(classifier, [a.text if a else "" for _, _, a in said])
    for (probe, arm, answer), chance in zip(said, heard, strict=True):
        facts = expected[probe.id].expect
        if answer is None:
            for metric in METRICS if facts else HEARD:
                yield Score(probe.id, arm, metric, None, "no answer")
            continue
        reason = unfit(answer.text)
        value = 0.0 if reason else chance
        yield Score(probe.id, arm, "persona", float(value >= threshold), reason)
        yield Score(probe.id, arm, "persona_probability", value, reason)
        if facts:
            gone = lost(answer.text, facts)
            yield Score(probe.id, arm, KEPT, float(not gone), f"lost: {'; '.join(gone)}" if gone else "")


def probabilities(classifier: Classifier, texts: Sequence[str]) -> list[float]:
    """One probability for each text; of a long one the mean of its pieces."""
    from runner.judges.style.pieces import cut

    cuts = [
        (cut(t, classifier.words) if len(t.split()) * 2 > classifier.words * 3 else []) or [t] for t in texts
    ]
    said = iter(classifier.probability([piece for some in cuts for piece in some]))
    return [round(statistics.fmean(next(said) for _ in some), 6) for some in cuts]
