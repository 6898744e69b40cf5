"""How the objects of a run are called in the artifact store: files of artifacts as they are there
(runner/store/remote.py), all else below `staging/TOKEN/`, which goes with the run.
"""

from __future__ import annotations

import secrets

from runner.store.remote import file_at

ARTIFACTS = ".mirepoix/artifacts/"
WORK = ".mirepoix/work/"
"""Below the workspace: what others are sent and keep, and where they may write."""


def home(token: str) -> str:
    return f"staging/{token}"


def seen(token: str) -> str:
    """Who reads this sees the store."""
    return f"{home(token)}/seen"


def out(token: str, name: str, sha256: str) -> str:
    """A file that is sent out."""
    return file_at(sha256) if name.startswith(ARTIFACTS) else f"{home(token)}/{sha256}"


def back(token: str) -> str:
    """A file that comes back, which nobody else has."""
    return f"{home(token)}/{secrets.token_hex(16)}"
