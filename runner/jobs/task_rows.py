"""The data set of one of lm-eval's own tasks, out of a hub: `python -m runner.jobs.task_rows JOB.json`.

Each split that the task reads becomes a Parquet file with the columns that the hub's library gives them, and
`facts.json` says of which commit they are. lm-eval then reads these files, whoever may be reached by that time.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runner.errors import StepError
from runner.jobs import hubaccess
from runner.jobs.job import fail
from runner.store import write_atomic


class TaskRowsJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`splits` are read, and written to the folder `out`; `cache` is a folder that may go afterwards."""

    path: str
    revision: str | None
    subset: str | None
    splits: Annotated[list[str], Meta(min_length=1)]
    settings: dict[str, str]
    cache: str
    out: str


def fetch(job: TaskRowsJob) -> None:
    """Write the files. Raises StepError."""
    import datasets

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    info = hubaccess.found(job)
    commit = str(info.sha)
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}
    try:
        builder = datasets.load_dataset_builder(job.path, job.subset, revision=commit, cache_dir=job.cache)
        hubaccess.only_data(job, builder, commit)
        there = sorted(map(str, builder.config.data_files or {}))
        if missing := [s for s in job.splits if s not in there]:
            raise StepError(
                "hub",
                f"{job.path} has no split {missing[0]!r}, which the task reads; there are {', '.join(there)}",
            )
        builder.download_and_prepare()
        for split in job.splits:
            data: Any = builder.as_dataset(split=split)
            data.to_parquet(str(out / f"{split}.parquet"))
            rows[split] = len(data)
    except StepError:
        raise
    except Exception as e:  # whatever the library, or what it is built on, raises
        raise hubaccess.why(job, "cannot be read", e) from None
    facts = {
        "path": job.path,
        "subset": job.subset,
        "commit": commit,
        "license": hubaccess.licence(info),
        "rows": rows,
    }
    write_atomic(out / "facts.json", msgspec.json.encode(facts) + b"\n")


if __name__ == "__main__":
    try:
        fetch(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=TaskRowsJob))
    except StepError as e:
        fail(e)
