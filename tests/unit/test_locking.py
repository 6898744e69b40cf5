"""The lock beside a recipe, runs that are held to it, replays, and whole runs for other teams: data only, nothing trained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner import library, locking
from runner.cli import main
from runner.load import load_recipe
from runner.plan import plan
from runner.results import signing
from runner.results.finished import DATA
from runner.store import Store
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: t
extends: parts/base.yaml
sources:
  - jsonl: {files: ["talk/*.jsonl"]}
    name: talk
split: {validation: 0.1}
"""
BASE = "filters:\n  - words: {min: 1}\ndedup: {exact: true, against: [held/*.jsonl]}\n"
MODEL = """\
model: {base: org/tiny, template: own/t.jinja, max_length: 512}
train: {attention: sdpa, packing: false}
evaluate: {suites: [few]}
"""
SUITE = "suite: 1\nname: few\nprobes: probes/few.jsonl\njudge: {tool_use: {}}\n"
ASKED = [{"role": "user", "content": "What is it that you would say of rivers?"}]
PROBE = {"id": "p", "messages": ASKED, "expect": {"calls": []}}


def row(n: int) -> str:
    said = [("user", f"Say {n}, please."), ("assistant", f"It is {n * 7}, then.")]
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in said]}) + "\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "w"
    for name, text in {
        "r.yaml": RECIPE,
        "parts/base.yaml": BASE,
        "talk/a.jsonl": "".join(map(row, range(30))),
        "evals/suites/few.yaml": SUITE,
        "evals/probes/few.jsonl": json.dumps(PROBE) + "\n",
        "held/old.jsonl": row(99),
        "other/notes.jsonl": row(98),
        ".env": "MIREPOIX_TEACHER_KEY=sk-canary-123456\n",
        ".git/config": "[core]\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    return root


def recipe(*argv: str, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, [*argv, "--json"])
    assert done.exit_code == code, done.output
    return dict(json.loads(done.stdout))


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def prepared(name: str = "t") -> dict[str, bytes]:
    return {n: Path("runs", name, n).read_bytes() for n in DATA}


def changed(path: str, *keys: str) -> Callable[[], None]:
    """Changes the lock, which is as if the world had changed."""

    def change() -> None:
        data = json.loads(Path("r.lock").read_bytes())
        at = data
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = json.loads(path)
        Path("r.lock").write_text(json.dumps(data))

    return change


def test_a_lock_is_sorted_has_no_clock_and_no_place_and_is_written_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recipe("lock", "r.yaml")["changed"]
    first = Path("r.lock").read_bytes()
    assert not recipe("lock", "r.yaml")["changed"]
    shutil.copytree(home, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("time.time", lambda: 4e9)
    Path("r.lock").unlink()
    recipe("lock", "r.yaml")
    assert Path("r.lock").read_bytes() == first
    said = json.loads(first)
    assert first == json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    assert str(tmp_path).encode() not in first
    part = said["stages"]["prepare"]
    assert part["files"] == {
        n: hashlib.sha256(Path(n).read_bytes()).hexdigest() for n in ("talk/a.jsonl", "held/old.jsonl")
    }
    assert {"numpy", "pyarrow"} <= part["packages"].keys() and part["plugins"]["filter words"] == 1
    assert said["recipe"]["filters"] == [{"words": {"min": 1}}] and "extends" not in said["recipe"]


def test_a_run_that_is_locked_runs_and_leaves_the_same_lock(home: Path) -> None:
    recipe("lock", "r.yaml")
    assert recipe("run", "r.yaml", "--locked", "--to", "prepare")["executed"] > 3
    assert Path("runs/t/recipe.lock").read_bytes() == Path("r.lock").read_bytes()
    # The recipe that a run leaves stands for itself, and so does its lock.
    assert recipe("run", "runs/t/recipe.yaml", "--locked", "--to", "prepare")["executed"] == 0
    assert recipe("lock", "r.yaml", "--check")["drift"] == []


DRIFTS: dict[str, tuple[Callable[[], Any], str]] = {
    "an input": (lambda: Path("talk/a.jsonl").write_text(row(1) + row(2)), "file talk/a.jsonl"),
    "one more input": (lambda: Path("talk/b.jsonl").write_text(row(50)), "file talk/b.jsonl"),
    "one input gone": (lambda: Path("talk/a.jsonl").rename("talk/c.jsonl"), "file talk/a.jsonl"),
    "all inputs gone": (lambda: Path("talk/a.jsonl").unlink(), "file talk/a.jsonl"),
    "what is held against": (lambda: Path("held/old.jsonl").write_text(row(8)), "file held/old.jsonl"),
    "what is extended": (lambda: Path("parts/base.yaml").write_text(BASE.replace("1", "2")), "filters[0].words.min"),
    "a seed": (lambda: Path("r.yaml").write_text(RECIPE + "seed: 4\n"), "seed"),
    "a package": (changed('"0.1"', "stages", "prepare", "packages", "numpy"), "package numpy"),
    "a plug-in": (changed("77", "stages", "prepare", "plugins", "filter words"), "filter words"),
    "a step": (changed("77", "stages", "prepare", "steps", "mix"), "step mix"),
    "the tool": (changed('"0.0.1"', "tools", "mirepoix"), "mirepoix"),
    "Python": (changed('"2.7"', "tools", "python"), "python"),
    "a template": (changed(f'"{"ab" * 32}"', "template"), "chat template"),
    "a model": (changed(f'{{"base": "a/b", "revision": "{"ab" * 20}"}}', "model"), "model a/b revision"),
}  # fmt: skip


@pytest.mark.parametrize("what", DRIFTS)
def test_drift_is_refused_before_the_first_step_and_named(home: Path, what: str) -> None:
    recipe("lock", "r.yaml")
    change, where = DRIFTS[what]
    change()
    errors = recipe("run", "r.yaml", "--locked", "--to", "prepare", code=2)["errors"]
    (one,) = [e for e in errors if e["where"] == where]
    assert re.search(r"locked .+, now .+|was not there when it was locked, now .+", one["what"])
    assert not list(Path(".mirepoix").glob("artifacts/*/*"))


def test_the_order_of_a_mix_in_turn_is_locked(home: Path) -> None:
    """A lock is sorted, and this order decides which record is trained when."""
    source = "  - jsonl: {files: [talk/*.jsonl]}\n    name: %s\n"
    text = f"recipe: 1\nname: t\nsources:\n{source % 'one'}{source % 'two'}dedup: {{exact: false, near: null}}\nmix:\n  order: in_turn\n"
    Path("r.yaml").write_text(text + "  weights: {two: 0.5, one: 0.5}\n")
    recipe("lock", "r.yaml")
    recipe("run", "r.yaml", "--locked", "--to", "prepare")
    Path("r.yaml").write_text(text + "  weights: {one: 0.5, two: 0.5}\n")
    (one,) = recipe("run", "r.yaml", "--locked", "--to", "prepare", code=2)["errors"]
    assert one["where"] == "mix" and "locked two, one, now one, two" in one["what"]


def test_all_that_drifted_is_said_at_once_with_what_to_do(home: Path) -> None:
    recipe("lock", "r.yaml")
    for what in ("an input", "what is extended", "a package"):
        DRIFTS[what][0]()
    done = CliRunner().invoke(main, ["run", "r.yaml", "--locked"])
    assert done.exit_code == 2
    head, *lines, last = done.output.splitlines()
    assert head == "r.lock: 3 things are not as locked, so nothing was run"
    assert last == "to lock what is there now: recipe lock r.yaml"
    assert "parts/base.yaml:2:18: filters[0].words.min: locked 1, now 2; undo the change" in lines
    assert any("pip install 'numpy==0.1'" in line for line in lines)
    looked = CliRunner().invoke(main, ["lock", "r.yaml", "--check"])  # runs nothing anyway
    assert looked.exit_code == 2 and looked.output.splitlines() == [
        "r.lock: 3 things are not as locked",
        *lines,
        last,
    ]
    checked = recipe("lock", "r.yaml", "--check", code=2)
    assert {d["kind"] for d in checked["drift"]} == {"recipe", "files", "packages"}
    recipe("lock", "r.yaml")
    recipe("run", "r.yaml", "--locked", "--to", "prepare")


def test_what_a_later_stage_rests_on_is_not_asked_for_before(home: Path) -> None:
    recipe("lock", "r.yaml")
    data = json.loads(Path("r.lock").read_bytes())
    data["stages"]["report"]["steps"]["report"] = 77
    Path("r.lock").write_text(json.dumps(data))
    recipe("run", "r.yaml", "--locked", "--to", "prepare")
    recipe("run", "r.yaml", "--locked", code=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no lock"),
        ("{}", "is no lock"),
        ("[" * 100_000, "is no lock"),
        ('{"lock": 99}', "version 99"),
        ("null", "is no lock"),
        (None, "no lock"),
    ],
)
def test_a_lock_that_cannot_be_used_is_refused(home: Path, text: str | None, said: str) -> None:
    if text is not None:
        Path("r.lock").write_text(text)
    (error,) = recipe("run", "r.yaml", "--locked", code=2)["errors"]
    assert said in error["what"] and "recipe lock r.yaml" in error["what"]


def test_recipes_whose_lock_cannot_be(home: Path) -> None:
    recipe("lock", "x" * 300 + ".yaml", code=2)
    recipe("run", "x" * 300 + ".yaml", "--locked", code=2)
    Path("r.yaml").rename("r.lock")
    (error,) = recipe("lock", "r.lock", code=2)["errors"]
    assert "name the recipe NAME.yaml" in error["what"]
    os.mkfifo("f.lock")
    shutil.copy("r.lock", "f.yaml")
    recipe("run", "f.yaml", "--locked", code=2)


def test_a_lock_names_no_file_by_a_digest_that_is_none(home: Path) -> None:
    """They are looked for under these names."""
    recipe("lock", "r.yaml")
    item = {"key": "k", "sha256": "../../../../etc/passwd"}
    changed(json.dumps({"talk": {"request": "ab" * 32, "items": [item]}}), "fetched")()
    (error,) = recipe("run", "r.yaml", "--locked", code=2)["errors"]
    assert "no sha256" in error["what"]


def test_a_lock_is_not_written_through_a_link(home: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    Path("r.lock").symlink_to(tmp_path / "victim")
    recipe("lock", "r.yaml")
    assert (tmp_path / "victim").read_text() == "mine"
    Path("link").symlink_to(tmp_path)
    shutil.copy("r.yaml", tmp_path / "r.yaml")
    CliRunner().invoke(main, ["lock", "link/r.yaml"])
    assert not (tmp_path / "r.lock").exists()


def test_locked_and_refresh_exclude_each_other(home: Path) -> None:
    (error,) = recipe("run", "r.yaml", "--locked", "--refresh", code=2)["errors"]
    assert "say one of them" in error["what"]


def test_the_commit_of_a_model_is_taken_from_the_lock(home: Path) -> None:
    """Whatever its main branch says by now: nobody is asked."""
    with_model(RECIPE)
    place = Workspace(home)
    loaded = load_recipe(Path("r.yaml"), place)
    first = plan(loaded, place)
    assert locking.unknown(first, Store(home)) == ["the commit of org/tiny"]
    assert "the commit of org/tiny" in recipe("lock", "r.yaml", code=2)["errors"][0]["what"]
    named = dataclasses.replace(first, loaded=locking.pinned(loaded, _at(locking.facts(first, Store(home)))))
    again = plan(named.loaded, place)
    lock = locking.facts(again, Store(home))
    assert lock.model == {"base": "org/tiny", "revision": "a1" * 20} and lock.template
    assert locking.unknown(again, Store(home)) == []
    locking.write(Path("r.lock"), lock, home)
    held = plan(locking.pinned(loaded, locking.read(Path("r.lock"), "")), place)
    assert [s.fingerprint for s in held.steps] == [s.fingerprint for s in again.steps]
    assert locking.drifts(lock, held, Store(home)) == []


def test_all_that_a_recipe_reads_is_known(home: Path) -> None:
    with_model(RECIPE)
    place = Workspace(home)
    planned = plan(load_recipe(Path("r.yaml"), place), place)
    names = [
        "evals/probes/few.jsonl",
        "evals/suites/few.yaml",
        "held/old.jsonl",
        "own/t.jinja",
        "talk/a.jsonl",
    ]
    assert list(locking.carried(planned)) == names and locking.outside(planned) == []
    lock = locking.facts(planned, Store(home))
    assert (
        "evals/suites/few.yaml" in lock.stages["evaluate"].files
        and "axolotl" in lock.stages["train"].packages
    )
    for name, kind in (("evals/suites/few.yaml", "files"), ("own/t.jinja", "template")):
        with Path(name).open("a") as file:
            file.write("\n")
        again = plan(load_recipe(Path("r.yaml"), place), place)
        assert kind in {d.kind for d in locking.drifts(lock, again, Store(home))}


def with_model(text: str) -> None:
    Path("r.yaml").write_text(text + MODEL)
    Path("own").mkdir()
    shutil.copy(library.shelf("recipes") / "base/chatml-tools.jinja", "own/t.jinja")


def _at(lock: locking.RecipeLock) -> locking.RecipeLock:
    import msgspec

    return msgspec.structs.replace(lock, model={"base": "org/tiny", "revision": "a1" * 20})


def test_data_of_a_task_are_locked_by_commit_and_content(home: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    with_model(RECIPE)
    Path("evals/suites/few.yaml").write_text("suite: 1\nname: few\nlm_eval: {tasks: [hellaswag]}\n")
    place, store = Workspace(home), Store(home)
    planned = plan(load_recipe(Path("r.yaml"), place), place)
    (step,) = [s for s in planned.steps if s.kind == "task"]
    assert "the data of lm-eval's hellaswag" in locking.unknown(planned, store)

    def make(commit: str, rows: str) -> locking.RecipeLock:
        shutil.rmtree(store.path(step.fingerprint), ignore_errors=True)
        with store.making(step.name, step.fingerprint, step.ingredients) as out:
            (out / "facts.json").write_text(json.dumps({"path": "Rowan/hellaswag", "commit": commit}))
            (out / "validation.parquet").write_text(rows)
        return locking.facts(planned, store)

    lock = make("a1" * 20, "rows")
    assert locking.drifts(lock, planned, store) == []
    make("b2" * 20, "rows")
    (drift,) = locking.drifts(lock, planned, store)
    assert (drift.locked, drift.there) == ("a1" * 20, "b2" * 20) and "lm_eval.revisions.hellaswag" in drift.do
    make("a1" * 20, "other rows")
    (drift,) = locking.drifts(lock, planned, store)
    assert drift.name == "task.hellaswag: validation.parquet"


class Site(ThreadingHTTPServer):
    daemon_threads = True
    word = "raft"
    asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked += 1
        story = "".join(
            f"<p>On day {n} the {self.server.word} went on past the mill, and nobody said a word.</p>"
            for n in range(9)
        )
        body = f"<html><head><title>T</title></head><body><article><h1>T</h1>{story}</article></body></html>".encode()
        there = self.path != "/robots.txt"
        self.send_response(200 if there else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    pytest.importorskip("trafilatura", reason="trafilatura is not installed")
    server = Site(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("MIREPOIX_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text(f'allow = "127.0.0.1:{server.server_port}"\npace = 1000\n')
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_was_fetched_is_locked_and_taken_along(
    site: Site, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{site.server_port}/1"
    web = f'  - web: {{urls: ["{url}"]}}\n    name: press\n    chat: {{passages: {{words: [5, 60]}}}}\n'
    Path("r.yaml").write_text(RECIPE.replace("split:", web + "split:"))
    assert "what press fetches" in recipe("lock", "r.yaml", code=2)["errors"][0]["what"]
    recipe("run", "r.yaml", "--to", "prepare")
    recipe("lock", "r.yaml")
    data = prepared()
    assert recipe("replay", "t")["ok"]
    asked = site.asked
    done = recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"))
    (raw,) = [f["name"] for f in done["files"] if f["name"].startswith("raw/")]
    # Another team, with nothing but this folder: nothing is asked of the network, and the bytes are the same.
    monkeypatch.chdir(tmp_path / "out")
    recipe("run", "t.yaml", "--locked", "--to", "prepare")
    assert prepared() == data and site.asked == asked
    # Without the bytes they are fetched, and may be others by now: refused before a step is made of them.
    shutil.rmtree(".mirepoix")
    shutil.rmtree("runs")
    Path(raw).write_text("<p>Not what was locked.</p>")
    site.word = "steamboat"
    Path("talk/b.jsonl").write_text(row(3))
    recipe("run", "t.yaml", "--locked", "--to", "prepare", code=2)
    assert site.asked == asked  # what is known to be wrong is said before anybody is asked
    Path("talk/b.jsonl").unlink()
    (error,) = recipe("run", "t.yaml", "--locked", "--to", "prepare", code=2)["errors"]
    assert error["where"] == f"fetched for press: {url}" and site.asked > asked
    assert not list(Path(".mirepoix").glob("artifacts/*/*"))
    site.word = "raft"
    shutil.rmtree(".mirepoix")
    recipe("run", "t.yaml", "--locked", "--to", "prepare")
    assert prepared() == data


def test_a_replay_makes_the_same_bytes_and_takes_nothing_from_the_store(home: Path) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    before = files(home)
    done = recipe("replay", "t", "--verify")
    assert done["ok"] and [s["name"] for s in done["data"]] == list(DATA)
    assert files(home) == before and not Path(".mirepoix/replay/t").exists()
    # Artifacts that were damaged together with what came of them: the store would not tell.
    kept = recipe("replay", "t", "--no-verify")["kept"]
    assert all((Path(kept) / "runs/t" / n).read_bytes() == before[f"runs/t/{n}"] for n in DATA)


@pytest.mark.parametrize("name", DATA)
def test_a_replay_names_the_file_that_differs(home: Path, name: str) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    path = Path("runs/t", name)
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[:-9] + b"X" + raw[-8:])
    done = recipe("replay", "t", code=1)
    assert [s["name"] for s in done["data"] if not s["same"]] == [name]
    said = CliRunner().invoke(main, ["replay", "t"])
    assert said.exit_code == 1 and f"DIFFERS  {name}" in said.output


def test_a_replay_names_the_first_step_that_differs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    from runner.making import Making
    from runner.stepping import MAKERS

    real = MAKERS["split"]

    def other(m: Making) -> None:
        real(m)
        with (m.out / "data/train.jsonl").open("ab") as file:
            file.write(row(5).encode())

    monkeypatch.setitem(MAKERS, "split", other)
    done = recipe("replay", "t", code=1)
    assert done["first"] == "split (data/train.jsonl)" and Path(done["kept"]).is_dir()


def test_a_replay_of_other_inputs_names_them_and_makes_nothing(home: Path) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    Path("talk/a.jsonl").write_text(row(1) * 9)
    done = recipe("replay", "t", code=1)
    assert [d["name"] for d in done["inputs"]] == ["talk/a.jsonl"] and done["data"] == []
    Path("talk/a.jsonl").unlink()
    assert [d["there"] for d in recipe("replay", "t", code=1)["inputs"]] == [None]


def test_another_version_alone_is_no_failure_of_a_replay(home: Path) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    path = Path("runs/t/recipe.lock")
    data = json.loads(path.read_bytes())
    data["tools"]["python"] = "3.99"
    path.write_text(json.dumps(data))
    done = recipe("replay", "t")
    assert [d["name"] for d in done["versions"]] == ["python"]


def test_metrics_are_compared_within_their_error(tmp_path: Path) -> None:
    from runner.replaying import _metrics

    def report(name: str, **arms: dict[str, Any]) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        data = {"suites": [{"metrics": [{"metric": "m.x", "arms": arms}]}]}
        (tmp_path / name / "report.json").write_text(json.dumps(data))
        return tmp_path / name

    def arm(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
        return {"value": value, "low": low, "high": high}

    def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
        (one,) = _metrics(report("a", tuned=a), report("b", tuned=b))
        assert one.name == "m.x tuned"
        return one.same

    assert (
        same(arm(0.5, 0.4, 0.6), arm(0.55, 0.5, 0.6))
        and same(arm(0.5), arm(0.5))
        and same(arm(None), arm(None))
    )
    assert not same(arm(0.5, 0.4, 0.6), arm(0.7, 0.65, 0.75))
    assert not same(arm(0.5), arm(0.6)) and not same(arm(None), arm(0.5, 0, 1))
    gone = list(_metrics(report("a", tuned=arm(1)), report("b")))
    assert [s.same for s in gone] == [False]


def test_a_whole_run_is_a_folder_that_another_team_runs_as_it_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    data, before = prepared(), files(home)
    recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"))
    there = files(tmp_path / "out")
    assert there.keys() == {
        "t.yaml", "t.lock", "talk/a.jsonl", "held/old.jsonl", "README.md", "data.sha256", "export.json",
    }  # fmt: skip
    assert b"raw/" not in there["README.md"]  # nothing was fetched
    assert files(home) == before
    assert not any(b"sk-canary" in raw or str(tmp_path).encode() in raw for raw in there.values())
    monkeypatch.chdir(tmp_path / "out")
    signed = signing.sign(tmp_path / "out", key_of(tmp_path), str)
    assert signed.files == len(there)
    recipe("run", "t.yaml", "--locked", "--to", "prepare")
    assert prepared() == data
    for line in Path("data.sha256").read_text().splitlines():
        sha256, name = line.split("  ")
        assert hashlib.sha256(Path(name).read_bytes()).hexdigest() == sha256


def test_a_run_that_ended_before_its_data_were_made(home: Path, tmp_path: Path) -> None:
    (home / "runs/early").mkdir(parents=True)
    (home / "runs/early/plan.json").write_text("{}")
    for words in (["replay", "early"], ["export", "early", "--as", "run", "--to", str(tmp_path / "out")]):
        (one,) = recipe(*words, code=2)["errors"]
        assert "the run 'early' has no data: it was ended before they were made" in one["what"]


def key_of(folder: Path) -> Path:
    """A key to sign with."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP256R1())
    path = folder / "key.pem"
    path.write_bytes(made.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    return path


def _refused(home: Path, tmp_path: Path) -> str:
    recipe("run", "r.yaml", "--to", "prepare")
    (error,) = recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"), code=2)["errors"]
    assert not (tmp_path / "out").exists()
    return str(error["what"])


def test_other_inputs_than_those_of_the_run_are_not_exported(home: Path, tmp_path: Path) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    Path("talk/a.jsonl").write_text(row(1) * 9)
    (error,) = recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"), code=2)["errors"]
    assert error["where"] == "file talk/a.jsonl" and not (tmp_path / "out").exists()


def test_a_file_that_changes_while_it_is_copied_is_seen(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    monkeypatch.setattr("shutil.copyfile", lambda source, target: Path(target).write_bytes(b"other"))
    (error,) = recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"), code=3)["errors"]
    assert "changed while it was copied" in error["what"] and not (tmp_path / "out").exists()


def test_files_outside_the_workspace_go_nowhere(home: Path, tmp_path: Path) -> None:
    (tmp_path / "far.jsonl").write_text(row(7) * 3)
    Path("r.yaml").write_text(RECIPE.replace("talk/*.jsonl", "../far.jsonl"))
    recipe("run", "r.yaml", "--to", "prepare", "--trust", "paths")
    assert str(tmp_path).encode() not in Path("runs/t/recipe.lock").read_bytes()
    recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"), code=4)
    (error,) = recipe("replay", "t", "--trust", "paths", code=2)["errors"]
    assert "outside the workspace" in error["what"]


def test_two_replays_of_one_run_do_not_meet(home: Path) -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    with Store(home).trying("replay.t") as mine:
        assert mine
        recipe("replay", "t", code=75)


@pytest.mark.parametrize("name", ["talk/.hidden.jsonl", ".env.d/a.jsonl"])
def test_hidden_files_stay_behind(home: Path, tmp_path: Path, name: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path("talk/a.jsonl").rename(name)
    Path("r.yaml").write_text(RECIPE.replace("talk/*.jsonl", name))
    assert "hidden" in _refused(home, tmp_path)


def test_secrets_stay_behind(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canarycanarycanary")
    with Path("talk/a.jsonl").open("a") as file:
        file.write(row(3).replace("Say", "hf_canarycanarycanary"))
    assert "talk/a.jsonl holds one of your secrets" in _refused(home, tmp_path)


@pytest.mark.parametrize(
    ("name", "what"), [("x.pkl", "pickle"), ("pytorch_model.bin", "pickle"), ("a.py", "code")]
)
def test_pickles_and_code_stay_behind(home: Path, name: str, what: str) -> None:
    from runner.errors import UsageError
    from runner.results.whole import _refuse

    with pytest.raises(UsageError, match=what):
        _refuse(f"models/m/{name}", home / "models/m" / name)


def test_a_pattern_that_would_take_what_the_export_writes_is_seen(home: Path, tmp_path: Path) -> None:
    Path("notes.md").write_text("A few words about rivers, and about what there is to be said of them.\n")
    text = '  - text: {files: ["*.md"]}\n    name: notes\n    chat: {passages: {words: [5, 60]}}\n'
    Path("r.yaml").write_text(RECIPE.replace("split:", text + "split:"))
    assert "README.md" in _refused(home, tmp_path)


def test_a_pattern_that_would_take_a_signature_is_seen(home: Path, tmp_path: Path) -> None:
    (home / "notes.sig").write_text(row(97))
    text = '  - jsonl: {files: ["*.sig"]}\n    name: notes\n'
    Path("r.yaml").write_text(RECIPE.replace("split:", text + "split:"))
    assert "model.sig" in _refused(home, tmp_path)


def test_what_is_too_large_is_named_and_its_place_is_held(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.results.whole.SMALL", 500)
    recipe("run", "r.yaml", "--to", "prepare")
    done = recipe("export", "t", "--as", "run", "--to", str(tmp_path / "out"))
    sha256 = hashlib.sha256(Path("talk/a.jsonl").read_bytes()).hexdigest()
    assert done["left_out"] == [{"name": "talk/a.jsonl", "sha256": sha256}]
    assert f"`talk/a.jsonl`, sha256 `{sha256}`" in (tmp_path / "out/README.md").read_text()
    (tmp_path / "out/talk").mkdir()
    (tmp_path / "out/talk/a.jsonl").write_text(row(1))
    monkeypatch.chdir(tmp_path / "out")
    (error,) = recipe("run", "t.yaml", "--locked", "--to", "prepare", code=2)["errors"]
    assert error["where"] == "file talk/a.jsonl"
    shutil.copy(home / "talk/a.jsonl", "talk/a.jsonl")
    recipe("run", "t.yaml", "--locked", "--to", "prepare")


@pytest.mark.parametrize("verb", [["replay", "nosuch"], ["export", "nosuch", "--as", "run", "--to", "x"]])
def test_a_run_that_is_not_there(home: Path, verb: list[str]) -> None:
    (error,) = recipe(*verb, code=2)["errors"]
    assert "no run 'nosuch'" in error["what"]
