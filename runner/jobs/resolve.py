"""Which commit a hub's model is at: `python -m runner.jobs.resolve JOB.json`.

It asks the hub, or where that is out of reach huggingface_hub's cache, exactly as transformers does when it fetches
the model. One small file comes along, so that the cache knows the commit from then on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from runner.errors import StepError
from runner.hubcache import is_commit
from runner.jobs.job import fail
from runner.store import write_atomic


class ResolveJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`out` is written with the commit, 40 hex digits."""

    base: str
    revision: str | None = None
    out: str


def resolve(job: ResolveJob) -> None:
    """Write the commit. Raises StepError in the hub's words."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        file = Path(hf_hub_download(job.base, "config.json", revision=job.revision))
    except (OSError, HfHubHTTPError, HFValidationError) as e:
        raise StepError("resolve", f"{type(e).__name__}: {e}") from None
    commit = file.parent.name  # …/snapshots/COMMIT/config.json
    if not is_commit(commit):
        raise StepError("resolve", f"the hub's cache keeps {job.base} under {commit!r}, which is no commit")
    write_atomic(Path(job.out), commit.encode())


if __name__ == "__main__":
    try:
        resolve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ResolveJob))
    except StepError as e:
        fail(e)
