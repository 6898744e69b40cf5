"""`recipe chat`: what is typed, and how answers look: side by side where there is room, else one after another."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import ending, errors
from runner.api.talking import MOST_CALLS, Dialogue, Reply, Served, tools
from runner.errors import UsageError, safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

WIDE = 100
"""Columns from which two answers stand side by side."""
HELP = """/tools [NAME|FILE]  offer the tools of a source of the run, or a JSON file's, or none
/system [TEXT]      another system message, or none; begins anew
/reset              begin anew
/save FILE          write the conversation, a line an arm
/quit               leave (so do Ctrl-D, and Ctrl-C twice; once stops an answer)"""


class Leave(Exception):
    """The person wants to go."""


class Conversation:
    """Reads questions until there are no more."""

    def __init__(self, dialogue: Dialogue, served: Served, *, as_json: bool) -> None:
        from rich.console import Console

        self.dialogue, self.served, self.as_json = dialogue, served, as_json
        self.typed = sys.stdin.isatty() and not as_json
        self.console = Console(highlight=False, markup=False, emoji=False)
        self.failed = False
        self.interrupts = 0

    def hold(self) -> int:
        """To its end; the exit code. Only where questions are typed does Ctrl-C stop an answer instead of all."""
        with ending.patient() if self.typed else nullcontext():
            return self._hold()

    def _hold(self) -> int:
        if self.typed:
            with suppress(ImportError):
                import readline  # noqa: F401  (arrow keys and history)
            system = self.dialogue.system
            self._say(f"system: {system}" if system else "no system message")
            self._say_tools()
            self._say("/help says what can be typed")
        try:
            while True:
                try:
                    line = self._line("> ")
                    self.interrupts = 0
                    if line.strip():
                        self._take(line)
                except UsageError as e:
                    self.failed = not self.typed
                    self._say(f"error: {e}")
                except KeyboardInterrupt:
                    if not self.typed:
                        raise
                    self._interrupted()
        except (Leave, EOFError):
            pass
        return errors.StepError.exit_code if self.failed else errors.OK

    def _interrupted(self) -> None:
        self.interrupts += 1
        if self.interrupts > 1:
            raise Leave
        click.echo("\nCtrl-C again leaves", err=True)

    def _line(self, prompt: str) -> str:
        if self.typed:
            line = input(prompt)
        elif not (line := sys.stdin.readline()):
            raise EOFError
        # What a terminal sends that is no UTF-8 could not be sent on.
        return line.rstrip("\r\n").encode("utf-8", "replace").decode()

    def _say(self, what: str) -> None:
        click.echo(safe(what), err=True)

    def _say_tools(self) -> None:
        names = [tool["function"]["name"] for tool in self.dialogue.tools]
        if names:
            self._say(f"tools: {', '.join(names)}")
        elif known := [name for name, named in self.served.sources.items() if named]:
            self._say(f"no tools are offered; /tools {known[0]} offers those of the run")

    # -- what is typed --------------------------------------------------------------------------------

    def _take(self, line: str) -> None:
        if not line.startswith("/"):
            self._ask(line)
            return
        word, _, rest = line.partition(" ")
        verbs: dict[str, Callable[[str], None]] = {
            "/tools": self._tools,
            "/system": self._system,
            "/reset": self._reset,
            "/save": self._save,
            "/help": lambda rest: self._say(HELP),
            "/quit": self._quit,
        }
        if word not in verbs:
            raise UsageError(f"no command {word}; there are {', '.join(verbs)}")
        verbs[word](rest.strip())

    def _tools(self, name: str) -> None:
        self.dialogue.tools = tools(name, self.served) if name else []
        self._say_tools()

    def _system(self, text: str) -> None:
        self.dialogue.system = text or None
        self.dialogue.reset()
        self._say("begun anew")

    def _reset(self, rest: str) -> None:
        self.dialogue.reset()
        self._say("begun anew")

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("name a file: /save FILE")
        try:
            self.dialogue.save(Path(name).expanduser())
        except FileExistsError:
            raise UsageError(f"{name} is there already; name another file") from None
        except OSError as e:
            raise UsageError(f"{name} cannot be written: {e.strerror or e}") from None
        self._say(f"saved: {name}")

    def _quit(self, rest: str) -> None:
        raise Leave

    # -- answers --------------------------------------------------------------------------------------

    def _ask(self, question: str) -> None:
        if not self.typed and not self.as_json:
            self.console.print(f"> {safe(question)}", soft_wrap=True)
        self.dialogue.ask(question)
        arms = list(self.dialogue.arms)
        for _ in range(MOST_CALLS):
            replies = {arm: Reply() for arm in arms}
            self._answered(replies)
            for arm, reply in replies.items():
                self.failed |= reply.error is not None
                if self.as_json:
                    click.echo(json.dumps(_line_of(question, arm, reply), ensure_ascii=False))
            arms = [arm for arm, reply in replies.items() if self.dialogue.keep(arm, reply, self._result)]
            if not arms:
                return

    def _answered(self, replies: dict[str, Reply]) -> None:
        """Wait for all of them, showing them as they come; Ctrl-C stops them."""
        stop = threading.Event()
        threads = self.dialogue.answer(list(replies), replies, stop)
        live: Any = None
        if self.console.is_terminal and not self.as_json:
            from rich.live import Live

            # The whole is printed at the end: what is taller than the terminal cannot be drawn over.
            live = Live(console=self.console, transient=True, auto_refresh=False, vertical_overflow="crop")
            live.start()
        try:
            while any(thread.is_alive() for thread in threads):
                try:
                    time.sleep(0.1)
                    if live:
                        live.update(view(replies, self.console, live=True), refresh=True)
                except KeyboardInterrupt:
                    stop.set()
                    if not self.typed:
                        raise
                    self.interrupts += 1
                    if self.interrupts > 1:
                        raise Leave from None
        finally:
            if live:
                live.stop()
        if self.as_json:
            return
        if self.console.is_terminal:
            self.console.print(view(replies, self.console))
            return
        for arm, reply in replies.items():  # into a file or a pipe: lines as long as they are
            click.echo(f"{arm}  {_about(reply)}\n{_text(reply).plain}\n")

    def _result(self, arm: str, call: dict[str, Any]) -> str | None:
        """What the person at the terminal says that a call comes to; None for nothing."""
        if not self.typed:
            return None
        name = call["function"]["name"]
        self._say(f"what does {name} answer {arm}? (JSON or text; Enter for nothing)")
        try:
            return self._line(f"{name}> ").strip() or None
        except KeyboardInterrupt:
            self.interrupts += 1  # the next one leaves
            click.echo(err=True)
            return None
        except EOFError:
            return None


def _line_of(question: str, arm: str, reply: Reply) -> dict[str, Any]:
    return {
        "question": question,
        "arm": arm,
        "content": reply.text or None,
        "tool_calls": reply.calls,
        "finish_reason": reply.finish,
        "tokens": reply.tokens,
        "seconds": round(reply.seconds, 2),
        "error": reply.error,
    }


def view(replies: dict[str, Reply], console: Console, *, live: bool = False) -> RenderableType:
    """The answers: in columns of one width where there is room, else under each other."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    height = max(4, console.height - 2) if live else 0
    if len(replies) < 2 or console.width < WIDE:
        each = height // max(1, len(replies)) if live else 0
        parts: list[RenderableType] = []
        for arm, reply in replies.items():
            parts += [_head(arm, reply), _body(reply, console.width, each - 2, console), Text("")]
        return Group(*parts)
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for _ in replies:
        table.add_column(ratio=1, overflow="fold")
    width = console.width // len(replies) - 2
    table.add_row(*(_head(arm, reply) for arm, reply in replies.items()))
    table.add_row(*(_body(reply, width, height - 2, console) for reply in replies.values()))
    return Group(table, Text(""))


def _about(reply: Reply) -> str:
    if reply.finish == "stopped":
        return "stopped"
    if reply.finish is None:
        return "" if reply.error else "…"
    speed = f", {reply.speed:.0f} a second" if reply.text and reply.speed else ""
    return f"{reply.tokens} tokens{speed}" + (", cut at the longest" if reply.finish == "length" else "")


def _head(arm: str, reply: Reply) -> RenderableType:
    from rich.text import Text

    return Text.assemble((arm, "bold"), ("  " + _about(reply), "dim"))


def _text(reply: Reply) -> Text:
    """What was said, called, and went wrong."""
    from rich.text import Text

    text = Text(safe(reply.text))
    for call in reply.calls:
        function = call["function"]
        text.append(("\n" if text else "") + safe(f"{function['name']} {function['arguments']}"), "cyan")
    if reply.error:
        text.append(("\n" if text else "") + safe(reply.error), "red")
    return text


def _body(reply: Reply, width: int, height: int, console: Console) -> RenderableType:
    """That; the last `height` lines of it, or all for a height below 1."""
    from rich.text import Text

    text = _text(reply)
    return Text("\n").join(text.wrap(console, width)[-height:]) if height > 0 else text
