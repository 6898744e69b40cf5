"""The order in which PyTorch's `RandomSampler` draws rows, without PyTorch.

Axolotl counts its steps by packing the rows in random orders, so whoever would know the steps must know the orders.
PyTorch's generator is MT19937 under a seeding of its own, and Python's `random` has the same engine. Tests hold these
functions against PyTorch itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

_WORD = 0xFFFFFFFF


def engine(seed: int) -> random.Random:
    """MT19937 as PyTorch seeds it; its next 32 bits are `getrandbits(32)`."""
    state = [seed & _WORD]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & _WORD)
    made = random.Random()
    made.setstate((3, (*state, 624), None))
    return made


def permutation(n: int, seed: int) -> list[int]:
    """`torch.randperm(n)` of a CPU generator that was seeded with `seed`; for n below some 200 million."""
    bits = engine(seed).getrandbits
    order = list(range(n))
    for i in range(n - 1):
        j = i + bits(32) % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


def orders(n: int, seed: int) -> Iterator[list[int]]:
    """The orders of n rows that one `RandomSampler` after another draws after `torch.manual_seed(seed)`."""
    bits = engine(seed).getrandbits
    while True:
        high, low = bits(32), bits(32)
        yield permutation(n, ((high << 32) | low) % 2**63)
