"""Numbers that come a few at a time and are wanted once each, ascending: each is sorted a few times, however often some
come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
_LEAST = 1 << 17  # numbers that wait to be merged with the others


class Gathered:
    """A set of 64-bit numbers. New ones wait until they are as many as those that are sorted: merging each time anew
    would cost the square of all. At most twice as many are held as there are, and some that wait."""

    def __init__(self) -> None:
        self._sorted: Numbers = np.zeros(0, np.uint64)
        self._waiting: list[Numbers] = []
        self._many = 0

    def add(self, numbers: NDArray[Any]) -> None:
        """More of them, some perhaps again."""
        self._waiting.append(numbers.astype(np.uint64, copy=False))
        self._many += len(numbers)
        if self._many > max(len(self._sorted), _LEAST):
            self.whole()

    def whole(self) -> Numbers:
        """All so far, ascending, each once."""
        if self._waiting:
            self._sorted = np.unique(np.concatenate([self._sorted, *self._waiting]))
            self._waiting, self._many = [], 0
        return self._sorted
