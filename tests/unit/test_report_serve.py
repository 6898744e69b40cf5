"""`recipe report --serve`: what a run notes of itself, and what may be asked of the server, by whom."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from click.testing import CliRunner

from runner import cli, noting, stepping
from runner import run as runs
from runner.errors import StepError
from runner.load import load_recipe
from runner.making import Making
from runner.noting import Now, StepNow
from runner.plan import plan
from runner.steps import Plan
from runner.store import Store
from runner.watching import answering, reading, server
from runner.watching.runs import every, find, names
from runner.watching.server import serving
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: NAME
description: Talk of <b>numbers</b>.
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
dedup: {exact: true}
split: {validation: 0.1}
"""


def recipe(root: Path, name: str = "t") -> Plan:
    rows = (
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}."}]}
        for n in range(30)
    )  # fmt: skip
    (root / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / f"{name}.yaml").write_text(RECIPE.replace("NAME", name))
    place = Workspace(root)
    return plan(load_recipe(root / f"{name}.yaml", place), place)


def said(root: Path, name: str = "t") -> tuple[Now | None, bool]:
    with reading.opened(root, ".mirepoix", "runs", f"{name}.now") as fd:
        return noting.read(fd)


def states(now: Now | None) -> dict[str, str]:
    assert now is not None
    return {s.name: s.state for s in now.steps}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two runs: t to its end, u of the same data to its data."""
    root = tmp_path_factory.mktemp("made")
    runs.run(recipe(root))
    runs.run(recipe(root, "u"), to="prepare")
    return root


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Has a function called in the middle of the step `split`."""

    def set_up(look: Any) -> None:
        usual = stepping.MAKERS["split"]

        def split(m: Making) -> None:
            m.progress(3, 12, "rows of a test")
            look(m)
            usual(m)

        monkeypatch.setattr(stepping, "MAKERS", {**stepping.MAKERS, "split": split})

    yield set_up


def test_a_run_notes_what_it_is_at(tmp_path: Path, during: Any) -> None:
    seen = []
    during(lambda m: seen.append(said(tmp_path)))
    runs.run(recipe(tmp_path), to="prepare")
    now, lives = seen[0]
    assert lives and now is not None and (now.state, now.at, now.process) == ("running", "split", os.getpid())
    assert (now.done, now.of, now.what) == (3, 12, "rows of a test")
    assert states(now) == {
        "source.talk": "made", "filter": "made", "dedup": "made", "mix": "made", "split": "running", "report": "to come"
    }  # fmt: skip
    now, lives = said(tmp_path)
    assert not lives and now is not None and (now.state, now.at, now.to) == ("finished", "", "prepare")
    assert all(s.took is not None for s in now.steps if s.state == "made")
    runs.run(recipe(tmp_path), to="prepare")
    assert set(states(said(tmp_path)[0]).values()) == {"kept", "to come"}


def test_no_step_hangs_on_what_a_run_notes(tmp_path: Path) -> None:
    runs.run(recipe(tmp_path))
    (tmp_path / ".mirepoix/runs/t.now").write_bytes(b"anything")
    assert runs.run(recipe(tmp_path)).executed == 0


def test_a_failure_is_noted_with_its_reason_and_its_log(tmp_path: Path, during: Any) -> None:
    def fail(m: Making) -> None:
        raise StepError("split", "no room for <i>this</i>", "runs/t/logs/split.log")

    during(fail)
    with pytest.raises(StepError):
        runs.run(recipe(tmp_path))
    now, lives = said(tmp_path)
    assert not lives and now is not None
    assert (now.state, now.error, now.log) == (
        "failed", "split: no room for <i>this</i>", "runs/t/logs/split.log"
    )  # fmt: skip
    found = find(tmp_path, "t")
    assert found is not None and found.state == "failed" and not found.finished


HEARS = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""A shell that runs us behind it has that signal ignored."""
KILLED = """
import os, sys
from pathlib import Path
from runner import run, stepping
from runner.load import load_recipe
from runner.plan import plan
from runner.workspace import Workspace
def split(m):
    os.kill(os.getpid(), int(sys.argv[1]))
stepping.MAKERS = {**stepping.MAKERS, "split": split}
try:
    here = Workspace(Path.cwd())
    run.run(plan(load_recipe(Path("t.yaml"), here), here))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGKILL, "running"), (signal.SIGINT, "interrupted")], ids=["kill", "ctrl-c"]
)
def test_a_run_that_was_ended_is_interrupted(tmp_path: Path, number: int, word: str) -> None:
    """Killed, it can say nothing: that nobody holds its lock does."""
    recipe(tmp_path)
    argv = [sys.executable, "-c", KILLED, str(int(number))]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, preexec_fn=HEARS)
    assert done.returncode in (-number, 130), done.stderr
    now, lives = said(tmp_path)
    assert not lives and now is not None and (now.state, now.at) == (word, "split")
    found = find(tmp_path, "t")
    assert found is not None and found.state == "interrupted"


def test_a_note_is_written_to_no_other_file(tmp_path: Path) -> None:
    """What lies in its place may be a link, or another name of a file of the user's."""
    planned, own = recipe(tmp_path), tmp_path / "own.txt"
    own.write_text("mine")
    folder = Store(tmp_path).folder("runs")
    for lay in (os.link, os.symlink):
        (folder / "t.now").unlink(missing_ok=True)
        lay(own, folder / "t.now")
        runs.run(planned, to="prepare")
        assert own.read_text() == "mine" and said(tmp_path)[0] is not None


def test_secrets_are_not_noted(tmp_path: Path, during: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIREPOIX_JUDGE_KEY", "sk-9f8e7d6c5b4a")

    def fail(m: Making) -> None:
        raise StepError("split", "the server said sk-9f8e7d6c5b4a")

    during(fail)
    with pytest.raises(StepError):
        runs.run(recipe(tmp_path))
    assert b"sk-9f8e" not in (tmp_path / ".mirepoix/runs/t.now").read_bytes()
    now, _ = said(tmp_path)
    assert now is not None and now.error == "split: the server said " + "*" * 15


def test_a_reader_in_the_middle_of_a_write_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is torn is told by its sum; of a run that nobody writes any more it says nothing."""
    runs.run(recipe(tmp_path), to="prepare")
    path = tmp_path / ".mirepoix/runs/t.now"
    path.write_bytes(path.read_bytes().replace(b'"run":"t"', b'"run":"x"'))
    monkeypatch.setattr(
        "runner.noting.state.time.sleep", lambda _: pytest.fail("nobody writes it, so there is no waiting")
    )
    assert said(tmp_path) == (None, False)
    path.write_bytes(b"")
    assert said(tmp_path) == (None, False)


def test_runs_are_found_as_they_are(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "runs/empty").mkdir()
    (tmp_path / "runs/out").symlink_to(tmp_path / "runs/u")
    (tmp_path / "runs/a b").mkdir()
    (tmp_path / "runs/a b/report.json").write_text("{}")
    assert names(tmp_path) == ["t", "u"]
    t, u = (find(tmp_path, name) for name in ("t", "u"))
    assert t is not None and u is not None
    assert (t.state, t.finished, u.state, u.finished) == ("finished", True, "finished", False)
    assert (t.verdict, t.rows, t.about) == ("no gates", 27, "Talk of <b>numbers</b>.")
    assert [r.name for r in every(tmp_path)] == ["u", "t"]
    for wrong in ("..", ".", "", "out", "empty", "a b", "../runs/u", "u/../u", "u\0"):
        assert find(tmp_path, wrong) is None, wrong


# What is served.


@pytest.fixture
def served(made: Path, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A copy of that, and the port of its server."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    with serving(tmp_path) as there:
        yield tmp_path, there.port


def ask(port: int, path: str, method: str = "GET", **heads: str) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request; `heads` with underscores for dashes."""
    call = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        call.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": f"127.0.0.1:{port}"} | heads).items():
            if value:
                call.putheader(name.replace("_", "-"), value)
        call.endheaders()
        answer = call.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        call.close()


def test_pages_say_what_there_is(served: tuple[Path, int]) -> None:
    _, port = served
    status, heads, body = ask(port, "/")
    assert status == 200 and b'href="/runs/t"' in body and b'href="/runs/u"' in body
    assert "Talk of &lt;b&gt;numbers&lt;/b&gt;." in body.decode()
    policy = heads["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and heads["referrer-policy"] == "no-referrer"
    assert (heads["x-content-type-options"], heads["cache-control"]) == ("nosniff", "no-store")
    assert ask(port, "/", If_None_Match=heads["etag"])[0] == 304
    assert ask(port, "/", "HEAD")[::2] == (200, b"")
    assert b"Finished, to prepare" in ask(port, "/runs/u")[2]
    assert b"source.<wbr>talk" in ask(port, "/runs/t/live")[2]


def test_a_run_that_is_finished_is_its_report(made: Path, served: tuple[Path, int]) -> None:
    """Its script may run where the user's own store made it; what came from elsewhere may do nothing."""
    root, port = served
    report = root / "runs/t/report.html"
    for path in ("/runs/t", "/runs/t/report"):
        status, heads, body = ask(port, path)
        assert status == 200 and body == report.read_bytes()
        assert heads["content-security-policy"].endswith("sandbox allow-scripts")
    (root / "runs/t/plan.json").write_text('{"report": 1}')
    assert ask(port, "/runs/t")[1]["content-security-policy"].endswith("; sandbox")
    shutil.copy(made / "runs/t/plan.json", root / "runs/t/plan.json")
    report.unlink()
    report.write_text(
        "<script>fetch('/api/1/runs')</script><meta http-equiv=refresh content='0;url=//x.example'>"
    )
    policy = ask(port, "/runs/t")[1]["content-security-policy"]
    assert policy.endswith("; sandbox") and "script-src" not in policy and "default-src 'none'" in policy
    report.unlink()
    report.symlink_to(root / "talk.jsonl")
    assert ask(port, "/runs/t/report")[0] == 404


def test_a_stranger_s_store_makes_no_report_ours(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    body = (tmp_path / "runs/t/report.html").read_bytes()
    assert answering.answer(tmp_path, "/runs/t").policy == answering.OWN_REPORT
    monkeypatch.setenv("MIREPOIX_STATE", str(tmp_path / "another"))
    monkeypatch.setattr("runner.store.marks._known", set())
    found = answering.answer(tmp_path, "/runs/t")
    assert (found.body, found.policy) == (body, answering.STRANGE_REPORT)


def test_only_our_own_pages_may_ask(served: tuple[Path, int]) -> None:
    _, port = served
    own = f"127.0.0.1:{port}"
    for heads, status in (
        ({}, 200),
        ({"Host": f"localhost:{port}"}, 200),
        ({"Host": "evil.example"}, 421),  # a name that was made to mean this machine
        ({"Host": f"evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": f"http://{own}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, 200),
        ({"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200),
    ):
        assert ask(port, "/api/1/runs", **heads)[0] == status, heads  # type: ignore[arg-type]


def test_nothing_is_taken_but_a_short_question(served: tuple[Path, int]) -> None:
    _, port = served
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "X"):
        status, heads, _ = ask(port, "/", method)
        assert (status, heads["allow"]) == (405, "GET, HEAD"), method
    assert ask(port, "/", Content_Length="5")[0] == 413
    assert ask(port, "/", Transfer_Encoding="chunked")[0] == 413
    assert ask(port, "http://127.0.0.1/")[0] == 400
    assert ask(port, "/" + "a" * 20_000)[0] == 431
    assert ask(port, "/", X="a" * 20_000)[0] == 431
    assert ask(port, "/compare?" + "run=a&" * 30)[0] == 400
    assert ask(port, "/")[0] == 200


def test_no_path_leaves_the_runs(served: tuple[Path, int]) -> None:
    root, port = served
    (root / "secret.log").write_text("not for you")
    (root / "runs/secret").symlink_to(root)
    (root / "runs/u/logs").mkdir(exist_ok=True)
    (root / "runs/u/logs/out.log").symlink_to(root / "secret.log")
    os.mkfifo(root / "runs/u/logs/pipe.log")
    for path in (
        "/runs/..", "/runs/../t", "/runs/%2e%2e", "/runs/..%2ft", "/runs/%2Fetc", "/runs/secret", "/runs/secret/live",
        "/runs/t%00", "/runs/", "/runs/t/", "/runs/t/live/x", "/runs/t/plan.json", "/.mirepoix/mark",
        "/api/1/runs/..", "/api/2/runs", "/api", "/static/x",
    ):  # fmt: skip
        assert ask(port, path)[0] == 404, path
    for log in ("../../../secret", "out", "pipe", "/etc/passwd", "%00"):
        status, _, body = ask(port, f"/runs/u/live?log={log}")
        assert status == 200 and b"not for you" not in body, log


def test_files_are_read_where_they_lie(tmp_path: Path) -> None:
    """Not through links, of folders or files; no pipe is read, and nothing above."""
    root, other = tmp_path / "work", tmp_path / "other"
    for folder in (root / "runs/t", other / "t"):
        folder.mkdir(parents=True)
        (folder / "x.log").write_text("a\nb\n")
    assert reading.tail(root, "runs", "t", "x.log") == ["a", "b"]
    (root / "runs/link").symlink_to(other / "t")
    (root / "linked").symlink_to(other)
    (root / "runs/t/y.log").symlink_to(other / "t/x.log")
    os.mkfifo(root / "runs/t/pipe.log")
    assert reading.folders(root, "runs") == ["t"] and reading.files(root, "runs", "t") == ["x.log"]
    assert reading.folders(root, "linked") == reading.files(root, "linked", "t") == []
    for place in (
        ("linked", "t", "x.log"), ("runs", "link", "x.log"), ("runs", "t", "y.log"), ("runs", "t", "pipe.log"),
        ("runs", "..", "runs", "t", "x.log"), ("runs", ".", "t", "x.log"), ("runs/t", "x.log"), ("runs", "t", ""),
        ("runs", "t"), ("runs", "t", "x.log\0"),
    ):  # fmt: skip
        with pytest.raises(OSError):
            reading.whole(root, *place)
        assert reading.tail(root, *place) == [] and reading.data(root, *place) == {}, place


def test_all_text_of_runs_is_escaped_and_secrets_are_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = '"><img src=x onerror=alert(1)>\u202e'
    monkeypatch.setenv("MIREPOIX_JUDGE_KEY", "sk-9f8e7d6c5b4a")
    lay_out(tmp_path, "t", Now(run="t", process=1, to="report", began=1.0, about=evil, base=evil, state="failed",
                               error=f"{evil}: sk-9f8e7d6c5b4a", log=evil, at=evil, what=evil,
                               steps=[StepNow(name=evil, stage="train", state="waits", why=evil)]))  # fmt: skip
    folder = tmp_path / "runs/t"
    (folder / "logs").mkdir()
    (folder / "logs/x.log").write_text(
        f"\x1b[31mred\x1b[0m {evil} sk-9f8e7d6c5b4a\nbar  5%\rbar 10%\rbar 20%"
    )
    report = {"description": evil, "exit": evil, "gates": [{"metric": evil}, 3], "rows": [], "training": {"settings": 5},
              "suites": [{"metrics": [{"metric": evil, "arms": {"tuned": {"value": "x"}}}]}, None]}  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    with serving(tmp_path) as there:
        for path in (
            "/",
            "/runs/t",
            "/runs/t/live?log=x",
            f"/compare?run={quote(evil)}&run=t",
            f"/{quote(evil)}",
        ):
            text = ask(there.port, path)[2].decode()
            assert "<img" not in text and "\u202e" not in text and "sk-9f8e" not in text, path
        log = ask(there.port, "/runs/t/live?log=x")[2].decode()
        assert "red &#34;&gt;&lt;img" in log and "\nbar 20%</pre>" in log
        assert b"sk-9f8e" not in ask(there.port, "/api/1/runs/t")[2]


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"suites": {"a": 1}}', '{"gates": [[]], "rows": {"trained": "x"}}', "[" * 9999]
)
def test_a_report_that_is_none_is_shown_as_that(tmp_path: Path, text: str) -> None:
    (tmp_path / "runs/t").mkdir(parents=True)
    (tmp_path / "runs/t/report.json").write_text(text)
    for path in ("/", "/runs/t/live", "/api/1/runs", "/api/1/runs/t"):
        assert answering.answer(tmp_path, path).status == 200
    assert answering.answer(tmp_path, "/runs/t").status in (200, 404)


def test_a_defect_is_told_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without secrets; and a client that goes away in the middle is none."""
    monkeypatch.setenv("MIREPOIX_JUDGE_KEY", "sk-9f8e7d6c5b4a")
    errors = [ConnectionResetError("gone"), BrokenPipeError("gone"), ZeroDivisionError("of sk-9f8e7d6c5b4a")]

    def broken(self: server.Handler) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(server.Handler, "handle_one_request", broken)
    with serving(tmp_path) as there:
        while errors:
            assert ask_status(there.port) == 0
    said = capsys.readouterr().err
    assert said.count("Traceback") == 1 and "ZeroDivisionError: of " in said
    assert "gone" not in said and "sk-9f8e" not in said


def test_requests_at_once_are_bounded(served: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = served
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(server.AT_ONCE)]
    try:
        until = time.monotonic() + 20
        while ask_status(port) != 503:
            assert time.monotonic() < until, "one more is answered"
    finally:
        for one in held:
            one.close()
    while ask_status(port) != 200:
        assert time.monotonic() < until, "room is made again"


def ask_status(port: int) -> int:
    try:
        return ask(port, "/")[0]
    except OSError:
        return 0


def test_a_request_that_is_never_ended_is(served: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = served
    assert server.Handler.timeout == server.PATIENCE <= 30
    monkeypatch.setattr(server.Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert slow.recv(100) == b""


def test_what_cannot_be_compared_is_said(served: tuple[Path, int]) -> None:
    _, port = served
    for query, words in (
        ("", "choose two runs or more"),
        ("?run=t", "choose two runs or more"),
        ("?run=t&run=t", "choose two runs or more"),
        ("?run=t&run=nothing", "there is no run &#39;nothing&#39; here"),
        ("?run=t&run=u", "nothing was judged in the run &#39;t&#39;"),
        ("?" + "&".join(f"run={n}" for n in range(9)), "choose 6 runs at most"),
    ):
        status, _, body = ask(port, f"/compare{query}")
        assert status == 422 and words in body.decode(), (query, body[-400:])
    status, heads, body = ask(port, "/api/1/compare?run=t")
    assert (status, heads["content-type"], json.loads(body)) == (
        422, "application/json", {"api": 1, "error": "choose two runs or more"}
    )  # fmt: skip


def test_the_api_says_the_same(served: tuple[Path, int]) -> None:
    _, port = served
    found = json.loads(ask(port, "/api/1/runs")[2])
    assert found["api"] == 1 and {r["name"]: r["state"] for r in found["runs"]} == {
        "t": "finished",
        "u": "finished",
    }
    one = json.loads(ask(port, "/api/1/runs/t")[2])
    assert one["run"]["rows"] == 27 and one["going"]["done"] == one["going"]["many"] == 6
    assert [s["name"] for s in one["going"]["stages"]["report"]] == ["report"]
    assert json.loads(ask(port, "/api/1/runs/none")[2])["api"] == 1


def lay_out(root: Path, name: str, now: Now) -> Any:
    """A run's folder with a note in it; the file, for who wants to hold or to change it."""
    (root / "runs" / name).mkdir(parents=True, exist_ok=True)
    (root / ".mirepoix/runs").mkdir(parents=True, exist_ok=True)
    raw = msgspec.json.encode(now)
    path = root / f".mirepoix/runs/{name}.now"
    path.write_bytes(b"%08x\n%s\n" % (zlib.crc32(raw), raw))
    return path


def logged(step: int, of: int, loss: float) -> str:
    """What Axolotl's log gets in a step: the bar is drawn anew after what is said."""
    bar = f"{step * 100 // of}%|█| {step}/{of} [00:{step:02d}<00:{of - step:02d},  1.00s/it]"
    said = {
        "loss": f"{loss}",
        "grad_norm": "1.2",
        "learning_rate": "0.002",
        "tokens/total": step * 100,
        "epoch": "0.1",
    }
    return f"\r{bar}\r{' ' * 20}\r{said}\n\r{bar}"


def test_a_training_s_curve_is_read_on(tmp_path: Path) -> None:
    """As the log grows; from where this try of it began; what a try before had made is in its checkpoint."""
    mark, log = "ab" * 32, tmp_path / "runs/t/logs/train.log"
    before = logged(1, 9, 9.0) + "\n"
    steps = [StepNow(name="train", stage="train", fingerprint=mark, state="running")]
    path = lay_out(tmp_path, "t", Now(run="t", process=1, to="report", began=1.0, at="train", at_since=2.0, steps=steps,
                                      log_from=len(before.encode())))  # fmt: skip
    log.parent.mkdir(parents=True)
    log.write_text(before + "starting\n" + logged(4, 9, 2.5))
    checkpoint = tmp_path / f".mirepoix/work/{mark}/out/checkpoint-3"
    checkpoint.mkdir(parents=True)
    history = [{"step": n, "loss": 9.0 - n} for n in range(1, 5)] + [{"step": 3, "eval_loss": 1}, "x"]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": history}))

    def seen() -> dict[str, Any]:
        with path.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            return dict(json.loads(answering.answer(tmp_path, "/api/1/runs/t").body)["going"]["training"])

    found = seen()
    assert [(s["step"], s["loss"]) for s in found["steps"]] == [(1, 8.0), (2, 7.0), (3, 6.0), (4, 2.5)]
    with log.open("a") as more:
        more.write(logged(5, 9, 2.0) + logged(6, 9, 1.5) + "\n{'eval_loss': '1.75', 'epoch': '0.5'}\n")
    found = seen()
    assert [s["step"] for s in found["steps"]] == [1, 2, 3, 4, 5, 6]
    assert (found["step"], found["total"], found["tokens"], found["left"]) == (6, 9, 600, "00:03")
    assert found["validation"] == [{"step": 6, "loss": 1.75}] and found["loss"] == pytest.approx(4.5)


def test_answers_are_counted_as_they_come(tmp_path: Path) -> None:
    mark = "cd" * 32
    steps = [StepNow(name="answers.tuned.style", stage="evaluate", fingerprint=mark, state="running")]
    lay_out(tmp_path, "t", Now(run="t", process=1, to="report", began=1.0, at=steps[0].name, steps=steps))
    folder = tmp_path / f".mirepoix/work/{mark}/answers"
    folder.mkdir(parents=True)
    lines = [{"work": "x"}, *({"id": f"p{n}", "arm": "tuned", "raw": f"say {n} " * 500} for n in range(8))]
    (folder / "answers.jsonl.partial").write_text(
        "".join(json.dumps(x) + "\n" for x in lines) + '{"id": "torn'
    )
    (one,) = json.loads(answering.answer(tmp_path, "/api/1/runs/t").body)["going"]["answers"]
    assert (one["step"], one["count"]) == ("answers.tuned.style", 8)
    assert [a["id"] for a in one["last"]] == ["p5", "p6", "p7"] and len(one["last"][0]["text"]) == 600
    # Of jobs that share the probes each has a journal; what is shown is from the one that was written last.
    (folder / "answers.jsonl.2of3.partial").write_text("".join(json.dumps(x) + "\n" for x in lines[:3]))
    os.utime(folder / "answers.jsonl.2of3.partial", (2e9, 2e9))
    (folder / "answers.jsonl.3of3.partial").write_text(json.dumps(lines[0]) + "\n")
    (one,) = json.loads(answering.answer(tmp_path, "/api/1/runs/t").body)["going"]["answers"]
    assert one["count"] == 10 and [a["id"] for a in one["last"]] == ["p0", "p1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "name a run, or say --serve"), (["--port", "5"], "--port is for --serve"),
     (["--serve", "nothing"], "no report of a run 'nothing'"), (["--serve", "--workspace", "nowhere"], "no folder 'nowhere'")],
)  # fmt: skip
def test_what_the_verb_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.main, ["report", *arguments])
    assert done.exit_code == 2 and words in done.output


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(
            cli.main, ["report", "--serve", "--port", str(port), "--workspace", str(tmp_path)]
        )
        assert done.exit_code == 2 and f"port {port} is taken" in done.output


def test_the_verb_says_its_address_and_ends_at_once(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "from runner.cli import entry; entry()", "report", "--serve", "--json"]
    with subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=HEARS
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        said = json.loads(child.stdout.readline())
        assert said["url"] == f"http://127.0.0.1:{said['port']}/" and said["runs"] == []
        assert b"There is no run yet" in ask(said["port"], "/")[2]
        with socket.create_connection(("127.0.0.1", said["port"])):  # somebody who says nothing
            child.send_signal(signal.SIGINT)
            assert child.wait(20) == 130
        assert child.stderr.read() == "ended\n"
