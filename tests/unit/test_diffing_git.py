"""Revisions of git as a side of `recipe diff`: read as they were committed, and git starts nothing of a stranger's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import cli
from runner.diffing import Diff, diff, git
from runner.errors import NeedsTrust, RecipeError, UsageError
from runner.workspace import Workspace

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
RECIPE = """\
recipe: 1
name: r
extends: parts/base.yaml
sources:
  - jsonl: {files: ["talk/*.jsonl"]}
    name: talk
"""
SUITE = "suite: 1\nname: few\nprobes: probes/few.jsonl\njudge: {tool_use: {}}\nmax_new_tokens: 40\n"
MODEL = "model: {base: org/tiny, template: chatml-tools}\nevaluate: {suites: [few]}\n"


def row(n: int) -> str:
    said = [("user", f"Say {n}, please."), ("assistant", f"It is {n * 7}, then.")]
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in said]}) + "\n"


def probe(n: int, asked: str = "What is it?") -> str:
    return (
        json.dumps({"id": f"p{n}", "messages": [{"role": "user", "content": asked}], "expect": {"calls": []}})
        + "\n"
    )


def ask(folder: Path, *arguments: str) -> str:
    """The git of whoever made the repository."""
    of = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    of |= {
        f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    argv = ["git", "-c", "init.defaultBranch=main", "-C", str(folder), *arguments]
    return subprocess.run(
        argv, env=os.environ | of, check=True, capture_output=True, text=True
    ).stdout.strip()


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose workspace is its folder `w`: one commit, tagged v1."""
    top = tmp_path / "repo"
    root = top / "w"
    put(
        root,
        **{
            "r.yaml": RECIPE,
            "parts/base.yaml": "filters:\n  - words: {min: 1}\n",
            "talk/a.jsonl": "".join(map(row, range(5))),
            "evals/suites/few.yaml": SUITE,
            "evals/probes/few.jsonl": probe(1) + probe(2),
            ".gitignore": "own/\n",
        },
    )
    ask(tmp_path, "init", "-q", str(top))
    ask(top, "add", ".")
    ask(top, "commit", "-qm", "one")
    ask(top, "tag", "v1")
    monkeypatch.chdir(root)
    return root


def found(root: Path, first: str, second: str | None = None) -> Diff:
    return diff(first, second, Workspace(root))


def told(of: Diff) -> list[tuple[object, ...]]:
    return [(c.key, c.a, c.b, c.set_by) for c in of.changes]


def test_a_revision_is_read_whole(home: Path) -> None:
    """What it extends, its data, its suites and their probes are those of the revision, not those of now."""
    put(home, **{"parts/base.yaml": "# other\nfilters:\n  - words: {min: 2}\n", "r.yaml": RECIPE + MODEL})
    ask(home, "commit", "-qam", "two")
    put(home, **{"evals/suites/few.yaml": SUITE.replace("40", "50")})
    put(home, **{"evals/probes/few.jsonl": probe(1, "What else?") + probe(3) + probe(4)})
    put(home, **{"talk/a.jsonl": "".join(map(row, range(1, 8))), "talk/b.jsonl": row(9)})
    one = found(home, "v1:w/r.yaml", "HEAD:./r.yaml")
    assert told(one)[0] == ("filters.words.min", 1, 2, ("v1:w/parts/base.yaml:2", "HEAD:w/parts/base.yaml:3"))
    assert {c.key for c in one.changes} == {"filters.words.min", "model", "evaluate.suites.few"}
    two = found(home, "HEAD", "r.yaml")
    assert told(two) == [
        ("suites.few.max_new_tokens", 40, 50, ("HEAD:w/evals/suites/few.yaml:5", "evals/suites/few.yaml:5"))
    ]
    by = {f.name: f for f in two.files}
    assert by.keys() == {"talk/a.jsonl", "talk/b.jsonl", "evals/probes/few.jsonl"}
    a, b, p = by["talk/a.jsonl"], by["talk/b.jsonl"], by["evals/probes/few.jsonl"]
    assert (a.of, a.added, a.removed) == ("source talk", 3, 1)
    assert a.a and a.b and (a.a.rows, a.b.rows) == (5, 7)
    assert b.a is None and b.b and b.b.rows == 1
    assert (p.of, p.added, p.removed, p.changed) == ("suite few", 2, 1, 1)
    assert p.a and p.b and p.a.ids and p.a.ids != p.b.ids
    assert [f.mirrored() for f in two.files if f.name != "talk/b.jsonl"] == [
        f for f in found(home, "r.yaml", "HEAD").files if f.name != "talk/b.jsonl"
    ]
    anew = {s.step: s.why for s in two.steps.anew}
    assert anew["source.talk"].startswith("inputs.files") and anew["filter"] == "after source.talk"


def test_a_file_alone_is_compared_with_head(home: Path) -> None:
    assert found(home, "r.yaml").same
    put(home, **{"r.yaml": RECIPE.replace("name: r", "name:   'r'  # the same")})
    same = found(home, "r.yaml")
    assert same.same and same.a.label == "HEAD:w/r.yaml" and not same.steps.anew
    put(home, **{"r.yaml": RECIPE + "seed: 3\n"})
    assert told(found(home, "r.yaml")) == [("seed", 17, 3, ("default", "r.yaml:7"))]
    assert told(found(home, "v1:w/r.yaml")) == [("seed", 17, 3, ("default", "r.yaml:7"))]
    put(home, **{"new.yaml": RECIPE})
    with pytest.raises(UsageError, match=r"not in git's HEAD, and was not run here"):
        found(home, "new.yaml")


def test_what_git_does_not_have_is_taken_as_it_is_now_and_named(home: Path) -> None:
    text = RECIPE.replace("talk/*.jsonl", "own/*.jsonl")
    put(home, **{"own/x.jsonl": row(1), "r.yaml": text})
    ask(home, "commit", "-qam", "two")
    of = found(home, "HEAD", "r.yaml")
    assert of.same and any("own/*.jsonl" in note for note in of.a.notes)
    put(home, **{"talk/a.jsonl": row(2), "r.yaml": RECIPE})
    of = found(home, "v1", "r.yaml")
    assert [(f.added, f.removed) for f in of.files] == [(0, 4)]  # not what lies there now
    assert of.a.notes == (f"v1 is {ask(home, 'rev-parse', 'v1')[:12]}",)


def test_a_recipe_that_extends_a_pinned_pack(home: Path) -> None:
    """It is looked for in the user's own store, by whatever revision names it."""
    for words in (["pack", "r.yaml", "--out", "r.oci.tar"], ["pull", "r.oci.tar", "--keep"]):
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == 0, done.output
    (digest,) = set(re.findall(r"sha256:[0-9a-f]{64}", done.output))
    put(home, **{"r.yaml": f"recipe: 1\nname: mine\nextends: oci://x.example/r@{digest}\n"})
    ask(home, "commit", "-qam", "two")
    put(home, **{"r.yaml": (home / "r.yaml").read_text() + "filters:\n  - words: {min: 3}\n"})
    of = found(home, "r.yaml")
    ((key, a, b, set_by),) = told(of)
    assert (key, a, b) == ("filters.words.min", 1, 3)
    assert (
        isinstance(set_by, tuple) and set_by[0].startswith("oci://x.example/r@") and set_by[1] == "r.yaml:5"
    )


def test_what_leads_out_is_looked_for_where_the_user_is(home: Path, tmp_path: Path) -> None:
    """Beside the folder in which a revision lies for the moment, anybody may have put anything."""
    (tmp_path / "out").mkdir()
    put(home, **{"r.yaml": RECIPE.replace("talk/*.jsonl", str(tmp_path / "out/*.jsonl"))})
    put(tmp_path, **{"out/x.jsonl": row(1)})
    ask(home, "commit", "-qam", "two")
    with pytest.raises(NeedsTrust) as caught:
        found(home, "HEAD", "r.yaml")
    assert [p.file for p in caught.value.problems] == ["HEAD:w/r.yaml", "r.yaml"]
    assert diff("HEAD", "r.yaml", Workspace(home, frozenset({"paths"}))).same
    from runner.diffing.tree import tree

    repository = git.repository(home)
    assert repository is not None
    commit = repository.commit("HEAD")
    assert commit
    with tree(repository, commit, Workspace(home, frozenset({"paths"}))) as place:
        beside = place.top.parent / f"{uuid.uuid4().hex}.jsonl"
        beside.write_text("x")
        try:
            assert place.find(f"../../{beside.name}") is None and not place.glob(f"../../{beside.name[:9]}*")
        finally:
            beside.unlink()


def test_errors_of_either_side_are_told_as_check_tells_them(home: Path) -> None:
    put(home, **{"parts/base.yaml": "filters:\n  - word: {min: 2}\n"})
    ask(home, "commit", "-qam", "two")
    put(home, **{"parts/base.yaml": "filters:\n  - words: {mini: 2}\n"})
    with pytest.raises(RecipeError) as caught:
        found(home, "HEAD:w/r.yaml", "r.yaml")
    files = [(p.file, p.line, p.where) for p in caught.value.problems]
    assert files == [
        ("HEAD:w/parts/base.yaml", 2, "filters[0].word"), ("parts/base.yaml", 2, "filters[0].words.mini"),
    ]  # fmt: skip
    assert "mirepoix-" not in str(caught.value)
    for name, what in (
        ("v2:w/r.yaml", "no revision 'v2'"), ("v1:w/s.yaml", "no 'w/s.yaml' in v1 (did you mean w/r.yaml?)"),
        ("nosuch", "no recipe, run, pack or revision 'nosuch'"), ("--help:x", "no revision '--help'"),
        ("a\0b", "no recipe, run"), ("HEAD:a\0b", "in HEAD"), (":r.yaml", "no revision ''"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as wrong:
            found(home, name, "r.yaml")
        assert what in str(wrong.value)


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_nothing_is_written_where_the_user_works(home: Path) -> None:
    os.utime(home / "r.yaml", (1, 1))  # git status would write that into the index
    put(home, **{"parts/base.yaml": "filters:\n  - words: {min: 2}\n"})
    before = everything(home.parent)
    assert found(home, "r.yaml").changes
    assert everything(home.parent) == before


@pytest.fixture
def hostile(home: Path, tmp_path: Path) -> Iterator[Path]:
    """All that a repository's own configuration and attributes could have git start; it leaves a mark if it does."""
    mark, program = tmp_path / "mark", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {mark}\ncat\n')
    program.chmod(0o755)
    top, run = home.parent, str(program)
    put(home, **{".gitattributes": "* filter=f diff=d merge=m\n", "r.yaml": RECIPE + "seed: 2\n"})
    ask(top, "add", ".")
    ask(top, "commit", "-qm", "two")
    for key, value in {
        "core.fsmonitor": run, "core.hooksPath": str(tmp_path / "hooks"), "core.pager": run, "pager.cat-file": run,
        "filter.f.smudge": run, "filter.f.clean": run, "filter.f.process": run, "diff.d.textconv": run,
        "diff.d.command": run, "diff.external": run, "core.sshCommand": run, "core.askPass": run, "gpg.program": run,
        "log.showSignature": "true", "core.alternateRefsCommand": run, "core.editor": run, "alias.cat-file": f"!{run}",
        "alias.ls-tree": f"!{run}", "alias.rev-parse": f"!{run}", "credential.helper": f"!{run}", "uploadpack.packObjectsHook": run,
        "core.repositoryFormatVersion": "1", "extensions.partialClone": "evil", "remote.evil.promisor": "true",
        "remote.evil.url": f"ext::{run} %S", "remote.evil.uploadpack": run, "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }.items():  # fmt: skip
        ask(top, "config", key, value)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in (
        "post-index-change",
        "reference-transaction",
        "post-checkout",
        "pre-auto-gc",
        "fsmonitor-watchman",
    ):
        shutil.copy(program, hooks / name)
    yield mark


def test_a_hostile_repository_starts_nothing(home: Path, hostile: Path) -> None:
    put(home, **{"r.yaml": RECIPE})
    assert told(found(home, "HEAD", "r.yaml")) == [("seed", 2, 17, ("HEAD:w/r.yaml:7", "default"))]
    assert not hostile.exists()


def test_what_is_missing_is_not_fetched(home: Path, hostile: Path) -> None:
    """A partial clone lacks files, and its configuration says by which program they are to be had."""
    id = ask(home, "rev-parse", "HEAD:w/talk/a.jsonl")
    lost = home.parent / ".git/objects" / id[:2] / id[2:]
    lost.unlink()
    with pytest.raises(UsageError, match=r"git has no bytes of a\.jsonl"):
        found(home, "HEAD", "r.yaml")
    assert not hostile.exists()


@pytest.mark.parametrize("lazy", ["0", "1"])
def test_no_way_leads_out_even_where_git_would_fetch(
    home: Path, hostile: Path, lazy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older git knows nothing of GIT_NO_LAZY_FETCH: then no protocol is allowed."""
    known = git.environment()
    monkeypatch.setattr(git, "environment", lambda: known | {"GIT_NO_LAZY_FETCH": lazy})
    test_what_is_missing_is_not_fetched(home, hostile)


def test_what_looks_at_the_index_would_start_nothing_either(home: Path, hostile: Path) -> None:
    """Our own questions do not; should one come to, the monitor and the hooks are off."""
    ask(home, "config", "--remove-section", "filter.f")  # whoever refreshes an index asks filters, too
    argv = git.argv(home, "update-index", "--refresh", "--force-write-index")
    subprocess.run(argv, env=git.environment(), check=False, capture_output=True)
    assert not hostile.exists()


def test_a_bare_repository_inside_is_not_believed(home: Path, hostile: Path) -> None:
    inner = home / "inner"
    inner.mkdir()
    ask(home, "init", "-q", "--bare", str(inner))
    with pytest.raises(UsageError, match="bare"):
        found(inner, "HEAD:w/r.yaml", str(home / "r.yaml"))


def test_without_git(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(UsageError, match="git is not installed here"):
        found(home, "HEAD:r.yaml", "r.yaml")
    with pytest.raises(UsageError, match="was not run here"):
        found(home, "r.yaml")


def test_bytes_are_those_that_were_committed(home: Path) -> None:
    """A repository may say that other bytes stand in for those of an id."""
    old = ask(home, "rev-parse", "HEAD:w/parts/base.yaml")
    put(home, other="filters:\n  - words: {min: 9}\n")
    ask(home, "replace", old, ask(home, "hash-object", "-w", "other"))
    assert "min: 9" in ask(home, "show", "HEAD:w/parts/base.yaml")
    assert found(home, "HEAD", "r.yaml").same


def test_the_configuration_of_the_machine_is_not_read(home: Path, tmp_path: Path) -> None:
    (tmp_path / "system").write_text("[alias]\n\tx = status\n")
    where = {"GIT_CONFIG_SYSTEM": str(tmp_path / "system")}
    argv = git.argv(home, "config", "--list")
    done = subprocess.run(argv, env=git.environment() | where, check=True, capture_output=True, text=True)
    assert "core.hookspath=/dev/null" in done.stdout and "alias.x" not in done.stdout


def test_our_own_environment_names_no_other_repository(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    ask(tmp_path, "init", "-q", str(other))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert found(home, "r.yaml").same


def written(top: Path, entries: list[tuple[str, str, str]]) -> str:
    """A tree as no git would write it: mode, name, and the id of what has it."""
    raw = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(id) for mode, name, id in entries)
    argv = ["git", "-C", str(top), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    return subprocess.run(argv, input=raw, check=True, capture_output=True).stdout.decode().strip()


def test_paths_that_lead_out_are_not_written(home: Path) -> None:
    top = home.parent
    blob = ask(top, "rev-parse", "HEAD:w/talk/a.jsonl")
    name = f"{uuid.uuid4().hex}.txt"
    put(home, **{name: "x"})
    ask(top, "add", ".")
    inner = ask(top, "rev-parse", f"{ask(top, 'write-tree')}:w")
    link = subprocess.run(
        ["git", "-C", str(top), "hash-object", "-w", "--stdin"], input=b"/etc", check=True, capture_output=True
    ).stdout.decode().strip()  # fmt: skip
    strange = [
        ("40000", "..", inner), ("120000", "w", link), ("40000", "w", inner), ("100644", ".git", blob), ("100644", "..", blob),
    ]  # fmt: skip
    commit = ask(top, "commit-tree", written(top, strange), "-m", "strange")
    of = found(home, commit, "r.yaml")  # the folder, and no link that has its name
    assert of.same
    from runner.diffing.tree import tree

    repository = git.repository(home)
    assert repository is not None
    with tree(repository, commit, Workspace(home)) as place:
        place._bring(list(place.entries))
        inside = {p.relative_to(place.top).parts[0] for p in place.top.rglob("*")}
        assert inside == {"w"} and not any(p.is_symlink() for p in place.top.rglob("*"))
        assert not (place.top.parent / name).exists()


def test_a_revision_brings_no_store_and_no_runs(home: Path) -> None:
    put(home, **{".mirepoix/mark": "x", "runs/r/plan.json": "{}"})
    ask(home, "add", "-f", ".")
    ask(home, "commit", "-qm", "two")
    from runner.diffing.tree import tree

    shutil.rmtree(home / ".mirepoix")
    repository = git.repository(home)
    assert repository is not None
    commit = repository.commit("HEAD")
    assert commit
    with tree(repository, commit, Workspace(home)) as place:
        place._bring(list(place.entries))
        assert not (place.root / ".mirepoix").exists() and not (place.root / "runs").exists()
        assert (place.root / "r.yaml").is_file()


def test_a_tree_without_end_is_not_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = home.parent
    whole = written(top, [])
    for _ in range(9):  # 20 ** 9 folders, and no file
        whole = written(top, [("40000", f"d{n:02}", whole) for n in range(20)])
    commit = ask(top, "commit-tree", whole, "-m", "bomb")
    monkeypatch.setattr(git, "PATIENCE", 0.3)
    with pytest.raises(UsageError, match="takes longer than"):
        found(home, f"{commit}:w/r.yaml", "r.yaml")


def test_a_tree_of_too_many_files_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "LOOKED_AT", 3)
    with pytest.raises(UsageError, match="more than 3 files"):
        found(home, "HEAD", "r.yaml")


def test_more_bytes_than_a_diff_may_take_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "MOST", 100)
    with pytest.raises(UsageError, match="more than 100 bytes"):
        found(home, "HEAD", "r.yaml")
