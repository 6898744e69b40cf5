"""Recipes of strangers: what they ask for is refused by name, no file appears, no secret is read, nothing hangs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli

CANARY = "canary-5f2c9e"
HEAD = "recipe: 1\nname: t\n"
TAIL = "split: {validation: 0}\n"


pytestmark = pytest.mark.usefixtures("ends")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace, and a secret just outside that no recipe may read."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.jsonl").write_text(
        f'{{"messages": [{{"role": "user", "content": "{CANARY}"}}, {{"role": "assistant", "content": "b"}}]}}\n'
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / "ok.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    )
    monkeypatch.chdir(home)
    monkeypatch.setenv("STRANGE_KEY", CANARY)
    return home


def recipe(*argv: str) -> Result:
    done = CliRunner().invoke(cli.main, list(argv))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def names() -> list[str]:
    return sorted(p.name for p in Path().iterdir())


def refused(text: str, *, code: int, said: str = "") -> None:
    """`check` and `run` refuse it with this code, and leave nothing behind."""
    Path("r.yaml").write_text(text)
    before = names()
    for argv in (["check", "r.yaml"], ["run", "r.yaml", "--to", "prepare"]):
        done = recipe(*argv)
        assert done.exit_code == code, done.output
        assert said in done.stderr
        assert CANARY not in done.output
        assert not any(p.startswith("PWNED") for p in names())
    assert names() == before, "no store is made for a recipe that is refused"


def files(*names: str) -> str:
    listed = ", ".join(f'"{n}"' for n in names)
    return f"{HEAD}sources:\n  - jsonl: {{files: [{listed}]}}\n    name: s\n{TAIL}"


@pytest.mark.parametrize(
    "name",
    ["../secret/key.jsonl", "./../secret/key.jsonl", "../secret/*.jsonl", "/proc/self/environ", "/dev/zero", "/etc/*", "/"],
)  # fmt: skip
def test_paths_out_of_the_workspace(name: str) -> None:
    refused(files(name), code=4, said="lies outside the workspace; allow it with --trust paths")


@pytest.mark.parametrize(
    "name", ["link.jsonl", "folder/key.jsonl", "folder/*.jsonl", "*.jsonl", "far/proc/self/environ"]
)
def test_links_out_of_the_workspace(name: str) -> None:
    Path("link.jsonl").symlink_to("../secret/key.jsonl")
    Path("folder").symlink_to("../secret")
    Path("far").symlink_to("/")
    refused(files(name), code=4, said="lies outside the workspace")


@pytest.mark.parametrize("name", ["f*/**/nosuch.jsonl", "*/usr/**/*.nosuch"])
def test_a_pattern_does_not_walk_through_a_link_that_leads_out(name: str) -> None:
    """It would look at all files of the machine before it said that there is none."""
    Path("far").symlink_to("/")
    refused(files(name), code=4, said="lies outside the workspace")


@pytest.mark.parametrize(
    ("name", "said"),
    [("**/" * 9 + "*.nosuch", "no file"), ("d/" + "l*/" * 9 + "*.nosuch", "makes us look at more than"), ("d/*/../../*.nosuch", "no file")],
)  # fmt: skip
def test_patterns_that_would_look_at_everything_again_and_again(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner import workspace

    monkeypatch.setattr(workspace, "LOOKED_AT", 10_000)
    Path("d/" + "d/" * 18).mkdir(parents=True)
    for n in range(9):
        Path("d", f"l{n}").symlink_to(".")
    refused(files(name), code=2, said=said)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("*.jsonl", ["ok.jsonl"]), ("**/*.jsonl", [".h/c.jsonl", "a/b/c.jsonl", "ok.jsonl"]), ("a/**/**/*.jsonl", ["a/b/c.jsonl"]),
        ("*/b/c.jsonl", ["a/b/c.jsonl", "l/b/c.jsonl"]), ("**", []), ("[a-c]/?/*", ["a/b/c.jsonl"]), ("*/*", [".h/c.jsonl"]),
        ("**/b/*", ["a/b/c.jsonl"]), ("l/**/c.*", ["l/b/c.jsonl"]),
    ],
)  # fmt: skip
def test_patterns_find_what_pathlib_finds(name: str, found: list[str]) -> None:
    from runner.workspace import Workspace

    for folder in ("a/b", ".h"):
        Path(folder).mkdir(parents=True)
        Path(folder, "c.jsonl").touch()
    Path("l").symlink_to("a")
    assert [n for n, _ in Workspace(Path.cwd()).glob(name)] == found
    assert sorted(str(p) for p in Path().glob(name) if p.is_file()) == found


@pytest.mark.parametrize(
    "name", ["pipe.jsonl", "file:///etc/passwd", "~/.netrc", "$HOME/x", "loop", "a\\0b", "x" * 5000]
)
def test_what_is_no_file(name: str) -> None:
    os.mkfifo("pipe.jsonl")
    Path("loop").symlink_to("loop")
    refused(files(name), code=2, said="no file")


def test_a_pattern_takes_no_pipe_and_no_folder() -> None:
    os.mkfifo("pipe.jsonl")
    Path("dir.jsonl").mkdir()
    Path("r.yaml").write_text(files("*.jsonl"))
    assert recipe("run", "r.yaml", "--to", "prepare").exit_code == 0
    assert Path("runs/t/data/train.jsonl").read_text().count("\n") == 1


def test_more_patterns_than_a_workspace_can_be_gone_through_for() -> None:
    """Each goes through all of it: 20,000 in an empty workspace take minutes."""
    patterns = ", ".join(f'"**/{n}*.jsonl"' for n in range(300))
    many = "recipe: 1\nname: t\nsources:\n" + "".join(
        f"  - jsonl: {{files: [ok.jsonl, {patterns}]}}\n    name: s{i}\n" for i in range(20)
    )
    refused(many + TAIL, code=2, said="sources: names 6,000 patterns of files; 1,000 are the most")
    Path("evals/suites").mkdir(parents=True)
    texts = ", ".join(f'"**/{n}*.txt"' for n in range(6000))
    Path("evals/suites/mine.yaml").write_text(
        f"suite: 1\nname: mine\ndescription: d\nperplexity: {{texts: {{a: [{texts}]}}}}\n"
    )
    suite = files("ok.jsonl") + "evaluate: {suites: [mine]}\n"
    refused(suite, code=2, said="perplexity.texts: names 6,000 patterns of files")


@pytest.mark.parametrize("name", ["../secret/key.jsonl", "/etc/passwd", "link.yaml"])
def test_a_parent_out_of_the_workspace(home: Path, name: str) -> None:
    Path("link.yaml").symlink_to("/etc/passwd")
    (home / "sub").mkdir()
    text = f'extends: "{name}"\n{files("ok.jsonl")}'
    refused(text, code=4, said="lies outside the workspace")


ADDRESS = "nothing is fetched by its address but a pinned pack"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pipe.yaml", "extends: no recipe"),
        ("file:///etc/passwd", ADDRESS),
        ("https://example.com/r.yaml", ADDRESS),
    ],
)
def test_a_parent_that_is_no_file(name: str, said: str) -> None:
    os.mkfifo("pipe.yaml")
    refused(f'extends: "{name}"\n{files("ok.jsonl")}', code=2, said=said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: !!python/object/apply:os.system ['touch PWNED']\n", "is not allowed; recipes hold plain data"),
        ("name: !!python/name:os.system\n", "is not allowed"),
        ("name: !include /etc/passwd\n", "is not allowed"),
        ("a: &a [*a]\n", "holds itself"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)), "aliases expand to too much"),
        ("a: " + "[" * 100_000 + "\n", "nested deeper than 40 levels"),
        ("a: " + "{a: " * 5_000 + "\n", "nested deeper than 40 levels"),
        ("# " + "x" * 1_100_000 + "\n", "larger than 1,000,000 characters"),
        ("a: [" + "1," * 110_000 + "]\n", "more than 100000 values"),
        ("a: 1\na: 2\n", "written twice"),
        ("a: 1\n---\nb: 2\n", "a second document"),
    ],
)  # fmt: skip
def test_yaml_that_would_run_or_burst(text: str, said: str) -> None:
    refused(text, code=2, said=said)


@pytest.mark.parametrize(
    "text",
    [
        "plugins: [evil.Plugin]\n",
        "trust_remote_code: true\n",
        "axolotl: {plugins: [evil.Plugin]}\n",
        "axolotl: {trust_remote_code: true}\n",
        "axolotl: {trainer_cls: evil.Trainer}\n",
        "axolotl: {output_dir: /etc}\n",
        "axolotl: {hub_model_id: thief/model}\n",
        "axolotl: {comet_api_key: x}\n",
        "axolotl: {mlflow_tracking_uri: http://127.0.0.1:9/}\n",
        "axolotl: {special_tokens: {eos_token: x}}\n",
        "axolotl: {deepspeed: /etc/passwd}\n",
        "track: {wandb: {project: p, api_key: x}}\n",
        "track: {wandb: {project: p, base_url: 'http://127.0.0.1:9/'}}\n",
        "track: {mlflow: {uri: 'http://127.0.0.1:9/'}}\n",
    ],
)
def test_keys_that_would_run_code_reach_out_or_hold_secrets(text: str) -> None:
    refused(files("ok.jsonl") + text, code=2)


def test_a_name_is_no_path() -> None:
    for name in ("../evil", "/tmp/evil", "a/b", ".", "..", "-x", "a\\nb"):
        refused(files("ok.jsonl").replace("name: t", f'name: "{name}"'), code=2, said="name")


def test_nothing_of_the_environment_is_put_in() -> None:
    """`${…}` and `$(…)` are letters."""
    text = files("ok.jsonl") + 'description: "${STRANGE_KEY} $STRANGE_KEY $(touch PWNED) `touch PWNED`"\n'
    Path("r.yaml").write_text(text)
    assert recipe("run", "r.yaml", "--to", "prepare").exit_code == 0
    written = b"".join(p.read_bytes() for p in Path().rglob("*") if p.is_file())
    assert CANARY.encode() not in written
    assert b"${STRANGE_KEY}" in written
    assert not Path("PWNED").exists()


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://127.0.0.1:9/", "http://[::1]:9/", "http://169.254.169.254/latest/meta-data/", "http://0x7f.1:9/", "http://2130706433:9/", "http://localhost:9/"],
)  # fmt: skip
def test_addresses_that_are_not_public(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    asked: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    text = f"{HEAD}sources:\n  - web: {{urls: ['{url}']}}\n    name: s\n    chat: {{passages: {{}}}}\n{TAIL}"
    Path("r.yaml").write_text(text)
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code in (2, 3), done.output
    assert [a for a in asked if isinstance(a, tuple)] == [], "no connection is begun"


def harmless(text: str) -> bool:
    """Nothing in it but what is printed, lines and tabs."""
    return all(c.isprintable() or c in "\n\t" for c in text)


def test_text_of_data_does_not_steer_the_terminal() -> None:
    evil = "\\u001b]0;owned\\u0007\\u001b[2J\\u202e\\u009b31m"
    Path("ok.jsonl").write_text(
        f'{{"messages": [{{"role": "user", "content": "{evil}"}}, {{"role": "assistant", "content": "b {evil}"}}]}}\n'
        f'{{"messages": [{{"role": "{evil}", "content": "x"}}]}}\n'
    )
    Path("r.yaml").write_text(files("ok.jsonl") + "filters:\n  - words: {min: 1}\n")
    for argv in (
        ["check", "r.yaml"],
        ["run", "r.yaml", "--to", "prepare"],
        ["plan", "r.yaml"],
        ["list", "runs"],
    ):
        done = recipe(*argv)
        assert done.exit_code == 0, (argv, done.output)
        assert harmless(done.output), argv
    # Where nothing is left, the first of the rows is shown with its reason.
    Path("ok.jsonl").write_text(f'{{"messages": [{{"role": "{evil}", "content": "x"}}]}}\n')
    done = recipe("run", "r.yaml", "--to", "prepare")
    assert done.exit_code == 3 and "\\x1b" in done.stderr
    assert harmless(done.output)


def test_a_recipe_does_not_steer_the_terminal() -> None:
    evil = "\\e]0;owned\\a\\e[2J\\u202e"
    for text in (
        f'{files("ok.jsonl")}"{evil}": 1\n',
        files(evil),
        files("ok.jsonl").replace("name: s", f'name: "{evil}"'),
    ):
        Path("r.yaml").write_text(text)
        for argv in (["check", "r.yaml"], ["run", "r.yaml"], ["show", "r.yaml"]):
            done = recipe(*argv)
            assert done.exit_code == 2 and harmless(done.output), (argv, done.output)
    Path("r.yaml").write_text(files("ok.jsonl") + f'description: "{evil}"\n')
    done = recipe("show", "r.yaml")
    assert done.exit_code == 0 and harmless(done.output)
