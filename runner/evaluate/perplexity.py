"""Step `perplexity.ARM`: how well an arm foresees held-out texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner import passages
from runner.evaluate import jobs
from runner.fetching import InputFile
from runner.making import Making, write_rows
from runner.suite import Suite


def perplexity(m: Making) -> None:
    """One arm's mean loss on passages of held-out texts."""
    rows = [row for suite in m.plan.loaded.suites for row in passages_of(m, suite, m.step.details["files"])]
    write_rows(m.work / "texts.jsonl", rows)
    job = {
        "kind": "perplexity",
        "arm": m.step.details["arm"],
        "texts": str(m.work / "texts.jsonl"),
        "out": str(m.work / "losses" / "losses.jsonl"),
        "progress": str(m.work / "progress.jsonl"),
    }
    jobs.on_weights(m, "generate", job, len(rows))
    for file in sorted((m.work / "losses").iterdir()):
        if file.suffix in (".json", ".jsonl"):
            file.rename(m.out / file.name)


def passages_of(
    m: Making, suite: Suite, files: Mapping[str, tuple[InputFile, ...]]
) -> Iterator[dict[str, str]]:
    """The passages that a suite measures, `id` and `text`. `files` are those of each "SUITE/GROUP"."""
    from runner.booktext import Unusable, decode, strip_gutenberg  # its patterns take a while

    wanted = suite.common.perplexity
    for group in wanted.texts if wanted else ():
        assert wanted is not None
        for file in files[f"{suite.common.name}/{group}"]:
            try:
                body = strip_gutenberg(decode(file.path.read_bytes())[0])
            except Unusable as e:
                raise m.fail(f"{file.name}: {e}") from None
            found = passages.cut(body, words=wanted.words)
            step = max(1, len(found) // wanted.passages)
            for n in list(range(0, len(found), step))[: wanted.passages]:
                yield {"id": f"{suite.common.name}/{group}/{file.name}/{n}", "text": found[n]}
