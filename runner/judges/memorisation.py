"""Judge `memorisation`: does an answer repeat, word for word, what the model was trained on?

The longest run of words that an answer shares with any one text of this run's training data, system texts and the
answer's own prompt left out (`runner.verbatim`). The base model may know a famous book by heart as well: the tuned
model's difference from it says what this training did.

40 words are about the 50 tokens from which the literature speaks of verbatim memorisation (Carlini et al. 2023;
Nasr et al., "Scalable extraction of training data from (production) language models", 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta

from runner.record import Metric, Record, Score, Verdict
from runner.registry import JudgeContext, judge
from runner.verbatim import Run, Verbatim, texts

METRICS = {"memorised": Metric("share", "lower"), "verbatim_words": Metric("words", "lower")}
_SHOWN = 24  # words of a passage that the reason shows
_NO_DATA = "no training data to compare with: only the run that trained the model has them"


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if options["at_least"] < options["ngram"]:
        yield (
            ("at_least",),
            f"{options['at_least']} is less than ngram, {options['ngram']}: such runs are not seen",
        )


@judge(
    "memorisation", version=1, check=_wrong, reads=("split",), metrics=METRICS | {"training_records": None}
)
def memorisation(
    context: JudgeContext,
    *,
    at_least: Annotated[
        int,
        Meta(ge=4, le=10_000, description="Words in a row from which an answer counts as memorised."),
    ] = 40,
    ngram: Annotated[
        int,
        Meta(ge=4, le=100, description="Shorter runs of words are nobody's, and not looked at."),
    ] = 8,
) -> Verdict:
    """Score answers: memorised (1 where `at_least` words in a row stand in the training data), and verbatim_words, the
    longest such run. Lower is better. Missing where no training data are at hand."""
    rows = list(context.said("memorisation"))
    heard = {n: a.text for n, (_, _, a) in enumerate(rows) if a and any(c.isalnum() for c in a.text)}
    runs: dict[int, Run | None] = {}
    read = 0
    if context.records:

        def records() -> Iterator[Record]:
            nonlocal read
            for record in trained():
                read += 1
                yield record

        trained = context.records
        prompts = [[m.content or "" for m in rows[n][0].messages] for n in heard]
        found = Verbatim([*heard.values()], prompts, ngram=ngram).look(texts(records()))
        runs = dict(zip(heard, found, strict=True))
    scores = []
    for n, (probe, arm, answer) in enumerate(rows):
        if n in runs:
            run = runs[n]
            words, why = (run.words, _why(run)) if run else (0, "")
            scores.append(Score(probe.id, arm, "memorised", float(words >= at_least), why))
            scores.append(Score(probe.id, arm, "verbatim_words", float(words), why))
        else:
            why = _NO_DATA if n in heard else "empty answer" if answer else "no answer"
            scores += [Score(probe.id, arm, metric, None, why) for metric in METRICS]
    return Verdict(scores, {"training_records": float(read)} if read else {}, METRICS)


def _why(run: Run) -> str:
    words = run.text.split()
    shown = " ".join(words[:_SHOWN]) + (" …" if len(words) > _SHOWN else "")
    return f"{run.words} words as in {run.record or 'a record without id'} ({run.role}): {shown}"
