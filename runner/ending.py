"""How the program ends when a signal tells it to: at the first it puts things away, at the second it is over.

The first SIGINT, SIGTERM, SIGHUP or SIGQUIT becomes an exception, so that what is under way is ended on its way up. A
thread of our own hears each signal as it comes, even while the rest is deep in a library: it ends the program where
that takes longer than `WITHIN`, or at a second signal. A signal that was ignored when we started (nohup) stays so.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

WITHIN = 9.0
"""Seconds from the first signal until all is over."""
HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
SAID = "interrupted; run it again to go on from here"
_SAME = 0.05  # seconds in which a signal that comes again is the same: a terminal, a shell and a wrapper each send it
_SOON = 0.3  # seconds that the main thread has to see a second signal by itself
_STOP, _AGAIN = 254, 255  # bytes in the pipe that are no signals


class Ended(BaseException):
    """SIGTERM, SIGHUP or SIGQUIT, as an exception; SIGINT is a KeyboardInterrupt."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        self.number = number


@dataclass
class _Now:
    """Where this process stands. `first` is the first signal, `leaving` whether the next one ends it at once."""

    listening: bool = False
    for_good: bool = False
    leaving: bool = False
    first: int = 0
    since: float = 0.0
    until: float = 0.0
    held: int = 0
    waiting: int = 0
    patient: int = 0
    swallowed: int = 0
    said: bool = False
    last: list[Callable[[], object]] = field(default_factory=list)


_now = _Now()
_over = threading.Lock()


def code(e: BaseException) -> int:
    """The exit code for what a signal became."""
    return 128 + (e.number if isinstance(e, Ended) else signal.SIGINT)


def left(most: float) -> float:
    """Seconds that something may take to end: `most`, or less where a signal came a while ago."""
    return min(most, max(0.5, _now.until - 2 - time.monotonic())) if _now.first else most


def told() -> bool:
    """Whether a signal told us to end."""
    return bool(_now.first)


def leave() -> None:
    """Nothing is left to be put away: from here on a signal ends the program at once."""
    _now.leaving = True


def say(what: str = SAID) -> None:
    """Tell the person once, if anybody listens still."""
    if _now.said:
        return
    _now.said = True
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0.2)[1]:  # a reader that has stopped reading would hold us
            os.write(2, what.encode() + b"\n")


def also(last: Callable[[], object]) -> None:
    """Have `last` called before the program ends at once: quick, and in whatever thread."""
    _now.last.append(last)


@contextmanager
def held() -> Iterator[None]:
    """A signal waits until this is done: for what must not be torn, and takes a moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _now.listening:
        with _deferred():
            yield
        return
    _now.held += 1
    try:
        yield
    finally:
        _now.held -= 1
        if not _now.held and _now.waiting:
            number, _now.waiting = _now.waiting, 0
            _raise(number)


@contextmanager
def _deferred() -> Iterator[None]:
    """So it is with SIGINT where signals are somebody else's, as in a notebook: theirs hears it a moment later."""
    theirs, came = signal.getsignal(signal.SIGINT), list[FrameType | None]()
    if not callable(theirs):
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, theirs)
        if came:
            theirs(signal.SIGINT, came[0])


@contextmanager
def patient() -> Iterator[None]:
    """In here SIGINT is a KeyboardInterrupt and no more, however often it comes: it stops an answer, not us."""
    _now.patient += 1
    try:
        yield
    finally:
        _now.patient -= 1


@contextmanager
def listening() -> Iterator[None]:
    """Signals end what is done in here; after it they mean what they meant before, unless `for_good` was called.

    Raises OSError where no thread can be had.
    """
    if _now.listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    _now.listening, _now.leaving, _now.first, _now.since, _now.said = True, False, 0, 0.0, False
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    thread = threading.Thread(target=_watch, args=(ours,), name="signals", daemon=True)
    before: dict[int, Any] = {}
    pipe, hook = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False), sys.unraisablehook
    try:
        with held():
            try:
                thread.start()
            except RuntimeError:
                raise OSError(errno.EAGAIN, "no thread can be started") from None
            sys.unraisablehook = _unraisable(hook, theirs)
            for number in HEARD:
                if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGTERM:
                    before[number] = signal.signal(number, _signalled)
        yield
    finally:
        leave()
        if not _now.for_good:
            for number_, what in before.items():
                signal.signal(number_, what)
            sys.unraisablehook = hook
            signal.set_wakeup_fd(pipe)
            os.write(theirs, bytes([_STOP]))
            if thread.ident is not None:
                thread.join()
            os.close(ours)
            os.close(theirs)
            _now.listening = False


def for_good() -> None:
    """This process is the program and nothing else: its signals stay ours to its last moment, and a standard stream
    that was closed is nowhere, not the next file that is opened."""
    _now.for_good = True
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")
    for number in HEARD:  # until there is something to put away
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _nothing_yet)


def _nothing_yet(number: int, frame: object) -> None:
    os._exit(128 + number)


def _signalled(number: int, frame: object) -> None:
    if time.monotonic() < _now.since + _SAME:
        return
    if _now.leaving:
        at_once(_now.first or number)
    if _now.patient and number == signal.SIGINT:
        raise KeyboardInterrupt
    _now.leaving, _now.first, _now.since = True, number, time.monotonic()
    _now.until = _now.since + WITHIN
    if _now.held:
        _now.waiting = number
        return
    _raise(number)


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Ended(number)


def _watch(pipe: int) -> None:
    """The thread: counts signals as they come, and ends the program where the main thread does not."""
    first, began, until = 0, 0.0, None
    while True:
        wait = None if until is None else max(0.0, until - time.monotonic())
        for number in os.read(pipe, 64) if select.select([pipe], [], [], wait)[0] else b"":
            if number == _STOP:
                return
            if number == _AGAIN:
                time.sleep(0.02)
                first, until = 0, None
                _now.leaving, _now.since = False, 0.0
                os.kill(os.getpid(), _now.first)
            elif number in HEARD and not (_now.patient and number == signal.SIGINT):
                if not first:
                    first, began = number, time.monotonic()
                    until = began + WITHIN
                elif time.monotonic() > began + _SAME:
                    until = time.monotonic() + _SOON
        if until is not None and time.monotonic() >= until:
            at_once(first)


def _unraisable(usual: Callable[[Any], Any], pipe: int) -> Callable[[Any], Any]:
    """What came up in a destructor is dropped by Python, with a traceback: a signal that did comes once more."""

    def hook(what: Any) -> None:
        if isinstance(what.exc_value, KeyboardInterrupt | Ended):
            os.write(pipe, bytes([_AGAIN]))
        else:
            usual(what)

    return hook


def at_once(number: int) -> NoReturn:
    """The end of this process, now, and of all that it started. Nothing is put away, as when it is killed."""
    while not _over.acquire(blocking=False):
        time.sleep(1)  # the other thread is at it
    try:
        for last in list(_now.last):
            with suppress(Exception):  # whatever is wrong with it, the others have to end
                last()
        say()
        with suppress(OSError):
            if os.isatty(2):
                os.write(2, b"\x1b[?25h")  # a bar hides the cursor
    finally:
        os._exit(128 + number)


def _forked() -> None:
    """A fork of ours is somebody else: the signals that it gets are not for us."""
    if _now.listening:
        signal.set_wakeup_fd(-1)
        for number in HEARD:
            if signal.getsignal(number) is _signalled:
                usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, usual)
    _now.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_forked)
