"""Artifacts in another place (runner/store/remote.py), and what a run takes from there and puts there (syncing.py).

Places are in memory:// and below a folder here; tests/programs/test_artifact_store_s3.py has a bucket.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from four_steps import STEPS, workspace

from runner import cli, objectstore, syncing
from runner.errors import StepError, UsageError
from runner.objectstore import ObjectStore
from runner.store import Artifact, Store, digest, file_digest
from runner.store.remote import Damaged, RemoteStore
from runner.store.statement import stated

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

INGREDIENTS = {"n": 1}
PRINT = digest(INGREDIENTS)
FILES = {"a.txt": b"aaaa", "sub/b.txt": b"bbbb", "sub/deeper/c.txt": b"cccc", "empty": b""}


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address of a place that is empty."""
    if request.param == "file":
        (tmp_path / "place").mkdir()
        yield str(tmp_path / "place")
        return
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield "memory://place"
    store.store.clear()
    store.pseudo_dirs[:] = [""]


class At:
    """The objects of a place, past all that is tested here."""

    def __init__(self, url: str) -> None:
        self._fs, self._path = fsspec.core.url_to_fs(f"file://{url}" if url.startswith("/") else url)

    def names(self) -> set[str]:
        home = self._path.strip("/")
        return {str(p).strip("/").removeprefix(f"{home}/") for p in self._fs.find(self._path)}

    def __getitem__(self, name: str) -> bytes:
        return bytes(self._fs.cat_file(f"{self._path}/{name}"))

    def __setitem__(self, name: str, raw: bytes) -> None:
        self._fs.makedirs(f"{self._path}/{name}".rpartition("/")[0], exist_ok=True)
        self._fs.pipe_file(f"{self._path}/{name}", raw)

    def __delitem__(self, name: str) -> None:
        self._fs.rm_file(f"{self._path}/{name}")


def named(raw: bytes) -> str:
    sha = sha256(raw)
    return f"files/{sha[:2]}/{sha}"


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


MANIFEST = f"artifacts/{PRINT[:2]}/{PRINT}.json"


def make(
    store: Store, files: dict[str, bytes] | None = None, ingredients: dict[str, Any] = INGREDIENTS
) -> Artifact:
    with store.making("step", digest(ingredients), ingredients) as out:
        for name, raw in (FILES if files is None else files).items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(raw)
    found = store.get(digest(ingredients))
    assert found is not None
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def mine(tmp_path: Path) -> Store:
    return Store(tmp_path / "mine")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("mine", "other", "third"):
        (tmp_path / name).mkdir()


def opened(url: str) -> RemoteStore:
    one = RemoteStore(url)
    one.open()
    return one


def nothing_here(store: Store) -> None:
    assert store.get(PRINT) is None
    assert not [*store.root.glob("artifacts/*/*")] and not [*store.root.glob("tmp/*")]
    assert not [*store.root.glob("quarantine/*")]


def test_what_is_put_there_is_brought_byte_for_byte(place: str, mine: Store, other: Store) -> None:
    there, artifact = opened(place), make(mine)
    assert not there.bring(other, PRINT) and there.has([PRINT]) == set()
    there.put(artifact)
    moved: list[tuple[int, int]] = []
    fresh = opened(place)
    assert fresh.has([PRINT, "0" * 64]) == {PRINT}
    assert fresh.bring(other, PRINT, lambda done, of: moved.append((done, of)))
    assert moved == [(n, 4) for n in range(5)]
    assert (came := other.get(PRINT)) is not None
    assert content(came.path) == content(artifact.path)
    assert all(not p.stat().st_mode & 0o222 for p in map(came.file, FILES))
    assert At(place).names() == {"mirepoix.json", MANIFEST, *map(named, FILES.values())}
    assert json.loads(At(place)["mirepoix.json"]) == {"artifact_store": 1}


def test_what_several_have_is_there_once(place: str, mine: Store) -> None:
    there = opened(place)
    there.put(make(mine, {"a": b"same", "b": b"same", "c": b"c"}))
    there.put(make(mine, {"d": b"same"}, {"n": 2}))
    assert len([n for n in At(place).names() if n.startswith("files/")]) == 2


def test_each_object_is_sent_once(place: str, mine: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that write the same one at once are more than some servers take."""
    sent: list[str] = []
    put = ObjectStore.put

    def noted(self: ObjectStore, name: str, what: Path | bytes) -> None:
        sent.append(name)
        put(self, name, what)

    there = opened(place)
    monkeypatch.setattr(ObjectStore, "put", noted)
    there.put(artifact := make(mine, {str(n): b"same" for n in range(20)}))
    there.put(artifact)
    assert sent == [named(b"same"), MANIFEST]


def test_each_object_is_brought_once(
    place: str, mine: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a": b"same", "b/c": b"same", "d": b"other", "b/e": b"same"}
    opened(place).put(make(mine, files))
    got: list[str] = []
    get = ObjectStore.get

    def noted(self: ObjectStore, name: str, into: Path, sha256: str) -> bool:
        got.append(name)
        return get(self, name, into, sha256)

    monkeypatch.setattr(ObjectStore, "get", noted)
    assert opened(place).bring(other, PRINT) and (came := other.get(PRINT)) is not None
    assert sorted(got) == sorted([named(b"same"), named(b"other")])
    assert {n: came.file(n).read_bytes() for n in files} == files


def test_an_artifact_without_files(place: str, mine: Store, other: Store) -> None:
    opened(place).put(make(mine, {}))
    assert opened(place).bring(other, PRINT) and other.get(PRINT) is not None


def all_replaced(at: At) -> None:
    for raw in FILES.values():
        at[named(raw)] = b"x" * len(raw)


DAMAGES: dict[str, Callable[[At], Any]] = {
    "another byte": lambda at: at.__setitem__(named(b"bbbb"), b"bbbx"),
    "shorter": lambda at: at.__setitem__(named(b"bbbb"), b"bbb"),
    "longer": lambda at: at.__setitem__(named(b"bbbb"), b"bbbbb"),
    "empty": lambda at: at.__setitem__(named(b"bbbb"), b""),
    "missing": lambda at: at.__delitem__(named(b"bbbb")),
    "all, as long as they were": lambda at: all_replaced(at),
    "its manifest, cut": lambda at: at.__setitem__(MANIFEST, at[MANIFEST][:-9]),
    "its manifest, empty": lambda at: at.__setitem__(MANIFEST, b""),
    "its manifest, of a later version": lambda at: at.__setitem__(
        MANIFEST, at[MANIFEST].replace(b'"version": 2', b'"version": 3')
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_damaged_there_is_said_and_mended(place: str, mine: Store, other: Store, case: str) -> None:
    opened(place).put(make(mine))
    DAMAGES[case](At(place))
    there = opened(place)
    with pytest.raises(Damaged) as said:
        there.bring(other, PRINT)
    if "manifest" in case:
        assert str(said.value) == "its manifest is damaged, or of a later version"
    elif "all" not in case:
        assert str(said.value) == f"sub/b.txt is {'missing' if case == 'missing' else 'damaged'}"
    nothing_here(other)
    there.put(make(other))
    for raw in FILES.values():
        assert At(place)[named(raw)] == raw
    third = Store(other.workspace.parent / "third")
    assert opened(place).bring(third, PRINT)
    assert third.get(PRINT) is not None


def test_a_folder_where_a_file_should_be(place: str, mine: Store, other: Store) -> None:
    opened(place).put(make(mine))
    del At(place)[named(b"bbbb")]
    At(place)[named(b"bbbb") + "/x"] = b"x"
    with pytest.raises(Damaged, match=r"sub/b\.txt is missing"):
        opened(place).bring(other, PRINT)
    del At(place)[MANIFEST]
    At(place)[f"{MANIFEST}/x"] = b"x"
    assert not opened(place).bring(other, PRINT)
    nothing_here(other)


def manifest(**changed: Any) -> bytes:
    """A manifest whose statement is of its files, whatever those are."""
    files = changed.pop("files", {"a.txt": sha256(b"aaaa")})
    of = {"step": "step", "fingerprint": PRINT, "ingredients": INGREDIENTS} | changed
    said = stated(of["step"], of["fingerprint"], of["ingredients"], files, {}, {})
    whole = {"version": 2, **of, "files": files, "statement": msgspec.to_builtins(said)}
    return json.dumps(whole).encode()


SHA = sha256(b"aaaa")
HOSTILE = {
    "out of the folder": manifest(files={"../../x": SHA}),
    "out of it on the way": manifest(files={"sub/../../x": SHA}),
    "absolute": manifest(files={"/tmp/mirepoix-test-x": SHA}),
    "the folder": manifest(files={".": SHA}),
    "no name": manifest(files={"": SHA}),
    "the manifest": manifest(files={"manifest.json": SHA}),
    "the manifest, otherwise": manifest(files={"./manifest.json": SHA}),
    "a file that is a folder": manifest(files={"a": SHA, "a/b": SHA}),
    "the manifest as a folder": manifest(files={"manifest.json/a": SHA}),
    "a name twice": manifest(files={"a": SHA, "./a": SHA}),
    "a name that ends": manifest(files={"a\0b": SHA}),
    "a name too long": manifest(files={"a" * 300: SHA}),
    "a digest that leads away": manifest(files={"a": "../../../../../../etc/passwd"}),
    "a digest that is none": manifest(files={"a": ""}),
    "of another": manifest(fingerprint="0" * 64),
    "of other ingredients": manifest(ingredients={"n": 2}),
    "of another, whole": manifest(ingredients={"n": 2}, fingerprint=digest({"n": 2})),
    "deep": b'{"version": 1, "step": "s", "fingerprint": "", "files": {}, "ingredients": '
    + b'{"a": ' * 20_000
    + b"1"
    + b"}" * 20_001,
    "no JSON": b"\x89PNG",
    "JSON of something else": b"[1, 2]",
}


def test_what_is_not_hostile_is_taken(place: str, other: Store) -> None:
    opened(place)
    At(place)[named(b"aaaa")] = b"aaaa"
    At(place)[MANIFEST] = manifest()
    assert opened(place).bring(other, PRINT)
    assert (came := other.get(PRINT)) is not None and came.file("a.txt").read_bytes() == b"aaaa"


@pytest.mark.parametrize("case", HOSTILE)
def test_manifests_that_are_hostile(place: str, mine: Store, other: Store, case: str, tmp_path: Path) -> None:
    there = opened(place)
    At(place)[named(b"aaaa")] = b"aaaa"
    At(place)[MANIFEST] = HOSTILE[case]
    other.folder("tmp")
    before = {p for p in tmp_path.rglob("*") if "locks" not in p.parts}
    with pytest.raises(Damaged, match="its manifest is"):
        there.bring(other, PRINT)
    assert {p for p in tmp_path.rglob("*") if "locks" not in p.parts} == before
    assert not Path("/tmp/mirepoix-test-x").exists()
    nothing_here(other)
    there.put(make(other))
    assert opened(place).bring(mine, PRINT) and mine.get(PRINT) is not None


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"artifact_store": 2}', "is of a later version of mirepoix"),
        (b'{"artifact_store": 2, "packed": "zstd"}', "is of a later version of mirepoix"),
        (b"", "holds no artifacts: its mirepoix.json is none of mirepoix; name another place"),
        (b"{", "holds no artifacts"),
        (b"[1]", "holds no artifacts"),
        (b'{"artifact_store": "1"}', "holds no artifacts"),
        (b'{"artifact_store": 0}', "holds no artifacts"),
        (b'{"version": 1}', "holds no artifacts"),
        (b"\xff\xfe", "holds no artifacts"),
        (b'{"a": ' * 20_000, "holds no artifacts"),
    ],
)
def test_places_of_something_else_are_left_alone(place: str, raw: bytes, says: str) -> None:
    At(place)["mirepoix.json"] = raw
    with pytest.raises(UsageError, match=says) as error:
        opened(place)
    assert str(error.value).startswith("artifact_store: ") and "\n" not in str(error.value)
    assert At(place).names() == {"mirepoix.json"} and At(place)["mirepoix.json"] == raw


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rel/path", "'rel/path': artifacts are kept below an absolute path, or in abfs://"),
        ("./x", "below an absolute path"),
        (" ", "below an absolute path"),
        ("://x", "below an absolute path"),
        ("file://rel/x", "'file://rel/x' is no absolute path"),
        ("~no-such-user/x", "'~no-such-user/x': nobody's home is known by that name"),
        ("s3://b/x\n", r"'s3://b/x\n' holds what is no letter of an address"),
        ("local://x", "'local://x' is no absolute path"),
        ("FILE://x", "'FILE://x' is no absolute path"),
        ("http://127.0.0.1:9/x", "below an absolute path"),
        ("file::s3://bucket/x", "below an absolute path"),
        ("simplecache::file:///x", "below an absolute path"),
        ("s3://me:secret@bucket/x", "an address may not hold a password"),
        ("s3://me:secret@bucket", "an address may not hold a password"),
        ("s3://me:secret@[bucket?x", "an address may not hold a password"),
    ],
)  # fmt: skip
def test_addresses_that_are_none(
    url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = [*tmp_path.rglob("*")]
    with pytest.raises(UsageError) as error:
        RemoteStore(url)
    assert str(error.value).startswith("artifact_store: ") and says in str(error.value)
    assert "secret" not in str(error.value) and [*tmp_path.rglob("*")] == before


@pytest.mark.parametrize("url", ["s3://", "s3:///", "S3://"])
def test_an_address_without_a_bucket(url: str) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    with pytest.raises(UsageError, match=r"names no bucket: s3://BUCKET/FOLDER"):
        RemoteStore(url)


@pytest.mark.parametrize("address", ["memory://[x/y", "memory://x:y/a@b", "memory://x]/#:@"])
def test_addresses_that_look_like_others(address: str) -> None:
    opened(address)
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("tail", ["/", "//", "/with a space", "/ünï ✓", "/a%20b#c?d"])
def test_addresses_of_all_kinds(place: str, tail: str, mine: Store, other: Store) -> None:
    if place.startswith("/"):
        Path(place + tail).mkdir(exist_ok=True)
    opened(place + tail).put(make(mine))
    assert opened((place + tail).rstrip("/")).bring(other, PRINT) and other.get(PRINT) is not None


def test_from_home_on(mine: Store, other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "place").mkdir()
    opened("~/place").put(make(mine))
    assert opened(str(tmp_path / "place")).bring(other, PRINT)


def test_a_scheme_in_capitals(mine: Store, other: Store, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    opened(f"FILE://{tmp_path}/place").put(make(mine))
    assert opened(f"file://{tmp_path}/place").bring(other, PRINT)


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        StepError, match=r"artifact_store: .*mirepoix.json cannot be read: NotADirectoryError"
    ):
        opened(str(tmp_path / "file"))


def test_what_a_driver_says_besides_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some log the traceback of what they raise, and Python writes that where nobody has asked for it."""
    memory = type(fsspec.filesystem("memory"))
    driver = logging.getLogger(memory.__module__.partition(".")[0])

    def failing(*args: Any, **kwargs: Any) -> None:
        try:
            raise OSError("Parameter validation failed:\nInvalid bucket name\nmore")
        except OSError:
            driver.exception("out of retries")
            raise

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(memory, "info", failing)
    with pytest.raises(StepError) as error:
        opened("memory://place")
    assert capsys.readouterr().err == ""
    assert str(error.value) == (
        "artifact_store: memory://place: mirepoix.json cannot be read: "
        "OSError: Parameter validation failed: Invalid bucket name"
    )


def test_errors_in_a_sentence() -> None:
    for said, words in (("", "OSError"), ("\n a \n b", "OSError: a"), ("a:\n\n b\nc", "OSError: a: b")):
        assert objectstore._short(OSError(said)) == words
    assert len(objectstore._short(OSError("x" * 999))) < 250


def refusing(monkeypatch: pytest.MonkeyPatch, *names: str) -> Callable[[], None]:
    """From now on the place does not do that; until the function is called."""
    patch = pytest.MonkeyPatch()

    def no(self: ObjectStore, name: str, *_: Any) -> Any:
        with self._doing(name, "read" if "put" not in names else "written"):
            raise PermissionError("Access Denied")

    for name in names:
        patch.setattr(ObjectStore, name, no)
    return patch.undo


def test_who_may_only_read(place: str, mine: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    undo = refusing(monkeypatch, "put")
    try:
        with pytest.raises(
            StepError, match=r"mirepoix.json cannot be written: PermissionError: Access Denied"
        ):
            opened(place)  # which has no mirepoix.json
    finally:
        undo()
    opened(place).put(make(mine))
    undo = refusing(monkeypatch, "put")
    try:
        assert opened(place).bring(other, PRINT)
    finally:
        undo()


def test_a_place_that_does_not_answer(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    over, asked = threading.Event(), []

    def silent(self: ObjectStore, name: str = "") -> int | None:
        asked.append(name)
        over.wait()
        return None

    monkeypatch.setattr("runner.store.remote.ANSWERS", 0.5)
    monkeypatch.setattr(ObjectStore, "size", silent)
    monkeypatch.setattr(ObjectStore, "put", lambda *_: None)
    try:
        with pytest.raises(StepError, match=r"place has not answered for \d+ seconds"):
            opened(place)
        assert asked == ["mirepoix.json"]
    finally:
        over.set()


def test_no_room_here(place: str, mine: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no fault of the place."""
    opened(place).put(make(mine))
    there = opened(place)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(there._place._fs), "get_file", full)
    with pytest.raises(
        StepError, match=r"cannot be brought here: OSError: \[Errno 28\] No space left on device"
    ):
        there.bring(other, PRINT)
    nothing_here(other)


def test_many_at_once(place: str, tmp_path: Path) -> None:
    """Each has its own workspace, and makes the same."""
    stores = [Store(tmp_path / f"w{n}") for n in range(6)]
    start = threading.Barrier(len(stores))

    def one(store: Store) -> None:
        store.workspace.mkdir()
        artifact = make(store)
        start.wait()
        opened(place).put(artifact)

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(one, stores))
    assert At(place).names() == {"mirepoix.json", MANIFEST, *map(named, FILES.values())}
    takers = [Store(tmp_path / f"t{n}") for n in range(4)]

    def take(store: Store) -> bool:
        store.workspace.mkdir()
        return opened(place).bring(store, PRINT) and store.get(PRINT) is not None

    at_once = (
        1 if place.startswith("memory") else len(takers)
    )  # there a file has one position for all who read it
    with ThreadPoolExecutor(at_once) as pool:
        assert all(pool.map(take, takers))


# What a run does


def recipe(*words: Any, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def run(home: Path, code: int = 0) -> str:
    return recipe("run", home / "r.yaml", "--to", "prepare", "--workspace", home, code=code).stderr


def told(said: str, what: str) -> list[str]:
    return [line.split()[1] for line in said.splitlines() if line.startswith(f"  {what}")]


@pytest.fixture
def home(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE", place)
    return workspace(tmp_path / "home")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return workspace(tmp_path / "there")


def artifacts(home: Path) -> dict[str, bytes]:
    return content(home / ".mirepoix/artifacts")


def test_another_workspace_takes_all(home: Path, there: Path) -> None:
    assert told(run(home), "made") == STEPS
    said = run(there)
    assert told(said, "got") == STEPS and not told(said, "made")
    assert artifacts(there) == artifacts(home)
    assert content(there / "runs/t/data") == content(home / "runs/t/data")
    assert "kept  4 steps" in run(there)


def test_a_step_whose_artifact_is_damaged_here_is_taken_again(home: Path) -> None:
    run(home)
    path = next((home / ".mirepoix/artifacts").rglob("records.jsonl"))
    path.chmod(0o644)
    path.write_bytes(b"{}")
    assert told(run(home), "got") == ["source.talk"]


def test_what_is_damaged_there_is_made_here_and_mended(home: Path, there: Path, place: str) -> None:
    run(home)
    raw = (home / "runs/t/data/train.jsonl").read_bytes()
    At(place)[named(raw)] = raw[:-1]
    said = run(there)
    assert told(said, "got") == STEPS[:-1] and told(said, "made") == ["split"]
    assert "has of it is of no use: data/train.jsonl is damaged; it is made here" in said
    assert At(place)[named(raw)] == raw


def test_a_place_that_cannot_be_read_any_more(
    home: Path, there: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step would wait for it."""
    run(home)
    tried: list[str] = []
    bring = RemoteStore.bring

    def noted(self: RemoteStore, store: Store, fingerprint: str, *moves: Any) -> bool:
        tried.append(fingerprint)
        return bring(self, store, fingerprint, *moves)

    def gone(self: ObjectStore, name: str, into: Path, sha256: str) -> bool:
        raise StepError("artifact_store", f"{place} is gone")

    monkeypatch.setattr(RemoteStore, "bring", noted)
    monkeypatch.setattr(ObjectStore, "get", gone)
    said = run(there)
    assert told(said, "made") == STEPS and not told(said, "got")
    assert said.count("is gone; it is made here") == syncing.PATIENCE == len(tried)
    assert said.count("and nothing more is looked for there") == 1
    mine, theirs = (
        {n: b for n, b in artifacts(w).items() if not n.endswith("manifest.json")} for w in (home, there)
    )
    assert theirs == mine


def test_a_place_that_is_gone_for_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After what could not be put, one look is enough."""
    gone, looked = threading.Event(), []
    size = ObjectStore.size

    def no_size(self: ObjectStore, name: str = "") -> int | None:
        if gone.is_set():
            looked.append(name)
            raise StepError("artifact_store", "it is gone")
        return size(self, name)

    def no_put(self: RemoteStore, artifact: Artifact, *moves: Any) -> None:
        gone.set()
        raise StepError("artifact_store", "it is gone")

    monkeypatch.setattr(ObjectStore, "size", no_size)
    monkeypatch.setattr(RemoteStore, "put", no_put)
    said = run(home, code=3)
    assert told(said, "made") == STEPS and len(looked) == 1
    assert said.count("it is made here") == said.count("and nothing more is looked for there") == 1
    assert "so source.talk, filter, mix, split could not be put there" in said


def test_a_place_that_cannot_be_looked_through(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any work that ends the run; later, not."""
    size = ObjectStore.size

    def gone(self: ObjectStore, name: str = "") -> int | None:
        if name.startswith("artifacts/"):
            raise StepError("artifact_store", "it is gone")
        return size(self, name)

    monkeypatch.setattr(ObjectStore, "size", gone)
    assert run(home, code=3) == "error: artifact_store: it is gone\n"
    assert not artifacts(home)
    monkeypatch.undo()


def test_a_place_that_cannot_be_written_to_any_more(
    home: Path, there: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    put = ObjectStore.put

    def full(self: ObjectStore, name: str, what: Path | bytes) -> None:
        if len(asked) < 3:
            put(self, name, what)
        asked.append(name)
        if len(asked) > 3:
            raise StepError("artifact_store", "it is full")

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", full)
        patch.setattr("runner.objectstore._AT_ONCE", 1)
        said = run(home, code=3)
    assert told(said, "made") == STEPS
    assert said.endswith(
        "error: artifact_store: it is full; so source.talk, filter, mix, split could not be put there. "
        "All of it is here, whole: run this again to put it\n"
    )
    assert (home / "runs/t/data/train.jsonl").is_file()
    assert not [n for n in At(place).names() if n.startswith("artifacts/")]  # nothing half
    assert "kept  4 steps" in run(home)
    assert told(run(there), "got") == STEPS


def test_replay_takes_nothing_from_there(home: Path, place: str) -> None:
    """It makes all anew, to compare; and what it makes goes nowhere."""
    run(home)
    before = At(place).names()
    for name in before - {"mirepoix.json"}:
        At(place)[name] = b"of no use"
    said = recipe("replay", "t", "--workspace", home)
    assert "of no use" not in said.output and not told(said.stderr, "got")
    assert all(At(place)[n] == b"of no use" for n in before - {"mirepoix.json"})
    assert At(place).names() == before


def test_without_the_setting_fsspec_is_not_imported(there: Path) -> None:
    code = (
        "import sys; from runner import api; "
        "api.run('r.yaml', to='prepare'); print(sorted({'fsspec', 's3fs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=there, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_digest_of_what_is_there_is_its_name(home: Path, place: str, tmp_path: Path) -> None:
    run(home)
    for name in At(place).names():
        if name.startswith("files/"):
            (path := tmp_path / "one").write_bytes(At(place)[name])
            assert name == f"files/{(sha := file_digest(path))[:2]}/{sha}"


def test_the_workspace_s_own_store_is_no_other_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(home, code=0)
    before = content(home / ".mirepoix")
    for place in (home / ".mirepoix", home / ".mirepoix/x", home / "link"):
        (home / "link").unlink(missing_ok=True)
        (home / "link").symlink_to(home / ".mirepoix")
        monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE", str(place))
        assert "lies in the workspace's own store; name another place" in run(home, code=2)
    after = content(home / ".mirepoix")
    assert {n for n in after if not n.endswith(".now")} == {n for n in before if not n.endswith(".now")}


def test_what_is_only_taken_from_is_never_written_to(
    home: Path, there: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it an error that something could not be put."""
    monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE_PUT", "no")
    assert told(run(home), "made") == STEPS and At(place).names() == set()
    monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE_PUT", "yes")
    run(there)
    before = {name: At(place)[name] for name in At(place).names()}
    shutil.rmtree(home / ".mirepoix")
    monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE_PUT", "no")
    assert told(run(home), "got") == STEPS
    assert {name: At(place)[name] for name in At(place).names()} == before
    monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE_PUT", "maybe")
    assert "the setting artifact_store_put must be yes or no, not 'maybe'" in run(home, code=2)
