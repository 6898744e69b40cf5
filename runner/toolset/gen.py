"""How values are drawn, as a tool set writes it (form 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, field

from runner.toolset.words import Name, Texts

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Scalar = str | int | float | bool | None
Number = int | float
Count = Annotated[int, Meta(ge=1, le=100)]


class Scale(Struct, frozen=True, forbid_unknown_fields=True):
    """A number told in another measure: multiplied, then added to."""

    times: Annotated[float, Meta(gt=0)] = 1.0
    plus: float = 0.0


class Between(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from `min` to `max`, `step` apart; whole ones where all three are. `above` names a number drawn
    before, which is added. `told` says how an argument of the call has the number told, by the argument's value:
    {unit: {fahrenheit: {times: 1.8, plus: 32}}}; an argument that a call leaves out leaves it as it was drawn."""

    min: Number
    max: Number
    step: Number = 1
    above: Name | None = None
    told: dict[Name, dict[str, Scale]] = {}

    def scale(self, given: Callable[[str], Any]) -> Scale:
        """How the number is told, `given` being what the call has for an argument."""
        for name, scales in self.told.items():
            if (scale := scales.get(str(given(name)))) is not None:
                return scale
        return Scale()

    def measured(self, number: Number, scale: Scale) -> Number:
        """A drawn number as it is told: whole where the drawn ones are, else to the hundredth."""
        if scale == Scale():
            return number
        whole = all(isinstance(n, int) for n in (self.min, self.max, self.step))
        return round(number * scale.times + scale.plus, None if whole else 2)


class Dates(Struct, frozen=True, forbid_unknown_fields=True):
    """ISO dates from `first` to `last`. `say` has slots iso, year, month (its name), day and weekday."""

    first: Day
    last: Day
    say: Texts = field(default_factory=lambda: ["{iso}"])


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of objects, `count` of them (a number, or the argument that says it). In answers it reads as its rows
    in one form of `say`, with `joined_by` between."""

    count: Count | Name
    draw: dict[Name, Gen | Texts]
    say: Texts
    joined_by: str = "; "


class Gen(Struct, frozen=True, forbid_unknown_fields=True):
    """How a value is drawn: exactly one of these. A bare list is short for `one_of`."""

    one_of: Annotated[list[Scalar], Meta(min_length=1)] | None = None
    between: Between | None = None
    ways: Annotated[list[list[Scalar]], Meta(min_length=1)] | None = None  # [value, said, or said …]
    joined: Texts | None = None  # templates of other values
    dates: Dates | None = None
    like: Name | None = None  # as that value is drawn, and different from it
    following: Texts | None = None  # as one_of; in rows, one after the other
    always: Any = UNSET  # that value
    rows: Rows | None = None


def as_gen(written: Gen | list[str]) -> Gen:
    """A generator, of which a bare list is the short form."""
    return Gen(one_of=list(written)) if isinstance(written, list) else written
