"""The command line, from outside: verbs, exit codes, what a run leaves, what an interruption leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typed

from runner import cli, ledger

recipe = partial(typed.recipe, code=None)

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECIPE = """\
recipe: 1
name: small
sources:
  - jsonl: {files: [data/talk.jsonl, data/one-bad.jsonl]}
    name: talk
  - text: {files: [data/river.txt]}
    name: river
    chat: {passages: {words: [20, 60]}}
filters:
  - words: {min: 12}
dedup: {exact: true, near: null}
mix: {weights: {talk: 0.5, river: 0.5}}
split: {validation: 0.2, group: record}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLES / "data", tmp_path / "data")
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(*arguments: str, code: int = 0) -> Any:
    done = recipe(*arguments, "--json")
    assert (done.exit_code, done.stderr) == (code, "")
    return json.loads(done.stdout)


def change(old: str, new: str, file: str = "r.yaml") -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def test_check() -> None:
    fine = "r.yaml: ok (small)\n  no licence stated: talk, river\n"
    assert recipe("check", "r.yaml").stdout == fine
    mixed = {"r.yaml": {"no licence stated": ["talk", "river"]}}
    assert answer("check", "r.yaml") == {
        "ok": True,
        "exit": 0,
        "errors": [],
        "licences": mixed,
        "terms": {"r.yaml": []},
        "unset": {"r.yaml": []},
        "warnings": [],
    }
    Path("bad.yaml").write_text("recipe: 1\nname: b\nseed: x\nsources:\n  - text: {files: [none]}\n")
    done = recipe("check", "r.yaml", "bad.yaml", "gone.yaml")
    assert done.exit_code == 2
    assert done.stdout == fine
    assert done.stderr == (
        "bad.yaml:3:7: seed: must be a whole number, not text 'x'\n3 | seed: x\n  |       ^\n\n"
        "bad.yaml:5:20: sources[0].text.files[0]: no file 'none'\n"
        "5 |   - text: {files: [none]}\n  |                    ^^^^\n\n"
        "no recipe 'gone.yaml'\n3 errors in 2 files\n"
    )
    said = answer("check", "bad.yaml", "gone.yaml", code=2)
    assert said["errors"][0] == {
        "file": "bad.yaml",
        "line": 3,
        "column": 7,
        "where": "seed",
        "what": "must be a whole number, not text 'x'",
        "end_column": 8,
        "suggestion": None,
    }
    assert said["errors"][2] == {"what": "no recipe 'gone.yaml'"}


def test_plan_says_what_would_run_and_why() -> None:
    steps = answer("plan", "r.yaml")["steps"]
    assert [s["step"] for s in steps] == [
        "source.talk", "source.river", "filter", "dedup", "mix", "split", "report",
    ]  # fmt: skip
    assert all(s["run"] and s["why"] == "never made" for s in steps)
    assert not Path("runs").exists()
    assert not Path(".mirepoix").exists()
    recipe("run", "r.yaml", "--to", "prepare")
    assert "6 of 7" not in recipe("plan", "r.yaml").stdout
    assert recipe("plan", "r.yaml").stdout.endswith("1 of 7 steps to run\n")
    change("min: 12", "min: 11")
    text = recipe("plan", "r.yaml").stdout
    assert "filters[0].words.min 12→11" in text
    assert "skip  source.talk" in text


def test_compile_writes_a_file_a_step() -> None:
    said = answer("compile", "r.yaml", "--out", "out")
    assert said["files"][0] == "steps/01-source.talk.json"
    assert all((Path("out") / f).is_file() for f in said["files"])
    done = recipe(
        "compile", str(EXAMPLES / "valid" / "whole.yaml"), "--out", "o2", "--workspace", str(EXAMPLES)
    )
    assert done.exit_code == 0
    assert Path("o2/axolotl.yml").is_file()


def test_a_run_leaves_what_others_lean_on() -> None:
    said = answer("run", "r.yaml", "--to", "prepare")
    assert (said["ok"], said["executed"], said["kept"], said["report"]) == (True, 6, 0, None)
    run = Path("runs/small")
    train = [json.loads(x) for x in (run / "data/train.jsonl").read_text().splitlines()]
    held = [json.loads(x) for x in (run / "data/validation.jsonl").read_text().splitlines()]
    assert train
    assert held
    assert {x["tags"]["source"] for x in train} == {"talk", "river"}
    fates = ledger.read(run / "ledger.parquet")
    assert len({f.id for f in fates}) == len(fates)
    assert Counter(f.source for f in fates)["talk"] == 6 + 3
    bad = next(f for f in fates if f.id == "talk/one-bad/2")
    assert (bad.fate, bad.by) == ("dropped", "source")
    assert bad.reason.startswith("rejected: not JSON: ")
    duplicates = [f for f in fates if f.by == "dedup.exact"]
    assert {f.of for f in duplicates} <= {f.id for f in fates}
    assert len(duplicates) == 2
    kept = {x["meta"]["id"] for x in (*train, *held)}
    assert kept == {f.id for f in fates if f.fate != "dropped"}
    rejected = [json.loads(x) for x in (run / "rejected/talk.jsonl").read_text().splitlines()]
    assert [(x["id"], x["raw"]) for x in rejected] == [("talk/one-bad/2", '{"messages": [')]
    assert rejected[0]["origin"] == bad.origin == "data/one-bad.jsonl:2"
    assert not (run / "rejected/river.jsonl").exists()
    assert (run / "recipe.yaml").is_file()


def test_rows_of_two_files_of_one_name_say_which_they_are_from() -> None:
    for folder in ("x", "y"):
        Path(folder).mkdir()
        shutil.copy("data/one-bad.jsonl", f"{folder}/p.jsonl")
    change("[data/talk.jsonl, data/one-bad.jsonl]", "[data/talk.jsonl, x/p.jsonl, y/p.jsonl]")
    recipe("run", "r.yaml", "--to", "prepare")
    for id, origin in (("talk/p/2", "x/p.jsonl:2"), ("talk/p~2/2", "y/p.jsonl:2")):
        assert answer("show", "r.yaml", "row", id)["row"]["row"]["origin"] == origin
    rejected = [json.loads(x) for x in Path("runs/small/rejected/talk.jsonl").read_text().splitlines()]
    assert {x["origin"] for x in rejected} == {"x/p.jsonl:2", "y/p.jsonl:2"}


@pytest.mark.parametrize("to", ["train", "evaluate"])
def test_a_recipe_without_a_model_is_not_trained_silently(to: str) -> None:
    said = f"--to {to}: the recipe names no model, so there is nothing to {to}; --to prepare makes its data"
    done = recipe("run", "r.yaml", "--to", to)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"error: {said}\n")
    assert answer("run", "r.yaml", "--to", to, code=2)["errors"] == [{"what": said}]
    assert not Path("runs").exists()


def test_a_second_run_executes_nothing_and_changes_nothing() -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    before = {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}
    said = answer("run", "r.yaml", "--to", "prepare")
    assert (said["executed"], said["kept"]) == (0, 6)
    assert {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()} == before
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert "0 steps executed, 6 kept" in done.stdout
    change("weights: {talk: 0.5, river: 0.5}", "weights: {talk: 0.4, river: 0.6}")
    assert answer("run", "r.yaml", "--to", "prepare")["executed"] == 2


def test_the_effective_recipe_gives_the_same_bytes() -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    first = Path("runs/small/data/train.jsonl").read_bytes()
    shutil.copy("runs/small/recipe.yaml", "again.yaml")
    assert answer("run", "again.yaml", "--to", "prepare")["executed"] == 0
    shutil.rmtree(".mirepoix")
    assert answer("run", "again.yaml", "--to", "prepare")["executed"] == 6
    assert Path("runs/small/data/train.jsonl").read_bytes() == first


def test_a_damaged_artifact_is_made_anew() -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    train = Path("runs/small/data/train.jsonl")
    good = train.read_bytes()
    train.write_bytes(b"edited by hand\n")  # a hard link into the store
    assert answer("run", "r.yaml", "--to", "prepare")["executed"] == 1
    assert train.read_bytes() == good


def test_a_whole_run_of_data_only_reports() -> None:
    said = answer("run", "r.yaml")
    assert (said["ok"], said["executed"]) == (True, 7)
    assert Path(said["report"]).read_text(encoding="utf-8").startswith("<!")
    report = answer("report", "small")
    assert (report["name"], report["exit"], report["gates"]) == ("small", "no gates", [])
    assert recipe("report", "small").stdout.strip().endswith("runs/small/report.html")
    assert [r["name"] for r in answer("list", "runs")["runs"]] == ["small"]


def test_reports_that_are_not_there() -> None:
    recipe("run", "r.yaml", "--to", "prepare")
    done = recipe("report", "smal")
    assert (done.exit_code, done.stderr) == (2, "error: no report of a run 'smal' (did you mean small?)\n")
    assert recipe("report", "../x").exit_code == 2
    for text in ("{}", "nonsense", "[]"):
        Path("runs/small/report.json").write_text(text)
        assert recipe("report", "small").exit_code == 2
        assert recipe("list", "runs").exit_code == 0
    Path("runs/small/report.json").unlink()
    assert answer("list", "runs")["runs"][0]["about"] == "no report yet"


def test_show_says_who_set_what() -> None:
    Path("child.yaml").write_text("name: child\nextends: r.yaml\nseed: 3\n")
    said = answer("show", "child.yaml")
    assert said["recipe"]["seed"] == 3
    assert said["who"]["seed"] == "child.yaml:3"
    assert said["who"]["mix.weights.talk"] == "r.yaml:12"
    assert "# mix.weights.talk " in recipe("show", "child.yaml").stdout


@pytest.mark.parametrize("kind", cli.about.KINDS)
def test_list(kind: str) -> None:
    rows = answer("list", kind)[kind]
    assert all({"name", "about"} <= row.keys() for row in rows)
    assert bool(rows) == (kind not in ("runs", "store"))
    assert len(recipe("list", kind).stdout.splitlines()) == len(rows)


def test_schema() -> None:
    for name in ("recipe", "suite", "record", "probe", "manifest"):
        assert json.loads(recipe("schema", name).stdout)["$schema"]
    assert recipe("schema", "recip").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "none.yaml"], 2),
        (["check", "data"], 2),
        (["check"], 2),
        (["nonsense"], 2),
        (["run", "r.yaml", "--to", "nowhere"], 2),
        (["run", "r.yaml", "--workspace", "nowhere"], 2),
        (["list", "things"], 2),
        (["check", "x" * 5000], 2),
        (["check", "--trust", "code", "r.yaml"], 2),
        (["--version"], 0),
        (["--help"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert recipe(*arguments).exit_code == code


def test_what_needs_trust_is_4_and_can_be_allowed(tmp_path: Path) -> None:
    shutil.move("data", tmp_path.parent / f"{tmp_path.name}-data")
    change("data/", f"../{tmp_path.name}-data/")
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code == 4
    assert "lies outside the workspace; allow it with --trust paths" in done.stderr
    assert "r.yaml:4:21: sources[0].jsonl.files[0]: " in done.stderr.splitlines()[0]
    assert answer("check", "r.yaml", code=4)["exit"] == 4
    assert recipe("run", "r.yaml", "--to", "prepare", "--trust", "paths").exit_code == 0


@pytest.mark.parametrize("budget", ["rejected: '>0'", "dropped: '>9%'", "dropped: '>1'"])
def test_a_broken_budget_fails_every_time(budget: str) -> None:
    with Path("r.yaml").open("a") as f:
        f.write(f"fail_if: {{{budget}}}\n")
    for _ in range(2):
        done = recipe("run", "r.yaml", "--to", "prepare")
        assert done.exit_code == 3
        assert f"split: fail_if.{budget.split(':')[0]}: " in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "data/talk.jsonl, data/one-bad.jsonl",
            "empty",
            "source.talk: r.yaml:4:5: sources[0]: gave no records: its one row was",
        ),
        (
            "data/talk.jsonl, data/one-bad.jsonl",
            "junk",
            "source.talk: r.yaml:4:5: sources[0]: gave no records: all 3 rows were rejected; talk/junk: junk: nothing in it",
        ),
        ("min: 12", "min: 999", "mix: nothing is left to train on (20 by filters[0].words: too few words)"),
        (
            "weights: {talk: 0.5, river: 0.5}",
            "weights: {talk: .5, river: .5}, total: 999",
            "mix: 999 records",
        ),
    ],
)
def test_steps_fail_in_words(old: str, new: str, said: str) -> None:
    Path("empty").write_text("\n\n")
    Path("junk").write_text("junk\nmore \x1b[31mjunk\n")
    change(old, new)
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code == 3
    assert f"error: {said}" in done.stderr
    assert answer("run", "r.yaml", "--to", "prepare", code=3)["errors"][0]["what"].startswith(said)


def test_control_characters_of_data_are_made_visible() -> None:
    row = {"messages": [{"role": "user", "content": "hi"}], "\x1b[31m\x9b\u202eevil": 1}
    Path("data/talk.jsonl").write_text(json.dumps(row, ensure_ascii=False))
    change(", data/one-bad.jsonl", "")
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code == 3
    assert "\\x1b[31m\\x9b\\u202eevil" in done.stderr
    assert not set("\x1b\x9b\u202e") & set(done.output)
    raw = recipe("run", "r.yaml", "--to", "prepare", "--json").stdout
    assert raw.isascii()


def test_control_characters_of_recipes_are_made_visible() -> None:
    recipe("run", "r.yaml")
    change("name: small\n", 'name: small\ndescription: "\\e[31m red \\x9b \\u202e"\n')
    for verb in (["plan", "r.yaml"], ["show", "r.yaml"], ["run", "r.yaml"]):
        assert not set("\x1b\x9b\u202e") & set(recipe(*verb).output), verb


def test_two_files_of_one_name_keep_their_rows_apart() -> None:
    Path("more").mkdir()
    shutil.copy("data/norge.jsonl", "more/talk.jsonl")
    change("data/one-bad.jsonl", "more/talk.jsonl")
    assert recipe("run", "r.yaml", "--to", "prepare").exit_code == 0
    fates = ledger.read(Path("runs/small/ledger.parquet"))
    assert len([f for f in fates if f.source == "talk"]) == 10
    assert all(f.times == 1 for f in fates)


def test_rows_that_cannot_be_written_are_kept_aside() -> None:
    good = Path("data/talk.jsonl").read_text()
    said = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "%s"}]}\n'
    deep = '{"messages": [], "tools": [' + '{"a":' * 900 + "1" + "}" * 900 + "]}\n"
    bad = [
        said % "\\ud800",
        said % "\\u0000",
        '{"x": 1, "x": 2}\n',
        deep,
        '{"\\udfff": 1}\n',
        "[" * 99_999 + "\n",
    ]
    Path("data/talk.jsonl").write_text(good + "".join(bad))
    assert recipe("run", "r.yaml", "--to", "prepare").exit_code == 0
    rejected = Path("runs/small/rejected/talk.jsonl").read_text().splitlines()
    assert len(rejected) == len(bad) + 1


def test_a_record_that_a_mix_lacks_a_tag_for_is_named() -> None:
    change("mix: {weights: {talk: 0.5, river: 0.5}}", "mix: {by: mood, weights: {calm: 0.5, gay: 0.5}}")
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code == 3
    assert "has no tag 'mood'; give its source one" in done.stderr


def test_a_run_that_is_held_is_75() -> None:
    from runner.store import Store

    with Store(Path()).locked("small"):
        done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code == 75
    assert done.stderr.startswith("error: another run (process ")


def test_a_remembered_plan_that_is_nonsense_is_forgotten() -> None:
    Path("runs/small").mkdir(parents=True)
    for text in ("[]", "not json", '{"filter": 3}'):
        Path("runs/small/plan.json").write_text(text)
        assert recipe("plan", "r.yaml").exit_code == 0
    assert recipe("run", "r.yaml", "--to", "prepare").exit_code == 0


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_run_is_taken_up_again(home: Path, sign: signal.Signals, code: int) -> None:
    line = Path("data/river.txt").read_text()
    # Whoever started the tests may have had SIGINT ignored.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start = heard + "from runner.cli import main; main()"
    argv = [sys.executable, "-c", start, "run", "r.yaml", "--to", "prepare"]
    for rows in (
        3000,
        12_000,
        48_000,
    ):  # more where a busy machine came to the end of fewer before it was told
        shutil.rmtree(".mirepoix", ignore_errors=True)
        Path("data/river.txt").write_text("\n\n".join(f"{n} {line}" for n in range(rows)))
        started = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home, env=dict(os.environ)
        )
        until = time.monotonic() + 60
        while not list(Path(".mirepoix").glob("artifacts/*/*/manifest.json")) and time.monotonic() < until:
            time.sleep(0.01)
        started.send_signal(sign)
        _, said = started.communicate(timeout=60)
        if started.returncode:
            break
    assert started.returncode == code, said
    assert "Traceback" not in said
    for manifest in Path(".mirepoix").glob("artifacts/*/*/manifest.json"):
        assert json.loads(manifest.read_bytes())
    assert not list(Path(".mirepoix/tmp").iterdir())
    done = answer("run", "r.yaml", "--to", "prepare")
    assert done["ok"]
    assert done["kept"] >= 1
    assert done["executed"] >= 1


@pytest.mark.parametrize(("verb", "code"), [("schema", 0), ("check", 2)])
def test_the_program_is_over_when_it_is_done(verb: str, code: int) -> None:
    """Where Torch is loaded it leaves without taking it down; what is due at the end is done all the same."""
    program = (
        "import atexit, sys, types\n"
        "from runner.cli import entry\n"
        "sys.modules['torch'] = types.ModuleType('torch')\n"
        "class Slow:\n"
        "    def __del__(self): sys.stderr.write('taken down')\n"
        "slow = Slow()\n"
        "atexit.register(lambda: sys.stderr.write('all done'))\n"
        f"sys.argv = ['recipe', {verb!r}] + ['nosuch.yaml'] * {code}\n"
        "entry()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == code and done.stderr.endswith("all done")
    assert done.stdout or code
