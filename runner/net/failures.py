"""The ways of failing that the client itself tells apart; to everybody else each is an Unfetched."""

from __future__ import annotations

from runner.fetching import Unfetched


class Again(Unfetched):
    """What failed may well work in a moment: the client tries again by itself."""

    def __init__(self, reason: str, closed: float | None = None) -> None:
        super().__init__(reason, transient=True)
        self.closed = closed
        """Seconds that the host asked to be left alone."""
        self.grew = 0
        """Bytes that came all the same, and need not come again."""


class Lost(Again):
    """The process that sent a request for us has ended."""

    def __init__(self) -> None:
        super().__init__("the worker that asked for it has ended")

    def __reduce__(self) -> tuple[type[Lost], tuple[()]]:
        return Lost, ()


class NotHere(Unfetched):
    """An address that the user's settings allow, and that is another machine from where it was asked for."""


class NotPublic(Unfetched):
    """An address that no settings of the user allow."""


class Refused(Unfetched):
    """An answer whose status says no."""

    def __init__(self, status: int, reason: str, transient: bool, closed: float | None = None) -> None:
        super().__init__(reason, transient=transient, gone=status in (404, 410, 451))
        self.status, self.closed = status, closed

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str, bool, float | None]]:
        return Refused, (self.status, str(self), self.transient, self.closed)


class TooMuch(Unfetched):
    """More bytes than who asked can use: they are not asked for again in this run, here or elsewhere."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, gone=True)


class Stopped(Unfetched):
    """The caller needs no more answers."""

    def __init__(self) -> None:
        super().__init__("the fetch was ended", transient=True)

    def __reduce__(self) -> tuple[type[Stopped], tuple[()]]:
        return Stopped, ()
