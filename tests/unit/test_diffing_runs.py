"""Runs as a side of `recipe diff`, what follows from a difference, and the verb itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typed
from click.testing import CliRunner
from test_startup import ASK, HEAVY

from runner import cli, locking
from runner.diffing import Diff, diff
from runner.diffing.ahead import Forecasts
from runner.diffing.text import Piece, lines
from runner.errors import NeedsTrust
from runner.load import load_recipe
from runner.plan import plan
from runner.store import Store, file_digest
from runner.workspace import Workspace
from runner.yaml12 import dump

recipe = partial(typed.recipe, code=None)

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
filters:
  - words: {min: 1}
split: {validation: 0.1}
"""
MODEL = """\
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
train: {attention: sdpa, packing: false}
evaluate: {suites: [few]}
"""
SUITE = "suite: 1\nname: few\nprobes: probes/few.jsonl\njudge: {tool_use: {}}\n"
PROBE = {"id": "p", "messages": [{"role": "user", "content": "What is it?"}], "expect": {"calls": []}}


def row(n: int) -> str:
    said = [("user", f"Say {n}, please."), ("assistant", f"It is {n * 7}, then.")]
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in said]}) + "\n"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which two recipes were run, as far as their data."""
    root = tmp_path_factory.mktemp("real")
    (root / "talk.jsonl").write_text("".join(map(row, range(12))))
    (root / "r.yaml").write_text(RECIPE)
    (root / "s.yaml").write_text(RECIPE.replace("name: r\n", "name: s\n").replace("min: 1", "min: 2"))
    for name in ("r.yaml", "s.yaml"):
        done = CliRunner().invoke(cli.main, ["run", str(root / name), "--workspace", str(root)])
        assert done.exit_code == 0, done.output
    return root


@pytest.fixture
def home(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "w"
    shutil.copytree(real, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return root


def found(root: Path, first: str, second: str | None = None, **how: Any) -> Diff:
    return diff(first, second, Workspace(root.resolve()), **how)


def keep(root: Path, name: str, text: str) -> None:
    """What a run of a recipe that trains would keep, without its hours."""
    path = root / "runs" / name / "recipe.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    loaded = load_recipe(path, Workspace(root))
    path.write_text(dump(loaded.document.data))
    planned = plan(loaded, Workspace(root), "cpu")
    (path.parent / "plan.json").write_text(json.dumps({s.name: s.ingredients for s in planned.steps}))
    locking.write(path.parent / "recipe.lock", locking.facts(planned, Store(root)), root)


def test_values_are_compared_though_the_data_are_not_here(home: Path) -> None:
    """The shipped recipe for Llama wants files that only its user has; what it shares with another is no news."""
    of = found(home, "twain-llama.yaml", "twain-mistral.yaml")
    assert {"model.base", "model.template", "name"} <= {c.key for c in of.changes}
    assert not {"sources", "mix.weights"} & {c.key.partition("[")[0] for c in of.changes}
    assert not (of.files or of.steps.anew or of.steps.gone or of.a.planned or of.b.planned)
    said = recipe("diff", "twain-llama.yaml", "twain-mistral.yaml").output
    assert (
        said.count("no file 'data_sources/reddit-theonion/*.csv'; so values") == 2
        and "what follows" not in said
    )


def test_two_runs(home: Path) -> None:
    of = found(home, "r", "runs/s")
    assert [(c.key, c.a, c.b) for c in of.changes] == [("name", "r", "s"), ("filters.words.min", 1, 2)]
    assert of.changes[1].set_by == ("runs/r/recipe.yaml:10", "runs/s/recipe.yaml:10")
    assert [s.step for s in of.steps.anew] == ["filter", "mix", "split", "report"]
    assert all(s.made for s in of.steps.anew) and of.steps.stay == ("source.talk",)
    assert of.steps.anew[0].why == "filters[0].words.min 1→2"
    said = recipe("diff", "r", "s").stdout
    assert "recipe compare r s" in said and "4 of them are made already" in said


def test_a_run_is_what_it_kept_whatever_became_of_its_files(home: Path) -> None:
    before = found(home, "r", "s").changes
    (home / "talk.jsonl").unlink()
    assert found(home, "r", "s").changes == before and not found(home, "r", "s").files
    (home / "talk.jsonl").write_text("".join(map(row, range(3, 14))))
    of = found(home, "r.yaml")
    assert (of.a.label, of.b.label) == ("run r", "r.yaml")
    (file,) = of.files
    assert (file.of, file.name) == ("source talk", "talk.jsonl")
    assert (
        file.a and file.a.rows is None and file.b and file.b.rows == 11
    )  # whose bytes are gone, nobody counts
    assert not of.changes and not of.same


def test_versions_of_two_runs(home: Path) -> None:
    path = home / "runs/s/recipe.lock"
    lock = json.loads(path.read_text())
    lock["stages"]["prepare"]["packages"]["numpy"] = "1.0"
    lock["stages"]["prepare"]["packages"]["only-there"] = "1.0"
    lock["stages"]["prepare"]["steps"]["filter"] = 1
    path.chmod(0o644)
    path.write_text(json.dumps(lock))
    of = found(home, "r", "s")
    assert [(d.kind, d.name, d.there) for d in of.drifts] == [
        ("packages", "numpy", "1.0"),
        ("steps", "filter", 1),
    ]
    said = recipe("diff", "r", "s").stdout
    assert "package numpy" in said and "step filter  version" in said
    path.unlink()
    of = found(home, "r", "s")
    assert not of.drifts and "did not come to its end" in of.b.notes[0]


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"filter": {"step": "filter", "needs": 3}}', '{"a": {"step": "x", "needs": {"a": ""}}}'],
)
def test_a_run_that_cannot_be_read(home: Path, text: str) -> None:
    (home / "runs/s/plan.json").write_text(text)
    done = recipe("diff", "r", "s")
    assert done.exit_code == 2 and "runs/s/plan.json cannot be read" in done.stderr


def test_a_run_that_says_strange_things(home: Path) -> None:
    said = {
        "source.talk": {"step": "source", "needs": {}, "inputs": {"files": [1, ["a"], ["b", 2]], "x": 3}},
        "lm-eval.base": {"step": "lm_eval", "needs": {"nosuch": "x"}, "files": [1]},
        "render": {"step": "render", "needs": {}, "model": [], "template": 3},
        "other": 3,
    }
    (home / "runs/s/plan.json").write_text(json.dumps(said))
    for words in (("r", "s"), ("s", "r.yaml"), ("s", "s")):
        assert recipe("diff", *words).exit_code == 0


def test_what_was_fetched(home: Path) -> None:
    item = {"key": "page", "sha256": "1" * 64, "meta": {}}
    for run, sha, request in (("r", "1", "a"), ("s", "2", "a")):
        path = home / "runs" / run / "recipe.lock"
        lock = json.loads(path.read_text())
        lock["fetched"] = {"talk": {"request": request * 64, "items": [item | {"sha256": sha * 64}]}}
        path.write_text(json.dumps(lock))
    of = found(home, "r", "s")
    assert [(d.kind, d.name) for d in of.drifts] == [("fetched", "talk: page")] and not of.steps.fetches
    assert (
        "fetched for talk: page  sha256 111111111111 → sha256 222222222222" in recipe("diff", "r", "s").stdout
    )
    lock["fetched"]["talk"]["request"] = "b" * 64
    path.write_text(json.dumps(lock))
    of = found(home, "r", "s")
    assert not of.drifts and of.steps.fetches == ("talk",)  # another question: its answers are others


def test_a_training_that_was_kept(home: Path) -> None:
    """Of a run with a model: what its suites said then, the files it read then, and what would run anew."""
    for name, text in {
        "evals/suites/few.yaml": SUITE,
        "evals/probes/few.jsonl": json.dumps(PROBE) + "\n",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    text = (RECIPE + MODEL).replace("name: r\n", "name: trained\n")
    keep(home, "trained", text)
    (home / "t.yaml").write_text(text)
    assert found(home, "trained", "t.yaml", profile="cpu").same
    (home / "evals/suites/few.yaml").write_text(SUITE + "max_new_tokens: 7\n")
    (home / "evals/probes/few.jsonl").write_text("".join(json.dumps(PROBE | {"id": i}) + "\n" for i in "pqr"))
    (home / "t.yaml").write_text(text + "adapter: {r: 32}\n")
    of = found(home, "trained", "t.yaml", profile="cpu")
    assert [(c.key, c.a, c.b, c.set_by) for c in of.changes] == [
        ("adapter.r", 16, 32, ("default", "t.yaml:12")),
        ("suites.few.max_new_tokens", 128, 7, ("runs/trained/plan.json", "evals/suites/few.yaml:5")),
    ]
    assert [(f.of, f.name, f.b and f.b.rows) for f in of.files] == [
        ("suite few", "evals/probes/few.jsonl", 3)
    ]
    anew = {s.step: s.why for s in of.steps.anew}
    assert anew["train"] == "config.lora_r 16→32" and anew["answers.tuned.few"].startswith(
        "max_new_tokens 128→7"
    )
    assert {"source.talk", "filter", "model"} == set(of.steps.stay)  # what is asked must not be trained on
    assert anew["decontaminate"].startswith("files.against")
    figures = {r.name: r for r in of.forecasts.rows}
    trained = figures["parameters trained"]
    assert trained.a and trained.b == 2 * trained.a and trained.change == trained.a
    other = found(home, "t.yaml", "trained", profile="cpu")
    assert sorted(map(repr, (c.mirrored() for c in of.changes))) == sorted(map(repr, other.changes))
    assert [f.mirrored() for f in of.files] == list(other.files)


def test_the_verb(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = recipe("diff", "r.yaml", "r.yaml", "--exit-code")
    assert (same.exit_code, same.stdout) == (0, "r.yaml → r.yaml\nthe same in meaning\n")
    (home / "q.yaml").write_text(
        RECIPE.replace("min: 1", "min: 0x1").replace("name: r\n", "name: 'r'   # so\n")
    )
    assert recipe("diff", "r.yaml", "q.yaml", "--exit-code").exit_code == 0
    other = recipe("diff", "r.yaml", "s.yaml")
    assert other.exit_code == 0 and recipe("diff", "r.yaml", "s.yaml", "--exit-code").exit_code == 1
    assert "\x1b" not in other.stdout
    assert "  ~ words.min  1 → 2" in other.stdout and "(r.yaml:7 → s.yaml:7)" in other.stdout
    (home / "q.yaml").write_text(RECIPE.replace("seed", "x").replace("min: 1", "mni: 1"))
    wrong = recipe("diff", "q.yaml", "q.yaml")
    assert wrong.exit_code == 2 and "q.yaml:7:13: filters[0].words.mni" in wrong.stderr and not wrong.stdout
    os.mkfifo(home / "pipe.yaml")
    for name in ("pipe.yaml", ".", "runs", "x" * 5000, "a\0b", "r.yaml/x", "talk.jsonl"):
        done = recipe("diff", name, "r.yaml")
        assert done.exit_code == 2 and done.stderr and not done.stdout, name[:9]
    assert recipe("diff", "r").exit_code == recipe("diff", "nosuch", "r.yaml").exit_code == 2


def test_the_verb_as_data(home: Path) -> None:
    done = recipe("diff", "r", "s.yaml", "--json", "--exit-code")
    said = json.loads(done.stdout)
    assert done.exit_code == 1 and (said["diff"], said["same"]) == (1, False)
    assert said["a"] == {"name": "run r", "kind": "run", "recipe": "r", "notes": []}
    assert said["changes"][1] == {
        "group": "filters",
        "key": "filters.words.min",
        "kind": "changed",
        "a": 1,
        "b": 2,
        "at": {"a": "filters[0].words.min", "b": "filters[0].words.min"},
        "set_by": {"a": "runs/r/recipe.yaml:10", "b": "s.yaml:7"},
    }
    assert said["steps"]["stay"] == ["source.talk"] and said["forecast"]["a"] is None
    assert json.loads(recipe("diff", "r", "r", "--json").stdout)["forecast"] is None


def test_what_a_recipe_says_steers_no_terminal(home: Path) -> None:
    text = RECIPE.replace("name: r\n", 'name: r\ndescription: "\\e[31m red\\nnext"\n')
    (home / "q.yaml").write_text(text)
    said = recipe("diff", "r.yaml", "q.yaml").stdout
    assert (
        "\x1b" not in said
        and "red" in said
        and not any(line.startswith("next") for line in said.splitlines())
    )


@pytest.mark.parametrize("out", ["r.oci.tar", "folder"])
def test_a_pack(home: Path, out: str) -> None:
    assert recipe("pack", "r.yaml", "--out", out).exit_code == 0
    assert found(home, out, "r.yaml").same
    (home / "talk.jsonl").write_text("".join(map(row, range(2, 12))))
    (home / "r.yaml").write_text(RECIPE + "seed: 3\n")
    of = found(home, out, "r.yaml")
    assert (of.a.label, of.a.kind) == (f"pack {out}", "pack") and of.a.notes[0].startswith(
        f"pack {out} is sha256:"
    )
    assert [(c.key, c.set_by) for c in of.changes] == [("seed", ("default", "r.yaml:9"))]
    assert [(f.name, f.added, f.removed) for f in of.files] == [("talk.jsonl", 0, 2)]
    back = found(home, "r.yaml", out)
    assert [s.step for s in back.steps.anew if s.made] == ["source.talk", "filter", "mix", "split", "report"]
    assert recipe("diff", out).exit_code == 2


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, left_out: dict[str, str]) -> None:
    """A pack that lies in a folder, whatever our own packing would say of it."""
    folder.mkdir()
    (folder / "p.yaml").write_text(text)
    config = SimpleNamespace(name="p", recipe="p.yaml", left_out=left_out)
    pack = SimpleNamespace(folder=folder, config=config, contents=SimpleNamespace(digest="0" * 64))
    monkeypatch.setattr("runner.packs.pulling.opened", lambda ref, settings: nullcontext(pack))


def test_a_pack_reads_its_own_files_whatever_is_trusted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, tmp_path / "scratch", RECIPE.replace("talk.jsonl", str(home / "talk.jsonl")), {})
    with pytest.raises(NeedsTrust, match="lies outside") as caught:
        diff("oci://x.example/p", "r.yaml", Workspace(home, frozenset({"paths"})))
    assert str(tmp_path / "scratch") not in str(caught.value) and "p:p.yaml:4" in str(caught.value)


def test_what_was_too_large_for_a_pack_is_taken_from_here_if_it_is_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, tmp_path / "a", RECIPE, {"talk.jsonl": file_digest(home / "talk.jsonl")})
    of = found(home, "oci://x.example/p", "r.yaml")
    assert of.same and "too large to go along: talk.jsonl" in of.a.notes
    pretend(monkeypatch, tmp_path / "b", RECIPE, {"talk.jsonl": "0" * 64})
    of = found(home, "oci://x.example/p", "r.yaml")
    assert (
        not (of.changes or of.files or of.a.planned) and "no file 'talk.jsonl'; so values" in of.a.notes[-1]
    )


def test_both_forecasts_and_the_difference(home: Path) -> None:
    def foreseen(tokens: int | None, fits: bool, seconds: float) -> dict[str, Any]:
        machine = {"name": "4090", "fits": fits, "seconds": seconds, "cost_usd": seconds / 1000}
        rows = None if tokens is None else {"train": 10, "validation": 1}
        whole = {"rows": rows, "tokens": {"train": tokens}, "memory": {"bytes": 3 << 30}, "epochs": None}
        return whole | {"machines": [machine]}

    of = found(home, "r.yaml", "s.yaml")
    ahead = Forecasts(foreseen(1000, True, 600), foreseen(1500, False, 900))
    assert [(r.name, r.unit, r.a, r.b, r.change) for r in ahead.rows] == [
        ("rows trained", "rows", 10, 10, 0), ("rows held out", "rows", 1, 1, 0), ("tokens trained", "tokens", 1000, 1500, 500),
        ("memory at its peak", "bytes", 3 << 30, 3 << 30, 0), ("on 4090", "seconds", 600, 900, 300),
        ("on 4090", "US$", 0.6, 0.9, pytest.approx(0.3)),
    ]  # fmt: skip
    said = ["".join(p.text for p in line) for line in lines(replace(of, forecasts=ahead))]
    assert [line.split() for line in said[-6:-2]] == [
        ["forecast", "before", "after", "change"],
        ["tokens", "trained", "1,000", "1,500", "+500", "(+50.0%)"],
        ["on", "4090", "10", "min", "15", "min", "+5", "min", "(+50.0%)"],
        ["on", "4090", "US$", "0.60", "US$", "0.90", "+US$", "0.30", "(+50.0%)"],
    ]
    assert said[-2:] == [
        "  on 4090: fits no longer: recipe plan says what would make it fit",
        "  forecast the same: rows trained 10, rows held out 1, memory at its peak 3.0 GiB",
    ]
    back = Forecasts(foreseen(None, False, 900), foreseen(1000, True, 600))
    said = ["".join(p.text for p in line) for line in lines(replace(of, forecasts=back))]
    assert "  on 4090: fits now" in said and said[-1].startswith(
        "  r.yaml: rows and tokens are not counted yet"
    )


def test_no_heavy_library_is_imported(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, "diff", "r.yaml", "s.yaml"], capture_output=True, text=True, check=True
    )
    assert "words.min" in done.stdout
    assert not set(json.loads(done.stderr.splitlines()[-1])) & HEAVY


def test_colours_are_for_terminals(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.cli import diffing

    line = (Piece("  + x\x1b[2J", "added"), Piece(" y"))
    assert diffing._styled(line, True) == "\x1b[32m  + x\\x1b[2J\x1b[0m y"
    assert diffing._styled(line, False) == "  + x\\x1b[2J y"
