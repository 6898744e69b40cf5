"""One attempt at one item: redirects by hand, each hop at its own turn, whoever sends it.

The rules of a hop. Its address is checked like the first one; robots.txt is asked; secrets go along only to the
same scheme, host and port. From https it does not fall back to http: where the same host says http, https is
asked instead (Gutenberg's own site answers so); another HOST:PORT only if the user's settings name it. A POST is
repeated only at its own origin.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from runner.fetching import Unfetched
from runner.net import urls
from runner.net.cache import Entry
from runner.net.errand import Ask, Errand, Outcome, Sender
from runner.net.failures import Again, NotHere, Refused
from runner.net.guard import Guard
from runner.net.hop import Exchange
from runner.net.pace import Pace, Stop
from runner.net.robots import Robots
from runner.net.urls import Address
from runner.net.watched import Budget, Limits


class Transfer:
    """`here` sends what others may not."""

    def __init__(self, here: Exchange, guard: Guard, pace: Pace, robots: Robots, limits: Limits) -> None:
        self._here, self._guard, self._pace, self._robots = here, guard, pace, robots
        self._limits = limits

    def attempt(
        self, ask: Ask, sender: Sender, part: str, kept: Entry | None, budget: Budget, stop: Stop
    ) -> Entry | None:
        """The answer, kept; None when what is `kept` still holds. Raises Unfetched."""
        address = ask.address
        for _ in range(self._limits.redirects + 1):
            away = address.origin != ask.address.origin
            if ask.robots == "ask" or (ask.robots == "elsewhere" and away):
                self._robots.check(address, stop)
            outcome = self._hop(ask, sender, address, part, kept, budget, stop)
            if outcome.error is not None:
                raise outcome.error
            if outcome.elsewhere is None:
                assert outcome.entry is not None or outcome.same
                return outcome.entry
            address = self._next(ask, address, *outcome.elsewhere)
        raise Unfetched(f"more than {self._limits.redirects} redirects")

    def _hop(
        self,
        ask: Ask,
        sender: Sender,
        address: Address,
        part: str,
        kept: Entry | None,
        budget: Budget,
        stop: Stop,
    ) -> Outcome:
        """One request at its turn; the seat is held until what its answer says of the host is heeded."""
        with self._pace.turn(address.place, stop, ask.rank, apart=sender.apart) as turn:
            errand = Errand(ask, address, part, kept, budget.left)
            with budget.running():
                outcome = sender.send(errand, stop, turn)
            if isinstance(outcome.error, NotHere):
                errand = replace(errand, seconds=budget.left)
                with budget.running():
                    outcome = self._here.send(errand, stop, turn)
            error = outcome.error
            if isinstance(error, Again | Refused) and (seconds := error.closed) is not None:
                self._pace.close(address.place, seconds)
                if seconds > self._limits.longest_closed:
                    why = f"{error}; {self._pace.closed(address.place, seconds)}"
                    return replace(outcome, error=Unfetched(why, transient=True))
            return outcome

    def _next(self, ask: Ask, here: Address, status: int, location: str) -> Address:
        with suppress(UnicodeDecodeError):  # else it is Latin-1, as HTTP says
            location = location.encode("latin-1").decode("utf-8")
        there = ask.secrets.strip(urls.join(here, location))
        if ask.content is not None and (status not in (307, 308) or there.origin != here.origin):
            raise Unfetched(f"a POST is redirected to {there.place}")
        return stay_secure(here, there, self._guard)


def stay_secure(here: Address, there: Address, guard: Guard) -> Address:
    """Where a redirect leads, without falling back from https to http. Raises Unfetched."""
    if (here.scheme, there.scheme) == ("https", "http"):
        if (there.host, there.port, here.port) == (here.host, 80, 443):
            return replace(there, scheme="https", port=443)
        if (there.host, there.port) not in guard.named:
            raise Unfetched(f"redirected from https to plain http, {there.place}")
    return there
