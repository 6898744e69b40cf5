"""Step `perplexity.ARM`: how well an arm foresees held-out texts."""

from __future__ import annotations

from typing import Any

from runner import passages
from runner.evaluate import jobs
from runner.making import Making, write_rows


def perplexity(m: Making) -> None:
    """One arm's mean loss on passages of held-out texts."""
    from runner.booktext import Unusable, decode, strip_gutenberg  # its patterns take a while

    files: dict[str, Any] = m.step.details["files"]
    rows = []
    for suite in m.plan.loaded.suites:
        wanted = suite.common.perplexity
        if wanted is None:
            continue
        for group in wanted.texts:
            for file in files[f"{suite.common.name}/{group}"]:
                try:
                    body = strip_gutenberg(decode(file.path.read_bytes())[0])
                except Unusable as e:
                    raise m.fail(f"{file.name}: {e}") from None
                found = passages.cut(body, words=wanted.words)
                step = max(1, len(found) // wanted.passages)
                rows += [
                    {"id": f"{suite.common.name}/{group}/{file.name}/{n}", "text": found[n]}
                    for n in range(0, len(found), step)
                ][: wanted.passages]
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
