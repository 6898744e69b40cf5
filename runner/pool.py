"""Work on many pieces at once, in processes of our own; results come in the order of the pieces.

What is computed never hangs on how many work: pieces are cut by their content alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from runner import ending

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

P = TypeVar("P")
R = TypeVar("R")
Mapped = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""As `map` of one iterable: a function over pieces, wherever there is a core, and what comes of them in their order."""

PATIENCE = (
    2.0  # seconds of work from which processes of their own are started: about what starting a few costs
)
_END: Any = object()


class WorkerLost(Exception):
    """A process that worked for us was ended from outside, as by a system that is short of memory."""


def mapped(work: Callable[[P], R], pieces: Iterable[P], workers: int) -> Iterator[R]:
    """`work` of each piece, in order; a few are always under way. With one worker, here and now.

    The first pieces, too, are worked on here: what is done in PATIENCE seconds is no work for others. `work` and the
    pieces go to other processes by pickle; modules that `work.modules` names are imported once for all of them.
    Workers end with us, however we end. Raises WorkerLost.
    """
    left, spent = iter(pieces), 0.0
    while workers < 2 or spent <= PATIENCE:
        piece = next(left, _END)
        if piece is _END:
            return
        began = time.monotonic()
        done = work(piece)
        spent += time.monotonic() - began
        yield done
    yield from _spread(work, left, workers)


def _spread(work: Callable[[P], R], pieces: Iterator[P], workers: int) -> Iterator[R]:
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Their Python starts with `-c`, for which the current folder, a workspace that somebody shared, is otherwise the
    # first place to look for modules.
    os.environ["PYTHONSAFEPATH"] = "1"
    # A fork of this process would copy locks that its threads hold; a fork of a fresh server does not.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["runner.forkserved", "__main__", type(work).__module__, *getattr(work, "modules", ())]
    )
    with _nameless():
        _serve()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(work,))
    to_its_end = False
    try:
        under_way: deque[Future[R]] = deque()
        for piece in pieces:
            with ending.held(), _nameless():  # it may start a worker, which is to be known, or not to be
                under_way.append(pool.submit(_do, piece))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
        to_its_end = True
    except BrokenProcessPool:
        raise WorkerLost from None
    finally:
        if not to_its_end:
            _kill(pool)  # nobody waits for what they are at
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _nameless() -> Iterator[None]:
    """What is started in here does not import the program that is running: a worker needs nothing of it, and a user's
    script (or notebook) that runs a recipe would run it once more in each of them."""
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = ours


def _serve() -> None:
    """Start the process that forks workers, and with it the one that clears up after all of them. What a terminal
    sends to everybody in it is for us: they, and so the workers, do not hear it."""
    from multiprocessing import forkserver, resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGQUIT])
    # What it clears up when we are killed it says as well: that is no news to anybody.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    try:
        resource_tracker.ensure_running()  # lets SIGINT through again by itself
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        forkserver.ensure_running()
    finally:
        sys.warnoptions.pop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()


def ahead(work: Callable[[P], R], pieces: Iterable[P], threads: int) -> Iterator[R]:
    """As `mapped`, in threads: for work that lets go of the interpreter."""
    if threads < 2:
        yield from map(work, pieces)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[R]] = deque()
        for piece in pieces:
            under_way.append(pool.submit(work, piece))
            if len(under_way) > 2 * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look for circles of garbage less often: rows make many objects and no circles, and looking costs a tenth."""
    import gc

    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


_work: Callable[[Any], Any]


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gave us the work
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _do(piece: Any) -> Any:
    with seldom_collected():
        return _work(piece)
