"""What asking a model may cost, and what it came to: a budget in tokens and money.

A prompt's tokens are known only once the endpoint has counted them. Until then they are estimated: from its bytes, at
the most tokens a byte that were counted so far, a quarter before that. The answer is taken to be as long as it may be.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated

from msgspec import Meta, Struct

PER_BYTE = 0.25  # tokens, of a byte that nobody has counted: what English and JSON come to


class Budget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be spent. Asking stops before a request that is likely to go past it."""

    tokens: Annotated[int, Meta(ge=1, description="Tokens, in and out together.")] | None = None
    cost: Annotated[float, Meta(gt=0, description="In the currency of `price`.")] | None = None


class Price(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a million tokens cost."""

    input: Annotated[float, Meta(ge=0, description="Tokens of the prompt.")]
    output: Annotated[float, Meta(ge=0, description="Tokens of the answer.")]


class Spent(Exception):
    """The budget does not hold another request."""


def estimate(size: int, per_byte: float = PER_BYTE) -> int:
    """Tokens of a text of `size` bytes."""
    return ceil(size * per_byte)


@dataclass
class Purse:
    """What was spent. Answers that were kept from before count too: how far a budget goes hangs on the data alone."""

    budget: Budget
    price: Price | None
    tokens: int = 0
    cost: float = 0.0
    per_byte: float = 0.0
    """The most tokens that a byte of a prompt was counted as; 0 before any was."""

    def reserve(self, size: int, most_out: int) -> None:
        """Raise Spent if a request of `size` bytes, answered in `most_out` tokens, would go past the budget."""
        tokens_in = self.prompt(size)
        if self.budget.tokens is not None and self.tokens + tokens_in + most_out > self.budget.tokens:
            raise Spent(f"another request could go past {self.budget.tokens:,} tokens (spent: {self})")
        if self.budget.cost is not None and self.cost + self.costs(tokens_in, most_out) > self.budget.cost:
            raise Spent(f"another request could cost more than {self.budget.cost:g} (spent: {self})")

    def prompt(self, size: int) -> int:
        """What a request of `size` bytes is likely to come to, in tokens."""
        return estimate(size, self.per_byte or PER_BYTE)

    def learn(self, size: int, tokens_in: int) -> None:
        """The endpoint counted so many tokens in a request of `size` bytes."""
        self.per_byte = max(self.per_byte, tokens_in / size)

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        self.tokens += tokens_in + tokens_out
        self.cost += self.costs(tokens_in, tokens_out)

    def costs(self, tokens_in: int, tokens_out: int) -> float:
        """In the currency of the price; 0 without one."""
        return (tokens_in * self.price.input + tokens_out * self.price.output) / 1e6 if self.price else 0.0

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens" + (f", cost {self.cost:.4f}" if self.price else "")
