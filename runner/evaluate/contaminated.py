"""Step `contaminated`: refuses to judge by probes that stand in what was trained on.

By default the data are cleaned of them (`decontaminate`), and there is no such step. A recipe that switched that off is
looked at here, before any model speaks: a score on what was learnt by heart is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runner.contamination import Contamination, plain
from runner.evaluate.probes import probes
from runner.making import Making, read_rows, write_json
from runner.record import Record
from runner.suite import Suite

FEWEST = 3  # words
AT_ONCE = 4096  # turns


def contaminated(m: Making) -> None:
    """Raises StepError that names a suite, one of its probes and the record in which it stands."""
    wanted: list[tuple[Suite, str, str]] = []
    for suite, file in m.step.details["probes"]:
        for probe in probes(file.path, suite.common.limit):
            said = [x.content or "" for x in probe.messages if x.role in ("user", "assistant")]
            wanted += [(suite, probe.id, text) for text in said if len(plain(text).split()) >= FEWEST]
    look = Contamination([text for _, _, text in wanted], ngram=m.plan.loaded.recipe.decontaminate.ngram)
    looked = 0
    turns = _turns(m)
    while some := list(islice(turns, AT_ONCE)):
        for (record, _), hit in zip(some, look.hits(text for _, text in some), strict=True):
            if hit is not None:
                suite, id, _ = wanted[hit]
                raise m.fail(
                    f"contaminated: the probe {id!r} of the suite {suite.common.name!r} stands in the record "
                    f"{record!r}, which was trained on; leave `decontaminate` on, or take it out of the data"
                )
        looked += len(some)
        m.progress(looked, 0, "turns looked at")
    write_json(
        m.out / "looked.json", {"probes": len({(s.common.name, p) for s, p, _ in wanted}), "turns": looked}
    )


def _turns(m: Making) -> Iterator[tuple[str, str]]:
    """(id of its record, text) of every turn that was trained on or validated with."""
    for name in ("train", "validation"):
        for record in read_rows(m.inputs["split"].file(f"data/{name}.jsonl"), Record):
            for message in record.messages:
                if message.role in ("user", "assistant") and message.content:
                    yield record.id, message.content
