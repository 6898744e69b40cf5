"""`recipe gc` takes what nobody needs, and never what a run, a held lock or a lock file does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from runner import lock
from runner.cli import main
from runner.errors import NeedsTrust, StepError
from runner.fetching import Item
from runner.net.cache import Cache, Entry
from runner.store import Store, digest
from runner.store.garbage import Waste, announce, collect, needed, use


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def make(store: Store, step: str, needs: dict[str, str] | None = None, text: str = "x") -> str:
    ingredients = {"step": step, "needs": needs or {}, "text": text}
    fingerprint = digest(ingredients)
    with store.making(step, fingerprint, ingredients) as out:
        (out / "data").write_text(text * 5000)
    return fingerprint


def remember(store: Store, run: str, *fingerprints: str) -> Path:
    folder = store.workspace / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        f: json.loads((store.path(f) / "manifest.json").read_bytes())["ingredients"] for f in fingerprints
    }
    (folder / "plan.json").write_text(json.dumps(made))
    return folder


def names(found: list[Waste]) -> set[str]:
    return {w.name for w in found}


def made(store: Store) -> set[str]:
    return {p.name for p in (store.root / "artifacts").glob("*/*")}


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def test_what_no_run_needs_goes(store: Store) -> None:
    first, second, old = make(store, "a"), make(store, "b", text="y"), make(store, "c", text="z")
    remember(store, "r", first)
    remember(store, "s", second)
    assert names(collect(store, dry=True)) == {old}
    assert made(store) == {first, second, old}, "a dry run removes nothing"
    (gone,) = collect(store)
    assert (gone.kind, gone.name, gone.step) == ("artifacts", old, "c")
    assert 5000 <= gone.size < 50_000
    assert made(store) == {first, second} and not list((store.root / "tmp").iterdir())
    assert collect(store) == []


def test_what_something_was_made_of_is_needed_too(store: Store) -> None:
    """A base model that the adapter's export asks for, although no plan names it any more."""
    base = make(store, "model")
    trained = make(store, "train", {"model": base})
    report = make(store, "report", {"train": trained})
    remember(store, "r", report)
    assert collect(store) == [] and made(store) == {base, trained, report}


def test_a_run_that_was_killed_keeps_what_it_was_to_need(store: Store) -> None:
    """Its plan.json names only what it took by then; its checkpoints are of a step that was never made."""
    early, late = make(store, "a"), "ef" * 32
    (store.work(late) / "checkpoint").write_text("of hours")
    folder = remember(store, "r", early)
    announce(store, "r", [early, late])
    assert collect(store) == []
    (folder / "plan.json").unlink()
    assert collect(store) == [], "killed before its first step"
    folder.rmdir()
    assert {w.kind for w in collect(store)} == {"artifacts", "work", "runs"}
    assert made(store) == set() and not (store.root / "work" / late).exists()


def test_the_result_that_is_laid_out_is_needed(store: Store) -> None:
    trained = make(store, "train")
    folder = remember(store, "r")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "mirepoix.json").write_text(json.dumps({"step": trained}))
    assert collect(store) == []


@pytest.mark.parametrize("place", ["recipe.lock", "recipes/twain.lock", "runs/r/recipe.lock"])
def test_what_a_lock_file_names_is_needed(store: Store, place: str) -> None:
    kept, other = make(store, "a"), make(store, "b")
    path = store.workspace / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"steps": {"a": kept}}))
    assert names(collect(store)) == {other}
    assert made(store) == {kept}


def test_what_a_held_lock_names_stays(store: Store) -> None:
    fingerprint = make(store, "a")
    other = Store(store.workspace)
    (other.root / "tmp" / f"{fingerprint}.1").mkdir()
    (other.root / "tmp" / f"{'ab' * 32}.2").mkdir()
    with other.waiting(fingerprint):
        assert names(collect(store)) == {f"{'ab' * 32}.2"}
        assert made(store) == {fingerprint}
    assert names(collect(store)) == {fingerprint, f"{fingerprint}.1"}


def test_a_run_at_work_without_a_folder_keeps_what_it_said(store: Store) -> None:
    fingerprint = make(store, "a")
    other = Store(store.workspace)
    announce(other, "r", [fingerprint])
    with other.locked("r"):
        assert collect(store) == []
    assert fingerprint in names(collect(store))


def test_what_nodes_of_a_cluster_look_for_stays_while_a_run_is_at_work(store: Store) -> None:
    seen = store.folder("runs") / "0123456789abcdef.seen"
    seen.write_text("secret")
    with store.locked("r"):
        collect(store)
        assert seen.exists()
    collect(store)
    assert not seen.exists()


def test_a_run_that_starts_while_things_are_collected_waits(store: Store) -> None:
    """Else it would find an artifact there, and have it taken away under its hands."""
    said = threading.Event()

    def start() -> None:
        announce(Store(store.workspace), "r", ["ab" * 32])
        said.set()

    with Store(store.workspace).waiting("gc"):
        thread = threading.Thread(target=start)
        thread.start()
        assert not said.wait(0.3)
    thread.join(10)
    assert said.is_set()


def test_older(store: Store) -> None:
    young, old, used = make(store, "a"), make(store, "b"), make(store, "c")
    for fingerprint in (old, used):
        age(store.path(fingerprint), 10)
    found = store.get(used)
    assert found is not None
    store.used(found)
    assert names(collect(store, days=7)) == {old}
    assert made(store) == {young, used}
    age(store.path(young), -3650)
    assert names(collect(store, days=0.001)) == set(), "of the future, or used just now"


def test_what_was_set_aside_goes(store: Store) -> None:
    fingerprint = make(store, "a")
    (store.path(fingerprint) / "data").chmod(0o644)
    (store.path(fingerprint) / "data").write_text("damaged")
    assert store.get(fingerprint) is None
    (gone,) = collect(store)
    assert (gone.kind, gone.step) == ("quarantine", "a")


def test_bytes_that_something_names_stay(store: Store) -> None:
    named, locked, listed, orphan, young = (f"{n}" * 64 for n in "abcde")
    for sha256 in (named, locked, listed, orphan, young):
        path = store.folder("raw", sha256[:2]) / sha256
        path.write_text("text")
        age(path, 0 if sha256 == young else 2)
    for place, sha256 in (("requests/ab", named), ("locks", locked)):
        (store.folder("fetched", place) / "one.json").write_text(json.dumps({"sha256": sha256}))
    (store.workspace / "recipe.lock").write_text(listed)
    with Store(store.workspace).locked("r"):
        assert collect(store) == [], "a fetch that is under way keeps bytes before it says what for"
    assert names(collect(store)) == {orphan}
    assert {p.name for p in (store.root / "raw").glob("*/*")} == {named, locked, listed, young}


def fetch(store: Store, name: str, old: float = 2) -> tuple[dict[str, Any], list[Item], list[Path]]:
    """What a source fetched: its request, its items, and the files that keep them: lock, answer, bytes."""
    cache = Cache(store.folder())
    sha256 = cache.store([name.encode()])
    request, items = {"source": "web", "options": {"urls": [name]}}, [Item(name, sha256=sha256)]
    lock.write(store.root, request, items)
    body = store.folder("tmp") / name
    body.write_bytes(name.encode())
    key = digest(name)
    cache.keep(key, Entry(1, "GET", name, "", "", name, sha256, len(name), "", "", "", ""), body)
    where = ("locks", digest(request)), (f"requests/{key[:2]}", key)
    files = [store.root / "fetched" / place / f"{stem}.json" for place, stem in where]
    files.append(cache.path(sha256))
    for file in files:
        age(file, old)
    return request, items, files


def said(items: list[Item]) -> str:
    return digest(msgspec.to_builtins(items))


def test_what_was_fetched_for_no_run_goes(store: Store) -> None:
    made_of, begun, locked, gone = (fetch(store, n) for n in ("made of", "begun", "locked", "gone"))
    young = fetch(store, "young", 0)
    plan = json.dumps({"source.web": {"fetched": said(made_of[1])}})
    remember(store, "r").joinpath("plan.json").write_text(plan)
    announce(store, "r", [], [digest(begun[0])])  # killed while it fetched, or before it was parsed
    (store.workspace / "t.lock").write_text(said(locked[1]))
    lock.write(store.root, {"model": "a/b", "revision": None}, [Item("c" * 40)])
    (commit,) = (p for p in (store.root / "fetched/locks").iterdir() if b'"a/b"' in p.read_bytes())
    age(commit, 9)
    before = {p for p in store.root.rglob("*") if p.is_file()}
    with Store(store.workspace).locked("other"):
        assert collect(store) == [], "it may be about to take it"
    with Store(store.workspace).trying(f"fetch.{digest(gone[0])}"):
        assert gone[2][0].stem not in {Path(n).stem for n in names(collect(store, dry=True))}, "it is fetched"
    assert names(collect(store, dry=True)) == {p.name for p in gone[2]}
    assert {p for p in store.root.rglob("*") if p.is_file()} == before
    assert names(collect(store)) == {p.name for p in gone[2]}
    assert {p for p in store.root.rglob("*") if p.is_file()} == before - set(gone[2])
    assert lock.read(store.root, made_of[0]) and lock.read(store.root, gone[0]) is None
    shutil.rmtree(store.workspace / "runs/r")
    own = {p.name for one in (made_of, begun) for p in one[2]}
    assert names(collect(store)) == own | {"r.json"}
    assert all(p.exists() for p in (*young[2], *locked[2], commit))


def test_answers_that_two_sources_share_stay_for_the_other(store: Store) -> None:
    _, items, files = fetch(store, "page")
    other = {"source": "web", "options": {"urls": ["page", "more"]}}
    lock.write(store.root, other, [*items, Item("more", error="none")])
    announce(store, "r", [], [digest(other)])
    remember(store, "r")
    assert names(collect(store)) == {files[0].name}, "only what says that it was fetched for nobody"
    assert files[1].exists() and files[2].exists()


def test_beside_a_run_of_an_earlier_version_all_that_was_fetched_stays(store: Store) -> None:
    _, _, files = fetch(store, "page")
    remember(store, "r")
    assert collect(store) == []
    (store.folder("runs") / "r.json").write_text(json.dumps({"version": 1, "steps": []}))
    assert collect(store) == [] and all(f.exists() for f in files)


def test_what_was_made_for_a_server_goes_with_its_run(store: Store) -> None:
    train = make(store, "train")
    remember(store, "r", train)
    for name, step in (("1" * 32, train), ("2" * 32, "ab" * 32), ("3" * 32, "")):
        folder = store.folder("served", name)
        (folder / "about.json").write_text("{}")
        if step:
            (store.folder("served", name, "for") / step).touch()
    store.folder("served", "4" * 32 + ".99999999.tmp")
    with Store(store.workspace).trying("serving.1.8000"):
        assert collect(store) == [], "a server may read it"
    with Store(store.workspace).trying("served." + "4" * 32):
        assert names(collect(store)) == {"2" * 32, "3" * 32}, "but for what is being made"
    assert names(collect(store)) == {"4" * 32 + ".99999999.tmp"}
    assert use(store)["served"][0] == 1
    shutil.rmtree(store.workspace / "runs/r")
    assert names(collect(store)) == {"1" * 32, train}


@pytest.mark.parametrize("text", ["not json", "[]", '{"a": ', ""])
def test_a_run_that_cannot_be_read_stops_it(store: Store, text: str) -> None:
    fingerprint = make(store, "a")
    remember(store, "r", fingerprint)
    (store.workspace / "runs/r/plan.json").write_text(text)
    with pytest.raises(StepError, match=r"runs/r/plan.json cannot be read"):
        collect(store)
    assert made(store) == {fingerprint}


def test_links_are_not_followed(store: Store, tmp_path: Path) -> None:
    make(store, "a")
    mine = tmp_path / "mine"
    (mine / ("ab" * 32)).mkdir(parents=True)
    (store.root / "artifacts" / "ab").symlink_to(mine)
    with pytest.raises(NeedsTrust, match="is a link"):
        collect(store)
    assert (mine / ("ab" * 32)).is_dir()


def test_disk_use_counts_a_file_once(store: Store) -> None:
    fingerprint = make(store, "a")
    before = use(store)["artifacts"]
    assert before[0] == 1 and before[1] >= 5000
    os.link(store.path(fingerprint) / "data", store.root / "tmp" / "same")
    assert use(store)["artifacts"] == before and use(store)["tmp"] == (1, 0)
    (gone,) = (w for w in collect(store) if w.kind == "artifacts")
    assert gone.size < before[1], "what has another name is not freed"


def test_a_workspace_without_a_store_has_no_waste(tmp_path: Path) -> None:
    assert collect(Store(tmp_path)) == [] and use(Store(tmp_path)) == {}
    assert not list(tmp_path.iterdir())
    assert needed(Store(tmp_path)) == set()


def test_the_verbs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.workspace)
    fingerprint = make(store, "split")
    said = CliRunner().invoke(main, ["gc", "--dry-run", "--json"])
    assert said.exit_code == 0, said.output
    data = json.loads(said.stdout)
    (row,) = data["removed"]
    assert data["dry_run"] and (row["kind"], row["name"], row["step"]) == ("artifacts", fingerprint, "split")
    assert data["bytes"] == row["bytes"] and data["store"]["artifacts"]["count"] == 1
    listed = CliRunner().invoke(main, ["list", "store"])
    assert any(line.split()[:2] == ["artifacts", "1,"] for line in listed.stdout.splitlines())
    assert CliRunner().invoke(main, ["gc", "--older", "1"]).stdout == "0 removed, 0 bytes\n"
    assert CliRunner().invoke(main, ["gc", "--older", "-1"]).exit_code == 2
    done = CliRunner().invoke(main, ["gc"])
    assert f"artifacts   {fingerprint[:12]}  split" in done.stdout and "1 removed" in done.stdout
    assert made(store) == set()


HOLD = """
import sys, time
from pathlib import Path
from runner.store import Store
store = Store(Path(sys.argv[1]))
with store.making("s", sys.argv[2], {}) as out:
    (out / "half").write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_another_process_makes_stays_until_it_is_killed(store: Store) -> None:
    argv = [sys.executable, "-c", HOLD, str(store.workspace), "ab" * 32]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            assert collect(store) == []
        finally:
            holder.kill()
    assert names(collect(store)) == {f"{'ab' * 32}.{holder.pid}"}
