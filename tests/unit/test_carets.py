"""How problems are shown: the line with carets under the place, safely, shortly, and not for ever."""

from __future__ import annotations

import gc
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner import cli
from runner.errors import NeedsTrust, Problem, RecipeError
from runner.saying import SHOWN, Lines, column_at, excerpt, report, summary, workflow_commands
from runner.saying.excerpts import WIDTH, cells
from runner.wording import searching
from runner.yaml12 import decode, parse

GOOD = "recipe: 1\nname: small\nsources:\n  - jsonl: {files: [a.jsonl]}\n"


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").touch()


def recipe(*argv: str) -> Result:
    return CliRunner().invoke(cli.main, [*argv])


def one(text: str) -> Problem:
    with pytest.raises(RecipeError) as e:
        parse(text, "r.yaml")
    (problem,) = e.value.problems
    return problem


def at(text: str, column: int, end: int = 0) -> list[str]:
    return excerpt(Problem("f", 7, column, "w", "what", end, text))


def test_a_line_with_carets() -> None:
    assert at("train: {epoch: 2}", 9, 14) == ["7 | train: {epoch: 2}", "  |         ^^^^^"]
    assert at("train: {epoch: 2}", 9) == ["7 | train: {epoch: 2}", "  |         ^"]
    assert excerpt(Problem("f", 7, 1, "", "", 0, "a"), 4) == ["   7 | a", "     | ^"]


@pytest.mark.parametrize(
    ("text", "column", "end", "line", "carets"),
    [
        ("\tx: 1", 2, 3, "    x: 1", "    ^"),  # a tab takes four columns
        ("\tx: 1", 1, 0, "    x: 1", "^^^^"),
        ("日本: x", 5, 6, "日本: x", "      ^"),  # wide characters take two
        ("日本: x", 1, 3, "日本: x", "^^^^"),
        ("e\u0301t: x", 6, 7, "e\u0301t: x", "    ^"),  # a combining accent takes none
        ("a\x1b[2Jb: x", 6, 7, "a\\x1b[2Jb: x", "        ^"),  # nothing steers the terminal
        ("a\u202eb", 3, 4, "a\\u202eb", "       ^"),
        ("a\u200bb\U000e0041", 3, 4, "a\\u200bb\\U000e0041", "       ^"),  # nor hides
        ("a: 1   ", 4, 5, "a: 1", "   ^"),
        ("abc", 9, 12, "abc", "   ^"),  # a place after the end
    ],
)
def test_odd_characters(text: str, column: int, end: int, line: str, carets: str) -> None:
    assert at(text, column, end) == [f"7 | {line}", f"  | {carets}"]


@pytest.mark.parametrize("column", [1, 30, 500, 5000, 9990])
@pytest.mark.parametrize("unit", ["0123456789", "日本語日本語日本語日", "e\u0301\u0301\u0301"])
def test_a_long_line_is_cut_around_the_place(column: int, unit: str) -> None:
    text = (unit * 10_000)[:9999]
    text = text[: column - 1] + "HERE" + text[column + 3 :]
    line, carets = at(text, column, column + 4)
    assert cells(line[4:]) <= WIDTH and len(line) < 500
    start = len(carets) - carets.count("^")
    shown = "".join(c for c in line if cells(c))
    place, n = "", 0
    for c in shown:
        place += c if start <= n < start + 4 else ""
        n += cells(c)
    assert (place, carets.count("^")) == ("HERE", 4)
    assert line.startswith("7 | …") == (column > 100) or unit != "0123456789"
    long = at("x: " + text, 4, 9000)
    assert cells(long[0][4:]) <= WIDTH and long[1].count("^") <= WIDTH


@pytest.mark.parametrize("text", [None, "", "   ", "\t"])
def test_no_line_no_carets(text: str | None) -> None:
    assert at(text, 1) == []  # type: ignore[arg-type]
    assert excerpt(Problem("f", 0, 0, "", "", 0, "text")) == []


def test_a_secret_stays_covered() -> None:
    def cover(text: str) -> str:
        return text.replace("hunter2-hunter2", "*" * 15).replace("tiny", "****")

    line = f"{'x' * 60}: hunter2-hunter2, key: {'y' * 80}"
    shown = excerpt(Problem("f", 1, 79, "", "", 82, line), cover=cover)
    assert "hunter2" not in shown[0] and "*" * 15 in shown[0]
    # Cut in its middle, it would no more be known for one.
    for start in range(60, 90):
        (said, _) = excerpt(Problem("f", 1, start, "", "", start + 30, f"{'x ' * 40}{line}"), cover=cover)
        assert "hunter" not in said and "unter2" not in said
    problem = replace(one("a: hunter2-hunter2\na: 1\n"), text="a: hunter2-hunter2", line=1)
    assert "hunter2" not in report([problem], cover)


@pytest.mark.parametrize("more", ["", "0123456789" * 6])
def test_a_secret_in_a_recipe_is_covered(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    monkeypatch.setenv("HF_TOKEN", f"hf_abcdefghijklmnop{more}")
    Path("r.yaml").write_text(
        GOOD + f"hf_token: hf_abcdefghijklmnop{more}\nseed: hf_abcdefghijklmnop{more}\n"
    )
    for how in ([], ["--json"], ["--format", "github"]):
        done = recipe("check", "r.yaml", *how)
        assert done.exit_code == 2 and "abcdefghijklmnop" not in done.output and "hf_token" in done.output


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a: b\0c\n", (1, 5), "not YAML: the character U+0000 may not stand in a file"),
        ("x: 1\r\nb: caf\x07\n", (2, 7), "not YAML: the character U+0007 may not stand in a file"),
        ("x: \u2028b: \x07\n", (2, 4), "not YAML: the character U+0007 may not stand in a file"),
    ],
)
def test_a_character_that_may_not_be_has_a_place(text: str, place: tuple[int, int], what: str) -> None:
    problem = one(text)
    assert ((problem.line, problem.column), problem.what) == (place, what)
    assert len(report([problem]).splitlines()) == 3


def test_lines_are_those_of_yaml() -> None:
    text = "a: 1\r\nb: 2\rc: 3\x85d: 4\u2028e: 5\n"
    assert [Lines(text).at(n) for n in range(8)] == [None, "a: 1", "b: 2", "c: 3", "d: 4", "e: 5", "", None]
    assert column_at(text, text.index("e")) == (5, 1)
    for key in "abcde":
        place = parse(text, "f").places[(key,)]
        assert Lines(text).at(place.line) == f"{key}: {'abcde'.index(key) + 1}"


def test_bytes_that_are_no_text_have_no_carets() -> None:
    Path("r.yaml").write_bytes(b"a: 1\nb\xc3\xa9: caf\xe9\n")
    assert recipe("check", "r.yaml").stderr == "r.yaml:2:8: byte 0xe9 is not UTF-8\n1 error in 1 file\n"
    Path("r.yaml").write_text(GOOD, encoding="utf-16")
    assert recipe("check", "r.yaml").stderr.startswith("r.yaml:1:1: the file is UTF-16; save it as UTF-8\n")
    with pytest.raises(RecipeError, match="x:2:1: "):
        decode(b"\xef\xbb\xbfa: 1\n\xff", "x")


def test_where_values_end() -> None:
    doc = parse("a: [1, {b: 'c d'}]\nk: >\n  x\nm: {x: 1,\n y: 2}\nl:\n  - p: q\ne:\n", "f")
    ends = {path: doc.values[path].end for path in doc.values}
    assert ends == {
        (): 0, ("a",): 19, ("a", 0): 6, ("a", 1): 18, ("a", 1, "b"): 17, ("k",): 0, ("m",): 0, ("m", "x"): 9,
        ("m", "y"): 6, ("l",): 0, ("l", 0): 0, ("l", 0, "p"): 9, ("e",): 0,
    }  # fmt: skip
    assert doc.places["a", 1].end == 18


def test_problems_at_one_place_share_their_line() -> None:
    text = "x: 1"
    some = [Problem("f", 1, 1, "", w, e, text) for w, e in (("one", 0), ("two", 2))]
    assert report([*some, Problem("f", 1, 4, "", "three", 5, text), Problem("g", 0, 0, "", "four")]) == (
        "f:1:1: one\nf:1:1: two\n1 | x: 1\n  | ^\n\nf:1:4: three\n1 | x: 1\n  |    ^\n\ng: four"
    )
    assert summary(["f"]) == "1 error in 1 file"
    assert summary(["f", "f", "g"] * 400) == "1,200 errors in 2 files"


def test_a_merged_recipe_shows_each_file_its_line() -> None:
    Path("base.yaml").write_text("# the base\ntrain: {epochs: no}\nrecipe: 1\n")
    Path("r.yaml").write_text("extends: base.yaml\nname: Big\nsources:\n  - jsonl: {files: [a.jsonl]}\n")
    said = recipe("check", "r.yaml").stderr
    assert "base.yaml:2:17: train.epochs: must be a number, not text 'no'\n2 | train: {epochs: no}\n" in said
    assert "(did you mean big?)\n2 | name: Big\n  |       ^^^\n" in said
    assert said.endswith("2 errors in 2 files\n")
    Path("r.yaml").write_text("# first\nextends: base.yaml\n")
    assert "r.yaml:2:1: `name` is missing\n" in recipe("check", "r.yaml").stderr, "not in the base"


def test_what_two_recipes_extend_is_told_once() -> None:
    Path("base.yaml").write_text("train: {epochs: no}\nrecipe: 1\n")
    for name, more in (("one", ""), ("two", ""), ("three", "trian: {}\n")):
        Path(f"{name}.yaml").write_text(
            f"extends: base.yaml\nname: {name}\nsources: [jsonl: {{files: [a.jsonl]}}]\n{more}"
        )
    assert recipe("check", "one.yaml", "two.yaml", "three.yaml").stderr == (
        "base.yaml:1:17: train.epochs: must be a number, not text 'no'\n"
        "1 | train: {epochs: no}\n  |                 ^^\n\n"
        "two.yaml: has what is said above of base.yaml\n"
        "three.yaml: has what is said above of base.yaml\n"
        "three.yaml:4:1: trian: unknown key (did you mean train?)\n4 | trian: {}\n  | ^^^^^\n\n"
        "2 errors in 2 files\n"
    )
    assert len(json.loads(recipe("check", "one.yaml", "two.yaml", "--json").stdout)["errors"]) == 2


def test_json_has_the_suggestion_and_no_carets() -> None:
    Path("r.yaml").write_text(GOOD + "trian: {}\nseed: x\n")
    done = recipe("check", "r.yaml", "--json")
    first, second = json.loads(done.stdout)["errors"]
    assert first == {
        "file": "r.yaml", "line": 5, "column": 1, "end_column": 6, "where": "trian",
        "what": "unknown key (did you mean train?)", "suggestion": "train",
    }  # fmt: skip
    assert (second["suggestion"], second["end_column"], done.stderr) == (None, 8, "")


def test_a_suggestion_is_what_stands_at_the_end() -> None:
    def suggestion(what: str) -> str | None:
        return Problem("f", 1, 1, "w", what).suggestion

    assert suggestion("unknown key (did you mean r?)") == "r"
    assert suggestion("no file 'x (did you mean rm?)'") is None
    assert suggestion("unknown key (known: a, b)") is None


def test_what_needs_trust_has_its_place_and_is_not_counted() -> None:
    Path("r.yaml").write_text(GOOD.replace("a.jsonl", "/etc/x.jsonl"))
    done = recipe("check", "r.yaml")
    assert done.exit_code == 4
    assert done.stderr.endswith(
        "--trust paths\n4 |   - jsonl: {files: [/etc/x.jsonl]}\n  |                     ^^^^^^^^^^^^\n\n"
    )
    (error,) = json.loads(recipe("check", "r.yaml", "--json").stdout)["errors"]
    assert (error["line"], error["column"], error["what"][:14]) == (4, 21, "'/etc/x.jsonl'")
    assert str(NeedsTrust("a sentence")) == "a sentence"


def test_commands_of_a_workflow() -> None:
    bad = Problem("a,b:c.yaml", 3, 5, "mix.weights.'x,y'", "50%\r\nis: no, number", 9)
    (line,) = workflow_commands([bad])
    assert line == (
        "::error file=a%2Cb%3Ac.yaml,line=3,col=5,endLine=3,endColumn=9,title=mix.weights.'x%2Cy'"
        "::50%25\\x0d%0Ais: no, number"
    )
    (line,) = workflow_commands([Problem("f", 0, 0, "", "\x1b]0;gone")], "warning")
    assert line == "::warning file=f,title=recipe check::\\x1b]0;gone"


def test_check_prints_them() -> None:
    Path("good.yaml").write_text(GOOD)
    Path("r.yaml").write_text(GOOD + "trian: {}\n")
    done = recipe("check", "good.yaml", "r.yaml", "gone.yaml", "--format", "github")
    assert done.exit_code == 2
    assert [x for x in done.stdout.splitlines() if x.startswith("::")] == [
        "::error file=r.yaml,line=5,col=1,endLine=5,endColumn=6,title=trian::unknown key (did you mean train?)",
        "::error file=gone.yaml,title=recipe check::no recipe 'gone.yaml'",
    ]
    assert done.stderr == "2 errors in 2 files\n"


@pytest.mark.parametrize(
    ("more", "many"),
    [
        ("".join(f"key{i}: 1\n" for i in range(4000)), 4000),
        (
            "evaluate:\n  suites:\n" + "".join(f"    - suite{i}\n" for i in range(4000)),
            4001,
        ),  # no model either
        (
            "mix:\n  weights:\n" + "".join(f"    w{i}: 0\n" for i in range(4000)),
            4002,
        ),  # sums to 0, and one has none
    ],
    ids=["keys", "suites", "weights"],
)
def test_so_many_are_counted_and_few_are_looked_for(
    more: str, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    closest = searching.closest
    monkeypatch.setattr(searching, "closest", lambda *a: looked.append(a) or closest(*a))
    Path("r.yaml").write_text(GOOD + more)
    done = recipe("check", "r.yaml")
    said = done.stderr.splitlines()
    assert said[-1] == f"{many:,} errors in 1 file"
    assert said[-2] == f"… and {many - SHOWN:,} more"
    assert sum(line.startswith("r.yaml:") for line in said) == SHOWN
    assert len(looked) <= 2 * searching.MOST_SEARCHES
    wide = sum(len(choices) for _, choices, *_ in looked)
    assert wide <= 2 * searching.MOST_COMPARED + max(len(choices) for _, choices, *_ in looked)


def test_of_very_many_wrong_values_the_first_are_told() -> None:
    Path("r.yaml").write_text(GOOD + "adapter:\n  targets:\n" + "    - 1\n" * 5000)
    said = recipe("check", "r.yaml").stderr.splitlines()
    assert said[0] == (
        "r.yaml: a list or map has more than 1,000 wrong values; what comes after them was not looked at"
    )
    assert said[-1] == "1,001 errors in 1 file"


def test_of_too_many_items_that_is_all_that_is_said() -> None:
    Path("r.yaml").write_text("recipe: 1\nname: many\nsources:\n" + "  - jsnl: {}\n" * 1001)
    said = recipe("check", "r.yaml").stderr
    assert said == (
        "r.yaml:4:3: sources: takes at most 1000 entries\n4 |   - jsnl: {}\n  |   ^\n\n1 error in 1 file\n"
    )


def test_circles_are_collected_again() -> None:
    for text in ("a: 1\n", "a: [\n"):
        with suppress(RecipeError):
            parse(text, "f")
        assert gc.isenabled()


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.cli import telling

    error = RecipeError([Problem("f\x1b", 1, 1, "", "what", 2, "x\x1b: 1")])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert telling.words(error) == (
        "\x1b[1mf\\x1b:1:1\x1b[0m: what\n1 | x\\x1b: 1\n  | \x1b[31m\x1b[1m^\x1b[0m\n"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in telling.words(error)
