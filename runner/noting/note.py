"""A run's note of what it is at, written in place while it goes on."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from runner import ending, paths, scrub
from runner.errors import MirepoixError, StepError
from runner.noting.state import Now, State, StepNow, StepState, encoded, path
from runner.steps import Plan, Stage
from runner.store import Store
from runner.trouble import os_error

if TYPE_CHECKING:
    from runner.stepping import Event, Tell

OFTEN = 0.1
"""Seconds between two notes of a step's progress, at least."""


class Note:
    """The file of one run, and what stands in it."""

    def __init__(self, plan: Plan, store: Store, to: Stage, tell: Tell) -> None:
        recipe = plan.loaded.recipe
        base = recipe.model.base if recipe.model else ""
        self.now = Now(
            run=recipe.name,
            process=os.getpid(),
            to=to,
            base=base,
            about=recipe.description,
            began=time.time(),
        )
        self._tell, self._logs = tell, plan.workspace.root / "runs" / recipe.name / "logs"
        self._scrub, self._lock, self._last = scrub.known(), Lock(), 0.0
        # Anew each time: what lies there may have other names, and is not written to.
        self._file = paths.create(path(store.folder("runs").parent, recipe.name))
        self._hold()
        self.planned(plan, frozenset())

    def _hold(self) -> None:
        """Hold the file. Readers, who look whether it is held, hold it for a moment each."""
        for _ in range(200):
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.005)

    def planned(self, plan: Plan, made: Collection[str]) -> None:
        """There is a plan, or another one; `made` are the fingerprints that are in the store."""
        with self._lock:
            before = {s.name: s for s in self.now.steps}
            steps = [before.get(f.name) or StepNow(name=f.name, stage="prepare") for f in plan.fetches]
            for step in plan.steps:
                known = before.get(step.name)
                if known is None or known.fingerprint != step.fingerprint:
                    state: StepState = "kept" if step.fingerprint in made else "to come"
                    known = StepNow(
                        name=step.name, stage=step.stage, fingerprint=step.fingerprint, state=state
                    )
                elif known.state == "to come" and step.fingerprint in made:
                    known.state = "kept"
                steps.append(known)
            self.now.steps = steps
            self._write()

    def tell(self, event: Event) -> None:
        """Note an event of the run, and hand it on."""
        with self._lock:
            if event.what == "progress":
                self.now.done, self.now.of, self.now.what = event.done, event.of, event.why
                if not event.done or time.monotonic() - self._last >= OFTEN:
                    self._write()
                    self._last = time.monotonic()
            else:
                self._moved(event)
                self._write()
                self._last = 0.0
        self._tell(event)

    def _moved(self, event: Event) -> None:
        if event.what == "engine":
            self.now.engine = f"{event.step}: {event.why}"
            return
        step = next((s for s in self.now.steps if s.name == event.step), None)
        if step is None:
            return
        now = time.time()
        if event.what in ("starts", "gets"):
            step.state, step.why = "running", event.why
            self.now.at, self.now.at_since = event.step, now
            self.now.done, self.now.of, self.now.what = 0, 0, ""
            log = self._logs / f"{event.step}.log"
            self.now.log_from = log.stat().st_size if log.is_file() else 0
        elif event.what == "waits":
            step.state, step.why = "waits", event.why
            self.now.at, self.now.at_since, self.now.what = event.step, now, event.why
        elif event.what == "made":
            step.state, step.took = "made", now - (self.now.at_since or now)
            self.now.at, self.now.at_since = "", None
        elif event.what in ("kept", "got"):
            step.state = "kept"
            if event.what == "got":
                self.now.at, self.now.at_since = "", None
        elif event.what == "notes" and step.state == "running":  # what came of it could not be used
            step.state = "to come"
            self.now.at, self.now.at_since = "", None

    def ends(self, state: State, error: str = "", log: str = "") -> None:
        """The run's last word."""
        with self._lock:
            self.now.state, self.now.error, self.now.log, self.now.ended = state, error, log, time.time()
            self._write()

    def _write(self) -> None:
        raw = self._scrub.data(msgspec.json.encode(self.now))
        whole = encoded(raw)
        # A disk that is full stops the run by itself where that matters; its note is no reason to.
        with suppress(OSError):
            os.pwrite(self._file.fileno(), whole, 0)
            os.ftruncate(self._file.fileno(), len(whole))

    def close(self) -> None:
        """Let go. A fork of ours that still has the descriptor holds nothing by it."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


@contextmanager
def noting(plan: Plan, store: Store, to: Stage, tell: Tell) -> Iterator[Note]:
    """A note of what is done in here; however it ends, that is noted. For whoever holds the run's lock."""
    note = Note(plan, store, to, tell)
    try:
        yield note
        note.ends("finished")
    except (KeyboardInterrupt, ending.Ended):
        note.ends("interrupted")
        raise
    except StepError as e:
        note.ends("failed", f"{e.step}: {e.message}", e.log or "")
        raise
    except (MirepoixError, OSError) as e:
        note.ends("failed", os_error(e) if isinstance(e, OSError) else str(e))
        raise
    except BaseException as e:
        note.ends("failed", f"{type(e).__name__}: {e}")
        raise
    finally:
        note.close()
