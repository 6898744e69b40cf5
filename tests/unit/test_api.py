"""The Python API: as a notebook uses it. Typed results, nothing printed unasked, no signal taken, no secret told."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_compare import Made, N

from runner import api, ending
from runner.api import compare, load, open_run, plan, run
from runner.api.common import covered
from runner.errors import NeedsTrust, RecipeError, StepError, UsageError
from runner.gates import decide, outcome
from runner.metrics import Measured
from runner.record import Score

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECIPE = """\
recipe: 1
name: small
sources:
  - jsonl: {files: [data/talk.jsonl]}
    name: talk
  - text: {files: [data/river.txt]}
    name: river
    chat: {passages: {words: [20, 60]}}
filters:
  - words: {min: 12}
mix: {weights: {talk: 0.5, river: 0.5}}
split: {validation: 0.2, group: record}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLES / "data", tmp_path / "data")
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_names_are_there() -> None:
    for name in api.__all__:
        assert getattr(api, name).__doc__, name
    assert set(api.__all__) <= set(dir(api))
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = api.lode


# -- load -----------------------------------------------------------------------------------------


def test_a_recipe(home: Path) -> None:
    (home / "base.yaml").write_text("seed: 3\nsplit: {validation: 0.1}\n")
    (home / "r.yaml").write_text(RECIPE + "extends: base.yaml\ndescription: '<b>bold</b>'\n")
    recipe = load("r.yaml")
    assert (recipe.name, recipe.workspace, recipe.path) == ("small", home, Path("r.yaml"))
    assert recipe.values["mix"] == {"weights": {"talk": 0.5, "river": 0.5}}
    assert (recipe["seed"], recipe["split.validation"], recipe["sources[1].name"]) == (3, 0.2, "river")
    assert (recipe.who["seed"], recipe.who["split.validation"]) == ("base.yaml:1", "r.yaml:12")
    assert recipe.loaded.recipe.split.validation == 0.2
    assert recipe.licences == {"no licence stated": ["talk", "river"]} and recipe.terms == []
    assert (recipe.unset, recipe.warnings) == ([], [])
    with pytest.raises(
        KeyError, match=r"nothing sets 'split.validatoin' \(did you mean split.validation\?\)"
    ):
        _ = recipe["split.validatoin"]
    for wrong in ("sources[7].name", "sources[x]", "seed.of", ""):
        with pytest.raises(KeyError):
            _ = recipe[wrong]
    assert repr(recipe) == f"<Recipe small of r.yaml: {len(recipe.who)} keys set>"
    assert "&lt;b&gt;bold" in recipe._repr_html_() and "<b>bold" not in recipe._repr_html_()


def test_every_problem_with_its_place(home: Path) -> None:
    (home / "r.yaml").write_text(RECIPE.replace("min: 12", "mim: 12").replace("0.2", "2"))
    with pytest.raises(RecipeError) as e:
        load("r.yaml", home)
    first, second = e.value.problems
    assert (first.file, first.line, first.column, first.where) == ("r.yaml", 10, 13, "filters[0].words.mim")
    assert "did you mean min?" in first.what and (second.line, second.where) == (12, "split.validation")


def test_what_is_not_there_and_what_needs_trust(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for path, folder, said in (("x.yaml", ".", "no recipe 'x.yaml'"), ("r.yaml", "nowhere", "no folder")):
        with pytest.raises(UsageError, match=said):
            load(path, folder)
    outside = tmp_path_factory.mktemp("outside") / "talk.jsonl"
    shutil.copy(home / "data/talk.jsonl", outside)
    (home / "r.yaml").write_text(RECIPE.replace("data/talk.jsonl", str(outside)))
    with pytest.raises(NeedsTrust):
        load("r.yaml")
    assert load("r.yaml", trust=["paths"]).name == "small"
    assert load("quickstart.yaml").name == "quickstart"  # a shipped one


def test_checked_one_after_the_other(home: Path) -> None:
    (home / "wrong.yaml").write_text("recipe: 1\nname: X\n")
    good, wrong, none = api.check(["r.yaml", "wrong.yaml", "none.yaml"])
    assert good.recipe is not None and good.recipe.name == "small" and good.exit == 0
    assert wrong.recipe is None and wrong.exit == 2 and "sources" in wrong.problems[0].what
    assert isinstance(none.error, UsageError) and none.exit == 2 and none.problems == []


# -- plan and run ---------------------------------------------------------------------------------


def test_a_plan_and_a_run(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = load("r.yaml")
    before = plan(recipe)
    assert [s.name for s in before.steps][-2:] == ["split", "report"] and not any(
        s.made for s in before.steps
    )
    assert before.steps[0].why == "never made" and before.forecast is None and before.sees == []
    assert repr(before).endswith(f"{len(before.steps)} of {len(before.steps)} steps to run>")
    events: list[Any] = []
    done = run(recipe, to="prepare", progress=events.append)
    assert done.folder == home / "runs/small" and (done.name, done.workspace) == ("small", home)
    assert (done.executed, done.kept) == (len(before.steps) - 1, 0)
    assert {e.what for e in events} == {"starts", "progress", "made"} and events[0].step == "source.talk"
    rows = [json.loads(line) for line in done.data.train.read_text().splitlines()]
    assert rows and all(r["messages"] for r in rows) and done.data.validation.is_file()
    assert done.data.ledger.is_file() and done.data.card.read_text().startswith(("#", "---"))
    assert (done.report, done.verdict, done.gates, done.metrics, done.exit) == (None, "", [], {}, 0)
    after = plan(recipe)
    assert [s.name for s in after.to_run] == ["report"] and "1 of" in str(after).splitlines()[-1]
    again = run(after, to="prepare")
    assert (again.executed, again.kept) == (0, done.executed)
    assert capfd.readouterr() == ("", "")
    run("r.yaml", to="prepare", progress=True)
    assert "steps made before" in capfd.readouterr().err


def test_a_plan_says_why_and_as_data(home: Path) -> None:
    run("r.yaml", to="prepare")
    (home / "r.yaml").write_text(RECIPE.replace("min: 12", "min: 14"))
    changed = plan("r.yaml")
    assert {s.name: s.why for s in changed.to_run}["filter"] == "filters[0].words.min 12→14"
    data = changed.data()
    assert data["recipe"] == "small" and data["forecast"] is None
    assert [s["step"] for s in data["steps"] if not s["run"]] == ["source.talk", "source.river"]
    assert "12→14" in changed._repr_html_()


def test_a_whole_report(home: Path) -> None:
    done = run("r.yaml")
    assert done.report == home / "runs/small/report.html" and done.report.is_file()
    assert (done.verdict, done.exit) == ("no gates", 0) and done.facts["name"] == "small"
    opened = open_run("small")
    assert (opened.folder, opened.report, opened.verdict) == (done.folder, done.report, "no gates")
    with pytest.raises(UsageError, match=r"no run 'smal' \(did you mean small\?\)"):
        open_run("smal")
    for wrong in ("../small", "", "small/.."):
        with pytest.raises(UsageError, match="no run"):
            open_run(wrong)


def test_held_to_a_lock(home: Path) -> None:
    from runner.api import locks

    with pytest.raises(UsageError, match=r"no lock 'r\.lock'"):
        run("r.yaml", locked=True)
    locked = locks.lock("r.yaml")
    assert locked.path == Path("r.lock") and locked.changed and locked.files == 2
    assert run(load("r.yaml"), to="prepare", locked=True).executed == 5
    assert locks.check_lock("r.yaml").drift == []
    with (home / "data/river.txt").open("a") as file:
        file.write("\n\nOne more.\n")
    with pytest.raises(RecipeError, match=r"1 thing is not as locked, so nothing was run"):
        run("r.yaml", to="prepare", locked=True)
    (home / "data/river.txt").unlink()
    with pytest.raises(RecipeError, match="now gone"):
        run("r.yaml", locked=True)
    with pytest.raises(UsageError, match="say one of them"):
        run("r.yaml", locked=True, refresh="all")


def test_there_is_nothing_to_train_without_a_model(home: Path) -> None:
    with pytest.raises(UsageError, match="names no model"):
        run("r.yaml", to="train")


# -- in somebody else's process -------------------------------------------------------------------


def test_no_signal_and_no_thread_is_taken(home: Path) -> None:
    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = [signal.getsignal(s) for s in watched], sys.excepthook, sys.unraisablehook
    threads = {t.name for t in threading.enumerate()}
    seen = set()

    def look(event: object) -> None:
        seen.update(t.name for t in threading.enumerate())
        assert [signal.getsignal(s) for s in watched] == before[0]

    run("r.yaml", to="prepare", progress=look)
    assert ([signal.getsignal(s) for s in watched], sys.excepthook, sys.unraisablehook) == before
    assert seen - threads == set()
    previous = signal.set_wakeup_fd(-1)
    assert previous == -1


def test_an_interruption_waits_for_what_must_not_be_torn() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    reached = []
    try:
        with pytest.raises(KeyboardInterrupt), ending.held():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append(1)
        assert reached and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_within_a_running_loop(home: Path) -> None:
    async def cell() -> int:
        return run("r.yaml", to="prepare").executed

    assert asyncio.run(cell()) == 5


# As a user writes it: no `if __name__ == "__main__"`. Pieces go to processes of their own at once.
SCRIPT = """
import multiprocessing, os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from runner import pool
from runner.api import run
pool.PATIENCE = -1
with open("started", "a") as file:
    file.write("once\\n")
def interrupted(event):
    if (event.what, event.step) == ("starts", "filter"):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    done = run("r.yaml", to="prepare", progress=interrupted if sys.argv[1:] else False)
    print("made", done.executed)
except KeyboardInterrupt:
    print("caught")
print("children", len(multiprocessing.active_children()))
again = run("r.yaml", to="prepare")
print("then", again.executed + again.kept)
"""


def script(home: Path, *argv: str) -> tuple[list[str], str]:
    (home / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", *argv],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"MIREPOIX_WORKERS": "2"},
    )
    return done.stdout.split(), done.stderr


def test_a_script_without_a_guard_runs_once(home: Path) -> None:
    assert script(home) == (["made", "5", "children", "0", "then", "5"], "")
    assert Path("started").read_text() == "once\n"


def test_an_interruption_ends_the_work_and_not_the_session(home: Path) -> None:
    line = (home / "data/river.txt").read_text()
    (home / "data/river.txt").write_text("\n\n".join(f"{n} {line}" for n in range(400)))
    assert script(home, "interrupted") == (["caught", "children", "0", "then", "5"], "")
    assert not list(home.glob(".mirepoix/tmp/*"))


SECRET = "hf_" + "q7" * 16
STARS = "*" * len(SECRET)


def test_an_error_tells_no_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert covered(f"token {SECRET}") == f"token {STARS}"
    (home / "r.yaml").write_text(RECIPE.replace("min: 12", f"min: {SECRET}"))
    with pytest.raises(RecipeError) as e:
        load("r.yaml")
    assert SECRET not in f"{e.value}{e.value.problems}{e.value.args}" and STARS in e.value.problems[0].what

    def fails(*_: object, **__: object) -> None:
        try:
            raise ValueError(SECRET)
        except ValueError:
            raise StepError("filter", f"said {SECRET}") from None

    monkeypatch.setattr("runner.run.run", fails)
    (home / "r.yaml").write_text(RECIPE)
    with pytest.raises(StepError) as failed:
        run("r.yaml")
    assert (failed.value.message, str(failed.value)) == (f"said {STARS}", f"filter: said {STARS}")
    assert failed.value.__suppress_context__


# -- finished runs --------------------------------------------------------------------------------


def judged(root: Path, right: int = 36, gates: tuple[str, ...] = ("calls.right >= 0.5",)) -> Path:
    """A run's folder with a report whose numbers are real ones."""
    scores = {
        arm: [Score(f"p{i:02}", arm, "right", float(i < n)) for i in range(N)]
        for arm, n in (("base", 10), ("tuned", right))
    }
    one = Measured("calls.right", "share", "higher", scores)
    verdicts = decide(list(gates), {"calls.right": one}, {})
    whole = {
        "exit": outcome(verdicts),
        "gates": verdicts,
        "suites": [{"name": "calls", "metrics": [one.row()]}],
    }
    folder = root / "runs/one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text("{}")
    (folder / "report.json").write_text(json.dumps(whole))
    return folder


def test_numbers_with_their_intervals(tmp_path: Path) -> None:
    judged(tmp_path)
    done = open_run("one", tmp_path)
    assert done.verdict == "pass" and done.exit == 0 and list(done.metrics) == ["base", "tuned"]
    tuned = done.metrics["tuned"]["calls.right"]
    assert (tuned.value, tuned.n, tuned.missing, tuned.unit, tuned.better) == (0.9, N, 0, "share", "higher")
    assert tuned.low is not None and tuned.high is not None and 0.7 < tuned.low < 0.9 < tuned.high < 1
    assert str(tuned).startswith("0.900 (0.")
    more = done.differences["base"]["calls.right"]
    assert more.value == pytest.approx(0.65) and more.p is not None and more.p < 1e-5
    assert str(more).startswith("+0.650 (+0.")
    assert [r["arm"] for r in done.rows()] == ["base", "tuned"] and done.rows()[1]["value"] == 0.9
    assert "0.900" in done._repr_html_() and repr(done) == "<Run one: pass>"


def test_verdicts_as_exit_codes(tmp_path: Path) -> None:
    judged(tmp_path, gates=("calls.right <= 0.5",))
    failed = open_run("one", tmp_path)
    assert (failed.verdict, failed.exit, len(failed.failed_gates)) == ("gate failed", 1, 1)
    judged(tmp_path, right=20)
    unsure = open_run("one", tmp_path)
    assert (unsure.verdict, unsure.exit, len(unsure.inconclusive_gates)) == ("inconclusive", 5, 1)
    assert unsure.gates[0].low is not None and unsure.gates[0].threshold == 0.5


@pytest.mark.parametrize("text", ["[]", "{", '{"exit": 3}', '{"exit": "pass", "suites": [{}]}', "null", "{}"])
def test_a_report_that_is_none(tmp_path: Path, text: str) -> None:
    (judged(tmp_path) / "report.json").write_text(text)
    with pytest.raises(UsageError, match="is no report"):
        open_run("one", tmp_path)


def test_a_comparison_as_data(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.run("one", right=20)
    made.run("two", right=36)
    found = compare("one", "two", workspace=tmp_path)
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.apart, pair.notes) == ("one:tuned", "two:tuned", [], [])
    first = pair.metrics[0]
    assert (first.suite, first.part, first.metric) == ("few-calls", "judge", "few_calls.right_call")
    assert (first.first.value, first.second.value, first.verdict) == (0.5, 0.9, "better")
    assert first.difference.value == pytest.approx(0.4) and first.difference.n == N
    assert found.data["compare"] == 1 and found.rows()[0]["second_value"] == 0.9
    assert "+0.400" in found._repr_html_() and "3 metrics" in repr(found)
    for wrong, said in (
        (["one"], "name two runs"),
        (["one", "one:tuned"], "named twice"),
        (["one", "x"], "no run"),
    ):
        with pytest.raises(UsageError, match=said):
            compare(*wrong, workspace=tmp_path)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.run("one", right=20)
    made.run("two", right=36, judge=3)
    (pair,) = compare("one", "two", workspace=tmp_path).pairs
    assert pair.metrics[0].metric != "few_calls.right_call"
    assert pair.apart == ["few-calls (judge): the judge's version (2, 3)"]
    (forced,) = compare("one", "two", workspace=tmp_path, force=True).pairs
    assert forced.notes[0].startswith("few-calls: compared although this differs: the judge's version")


def test_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks), "docs/python.md", "exec"), {"__name__": "notebook"})
    assert len(blocks) > 8 and (tmp_path / "runs/sums/data/train.jsonl").is_file()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: plan(r, profile="tpu"), "profile is one of cpu, gpu, not 'tpu'"),
        (lambda r: plan(r, gpu="b200"), "gpu is one of h100, h200"),
        (lambda r: run(r, to="nowhere"), "to is one of prepare, train, evaluate, report, not 'nowhere'"),
        (lambda r: run(r, refresh="some"), "refresh is one of none, failed, all"),
        (lambda r: load(r, trust="paths"), r"trust is a collection: say trust=\('paths',\)"),
        (lambda r: load(r, trust=["path"]), "trust is one of paths, store, trackers, not 'path'"),
    ],
)
def test_what_types_would_have_told(
    call: Callable[[Path], Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talk.jsonl").write_text("")
    Path("r.yaml").write_text("recipe: 1\nname: r\nsources:\n  - jsonl: {files: [talk.jsonl]}\n")
    with pytest.raises(UsageError, match=said):
        call(Path("r.yaml"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.yaml", "talk.jsonl"]
