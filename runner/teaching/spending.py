"""What asking a model may cost: a budget, counted in tokens and money, that is never passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct


class Budget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be spent. Asking stops before a request that could go past it."""

    tokens: Annotated[int, Meta(ge=1, description="Tokens, in and out together.")] | None = None
    cost: Annotated[float, Meta(gt=0, description="In the currency of `price`.")] | None = None


class Price(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a million tokens cost."""

    input: Annotated[float, Meta(ge=0, description="Tokens of the prompt.")]
    output: Annotated[float, Meta(ge=0, description="Tokens of the answer.")]


class Spent(Exception):
    """The budget does not hold another request."""


@dataclass
class Purse:
    """What was spent. Answers that were kept from before count too: how far a budget goes hangs on the data alone."""

    budget: Budget
    price: Price | None
    tokens: int = 0
    cost: float = 0.0

    def reserve(self, most_in: int, most_out: int) -> None:
        """Raise Spent if a request of at most so many tokens could go past the budget."""
        if self.budget.tokens is not None and self.tokens + most_in + most_out > self.budget.tokens:
            raise Spent(f"the next request could go past {self.budget.tokens:,} tokens (spent: {self})")
        if self.budget.cost is not None and self.cost + self._cost(most_in, most_out) > self.budget.cost:
            raise Spent(f"the next request could cost more than {self.budget.cost:g} (spent: {self})")

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        self.tokens += tokens_in + tokens_out
        self.cost += self._cost(tokens_in, tokens_out)

    def _cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.price.input + tokens_out * self.price.output) / 1e6 if self.price else 0.0

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens" + (f", cost {self.cost:.4f}" if self.price else "")
