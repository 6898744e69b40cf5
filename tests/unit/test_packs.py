"""A recipe packed: what goes along under which names, the same bytes for the same files, and what must not go along."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli
from runner.load import load_recipe
from runner.oci import bringing, layout, manifest, names
from runner.oci.manifest import Contents
from runner.oci.reference import parse
from runner.workspace import Workspace

SECRET = "hf_canaryOfAPack42xyz"
RECIPE = """\
recipe: 1
name: t
description: A | *small* one.
extends: ../parts/b.yaml
sources:
  - jsonl: {files: [data/*.jsonl]}
    name: talk
    license: CC0-1.0
"""


def talk(n: int = 8) -> str:
    rows = (
        [
            {"role": "user", "content": f"What is {i}?"},
            {"role": "assistant", "content": f"It is {i}, as you say."},
        ]
        for i in range(n)
    )
    return "".join(json.dumps({"messages": row}) + "\n" for row in rows)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a recipe of three files, a suite of its own, and a secret in the user's environment."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    home = tmp_path / "work"
    for name, text in {
        "recipes/r.yaml": RECIPE,
        "parts/b.yaml": "extends: base/smollm2-135m.yaml\nevaluate: {suites: [mine], gates: [mine.valid_call >= 0.5]}\n",
        "data/a.jsonl": talk(),
        "evals/suites/mine.yaml": "suite: 1\nname: mine\nprobes: probes/weather-calls.jsonl\njudge: {tool_use: {}}\n",
        ".env": f"HF_TOKEN={SECRET}\n",
        "other/not-of-it.txt": "x",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def recipe(*words: Any, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done


def pack(place: Path, out: Path, *more: Any, code: int = 0) -> Result:
    return recipe("pack", place / "recipes/r.yaml", "--workspace", place, "--out", out, *more, code=code)


def unpacked(holder: bringing.Holder, into: Path) -> Contents:
    into.mkdir()
    contents = bringing.contents(holder)
    bringing.bring(holder, contents, into)
    return contents


def test_a_pack_is_the_same_recipe(place: Path, tmp_path: Path) -> None:
    said = json.loads(pack(place, tmp_path / "t.oci.tar", "--json").stdout)
    contents = unpacked(layout.Archive(tmp_path / "t.oci.tar"), tmp_path / "there")
    there = {f.name for f in contents.files}
    assert there == {
        "README.md", "recipes/r.yaml", "parts/b.yaml", "parts/base/smollm2-135m.yaml", "data/a.jsonl",
        "evals/suites/mine.yaml", "evals/probes/weather-calls.jsonl",
    }  # fmt: skip
    assert said["digest"] == f"sha256:{contents.digest}" and set(said["files"]) == there
    here = load_recipe(place / "recipes/r.yaml", Workspace(place))
    again = load_recipe(tmp_path / "there/recipes/r.yaml", Workspace(tmp_path / "there"))
    assert again.document.data == here.document.data and again.recipe == here.recipe
    who = [{key: Path(v).name for key, v in one.who.items()} for one in (here, again)]
    assert who[0] == who[1] and "b.yaml:2" in who[0].values()
    card = (tmp_path / "there/README.md").read_text()
    assert (
        "A \\| \\*small\\* one." in card
        and "CC0-1.0: talk" in card
        and "mine.valid_call" in card.replace("\\", "")
    )


def test_the_command_that_goes_on_is_one_command(place: Path, tmp_path: Path) -> None:
    """Whoever packed a recipe chose its file's name, and what is said is there to be pasted into a shell."""
    name = "recipes/a;touch $(id) #.yaml"
    (place / "recipes/r.yaml").rename(place / name)
    recipe("pack", place / name, "--workspace", place, "--out", tmp_path / "p.tar")
    folder = tmp_path / "a new folder"
    said = recipe("pull", tmp_path / "p.tar", "--to", folder).stdout
    words = shlex.split(said.rpartition("go on: ")[2])
    assert words == ["cd", str(folder), "&&", "recipe", "check", name]
    typed = [x[2:] for x in (folder / "README.md").read_text().splitlines() if x.startswith("$ ")]
    assert [shlex.split(x, comments=True) for x in typed] == [
        ["recipe", verb, name] for verb in ("check", "run")
    ]


def test_a_full_disk_is_said_of_what_was_asked_for(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(place, tmp_path / "p.tar")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    said = recipe("pull", tmp_path / "p.tar", "--to", tmp_path / "new", code=3).stderr
    assert said.startswith("error: pull: ") and "1.0 kB are free" in said
    assert pack(place, tmp_path / "q.tar", code=3).stderr.startswith("error: pack: ")
    assert not (tmp_path / "new").exists() and not (tmp_path / "q.tar").exists()


def test_the_same_files_are_the_same_bytes(place: Path, tmp_path: Path) -> None:
    first = pack(place, tmp_path / "a.tar").stdout.splitlines()[-1]
    copy = tmp_path / "elsewhere"
    shutil.copytree(place, copy)
    os.utime(copy / "data/a.jsonl", (1, 1))
    (copy / "recipes/r.yaml").chmod(0o600)
    time.sleep(0.01)
    assert pack(copy, tmp_path / "b.tar").stdout.splitlines()[-1] == first
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert pack(copy, tmp_path / "folder").stdout.splitlines()[-1] == first
    raw = layout.Folder(tmp_path / "folder").manifest()
    assert raw == layout.Archive(tmp_path / "a.tar").manifest()
    assert first == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    (copy / "data/a.jsonl").write_text(talk(9))
    assert (
        pack(copy, tmp_path / "b.tar").stdout.splitlines()[-1] != first
    )  # another pack is taken the place of


def test_a_shipped_recipe_is_packed_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe("pack", "quickstart.yaml")
    contents = unpacked(layout.Archive(tmp_path / "quickstart.oci.tar"), tmp_path / "there")
    assert {"quickstart.yaml", "base/smollm2-135m.yaml"} < {f.name for f in contents.files}
    recipe("check", "there/quickstart.yaml", "--workspace", "there")


def test_what_is_in_the_way_stays(place: Path, tmp_path: Path) -> None:
    for name in ("mine.tar", "folder"):
        path = tmp_path / name
        if path.suffix:
            path.write_text("not a pack")
        else:
            path.mkdir()
            (path / "letter.txt").write_text("mine")
        assert "is no pack" in pack(place, path, code=2).stderr
    assert (tmp_path / "mine.tar").read_text() == "not a pack"
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["letter.txt"]
    (tmp_path / "link.tar").symlink_to(tmp_path / "nowhere")
    assert "is no pack" in pack(place, tmp_path / "link.tar", code=2).stderr


def says(data: str) -> Callable[[Path], Any]:
    return lambda p: (p / "recipes/r.yaml").write_text(RECIPE.replace("data/*.jsonl", data))


def told(path: str, text: bytes) -> Callable[[Path], Any]:
    return lambda p: (p / path).write_bytes(text)


def linked(p: Path) -> None:
    (p / "data/a.jsonl").rename(p / "other/a.jsonl")
    (p / "data/a.jsonl").symlink_to(p / "other/a.jsonl")


def folder_linked(p: Path) -> None:
    (p / "data").rename(p / "letters")
    (p / "data").symlink_to("letters")


ROW = talk(1).encode()
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a secret": (told("data/b.jsonl", ROW.replace(b"as you say", SECRET.encode())), "data/b.jsonl holds one of your secrets"),
    "a secret, URL-encoded": (told("data/b.jsonl", ROW.replace(b"as you", SECRET.encode().hex().encode())), "data/b.jsonl holds"),
    "a secret in a packed file": (
        lambda p: (says("data/*")(p), told("data/b.jsonl.gz", gzip.compress(talk(99).replace("98", SECRET).encode()))(p)),
        "data/b.jsonl.gz holds one of your secrets"),
    "a secret in a part": (
        lambda p: (p / "parts/b.yaml").write_text((p / "parts/b.yaml").read_text() + f"description: {SECRET}\n"), "parts/b.yaml holds"),
    "a hidden file": (
        lambda p: (says("data/.hidden.jsonl")(p), told("data/.hidden.jsonl", ROW)(p)), "data/.hidden.jsonl: is a hidden file"),
    "a link": (linked, "data/a.jsonl: is a link"),
    "a folder that is a link": (folder_linked, "data/a.jsonl: is a link"),
    "a name that means another": (
        lambda p: told("data/A.jsonl", ROW)(p), "names that mean the same on some machines"),
    "control characters": (lambda p: told("data/\x07.jsonl", ROW)(p), "characters that cannot be seen"),
    "the card's own name": (
        lambda p: (p / "recipes/r.yaml").write_text(RECIPE.replace("jsonl: {files: [data/*.jsonl]", "files: {files: [README.md]")) and
        told("README.md", b"a text of some words\n")(p), "README.md: the pack's own"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_never_goes_along(case: str, place: Path, tmp_path: Path) -> None:
    change, says = REFUSED[case]
    change(place)
    done = recipe(
        "pack",
        place / "recipes/r.yaml",
        "--workspace",
        place,
        "--out",
        tmp_path / "t.tar",
        code=3 if "mean" in says else 2,
    )
    assert says in done.stderr and SECRET not in done.output
    assert not [p for p in tmp_path.iterdir() if p != place]


def test_what_lies_outside_is_not_packed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text(talk())
    says(str(tmp_path / "out.jsonl"))(place)
    pack(place, tmp_path / "t.tar", code=4)
    assert "the workspace alone" in pack(place, tmp_path / "t.tar", "--trust", "paths", code=2).stderr
    (tmp_path / "top.yaml").write_text(RECIPE.replace("../parts/b.yaml", "work/parts/b.yaml"))
    done = recipe(
        "pack",
        place / "recipes/r.yaml",
        "--workspace",
        place / "recipes",
        "--out",
        tmp_path / "t.tar",
        code=4,
    )
    assert "outside the workspace" in done.stderr
    assert not (tmp_path / "t.tar").exists()


def test_large_files_stay_behind_and_are_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "SMALL", 45_000)
    (place / "data/b.jsonl").write_text(talk(600))
    pack(place, tmp_path / "t.tar")
    unpacked(layout.Archive(tmp_path / "t.tar"), tmp_path / "there")
    sha256 = hashlib.sha256((place / "data/b.jsonl").read_bytes()).hexdigest()
    assert f"- `data/b.jsonl`, sha256 `{sha256}`" in (tmp_path / "there/README.md").read_text()
    assert not (tmp_path / "there/data/b.jsonl").exists()
    holder = layout.Archive(tmp_path / "t.tar")
    assert bringing.config(holder, bringing.contents(holder)).left_out == {"data/b.jsonl": sha256}


def test_a_lock_goes_along_while_it_is_true(place: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("extends: ../parts/b.yaml\n", "")
    (place / "recipes/r.yaml").write_text(text)
    recipe("lock", place / "recipes/r.yaml", "--workspace", place)
    assert "recipes/r.lock" in pack(place, tmp_path / "t.tar").stdout
    (place / "data/a.jsonl").write_text(talk(3))
    assert (
        "r.lock: 1 thing is not as locked, so nothing was packed"
        in pack(place, tmp_path / "u.tar", code=2).stderr
    )
    assert not (tmp_path / "u.tar").exists()


def test_a_pattern_that_takes_the_card_means_something_else(place: Path, tmp_path: Path) -> None:
    """In the folder of the pack a pattern of the recipe may find more: what was packed would be another recipe."""
    (place / "recipes/r.yaml").write_text(
        RECIPE.replace("jsonl: {files: [data/*.jsonl]", "files: {files: ['*.md']")
    )
    (place / "a.md").write_text("a text of some words\n")
    done = pack(place, tmp_path / "t.tar", code=2)
    assert "in a folder of its own the recipe would mean something else: README.md" in done.stderr
    assert not (tmp_path / "t.tar").exists()


def test_rows_that_must_not_be_passed_on_are_not_pushed(place: Path, tmp_path: Path) -> None:
    (place / "recipes/r.yaml").write_text(RECIPE.replace("CC0-1.0", "All rights reserved"))
    pack(place, tmp_path / "t.tar")
    for what in (tmp_path / "t.tar", place / "recipes/r.yaml"):
        push = ("push", what, "--workspace", place, "--to", tmp_path / f"to-{what.name}")
        assert "not pushed: talk: 'All rights reserved' forbids it" in recipe(*push, code=2).stderr
        assert not (tmp_path / f"to-{what.name}").exists()
        recipe(*push, "--licence-ok")
    for words in (("--as", "adapter"), ("--private",)):
        assert "are of a run that goes to a hub" in recipe(*push, *words, code=2).stderr


def test_what_fsspec_opens(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    digest = pack(place, tmp_path / "t.oci.tar").stdout.splitlines()[-1]
    for to in ("memory://packs-of-a-test/t", "memory://packs-of-a-test/t.tar", f"file://{tmp_path}/stored"):
        recipe("push", tmp_path / "t.oci.tar", "--to", to)
        there = tmp_path / f"there-{len(to)}"
        assert digest in recipe("pull", to, "--to", there).stdout
        assert (there / "data/a.jsonl").read_bytes() == (place / "data/a.jsonl").read_bytes()
    recipe("push", tmp_path / "t.oci.tar", "--to", "memory://packs-of-a-test/t")  # it is there already
    (place / "data/a.jsonl").write_text(talk(3))
    pack(place, tmp_path / "u.tar")
    for to in ("memory://packs-of-a-test/t", "memory://packs-of-a-test/t.tar"):
        assert "already" in recipe("push", tmp_path / "u.tar", "--to", to, code=2).stderr
    assert digest in recipe("pull", "memory://packs-of-a-test/t").stdout


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", ".env", "a/.git/config", "a\\b", "c:x", "a\nb", "a\u202eb",
     "con", "a/NUL.txt", "a ", "a.", "x" * 300, "/".join("abcdefghijklmnopq"), "w.pkl", "a/b.PT", "x.bin", "run.py", "a.so", "a\udcffb",
     "a.ipynb", "a.rb", "a.desktop", "a.lnk"],
)  # fmt: skip
def test_names_that_no_pack_has(name: str) -> None:
    assert names.wrong(name)


def test_names_that_a_pack_may_have() -> None:
    for name in (
        "README.md",
        "data/über Röslein.jsonl",
        "evals/tasks/a.yaml",
        "adapter/adapter_model.safetensors",
        "a/b.c.d",
    ):
        assert not names.wrong(name), name
    assert (
        names.clash(["a/b", "A/c"])
        and names.clash(["a", "a/b"])
        and names.clash(["ﬁ.txt", "fi.txt"])
        and names.clash(["a", "a"])
    )
    assert not names.clash(["a/b", "a/c", "ab"])


def test_references() -> None:
    one = parse("oci://ghcr.io/team/twain:v1")
    assert one and (one.host, one.name, one.tag, one.digest) == ("ghcr.io", "team/twain", "v1", "")
    pinned = parse(f"oci://127.0.0.1:5000/twain@sha256:{'a' * 64}")
    assert (
        pinned
        and pinned.here
        and pinned.digest == "a" * 64
        and str(pinned.at("b" * 64)).endswith(f"@sha256:{'b' * 64}")
    )
    for text in ("oci://x", "oci:///x", "oci://h/X:1", "oci://u:p@h/x:1", "oci://h/a/../b", "oci://h/a@sha256:12", "http://h/a:1",
                 "oci://h/a:1\n", f"oci://h/{'a' * 600}"):  # fmt: skip
        assert parse(text) is None, text
