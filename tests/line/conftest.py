"""What the tests of the whole line share."""

from __future__ import annotations

from forks import forks

__all__ = ("forks",)
