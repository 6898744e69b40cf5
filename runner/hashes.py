"""Stable 64-bit hashes: of a text, and of many numbers at once. The same on every machine and in every run."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]

MIX_1, MIX_2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53  # MurmurHash3's 64-bit finalizer


def text_digest(text: str) -> bytes:
    """8 bytes of a text; as a number, the first one lowest."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def text_hash(*parts: object) -> int:
    """64 bits of the parts, in order."""
    return int.from_bytes(
        text_digest("\x1f".join([p if type(p) is str else str(p) for p in parts])), "little"
    )


def final64(state: U64) -> U64:
    """Each number well mixed: MurmurHash3's finalizer, which no two numbers leave the same."""
    import numpy as np

    state = state ^ (state >> np.uint64(33))
    state *= np.uint64(MIX_1)
    state ^= state >> np.uint64(33)
    state *= np.uint64(MIX_2)
    state ^= state >> np.uint64(33)
    return state


def ranks(ids: U64, *purpose: object) -> U64:
    """A stable random number for each id and this purpose: sorting by it shuffles."""
    import numpy as np

    return final64(ids ^ np.uint64(text_hash(*purpose)))
