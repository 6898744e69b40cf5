"""What a run takes from the user's artifact store and puts there (runner/store/remote.py, setting `artifact_store`).

It is looked at before any work. What cannot be read there is made here; what cannot be put there stops no work, and the
run ends with an error that says so: all of it is whole in the workspace, and the next run puts it there.
"""

from __future__ import annotations

from runner.errors import StepError
from runner.stepping import Event, Tell
from runner.steps import STAGES, Plan, Stage, Step
from runner.store import Artifact, Store
from runner.store.remote import Damaged, Moves, RemoteStore, apart
from runner.trouble import os_error

PATIENCE = 2
"""How often, one time after the other, a place may not be readable until it is asked no more."""


class Syncing:
    """For one run. Raises UsageError for an address that is none, Missing where it needs a package, StepError for one
    that cannot be reached. Without an address, "", it does nothing; without `puts` it only takes."""

    def __init__(self, url: str, store: Store, tell: Tell, *, puts: bool = True) -> None:
        self._store, self._tell, self._puts = store, tell, puts
        self.brought: set[str] = set()
        self._tried: set[str] = set()
        self._left: list[str] = []
        self._why = ""
        self._seen = False  # whether it was looked through
        self._missed = 0  # how often, one time after the other, it could not be read
        self._place = RemoteStore(url, puts=puts) if url else None
        if self._place is not None:
            apart(url, store.workspace)
            self._place.open()

    def fetch(self, plan: Plan, to: Stage) -> None:
        """Bring what is there of a plan's steps up to a stage and not here, before it is looked what the rest needs."""
        last = STAGES.index(to)
        wanted = [
            s
            for s in plan.steps
            if STAGES.index(s.stage) <= last and self._store.get(s.fingerprint, verify=False) is None
        ]
        if self._place is None or not wanted or self._missed >= PATIENCE:
            return
        try:
            there = self._place.has(s.fingerprint for s in wanted)
        except StepError as e:
            if not self._seen:  # nothing is done yet
                raise
            self._miss(wanted[0], e)
            return
        self._seen = True
        for step in wanted:
            if step.fingerprint in there:
                self.take(step)

    def take(self, step: Step) -> bool:
        """Bring a step's artifact, if it is there; once, so that what is damaged here is made anew."""
        if self._place is None or step.fingerprint in self._tried or self._missed >= PATIENCE:
            return False
        self._tried.add(step.fingerprint)

        def waits(process: int | None) -> None:
            self._tell(
                Event("waits", step.name, step.stage, f"process {process or 'of another run'} makes it")
            )

        def there() -> bool:
            return self._store.get(step.fingerprint, verify=False) is not None

        with self._store.waiting(step.fingerprint, waits, there) as mine:
            if not mine or there():
                return False
            try:
                found = self._place.bring(
                    self._store, step.fingerprint, self._moves("gets", f"from {self._place.said}", step)
                )
            except Damaged as e:
                self._missed = 0
                self._note(step, f"what {self._place.said} has of it is of no use: {e}; it is made here")
                return False
            except (StepError, OSError) as e:
                self._miss(step, e)
                return False
        self._missed = 0
        if not found:
            return False
        self.brought.add(step.fingerprint)
        self._tell(Event("got", step.name, step.stage, f"from {self._place.said}"))
        return True

    def put(self, step: Step, artifact: Artifact) -> None:
        """See to it that an artifact is there, too."""
        if self._place is None or not self._puts or step.fingerprint in self.brought:
            return
        if not self._why:  # one that is gone would be waited for each time
            try:
                if self._place.put(artifact, self._moves("sends", f"to {self._place.said}", step)):
                    self._tell(Event("sent", step.name, step.stage))
                return
            except (StepError, OSError) as e:
                self._why = _words(e)
                self._missed += 1  # it may be gone, and is not waited for twice more
                self._note(step, f"{self._why}; nothing more is put there")
        self._left.append(step.name)

    def left(self) -> str:
        """What could not be put there, and why; "" where all was."""
        if not self._left:
            return ""
        named = ", ".join(self._left[:5]) + (" …" if len(self._left) > 5 else "")
        return f"{self._why}; so {named} could not be put there. All of it is here, whole: run this again to put it"

    def _moves(self, what: str, where: str, step: Step) -> Moves:
        """Tells how far it is; the first time, what is done."""

        def moves(done: int, of: int) -> None:
            if not done:
                self._tell(Event(what, step.name, step.stage, where))
            self._tell(Event("progress", step.name, step.stage, where, done, of))

        return moves

    def _miss(self, step: Step, error: StepError | OSError) -> None:
        """What cannot be read is made. A place that is gone would be waited for at each step."""
        self._missed += 1
        more = ", and nothing more is looked for there" if self._missed == PATIENCE else ""
        self._note(step, f"{_words(error)}; it is made here{more}")

    def _note(self, step: Step, why: str) -> None:
        self._tell(Event("notes", step.name, step.stage, why))


def _words(error: StepError | OSError) -> str:
    return error.message if isinstance(error, StepError) else os_error(error)
