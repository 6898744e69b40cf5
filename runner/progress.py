"""How a run looks on a terminal: one line a step, a bar for the one in the making. Plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from runner.errors import safe
from runner.shown import duration

if TYPE_CHECKING:
    from runner.stepping import Event, Tell
    from runner.steps import Plan


@contextmanager
def silent() -> Iterator[Tell]:
    """Say nothing."""
    yield lambda event: None


class Display:
    """Prints a run's events to stderr, so that stdout stays for results."""

    def __init__(self, plan: Plan) -> None:
        # What draws a bar is loaded where there is a terminal to draw it on.
        self.bar = _Bar() if sys.stderr.isatty() else None
        self.width = max(map(len, [s.name for s in plan.steps] + [f.name for f in plan.fetches]))
        self.started = 0.0
        self.kept = 0

    def __enter__(self) -> Tell:
        if self.bar:
            self.bar.progress.start()
        return self.tell

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.progress.stop()
        if kind is None:
            self._say_kept()

    def _say_kept(self) -> None:
        if self.kept:
            self._line(f"  kept  {self.kept} steps made before")
            self.kept = 0

    def _line(self, text: str) -> None:
        if self.bar:
            self.bar.line(safe(text))
        else:
            sys.stderr.write(safe(text) + "\n")
            sys.stderr.flush()

    def tell(self, event: Event) -> None:
        """Show one event of the run."""
        name = f"{event.step:<{self.width}}"
        if event.what == "kept":
            self.kept += 1
        elif event.what == "starts":
            self._say_kept()
            self.started = time.monotonic()
            if self.bar:
                self.bar.starts(f"  run   {name}", safe(event.why))
            else:
                self._line(f"  run   {name}  {event.why}".rstrip())
        elif event.what in ("gets", "sends"):
            self.started = time.monotonic()
            if self.bar:
                self.bar.starts(f"  {event.what[:-1]:<4}  {name}", safe(event.why))
        elif event.what in ("waits", "notes"):
            self._say_kept()
            if self.bar:
                self.bar.ends()
            self._line(f"  {event.what[:4]}  {name}  {event.why}")
        elif event.what == "sent" and self.bar:
            self.bar.ends()
        elif event.what == "engine":
            self._say_kept()
            self._line(f"  {event.step:<4}  {event.why}")
        elif event.what == "progress" and self.bar:
            self.bar.moves(event.done, event.of, safe(event.why))
        elif event.what in ("made", "got"):
            if self.bar:
                self.bar.ends()
            took = f"{duration(time.monotonic() - self.started):>8}"
            self._line(f"  {event.what:<4}  {name}  {took}  {event.why}".rstrip())


class _Bar:
    """The step in the making: a spinner, a bar and how long it has taken."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[what]}", markup=False),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self.task: Any = None

    def starts(self, name: str, what: str) -> None:
        self.task = self.progress.add_task(name, total=None, what=what)

    def moves(self, done: int, of: int, what: str) -> None:
        if self.task is not None:
            self.progress.update(self.task, completed=done, total=of or None, what=what)

    def ends(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None

    def line(self, text: str) -> None:
        from rich.text import Text

        self.console.print(Text(text))
