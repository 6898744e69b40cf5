"""All that a program started ends with it, in good time, however it is told and however they take it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from runner.ending import SAID

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# Verbs of a few lines, on the real way in. Whoever started the tests may have had signals ignored.
BEGIN = """
import atexit, ctypes, os, signal, subprocess, sys, time
from pathlib import Path
import click
from runner import cli, ending, pool, process
from runner.cli.common import command

for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

def ready(): Path("ready").touch()

@click.command()
@command
def verb(workspace, as_json):
"""

END = """

cli.main.add_command(verb)
sys.argv = ["recipe", "verb"]
"""

# The only work is a job that starts what Axolotl's launchers and loaders are: children, one in a session of its own, and
# one whose parent has gone. It says who they are.
JOB = """    process.run(["sh", "-c", {how!r} + '''
        sleep 120 & echo $!
        setsid sleep 120 & echo $!
        (setsid sh -c 'echo $$; sleep 120; exit' & )
        echo job; echo $$; sleep 0.2; echo all; wait; sleep 120
    '''], log=Path("log"), cwd=Path())
"""
MEEK, DEAF = JOB.format(how=""), JOB.format(how="trap '' TERM INT HUP QUIT")
# Workers that are long at it, and do not hear.
POOL = """    pool.PATIENCE = -1
    for done in pool.mapped(time.sleep, [0.01] * 4 + [60] * 20, 2): ready()
"""


def stat(pid: int) -> list[str]:
    """State, parent, group … of a process; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    return bool(here := stat(pid)) and here[0] != "Z"


def below(pid: int) -> set[int]:
    """Its children and theirs."""
    parents = {int(p.name): stat(int(p.name)) for p in Path("/proc").glob("[0-9]*")}
    found, row = set[int](), {pid}
    while row:
        row = {child for child, about in parents.items() if about and int(about[1]) in row}
        found |= row
    return found


def soon(what: Callable[[], object], seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


class Verb:
    """A program at work; `theirs` are the processes that it started, and that these started."""

    def __init__(self, folder: Path, body: str, before: str = "", stdin: int = subprocess.PIPE) -> None:
        self.folder, self.theirs = folder, set[int]()
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{BEGIN}{body}{END}{before}\ncli.entry()\n"],
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # as a shell does: a terminal's signals are for this group
        )

    def until(self, ready: Callable[[], object]) -> Verb:
        assert soon(lambda: ready() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()
        self.theirs |= below(self.process.pid)
        return self

    def with_job(self) -> Verb:
        """Once all that its job starts is there."""
        log = self.folder / "log"
        self.until(lambda: log.exists() and log.read_text().endswith("all\n"))
        pids = {int(x) for x in log.read_text().splitlines() if x.isdigit()}
        assert len(pids) == 4 and pids < self.theirs
        return self

    def with_pool(self) -> Verb:
        return self.until((self.folder / "ready").exists)

    def send(self, number: int) -> Verb:
        """To all of its group, as a terminal does."""
        self.theirs |= below(self.process.pid)
        if number == signal.SIGKILL:
            self.process.kill()
        else:
            os.killpg(self.process.pid, number)
        return self

    def end(self, within: float) -> tuple[int, str]:
        """Exit code and what it said, in that time; then nobody is left."""
        begun = time.monotonic()
        _, said = self.process.communicate(timeout=60)
        assert time.monotonic() - begun < within
        assert "Traceback" not in said and "Exception" not in said
        return self.process.returncode, said

    def left(self) -> list[str]:
        return [Path(f"/proc/{p}/cmdline").read_text() for p in self.theirs if alive(p)]


Start = Callable[..., Verb]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Verb] = []

    def begin(*what: str, stdin: int = subprocess.PIPE) -> Verb:
        started.append(Verb(tmp_path, *what, stdin=stdin))
        return started[-1]

    yield begin
    for verb in started:
        verb.theirs |= below(verb.process.pid)
        for pid in (verb.process.pid, *verb.theirs):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        verb.process.communicate()


# -- jobs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "sign", "code", "most"),
    [
        (MEEK, signal.SIGINT, 130, 5),
        (MEEK, signal.SIGTERM, 143, 5),
        (MEEK, signal.SIGHUP, 129, 5),
        (MEEK, signal.SIGQUIT, 131, 5),
        (DEAF, signal.SIGINT, 130, 8),
    ],
    ids=["int", "term", "hup", "quit", "deaf"],
)
def test_all_that_a_job_started_ends(
    start: Start, job: str, sign: signal.Signals, code: int, most: float
) -> None:
    verb = start(job).with_job().send(sign)
    assert verb.end(most) == (code, SAID + "\n")
    assert not verb.left()


def test_a_second_signal_does_not_wait_and_leaves_nobody(start: Start) -> None:
    verb = start(DEAF).with_job().send(signal.SIGINT)
    time.sleep(0.3)
    assert verb.process.poll() is None
    verb.send(signal.SIGINT)
    assert verb.end(4) == (130, SAID + "\n")
    assert not verb.left()


def test_a_signal_that_two_send_is_one(start: Start) -> None:
    """As when a terminal is closed: it sends SIGHUP, and so does the shell. The job has its time."""
    verb = start(JOB.format(how="trap 'sleep 1; echo put away; exit' TERM;")).with_job()
    verb.send(signal.SIGHUP)
    time.sleep(0.01)
    os.killpg(verb.process.pid, signal.SIGHUP)
    assert verb.end(5)[0] == 129
    assert "put away" in (verb.folder / "log").read_text().splitlines()


@pytest.mark.parametrize("job", [MEEK, DEAF], ids=["meek", "deaf"])
def test_a_killed_program_leaves_nobody(start: Start, job: str) -> None:
    verb = start(job).with_job().send(signal.SIGKILL)
    assert soon(lambda: not verb.left(), 5)
    verb.end(4)


def test_a_killed_warden_takes_its_job_along(start: Start) -> None:
    verb = start(MEEK).with_job()
    job = int((verb.folder / "log").read_text().partition("job\n")[2].split()[0])
    os.kill(int(stat(job)[1]), signal.SIGKILL)
    assert soon(lambda: not alive(job), 5)


def test_what_a_job_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    from runner import process

    job = "(setsid sleep 120 & echo $!); trap '' TERM; (setsid sleep 120 & echo $!)"
    begun = time.monotonic()
    process.run(["sh", "-c", job], log=tmp_path / "log", cwd=tmp_path)
    assert time.monotonic() - begun < 60
    pids = [int(x) for x in (tmp_path / "log").read_text().splitlines() if x.isdigit()]
    assert len(pids) == 2 and not any(map(alive, pids))


@pytest.mark.parametrize(
    ("ending", "why"), [("exit 7", "exit code 7"), ("kill -KILL $$", "SIGKILL"), ("kill -ABRT $$", "SIGABRT")]
)
def test_it_ends_as_the_job_ended(tmp_path: Path, ending: str, why: str) -> None:
    from runner import process

    with pytest.raises(process.Failed, match=why):
        process.run(["sh", "-c", ending], log=tmp_path / "log", cwd=tmp_path)


# -- workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
def test_workers_are_not_waited_for(start: Start, sign: signal.Signals, code: int) -> None:
    verb = start(POOL).with_pool().send(sign)
    assert verb.end(5) == (code, SAID + "\n")
    assert soon(lambda: not verb.left(), 5)


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_a_second_interrupt_while_workers_end(start: Start, pause: float) -> None:
    verb = start(POOL).with_pool().send(signal.SIGINT)
    time.sleep(pause)
    if verb.process.poll() is None:
        verb.send(signal.SIGINT)
    assert verb.end(4) == (130, SAID + "\n")
    assert soon(lambda: not verb.left(), 5)


# One that does not let Python go on.
DEEP = """    import functools, re
    pool.PATIENCE = -1
    for _ in pool.mapped(functools.partial(re.match, "(a+)+$"), ["b"] * 4 + ["a" * 60 + "b"] * 8, 2): ready()
"""


@pytest.mark.parametrize("body", [POOL, DEEP], ids=["asleep", "deep"])
def test_a_killed_program_leaves_no_worker(start: Start, body: str) -> None:
    verb = start(body).with_pool().send(signal.SIGKILL)
    assert verb.end(5) == (-9, "")
    assert soon(lambda: not verb.left(), 5)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("there", [1, 2, 3, 4])
def test_while_workers_start(start: Start, there: int, sign: signal.Signals) -> None:
    """When the process that clears up, the one that forks, the first and the second worker have just appeared."""
    verb = start(POOL)
    verb.until(lambda: len(below(verb.process.pid)) >= there).send(sign)
    assert verb.end(5) == ((130, SAID + "\n") if sign == signal.SIGINT else (-9, ""))
    assert soon(lambda: not verb.left(), 5)


@pytest.mark.parametrize("lives", [True, False])
def test_who_is_born_too_late_is_silent(lives: bool) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    us = os.getpid() if lives else gone.pid
    code = f"import multiprocessing.forkserver; from runner import forkserved; forkserved._us = {us}; raise ValueError"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and ("ValueError" in done.stderr) == lives


# -- ourselves ------------------------------------------------------------------------------------


# A lock of C's, taken twice: no signal gets anybody out of it.
STUCK = """    lock, c = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    c.pthread_mutex_lock(lock)
    ready()
    c.pthread_mutex_lock(lock)
"""


def test_a_second_signal_is_heard_deep_in_a_library(start: Start) -> None:
    verb = start(STUCK).with_pool().send(signal.SIGTERM)
    time.sleep(0.2)
    verb.send(signal.SIGINT)
    assert verb.end(4) == (143, SAID + "\n")


def test_the_first_signal_has_its_time(start: Start) -> None:
    verb = start("    ending.WITHIN = 0.5\n" + STUCK).with_pool().send(signal.SIGINT)
    assert verb.end(5) == (130, SAID + "\n")


SLOW = """    class Slow:
        def __del__(self):
            ready()
            time.sleep(5)
    slow = Slow()
    del slow
    time.sleep(60)
"""


def test_a_signal_in_a_destructor_is_not_lost(start: Start) -> None:
    verb = start(SLOW).with_pool().send(signal.SIGINT)
    assert verb.end(5) == (130, SAID + "\n")


LATE = """    atexit.register(lambda: (ready(), time.sleep(60)))
    click.echo("done")
"""


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_when_all_is_said_a_signal_is_no_traceback(start: Start, sign: signal.Signals, code: int) -> None:
    verb = start(LATE).with_pool().send(sign)
    assert verb.end(5) == (code, SAID + "\n")


# As the program starts: before there is a verb, its modules are looked for.
EARLY = """
import sys, time
from pathlib import Path
class Slow:
    def find_spec(self, name, *_):
        if name == "runner.cli.line":
            Path("ready").touch()
            time.sleep(60)
sys.meta_path.insert(0, Slow())
sys.argv = ["/bin/recipe"]
import runner.cli
"""


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_the_program_loads(tmp_path: Path, sign: signal.Signals, code: int) -> None:
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    argv = [sys.executable, "-c", EARLY]
    started = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=hears)
    assert soon((tmp_path / "ready").exists)
    started.send_signal(sign)
    assert started.communicate(timeout=20)[1] == b"" and started.returncode == code


# While errors are told, and while the last words are written to a reader that does not read.
TELLING = """    from runner.errors import UsageError
    ready()
    raise UsageError("x" * 1_000_000)
"""
WRITING = """    ready()
    click.echo("x" * 1_000_000)
"""


@pytest.mark.parametrize("body", [TELLING, WRITING], ids=["errors", "results"])
@pytest.mark.parametrize("times", [1, 2])
def test_while_the_last_words_are_written(start: Start, body: str, times: int) -> None:
    verb = start("    ending.WITHIN = 1\n" + body).with_pool()
    time.sleep(0.3)
    for _ in range(times):
        verb.send(signal.SIGINT)
        time.sleep(0.2)
    assert soon(lambda: verb.process.poll() is not None, 5)
    assert verb.end(5)[0] == 130


FULL = """    os.set_blocking(2, False)
    try:
        while os.write(2, b"x" * 4096): pass
    except BlockingIOError:
        os.set_blocking(2, True)
    ready()
    time.sleep(60)
"""


def test_a_reader_that_does_not_read_holds_nobody(start: Start) -> None:
    verb = start(FULL).with_pool().send(signal.SIGINT)
    assert soon(lambda: verb.process.poll() is not None, 5)
    assert verb.end(5)[0] == 130


@pytest.mark.parametrize("job", [MEEK, DEAF], ids=["meek", "deaf"])
def test_nobody_listens_any_more(start: Start, job: str) -> None:
    verb = start(job).with_job()
    for stream in (verb.process.stdout, verb.process.stderr):
        assert stream
        stream.close()
    verb.process.stdout = verb.process.stderr = None
    verb.send(signal.SIGHUP)
    assert verb.process.wait(9) == 129
    assert not verb.left()


def test_whom_nobody_reads_has_no_success(start: Start) -> None:
    verb = start(
        JOB.format(how="exit 0;") + "    ready(); time.sleep(0.3); click.echo('all is well')\n"
    ).with_pool()
    assert verb.process.stdout
    verb.process.stdout.close()
    verb.process.stdout = None
    assert verb.end(5) == (128 + signal.SIGPIPE, "")


def test_a_closed_stream_is_not_the_next_file(start: Start) -> None:
    opened = "    kept = open('kept', 'w'); ready(); time.sleep(60)\n"
    verb = start(opened, "os.close(2); sys.stderr = None").with_pool().send(signal.SIGINT)
    assert verb.end(5) == (130, "")
    assert not (verb.folder / "kept").read_bytes()


def test_what_was_ignored_stays_ignored(start: Start) -> None:
    """As by nohup."""
    verb = start(
        "    ready()\n    time.sleep(0.5)\n", "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    ).with_pool()
    verb.send(signal.SIGHUP)
    assert verb.end(5) == (0, "")


# -- servers --------------------------------------------------------------------------------------

# The verbs as they are, and the way to their server; only what is served is not a model.
SERVED = """
from types import SimpleNamespace
from runner.cli import conversation, serving
from runner.serving import server
from runner.serving.engines import Engine

Path("server.py").write_text('''
import http.server, os, signal, subprocess, sys
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "120"], start_new_session=True)
class Well(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Well).serve_forever()
''')
folder = Path("runs/t").absolute()
folder.mkdir(parents=True)
served = SimpleNamespace(name="t", folder=folder, adapter=folder, whole=None, system=None, sources={{}}, log="serve.log")
engine = Engine("transformers", sys.executable, False, "")
serving._found = lambda *_: (served, engine)
server._transformers = lambda s, e, a, port, *_: ([sys.executable, "server.py", str(port), "{how}"], {{}})
line = conversation.Conversation._line
conversation.Conversation._line = lambda self, prompt: ready() or line(self, prompt)
"""
SERVE = """
sys.argv = ["recipe", "serve", "t", "--port", "0"]
serving.click.echo = lambda what, **_: what.startswith("http") and ready()
"""
CHAT = """
sys.argv = ["recipe", "chat", "t"]
"""
WHILE_EVALUATING = f"""    from runner.serving.server import serving as server_of
    try:
        with server_of(served, engine, arms=("tuned",)):
        {DEAF.replace(chr(10), chr(10) + "        ")}
    finally:
        Path("put away").touch()
"""


def served(how: str, verb: str) -> tuple[str, str]:
    return "    pass\n", SERVED.format(how=how) + verb


@pytest.mark.parametrize("verb", [SERVE, CHAT], ids=["serve", "chat"])
@pytest.mark.parametrize(
    ("how", "signs", "code"),
    [
        ("meek", [signal.SIGINT], 130),
        ("meek", [signal.SIGTERM], 143),
        ("meek", [signal.SIGHUP], 129),
        ("deaf", [signal.SIGINT, signal.SIGINT], 130),
        ("deaf", [signal.SIGKILL], -9),
    ],
    ids=["int", "term", "hup", "twice", "kill"],
)
def test_a_server_ends(start: Start, verb: str, how: str, signs: list[signal.Signals], code: int) -> None:
    running = start(*served(how, verb)).with_pool()
    assert len(running.theirs) == 3
    for sign in signs:
        running.send(sign)
        time.sleep(0.3)
    assert running.end(5)[0] == code
    assert soon(lambda: not running.left(), 5)


def test_a_server_and_a_job_that_asks_it_end_in_time(start: Start) -> None:
    verb = start(WHILE_EVALUATING, SERVED.format(how="deaf")).with_job().send(signal.SIGINT)
    assert verb.end(10) == (130, SAID + "\n")
    assert not verb.left()
    assert (verb.folder / "put away").exists(), "the second had what the first left of its time"


def test_only_who_types_stops_an_answer(start: Start) -> None:
    """Ctrl-C at a terminal: once for the answer, twice to leave; then once more, for a server that takes its time."""
    ours, theirs = os.openpty()
    try:
        verb = start(*served("deaf", CHAT), stdin=theirs).with_pool()
        verb.send(signal.SIGINT)
        time.sleep(0.3)
        assert verb.process.poll() is None
        verb.send(signal.SIGINT)
        time.sleep(0.3)
        assert verb.process.poll() is None, "it waits for the server"
        verb.send(signal.SIGINT)
        assert verb.end(4)[0] == 130
        assert soon(lambda: not verb.left(), 5)
    finally:
        os.close(ours)
        os.close(theirs)


def test_whatever_is_started_has_a_warden() -> None:
    """But for what ends by itself: at the end of its input (footer), or within seconds (what asks a driver, enough_memory)."""
    runner = Path(__file__).parents[2] / "runner"
    starts = re.compile(
        r"\b(Popen\(|subprocess\.(run|call|check_\w+)\(|os\.(spawn\w+|posix_spawn\w*|system|popen|fork)\()"
    )
    found = {p.relative_to(runner).as_posix() for p in runner.rglob("*.py") if starts.search(p.read_text())}
    assert found == {
        "warded.py",
        "jobs/warden.py",
        "datafiles/footer.py",
        "forecast/machines.py",
        "doctor/devices.py",
        "api/common.py",
    }
