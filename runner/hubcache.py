"""The hub's cache of this user, in huggingface_hub's layout. Only reads, and imports nothing of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")


def folder(base: str) -> Path:
    """Where the cache keeps what was fetched of a repository `OWNER/NAME`."""
    home = os.environ.get("HF_HOME") or str(Path.home() / ".cache/huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub") / f"models--{base.replace('/', '--')}"


def is_commit(revision: str | None) -> bool:
    """Whether a revision names the same bytes for good: a whole commit, no branch or tag."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def commit(base: str, revision: str | None = None) -> str | None:
    """The commit that `revision` (None: main) was when the repository was last asked; None where it never was."""
    if is_commit(revision):
        return revision
    try:
        found = (folder(base) / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return found if is_commit(found) else None
