"""`recipe new`: what it writes passes the check at once, keeps a part out of training, and writes over nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from typed import recipe

from runner import library
from runner.beginning import SETS, Wishes, bases, begin, model_named
from runner.beginning.placing import Placing
from runner.contamination import Contamination
from runner.load import load_recipe
from runner.workspace import Workspace
from runner.yaml12 import parse

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
WORDS = (
    "the old river ran slow past a wharf where nobody had mended anything since my uncle left town".split()
)


def _book(seed: int, paragraphs: int) -> str:
    """Prose of a kind, no two paragraphs alike."""
    lines = []
    for n in range(paragraphs):
        words = [f"{WORDS[(seed + n * 7 + i * (n + 3)) % len(WORDS)]}{n * 61 + i}" for i in range(40)]
        lines.append(" ".join(words).capitalize() + ".")
    return "\n\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "books").mkdir()
    for n in range(3):
        (tmp_path / "books" / f"{'abc'[n]}.txt").write_text(_book(n, 40))
    talks = [
        json.loads(line)
        for line in (library.shelf("datasets") / "river-town-a.jsonl").read_text().splitlines()
    ]
    talks += [
        json.loads(line)
        for line in (library.shelf("datasets") / "river-town-b.jsonl").read_text().splitlines()
    ]
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talks))
    rows = [
        f"{n},{' '.join(WORDS[(n * 5 + i) % 18] for i in range(7))} {n},https://example.org/{n}"
        for n in range(60)
    ]
    (tmp_path / "posts.csv").write_text("id,title,url\n" + "\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(name: str) -> Any:
    """The recipe as data, once `recipe check` has passed it without a warning."""
    said = json.loads(recipe("check", f"{name}.yaml", "--json").stdout)
    assert said["ok"] and not said["warnings"]
    return parse(Path(f"{name}.yaml").read_text(), name).data


def there() -> set[str]:
    return {str(p) for p in Path().rglob("*") if p.is_file()}


def test_the_recipe_word_for_word(golden_write: bool) -> None:
    said = ("--tools", "weather", "--system", "You are Tuttle: dry, kind.", "--license", "CC0-1.0", "--yes")
    recipe("new", "mine", "books/a.txt", "books/b.txt", "books/c.txt", *said)
    path = GOLDEN / "new.yaml"
    text = Path("mine.yaml").read_text()
    if golden_write:
        path.write_text(text)
    assert text == path.read_text()
    assert checked("mine")["sources"][0]["text"] == {"files": ["books/*.txt"]}


MATERIAL = {
    "books": ["books/*.txt"],
    "talks": ["talks.jsonl"],
    "posts": ["posts.csv"],
    "all": ["books/*.txt", "talks.jsonl", "--from", "posts.csv", "--tools", "weather"],
    "authors": ["--author", "Twain, Mark", "--author", "Cable, George W."],
    "pages": ["--pages", "https://example.org/a.html", "--pages", "https://example.org/sitemap.xml"],
    **{name: ["--tools", name] for name in SETS},
}


@pytest.mark.parametrize("system", ["", "You are Tuttle: #1, 'dry' \"and\" kind.\nAlways."])
@pytest.mark.parametrize("material", MATERIAL)
def test_each_combination_passes_the_check(material: str, system: str) -> None:
    said = ["--system", system] if system else []
    for base in ("smollm2-135m",) if system else ("smollm2-135m", "llama-3.1-8b"):
        for profile in ("gpu",) if "llama" in base else ("cpu", "auto") if material == "books" else ("cpu",):
            shutil.rmtree("held-out", ignore_errors=True)
            shutil.rmtree("evals", ignore_errors=True)
            Path("m.yaml").unlink(missing_ok=True)
            recipe("new", "m", *MATERIAL[material], *said, "--base", base, "--profile", profile, "--yes")
            data = checked("m")
            assert data["extends"] == f"base/{base}.yaml"
            assert data["compute"]["profile"] == profile
            assert data["evaluate"].get("system", "") == system
            own = [s for s in data["evaluate"]["suites"] if s != "capability"]
            assert own or material == "town-library"  # no suite asks for those tools
            gated = {gate.partition(".")[0] for gate in data["evaluate"]["gates"]}
            assert gated == {s.replace("-", "_") for s in data["evaluate"]["suites"]}


def test_how_long_it_trains_is_by_what_the_base_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many records as so many steps want are not read twice."""
    for micro_batch, long in ((2, {"max_steps": 150}), (4, {"epochs": 1})):
        base = replace(model_named("smollm2-135m"), micro_batch=micro_batch)
        monkeypatch.setattr(sys.modules[begin.__module__], "model_named", lambda name, base=base: base)
        wishes = Wishes(path=Path(f"m{micro_batch}.yaml"), name="m", tools=("weather",), profile="cpu")
        begin(wishes, Workspace(Path().resolve()))
        assert checked(f"m{micro_batch}")["train"] == long


def test_every_base_that_is_listed_can_be_begun_with() -> None:
    for base in bases():
        path = Path(f"{Path(base.name).stem}.yaml")
        begin(
            Wishes(path=path, name=path.stem, tools=("weather",), base=base.name), Workspace(Path().resolve())
        )
        checked(path.stem)
        loaded = load_recipe(path, Workspace(Path().resolve()))
        assert loaded.recipe.train.micro_batch == base.micro_batch


def test_what_is_held_out_is_not_trained_on() -> None:
    recipe("new", "b", "books/a.txt", "--yes")
    held = Path("held-out/b/a.txt").read_text()
    assert Path("books/a.txt").read_text().endswith(held)
    assert 0.05 < len(held.split()) / len(Path("books/a.txt").read_text().split()) < 0.2
    recipe("new", "t", "talks.jsonl", "--system", "You are Captain Tuttle.", "--yes")
    answers = Path("held-out/t/jsonl.txt").read_text().split("\n\n")
    rows = [json.loads(line) for line in Path("talks.jsonl").read_text().splitlines()]
    hits = Contamination([], books=answers).hits(row["messages"][-1]["content"] for row in rows)
    assert sum(hit is not None for hit in hits) == len([a for a in answers if a.strip()])
    probes = [
        json.loads(line) for line in Path("evals/probes/t-voice-questions.jsonl").read_text().splitlines()
    ]
    said = [p["messages"][-1]["content"] for p in probes]
    found = [n for n, row in enumerate(rows) if row["messages"][0]["content"] in said]
    assert len(found) == len(probes) >= 40
    assert found[-1] - found[0] > 200  # from everywhere, not the first ones
    recipe("new", "p", "posts.csv", "--yes")
    source = checked("p")["sources"][0]
    kept, last = source["limit"], Path("held-out/p/reddit.txt").read_text().split("\n\n")
    titles = [line.split(",")[1] for line in Path("posts.csv").read_text().splitlines()[1:]]
    assert [t.strip() for t in last] == titles[kept:]


def test_a_question_that_many_ask_is_none_to_judge_by() -> None:
    rows = [json.loads(line) for line in Path("talks.jsonl").read_text().splitlines()]
    for row in rows[::2]:
        row["messages"][0]["content"] = "Tell me something that I did not know before, would you kindly?"
    Path("talks.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    recipe("new", "t", "talks.jsonl", "--system", "You are Captain Tuttle.", "--yes")
    probes = Path("evals/probes/t-voice-questions.jsonl").read_text()
    assert "Tell me something" not in probes
    for row in rows:
        row["messages"][0]["content"] = "Tell me something that I did not know before, would you kindly?"
    Path("talks.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    recipe("new", "u", "talks.jsonl", "--system", "You are Captain Tuttle.", "--yes")
    assert checked("u")["evaluate"]["suites"] == ["u-held-out", "capability"]


def test_nothing_is_written_over_and_nothing_is_left() -> None:
    recipe("new", "mine", "books/a.txt", "--yes")
    before = there()
    assert "mine.yaml is there already" in recipe("new", "mine", "books/a.txt", "--yes", code=2).stderr
    Path("mine.yaml").unlink()
    assert (
        "held-out/mine/a.txt is there already" in recipe("new", "mine", "books/a.txt", "--yes", code=2).stderr
    )
    assert there() == before - {"mine.yaml"}
    (Path("evals/suites/other-held-out.yaml")).write_text("mine")
    assert "is there already" in recipe("new", "other", "books/a.txt", "--yes", code=2).stderr
    assert there() == before - {"mine.yaml"} | {"evals/suites/other-held-out.yaml"}
    assert not Path("held-out/other").exists()


def test_a_file_that_comes_into_being_meanwhile_is_not_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Placing, "free", lambda self, path: None)  # as if it was not there a moment ago
    Path("mine.yaml").write_text("mine")
    with pytest.raises(FileExistsError):
        Placing(Workspace(Path().resolve()), []).write(Path("mine.yaml").resolve(), "ours")
    assert Path("mine.yaml").read_text() == "mine"


def test_what_would_not_pass_the_check_is_not_written() -> None:
    Path("evals/suites").mkdir(parents=True)
    Path("evals/suites/capability.yaml").write_text("suite: 1\nname: other\n")
    before = there()
    assert (
        "must be 'capability', as the file is called" in recipe("new", "mine", "books/a.txt", code=2).stderr
    )
    assert there() == before


def test_no_link_is_followed(tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Path("held-out").symlink_to(elsewhere)
    assert "is a link" in recipe("new", "mine", "books/a.txt", "--yes", code=4).stderr
    assert not list(elsewhere.iterdir())
    assert not Path("mine.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to learn from: --from FILES"),
        (["bokks/*.txt"], "no file 'bokks/*.txt'"),
        (["books/d.txt"], "did you mean books/"),
        (["/etc/hostname"], "lies outside"),
        (["--tools", "wether"], "no tool set 'wether' (did you mean weather?)"),
        (["--tools", "weather", "--base", "lama-3.1-8b"], "did you mean base/llama-3.1-8b.yaml?"),
        (["--tools", "weather", "--base", "llama-3.1-8b", "--profile", "cpu"], "is made for a GPU"),
        (["--tools", "weather", "--suite", "tool-us"], "no suite 'tool-us' (did you mean tool-use?)"),
        (["--pages", "example.org"], "'example.org' is no address of a page"),
        (["books/a.txt", "--held-out", "none.txt"], "no file 'none.txt' to hold out"),
        (["short.txt"], "are too few to learn from"),
        (["few.jsonl"], "1 rows can be used"),
        (["what.bin"], "its name says not what it is"),
        (["one-line.txt"], "of 400 words, none can be parted"),
        (["link.txt"], "'link.txt' lies outside"),
        (["nothing.txt"], "no file 'nothing.txt'"),
        (["strange/*.txt"], "its name is not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_said(arguments: list[str], said: str) -> None:
    Path("short.txt").write_text("Too few words.\n")
    Path("few.jsonl").write_text(Path("talks.jsonl").read_text().splitlines()[0] + "\n")
    Path("what.bin").write_text("?")
    Path("one-line.txt").write_text("word " * 400)
    Path("link.txt").symlink_to("/etc/hostname")
    Path("strange").mkdir()
    Path(os.fsdecode(b"strange/\xff.txt")).write_text(_book(0, 40))
    before = there()
    assert said in recipe("new", "mine", *arguments, "--yes", code=2).stderr
    answer = json.loads(recipe("new", "mine", *arguments, "--json", code=2).stdout)
    assert said in answer["errors"][0]["what"]
    assert there() == before
    assert "(such as my-recipe)" in recipe("new", "My Recipe", code=2).stderr


def test_a_file_whose_name_looks_like_a_pattern_is_that_file() -> None:
    """And no other that the pattern would mean: training would read more than was said."""
    Path("books/[a].txt").write_text(_book(5, 40))
    Path("books/a*.txt").write_text(_book(6, 40))
    recipe("new", "mine", "books/[a].txt", "--yes")
    recipe("new", "other", "books/a*.txt", "--yes")
    for name, file in (("mine", "books/[a].txt"), ("other", "books/a*.txt")):
        loaded = load_recipe(Path(f"{name}.yaml"), Workspace(Path.cwd()))
        (pattern,) = loaded.recipe.sources[0].options["files"]
        assert [found for found, _ in Workspace(Path.cwd()).glob(pattern)] == [file]


def test_the_first_line_names_a_schema_that_is_there() -> None:
    recipe("new", "deep/er/mine", "books/a.txt", "--yes")
    for path in (Path("deep/er/mine.yaml"), Path("evals/suites/mine-held-out.yaml")):
        line = path.read_text().splitlines()[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", line)
        assert named and not Path(named[1]).is_absolute()
        schema = json.loads((path.parent / named[1]).read_text())
        assert schema["title"] == f"mirepoix {'suite' if 'suites' in path.parts else 'recipe'}"
    load_recipe(Path("deep/er/mine.yaml"), Workspace(Path().resolve()))
    Path("schemas/recipe.schema.json").write_text('{"title": "of something else"}')
    assert (
        "schemas/recipe.schema.json is there already"
        in recipe("new", "n", "--tools", "weather", code=2).stderr
    )


def test_files_are_named_from_where_the_user_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "books")
    recipe("new", "mine", "../books/a.txt", "b.txt", "--workspace", "..", "--yes")
    assert "files: [books/a.txt, books/b.txt]" in (home / "mine.yaml").read_text()


def test_a_recipe_beside_the_workspace(home: Path) -> None:
    (home / "work").mkdir()
    shutil.move("books", "work/books")
    recipe("new", "../mine", "books/a.txt", "--workspace", "work", "--yes")
    text = Path("mine.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=work/schemas/recipe.schema.json\n")
    assert "files: [books/a.txt]" in text
    recipe("check", "mine.yaml", "--workspace", "work")


def test_in_a_checkout_it_is_the_checkout_s_own(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    shutil.copytree(library.shelf("schemas"), home / "schemas")
    real = library.shelf
    monkeypatch.setattr(library, "shelf", lambda kind: home / "schemas" if kind == "schemas" else real(kind))
    recipe("new", "recipes/mine", "--tools", "weather", "--yes")
    line = Path("recipes/mine.yaml").read_text().splitlines()[0]
    assert line == "# yaml-language-server: $schema=../schemas/recipe.schema.json"


def test_it_asks_for_what_no_flag_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.cli.asking import ask

    answers = iter(
        [
            "9",
            "1,6",
            "nope/*.txt",
            "books/*.txt",
            "weather",
            "smollm2-13b",
            "1",
            "cpu",
            "You are Tuttle.",
            "nosuch",
            "",
        ]
    )
    asked: list[str] = []

    def answer(prompt: object = "") -> str:
        asked.append(str(prompt))
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    place = Workspace(Path().resolve())
    wishes = ask(Wishes(path=Path("m.yaml"), name="m"), place, set())
    assert wishes == Wishes(
        path=Path("m.yaml"),
        name="m",
        files=("books/*.txt",),
        tools=("weather",),
        profile="cpu",
        system="You are Tuttle.",
        suites=("tool-use", "capability"),
    )
    assert next(answers, None) is None
    begin(wishes, place)
    checked("m")
    said = ask(replace(wishes, path=Path("n.yaml"), name="n"), place, {"base", "profile", "system", "suites"})
    assert said.name == "n"  # nothing is asked that was said


def test_answers_that_end_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.cli.asking import ask
    from runner.errors import UsageError

    def ended(prompt: object = "") -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    with pytest.raises(UsageError, match="nothing was written"):
        ask(Wishes(path=Path("m.yaml"), name="m"), Workspace(Path().resolve()), set())


def test_what_is_said_to_come_next_is_a_command(home: Path) -> None:
    Path("a b").mkdir()
    said = recipe("new", "a b/mine", "books/a.txt", "--yes", "--workspace", str(home / "a b" / "..")).stdout
    again = f"'a b/mine.yaml' --workspace '{home}/a b/..'"
    assert said.splitlines()[-1] == f"next: recipe plan {again}, then recipe run {again}"


def test_ctrl_c_says_that_nothing_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def interrupted(*_: object) -> Wishes:
        raise KeyboardInterrupt

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("runner.cli.asking.ask", interrupted)
    monkeypatch.setattr("runner.cli.beginning.sys", SimpleNamespace(stdin=Terminal(), stdout=Terminal()))
    monkeypatch.setattr("runner.ending.say", lambda what="go on": said.append(what))
    before = there()
    recipe("new", "mine", code=130)
    assert said[0] == "\ninterrupted; nothing was written"
    assert there() == before


def test_the_commands_of_the_first_hour() -> None:
    """Each that docs/first-hour.md shows, in its order; of the run what needs no model."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "first-hour.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    commands = [shlex.split(line[2:]) for line in "".join(blocks).splitlines() if line.startswith("$ ")]
    assert len(commands) > 5 and all(words[0] == "recipe" for words in commands)
    for words in commands:
        if words[1] in (
            "run",
            "show",
        ):  # they make the model, in a minute; tests/unit/test_cli.py runs recipes
            continue
        globbed = [name for word in words[1:] for name in (sorted(map(str, Path().glob(word))) or [word])]
        recipe(*(globbed if "*" in " ".join(words) else words[1:]))
