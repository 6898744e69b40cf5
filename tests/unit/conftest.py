"""Options and fixtures of the unit tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def golden_write() -> bool:
    """Whether golden files are written anew instead of compared: `GOLDEN_WRITE=1 pytest tests/unit/…`."""
    return os.environ.get("GOLDEN_WRITE", "") not in ("", "0")
