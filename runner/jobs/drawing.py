"""Draws tokens by chance, so that each answer hangs on its own seed alone: not on the batch that it came in, nor on
what was drawn before a kill.

One number a token is enough: the tokens' probabilities are laid end to end, likeliest first where `top_p` cuts the
others off, and the token is taken on which the number falls. Numbers come from Python's own generator, whose sequence
is the same everywhere.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any, NamedTuple


class Draw(NamedTuple):
    """How the tokens of one answer are drawn."""

    temperature: float
    top_p: float
    seed: int


def seed_of(seed: int, id: str, repeat: int, turn: int = 0) -> int:
    """The seed of one answer, in a talk of its `turn`. Arms share it, so that a pair of answers differs by the models
    and not by the dice."""
    key = f"{seed}/{id}/{repeat}" + (f"/{turn}" if turn else "")
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def drawing(draws: Sequence[Draw] | None) -> Any:
    """What makes `generate`, which takes the likeliest token of each row, take the drawn one. None: nothing does."""
    if draws is None:
        return None
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList

    dice = [random.Random(d.seed) for d in draws]
    temperatures, top_p = [d.temperature for d in draws], [d.top_p for d in draws]

    class Drawing(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            numbers = torch.tensor([die.random() for die in dice], dtype=torch.float64, device=scores.device)
            chosen = choose(scores, temperatures, top_p, numbers)
            return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    return LogitsProcessorList([Drawing()])


def choose(scores: Any, temperatures: Sequence[float], top_p: Sequence[float], numbers: Any) -> Any:
    """The token of each row of logits on which its number, from 0 to below 1, falls."""
    import torch

    heat = torch.tensor(temperatures, dtype=torch.float64, device=scores.device)[:, None]
    chances = torch.softmax(scores.double() / heat, dim=-1)
    order = None
    if min(top_p) < 1:
        chances, order = chances.sort(dim=-1, descending=True, stable=True)
        most = torch.tensor(top_p, dtype=torch.float64, device=scores.device)[:, None]
        # A token stays where those before it have not reached the share yet: the likeliest always does.
        chances = torch.where(chances.cumsum(-1) - chances < most, chances, 0.0)
    ends = chances.cumsum(-1)
    at = torch.searchsorted(ends, numbers[:, None] * ends[:, -1:], right=True)[:, 0]
    # Where rounding leads past the end, the last token that has any chance.
    last = (chances > 0).long().cumsum(-1).argmax(-1)
    at = torch.minimum(at, last)
    return at if order is None else order.gather(1, at[:, None])[:, 0]
