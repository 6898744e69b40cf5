"""The ways of failing that the client itself tells apart; to everybody else each is an Unfetched."""

from __future__ import annotations

from runner.fetching import Unfetched


class Again(Unfetched):
    """What failed may well work in a moment: the client tries again by itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, transient=True)


class NotPublic(Unfetched):
    """An address that no settings of the user allow."""


class Refused(Unfetched):
    """An answer whose status says no."""

    def __init__(self, status: int, reason: str, *, transient: bool) -> None:
        super().__init__(reason, transient=transient, gone=status in (404, 410, 451))
        self.status = status


class TooMuch(Unfetched):
    """More bytes than who asked can use: they are not asked for again in this run, here or elsewhere."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, gone=True)


class Stopped(Unfetched):
    """The caller needs no more answers."""

    def __init__(self) -> None:
        super().__init__("the fetch was ended", transient=True)
