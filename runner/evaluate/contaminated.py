"""Step `contaminated`: refuses to judge by what was trained on: probes, documents of tasks, held-out texts.

By default the data are cleaned of them (`decontaminate`), and there is no such step. A recipe that switched that off is
looked at here, before anything is trained, and so is a run that is judged by suites that its recipe did not name,
before any model speaks: a score on what was learnt by heart is worth nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from runner.contamination import Contamination, plain
from runner.evaluate.perplexity import passages_of
from runner.evaluate.probes import probes
from runner.making import Making, read_rows, write_json
from runner.record import Record
from runner.taskdocs import FEWEST, Asked, documents

AT_ONCE = 4096  # turns


class _Wanted(NamedTuple):
    """A text that must not be found: of which kind, what it is in words, the text."""

    kind: str
    what: str
    text: str


def contaminated(m: Making) -> None:
    """Raises StepError that names what stands in which record."""
    ngram = m.plan.loaded.recipe.decontaminate.ngram
    asked, held = [*_probes(m), *_documents(m, ngram)], list(_passages(m))
    wanted = asked + held
    look = Contamination([w.text for w in asked], ngram=ngram, books=[w.text for w in held])
    looked = 0
    turns = _turns(m)
    while some := list(islice(turns, AT_ONCE)):
        for (record, _), hit in zip(some, look.hits(text for _, text in some), strict=True):
            if hit is not None:
                raise m.fail(
                    f"contaminated: {wanted[hit].what} stands in the record {record!r}, which was trained on; leave "
                    "`decontaminate` on, or take it out of the data, or of what is judged by"
                )
        looked += len(some)
        m.progress(looked, 0, "turns looked at")
    counts = Counter(kind for kind, _ in {(w.kind, w.what) for w in wanted})
    write_json(
        m.out / "looked.json", {k: counts[k] for k in ("probes", "documents", "passages")} | {"turns": looked}
    )


def _probes(m: Making) -> Iterator[_Wanted]:
    for suite, file in m.step.details["probes"]:
        for probe in probes(file.path, suite.common.limit):
            for x in probe.messages:
                if x.role in ("user", "assistant") and x.content and len(plain(x.content).split()) >= FEWEST:
                    what = f"the probe {probe.id!r} of the suite {suite.common.name!r}"
                    yield _Wanted("probes", what, x.content)


def _documents(m: Making, ngram: int) -> Iterator[_Wanted]:
    """Of lm-eval's tasks: what is asked, as far as it is asked."""
    for suite, task, files, limit in m.step.details["tasks"]:
        try:
            asked = Asked.local(files) if files else Asked.fetched(task, m.inputs[f"task.{task}"])
            for file in asked.files:
                for number, document in islice(documents(file), limit):
                    for text in asked.of(document, ngram):
                        what = f"the document {number} of the task {task!r} (suite {suite.common.name!r})"
                        yield _Wanted("documents", what, text)
        except ValueError as e:
            raise m.fail(str(e)) from None


def _passages(m: Making) -> Iterator[_Wanted]:
    """Of held-out texts: what is measured. Compared as books are, of which any two share eight words by chance."""
    for suite in m.plan.loaded.suites:
        for row in passages_of(m, suite, m.step.details["texts"]):
            name = row["id"].removeprefix(f"{suite.common.name}/")
            yield _Wanted(
                "passages", f"the held-out passage {name!r} of the suite {suite.common.name!r}", row["text"]
            )


def _turns(m: Making) -> Iterator[tuple[str, str]]:
    """(id of its record, text) of every turn that was trained on or validated with."""
    data: dict[str, Path] | None = m.step.details["data"]
    names = ("train.jsonl", "validation.jsonl")
    for path in [m.inputs["split"].file(f"data/{n}") for n in names] if data is None else data.values():
        for record in read_rows(path, Record):
            for message in record.messages:
                if message.role in ("user", "assistant") and message.content:
                    yield record.id, message.content
