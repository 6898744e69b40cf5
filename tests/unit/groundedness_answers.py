"""Answers about the weather, made by a seed: right, rounded, converted, and wrong in known ways, with their worlds."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

KINDS = ("right", "rounded", "converted", "wrong number", "wrong day", "invented place")
TRUE = KINDS[:3]
TOWNS = ["Oslo", "St. Louis", "São Paulo", "Hannibal", "New Orleans", "Stratford-upon-Avon", "Baton Rouge", "Reading", "Cairo",
         "Keokuk", "Rio de Janeiro", "La Crosse"]  # fmt: skip
NOWHERE = [
    "Springfield",
    "Port Ellen",
    "Glasgow",
    "Novi Sad",
    "Marseille",
    "Lake Placid",
    "Quito",
    "Tombstone",
]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December"]  # fmt: skip
ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen").split()  # fmt: skip
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


@dataclass
class Made:
    kind: str
    question: str
    system: str
    calls: list[dict[str, Any]]
    results: list[Any]
    answer: str


def spelt(n: int) -> str:
    if n < 0:
        return "minus " + spelt(-n)
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    return f"one hundred and {spelt(n - 100)}" if n > 100 else "a hundred"


def fahrenheit(c: float) -> float:
    return c * 1.8 + 32


class Maker:
    """One answer: a town, three to seven days (or a day's hours), and what is said of one of them."""

    def __init__(self, seed: int, kind: str) -> None:
        self.r = random.Random(f"{seed} {kind}")
        self.kind = kind
        self.town, self.other = self.r.sample(TOWNS, 2)
        self.today = date(2026, 1, 1) + timedelta(days=self.r.randrange(360))
        count = self.r.randint(3, 7)
        self.days = [self.today + timedelta(days=i) for i in range(count)]
        # Numbers that no two days share, not even rounded or in the other unit.
        base = self.r.randint(-4, 24)
        steps = self.r.sample(range(0, 3 * count, 3), count)
        self.highs = [round(base + s + self.r.choice([0.1, 0.2, 0.4, 0.6, 0.8, 0.0]), 1) for s in steps]
        self.lows = [round(h - self.r.randint(31, 40) - 0.2 - 30 * 0, 1) for h in self.highs]
        self.chances = self.r.sample(range(5, 100, 5), count)
        self.winds = [
            round(self.r.uniform(0, 0.9) + 8 + 5 * s, 1) for s in self.r.sample(range(count), count)
        ]

    def make(self) -> Made:
        shape = self.r.choice(
            [self.rows, self.twofold, self.labels, self.columns, self.places, self.text, self.hours, self.now]
        )
        if self.kind == "wrong day" and shape == self.now:
            shape = self.rows
        return shape()

    # -- what is said ------------------------------------------------------------------------------

    def day(self, i: int) -> str:
        """A way to name the day of row i, in the middle of a sentence."""
        when = self.days[i]
        ways = [WEEKDAYS[when.weekday()], f"{MONTHS[when.month - 1]} {when.day}", f"the {when.day}{nth(when.day)}",
                f"{WEEKDAYS[when.weekday()]}, {when.day} {MONTHS[when.month - 1]}"]  # fmt: skip
        if i < 2:
            ways += [("today", "tomorrow")[i]] * 3
        if i == 2:
            ways += ["the day after tomorrow"]
        way = self.r.choice(ways)
        return way if way in ("today", "tomorrow", "the day after tomorrow") else f"on {way}"

    def number(self, value: float, what: str) -> str:
        """A value as this kind of answer tells it."""
        if self.kind == "wrong number":
            value = value + self.r.choice([-1, 1]) * self.r.choice([41.3, 57.6, 63.4]) * (
                0.1 if what == "wind" else 1
            )
            value = (
                round(value, 1) if what != "chance" else (int(value) % 100) // 5 * 5 + self.r.choice([2, 3])
            )
        if what == "chance":
            n = int(value)
            return self.r.choice([f"{n}%", f"{n} percent", f"{spelt(n)} per cent" if n >= 0 else f"{n}%"])
        if what == "wind":
            if self.kind == "converted":
                return self.r.choice(
                    [f"{value / 1.609344:.0f} mph", f"{value / 3.6:.1f} m/s", f"{value / 1.852:.0f} knots"]
                )
            return f"{value:.0f} km/h" if self.kind == "rounded" else f"{value:g} km/h"
        if self.kind == "converted":
            f = fahrenheit(value)
            whole = round(f)
            return self.r.choice(
                [
                    f"{f:.0f} °F",
                    f"{f:.1f}°F",
                    f"{whole} degrees Fahrenheit",
                    f"{spelt(whole)} degrees Fahrenheit",
                ]
            )
        if self.kind == "rounded" or (self.kind != "right" and self.r.random() < 0.4):
            n = round(value)
            return self.r.choice(
                [f"{n} °C", f"{n}°", f"{n} degrees", f"{spelt(n)} degrees", f"about {n} degrees Celsius"]
            )
        return self.r.choice([f"{value:g} °C", f"{value:g}°C", f"{value:g} degrees"])

    def place(self, town: str) -> str:
        return self.r.choice(NOWHERE) if self.kind == "invented place" else town

    def told(self, town: str, i: int) -> str:
        """One answer on row i, in which a wrong day is told with another row's numbers."""
        j = i
        if self.kind == "wrong day":
            j = self.r.choice([k for k in range(len(self.days)) if k != i])
        high, low = self.number(self.highs[j], "high"), self.number(self.lows[j], "low")
        chance, wind = self.number(self.chances[j], "chance"), self.number(self.winds[j], "wind")
        day, place = self.day(i), self.place(town)
        Day = day[0].upper() + day[1:]
        k = self.r.choice([x for x in range(len(self.days)) if x not in (i, j)])
        other = self.day(k)
        right = Maker.__new__(Maker)
        right.__dict__ = {**self.__dict__, "kind": "right"}
        high_k = right.number(self.highs[k], "high")
        return self.r.choice([
            f"{Day} in {place}, expect a high of {high} and a low of {low}.",
            f"The high in {place} {day} will be {high}, the low {low}.",
            f"It will reach {high} in {place} {day}, with a {chance} chance of rain.",
            f"{place} will see {high} {day}, and {low} at the coldest.",
            f"{Day}, {place} has a {chance} chance of rain and wind at {wind}.",
            f"Lord, what weather! {Day} the mercury in {place} climbs to {high}, and a man could sell his coat.",
            f"No, it will not get above {high} in {place} {day}, nor fall below {low}.",
            f"{Day}:\n- High: {high}\n- Low: {low}\n- Chance of rain: {chance}\n\nThat is the news from {place}.",
            f"In {place} the thermometer tops out at {high} {day}; {other} it makes {high_k}.",
            f"Pack light for {place}. {Day} brings a high of {high}. The low will be {low}.",
            f"The chance of rain in {place} {day} is {chance}, and the wind blows at {wind}.",
            f"{high} is the high for {place} {day}, and {high_k} {other}.",
            f"Don't bother with the umbrella {day}: there is only a {chance} chance of rain in {place}.",
        ])  # fmt: skip

    def question(self, i: int) -> str:
        return self.r.choice([
            f"What will the weather be like in {self.town} {self.day(i)}?", f"Will I need a coat in {self.town} {self.day(i)}?",
            f"{self.town} weather {self.day(i)}, please.", f"How does the week look in {self.town}?",
        ])  # fmt: skip

    def system(self, always: bool = False) -> str:
        said = f"Today is {WEEKDAYS[self.today.weekday()]}, {MONTHS[self.today.month - 1]} {self.today.day}, {self.today.year}."
        return said if always or self.r.random() < 0.5 else ""

    # -- worlds ------------------------------------------------------------------------------------

    def row(self, i: int) -> dict[str, Any]:
        return {
            "high": self.highs[i],
            "low": self.lows[i],
            "rain_chance": self.chances[i],
            "wind_kmh": self.winds[i],
        }

    def finish(
        self, results: list[Any], calls: list[dict[str, Any]], i: int, system: str, answer: str = ""
    ) -> Made:
        return Made(self.kind, self.question(i), system, calls, results, answer or self.told(self.town, i))

    def rows(self) -> Made:
        rows = [{"date": d.isoformat(), **self.row(i)} for i, d in enumerate(self.days)]
        i = self.r.randrange(len(self.days))
        result = {"city": self.town, "unit": "celsius", "daily": rows}
        return self.finish([result], [{"city": self.town, "days": len(rows)}], i, self.system())

    def twofold(self) -> Made:
        """Rows that name their day twice."""
        key = self.r.choice(["weekday", "day", "name", "day_of_week"])
        rows = [
            {"date": d.isoformat(), key: WEEKDAYS[d.weekday()], **self.row(i)}
            for i, d in enumerate(self.days)
        ]
        i = self.r.randrange(len(self.days))
        return self.finish([{"city": self.town, "days": rows}], [{"city": self.town}], i, self.system())

    def labels(self) -> Made:
        named = ["today", "tomorrow"] + [WEEKDAYS[d.weekday()] for d in self.days[2:]]
        rows = [{"day": named[i], **self.row(i)} for i in range(len(self.days))]
        i = self.r.randrange(len(self.days))
        return self.finish(
            [{"forecast": rows, "place": self.town}], [{"place": self.town}], i, self.system(always=True)
        )

    def columns(self) -> Made:
        n = len(self.days)
        daily = {
            "time": [d.isoformat() for d in self.days], "temperature_2m_max": self.highs, "temperature_2m_min": self.lows,
            "precipitation_probability_max": self.chances, "wind_speed_10m_max": self.winds,
        }  # fmt: skip
        units = {"time": "iso8601", "temperature_2m_max": "°C", "temperature_2m_min": "°C",
                 "precipitation_probability_max": "%", "wind_speed_10m_max": "km/h"}  # fmt: skip
        result = {
            "latitude": 59.9,
            "longitude": 10.7,
            "elevation": 23.0,
            "daily_units": units,
            "daily": daily,
        }
        return self.finish([result], [{"location": self.town, "days": n}], self.r.randrange(n), self.system())

    def places(self) -> Made:
        """Two towns, of which one's numbers are the other's shifted."""
        i = self.r.randrange(len(self.days))
        mine = {d.isoformat(): self.row(k) for k, d in enumerate(self.days)}
        theirs = {d.isoformat(): {"high": self.highs[k] + 91, "low": self.lows[k] + 91, "rain_chance": 1, "wind_kmh": 91}
                  for k, d in enumerate(self.days)}  # fmt: skip
        results: list[Any] = [{self.town: mine, self.other: theirs}]
        calls: list[dict[str, Any]] = [{"cities": [self.town, self.other]}]
        if self.r.random() < 0.5:
            results, calls = [mine, theirs], [{"city": self.town}, {"city": self.other}]
        return self.finish(results, calls, i, self.system())

    def text(self) -> Made:
        lines = [
            f"{d.isoformat()}: high {self.highs[i]} °C, low {self.lows[i]} °C, chance of rain {self.chances[i]}%, "
            f"wind {self.winds[i]} km/h"
            for i, d in enumerate(self.days)
        ]
        result = f"Forecast for {self.town}\n" + "\n".join(lines)
        return self.finish([result], [{"city": self.town}], self.r.randrange(len(self.days)), self.system())

    def hours(self) -> Made:
        """The hours of today and tomorrow; the "day" that is wrong is the hour."""
        times = [f"{d.isoformat()}T{h:02d}:00" for d in self.days[:2] for h in range(24)]
        base = self.r.randint(-5, 15)
        values = [round(base + 1.3 * k + self.r.choice([0, 0.1, 0.2]), 1) for k in range(48)]
        self.r.shuffle(values)
        k = self.r.randrange(48)
        j = k if self.kind != "wrong day" else self.r.choice([x for x in range(48) if x != k])
        value = self.number(values[j], "high")
        d, h = k // 24, k % 24
        clock = self.r.choice([f"{h:02d}:00", f"{(h - 1) % 12 + 1} {'am' if h < 12 else 'pm'}",
                               f"{(h - 1) % 12 + 1} {'a.m.' if h < 12 else 'p.m.'}"])  # fmt: skip
        day, place = ("today", "tomorrow")[d], self.place(self.town)
        answer = self.r.choice([
            f"At {clock} {day} it will be {value} in {place}.",
            f"{place} will have {value} at {clock} {day}.",
            f"Why, {day} at {clock} I would expect {value} in {place}, no more.",
        ])  # fmt: skip
        if place == self.town and self.r.random() < 0.3:
            answer = f"It will be {value}."
        result = {
            "hourly_units": {"temperature_2m": "°C"},
            "hourly": {"time": times, "temperature_2m": values},
        }
        question = f"How warm is it in {self.town} {day} at {clock}?"
        return Made(self.kind, question, self.system(), [{"city": self.town}], [result], answer)

    def now(self) -> Made:
        high, wind = self.number(self.highs[0], "high"), self.number(self.winds[0], "wind")
        feels, chance = self.number(self.lows[0], "low"), self.number(self.chances[0], "chance")
        place = self.place(self.town)
        result = self.r.choice([
            {"location": {"name": self.town, "country": "Norland"}, "current": {
                "temp_c": self.highs[0], "feelslike_c": self.lows[0], "wind_kph": self.winds[0], "humidity": self.chances[0]}},
            {"name": self.town, "main": {"temp": self.highs[0], "feels_like": self.lows[0], "humidity": self.chances[0]},
             "wind": {"speed": f"{self.winds[0]} km/h"}, "units": "metric"},
            {"city": self.town, "temperature": f"{self.highs[0]} °C", "feels_like": f"{self.lows[0]} °C",
             "wind": f"{self.winds[0]} km/h from the west", "humidity": f"{self.chances[0]}%"},
        ])  # fmt: skip
        answer = self.r.choice([
            f"It is {high} in {place} right now, and feels like {feels}.",
            f"The temperature in {place} is {high}, with humidity at {chance} and a wind of {wind}.",
            f"Right now {place} has {high}. The wind is {wind}.",
            f"{place} stands at {high} with {chance} humidity.",
        ])  # fmt: skip
        question = f"What is the weather in {self.town} now?"
        return Made(self.kind, question, self.system(), [{"city": self.town}], [result], answer)


def nth(n: int) -> str:
    return "th" if 10 < n < 14 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def answers(count: int, seed: int) -> list[Made]:
    """As many answers, of all kinds alike."""
    return [Maker(seed * 10_000 + i, KINDS[i % len(KINDS)]).make() for i in range(count)]


def messages(made: Made) -> list[dict[str, Any]]:
    calls = [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": json.dumps(c)},
        }
        for i, c in enumerate(made.calls)
    ]
    out: list[dict[str, Any]] = [{"role": "system", "content": made.system}] if made.system else []
    out += [{"role": "user", "content": made.question}, {"role": "assistant", "tool_calls": calls}]
    for i, result in enumerate(made.results):
        content = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        out.append({"role": "tool", "tool_call_id": f"call_{i}", "content": content})
    return out
