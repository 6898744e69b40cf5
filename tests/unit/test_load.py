"""From YAML to a checked recipe: `extends:`, who set what, every error at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import library
from runner.errors import NeedsTrust, RecipeError, UsageError
from runner.evaluating import plan as evaluation
from runner.load import Loaded, load_recipe, load_suite, located
from runner.workspace import Workspace

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
SOURCES = "sources:\n  - jsonl: {files: [a.jsonl]}\n    name: a\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a.jsonl").write_text(ROW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(text: str, *trust: str, name: str = "r.yaml") -> Loaded:
    return load_recipe(write(name, text), Workspace(Path(), frozenset(trust)))


def refused(text: str) -> list[str]:
    with pytest.raises(RecipeError) as e:
        load(text)
    return str(e.value).splitlines()


def test_maps_are_merged_lists_and_values_replaced() -> None:
    write(
        "base.yaml", "train: {epochs: 3, warmup: 0.1}\nadapter: {r: 4, targets: [q_proj, v_proj]}\nseed: 1\n"
    )
    write("mid.yaml", "extends: base.yaml\ntrain: {warmup: 0.2}\nfilters:\n  - words: {min: 9}\n  - words:\n")
    top = "recipe: 1\nname: top\nextends: mid.yaml\nseed: 2\nadapter: {targets: [k_proj]}\nfilters: []\n"
    recipe = load(top + SOURCES).recipe
    assert (recipe.seed, recipe.train.epochs, recipe.train.warmup) == (2, 3.0, 0.2)
    assert (recipe.adapter.r, recipe.adapter.targets, recipe.filters) == (4, ["k_proj"], [])


def test_who_set_each_key() -> None:
    write("base.yaml", "train:\n  epochs: 3\n  warmup: 0.1\nfilters:\n  - words: {min: 1, max: 2}\n")
    text = (
        "recipe: 1\nname: top\nextends: base.yaml\ntrain: {warmup: 0.2}\nfilters:\n  - words:\n      min: 1\n"
    )
    who = load(text + SOURCES).who
    assert who["train.epochs"] == "base.yaml:2"
    assert who["train.warmup"] == "r.yaml:4"
    assert who["filters[0].words.min"] == "r.yaml:7"
    assert "filters[0].words.max" not in who, "the list was replaced"
    assert "train" not in who, "it is no leaf"
    assert who["sources[0].jsonl.files[0]"] == "r.yaml:9"


def test_a_value_may_replace_a_map_and_back() -> None:
    write("base.yaml", "dedup: {near: {jaccard: 0.5}}\ntrain: 3\n")
    loaded = load(
        "recipe: 1\nname: t\nextends: base.yaml\ndedup: {near: null}\ntrain: {epochs: 2}\n" + SOURCES
    )
    assert loaded.recipe.dedup.near is None
    assert loaded.recipe.train.epochs == 2
    assert loaded.who["dedup.near"] == "r.yaml:4"
    assert not any(k.startswith("dedup.near.") for k in loaded.who)


def test_errors_after_merging_stand_where_the_key_was_written() -> None:
    write("parts/base.yaml", "\ntrain:\n  epochs: none\n  packing: maybe\n")
    text = (
        "recipe: 1\nname: t\nextends: parts/base.yaml\ntrain: {packing: perhaps}\nadapter: {q: 1}\n" + SOURCES
    )
    assert refused(text) == [
        "parts/base.yaml:3:11: train.epochs: must be a number, not text 'none'",
        "r.yaml:4:18: train.packing: must be true or false, not text 'perhaps'",
        "r.yaml:5:11: adapter.q: unknown key (known: alpha, dora, double_quant, dropout, modules_to_save, quant_type, r, rslora, targets, type)",
    ]


def test_errors_of_every_pass_come_together() -> None:
    text = """recipe: 1
name: Big
sources:
  - jsonl: {files: [none.jsonl]}
  - jsonl: {files: [a.jsonl]}
mix: {weights: {jsonl: 0.5}}
train: {micro_batch: 3, effective_batch: 4}
evaluate: {suites: [nothing], gates: [a.b > 1]}
"""
    said = refused(text)
    for part in (
        "name: 'Big'",
        "no file 'none.jsonl'",
        "two sources",
        "sum to 0.5",
        "no multiple",
        "no suite",
    ):
        assert any(part in line for line in said), part
    assert said == sorted(said, key=lambda s: tuple(map(int, s.split(":")[1:3])))


def test_extends_is_found_beside_the_file_then_on_the_shelf() -> None:
    write("sub/base.yaml", "seed: 3\n")
    text = "recipe: 1\nname: t\nextends: base.yaml\n" + SOURCES
    assert load(text, name="sub/r.yaml").recipe.seed == 3
    shipped = load("recipe: 1\nname: t\nextends: base/smollm2-135m.yaml\n" + SOURCES)
    assert shipped.recipe.model is not None
    assert shipped.who["model.base"].startswith("recipes/base/smollm2-135m.yaml:")


@pytest.mark.parametrize("name", [".", "base", "a\\0b", "x/" * 3000, "loop.yaml", "*.yaml"])
def test_extends_of_what_is_no_file(name: str) -> None:
    Path("loop.yaml").symlink_to("loop.yaml")
    (line,) = refused(f'recipe: 1\nname: t\nextends: "{name}"\n' + SOURCES)
    assert line.startswith("r.yaml:3:10: extends: no recipe ")
    assert len(line) < 500


def test_a_long_circle_of_extends_is_seen() -> None:
    for n in range(30):
        write(f"c{n}.yaml", f"extends: c{(n + 1) % 30}.yaml\n")
    (line,) = refused("recipe: 1\nname: t\nextends: c0.yaml\n" + SOURCES)
    assert "leads back to itself" in line


def test_big_recipes_merge_in_linear_time() -> None:
    write("base.yaml", "".join(f"a{n}: 1\n" for n in range(20_000)))
    assert len(refused("extends: base.yaml\n" + "".join(f"b{n}: {{}}\n" for n in range(20_000)))) > 40_000


def test_nothing_outside_the_workspace_without_trust(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    place = Workspace(work)
    (work / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    (work / "sub" / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    for files in (
        "../a.jsonl",
        str(tmp_path / "a.jsonl"),
        "link.jsonl",
        "*.jsonl",
        "sub/*",
        "*/../../a.jsonl",
    ):
        recipe = write("work/r.yaml", f'recipe: 1\nname: t\nsources:\n  - jsonl: {{files: ["{files}"]}}\n')
        with pytest.raises(NeedsTrust, match=r"r.yaml:4:21: sources\[0\].jsonl.files\[0\]: .* --trust paths"):
            load_recipe(recipe, place)
        assert load_recipe(recipe, Workspace(work, frozenset(["paths"]))).recipe.name == "t"


def test_shipped_files_are_found_and_may_be_shadowed() -> None:
    text = "recipe: 1\nname: t\nsources:\n  - jsonl: {files: [datasets/plain-answers.jsonl]}\n"
    load(text)
    found = Workspace(Path()).named("glob", "datasets/plain-answers.jsonl")
    assert list(found.values()) == [library.shelf("datasets") / "plain-answers.jsonl"]
    write("datasets/plain-answers.jsonl", ROW)
    found = Workspace(Path()).named("glob", "datasets/plain-answers.jsonl")
    assert [p.resolve() for p in found.values()] == [Path("datasets/plain-answers.jsonl").resolve()]


def test_a_shelf_cannot_be_climbed_out_of() -> None:
    for name in ("datasets/../pyproject.toml", "evals/../../x", "recipes", "nothing/x", "datasets/\0"):
        assert library.find(name) is None


@pytest.mark.parametrize("text", ["/dev/zero", "."])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises((UsageError, RecipeError)):
        load_recipe(Path(text), Workspace(Path()))


def test_a_suite_must_be_called_as_its_file() -> None:
    write("evals/suites/mine.yaml", "suite: 1\nname: yours\nlm_eval: {tasks: [everyday_facts]}\n")
    with pytest.raises(RecipeError, match=r"mine.yaml:2:7: name: must be 'mine'"):
        load_suite("mine", Workspace(Path()))


def test_errors_of_a_suite_join_those_of_the_recipe() -> None:
    write(
        "evals/suites/mine.yaml", "suite: 1\nname: mine\nprobes: none.jsonl\nlm_eval: {tasks: [none]}\nx: 1\n"
    )
    write("evals/suites/other.yaml", "suite: 1\nname: other\nprobes: none.jsonl\nlm_eval: {tasks: [none]}\n")
    model = "model: {base: embedded/smollm2-135m-instruct}\n"
    text = "recipe: 1\nname: t\nseed: x\nevaluate: {suites: [mine, other]}\n" + model + SOURCES
    said = refused(text)
    assert "evals/suites/mine.yaml:5:1: x: unknown key" in said[0]
    assert "evals/suites/other.yaml:1:1: probes and a judge go together" in said
    assert "evals/suites/other.yaml:3:9: probes: no file 'evals/none.jsonl'" in said
    assert any("no task file evals/tasks/none.yaml" in line for line in said)
    assert any("r.yaml:3:7: seed" in line for line in said)


def test_a_suite_that_reaches_outside_needs_trust() -> None:
    write("evals/suites/mine.yaml", "suite: 1\nname: mine\nperplexity: {texts: {g: [../../*.txt]}}\n")
    model = "model: {base: embedded/smollm2-135m-instruct}\n"
    with pytest.raises(NeedsTrust, match=r"r\.yaml:3:"):
        load("recipe: 1\nname: t\nevaluate: {suites: [mine]}\n" + model + SOURCES)


@pytest.mark.parametrize(
    ("base", "what"),
    [
        ("a.jsonl", "no model folder"),
        ("./none", "no model folder"),
        ("a/b/c", "no model folder"),
        ("empty", "no config.json"),
    ],
)
def test_local_models_are_looked_at(base: str, what: str) -> None:
    Path("empty").mkdir()
    said = refused(f"recipe: 1\nname: t\nmodel: {{base: {base}}}\n" + SOURCES)
    assert all(line.startswith("r.yaml:3:15: model.base: ") for line in said)
    assert what in "\n".join(said)


def test_a_hub_model_and_a_template_file_are_fine() -> None:
    write("t.jinja", "{{ messages }}")
    model = "model: {base: org/model, revision: abc123, template: t.jinja}\n"
    assert load("recipe: 1\nname: t\n" + model + SOURCES).recipe.model is not None


def test_two_suites_cannot_want_one_task_with_other_limits(tmp_path: Path) -> None:
    for name, limit in (("a", 10), ("b", 20)):
        suite = tmp_path / f"evals/suites/{name}.yaml"
        suite.parent.mkdir(parents=True, exist_ok=True)
        suite.write_text(f"suite: 1\nname: {name}\nlm_eval: {{tasks: [everyday_facts], limit: {limit}}}\n")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "recipe: 1\nname: r\nsources: [{jsonl: {files: [d.jsonl]}}]\n"
        "model: {base: embedded/smollm2-135m-instruct}\nevaluate: {suites: [a, b]}\n"
    )
    (tmp_path / "d.jsonl").write_text("{}\n")
    with pytest.raises(RecipeError, match=r"r\.yaml:5:24: .*another limit or fewshot than 'a' does"):
        load_recipe(recipe, Workspace(tmp_path))


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("perplexity: {texts: {g: [a.jsonl]}, words: [200, 100]}", "the fewest words, 200, are more than the most, 100"),
        ("perplexity: {texts: {a-b: [a.jsonl], a_b: [a.jsonl]}}", "its groups 'a-b' and 'a_b' would name their metrics alike"),
        ("lm_eval: {tasks: [a-b, a_b]}", "its tasks 'a-b' and 'a_b' would name their metrics alike"),
    ],
)  # fmt: skip
def test_suites_that_would_fail_late(home: Path, suite: str, said: str) -> None:
    write("evals/suites/mine.yaml", f"suite: 1\nname: mine\n{suite}\n")
    with pytest.raises(RecipeError, match=said):
        load_suite("mine", Workspace(home))


TASK = "dataset_path: json\n"
LISTED = TASK + "metric_list:\n  - metric: {}\n"


@pytest.mark.parametrize(
    ("task", "text", "more", "said"),
    [
        ("detector", LISTED.format("n"), "", "its task 'detector' has the metric mine.detector.n, as has its judge"),
        ("detector", TASK, "", "its task 'detector' may have the metric mine.detector.accuracy, as has its judge"),
        ("a-b", LISTED.format("perplexity"), "perplexity: {texts: {a_b: [a.txt]}}\n",
         "its task 'a-b' has the metric mine.a_b.nats, as has its group 'a_b'"),
        ("detector", LISTED.format("acc"), "", ""),
        ("other", TASK, "perplexity: {texts: {a_b: [a.txt]}}\n", ""),
    ],
)  # fmt: skip
def test_a_task_cannot_have_a_metric_that_the_suite_has_already(
    home: Path, task: str, text: str, more: str, said: str
) -> None:
    write(f"evals/tasks/{task}.yaml", text)
    write("a.txt", "Text.")
    judge = "probes: probes/refusals.jsonl\njudge: {refusal: {}}\n"
    write("evals/suites/mine.yaml", f"suite: 1\nname: mine\n{judge}lm_eval: {{tasks: [{task}]}}\n{more}")
    if not said:
        load_suite("mine", Workspace(home))
        return
    with pytest.raises(RecipeError, match=said):
        load_suite("mine", Workspace(home))


def test_a_judge_cannot_compare_arms_that_are_not_there(home: Path) -> None:
    judge = "{llm_pairwise: {model: j, rubrics: [rubrics/wit.yaml], pairs: [probes/judge-wit.jsonl], arm: rivall}}"
    write(
        "evals/suites/mine.yaml",
        f"suite: 1\nname: mine\nprobes: probes/persona-prompts.jsonl\njudge: {judge}\n",
    )
    model = "model: {base: org/model, revision: abc123, template: model}\n"
    arms = "evaluate: {suites: [mine], arms: {ARM: {system: Be a captain.}}}\n"
    start = "recipe: 1\nname: t\n" + model + SOURCES
    (line,) = refused(start + arms.replace("ARM", "rival"))
    assert "its judge compares the arm 'rivall', which is not there (did you mean rival?)" in line
    load(start + arms.replace("ARM", "rivall"))
    with pytest.raises(
        UsageError, match="the suite 'mine' cannot judge this: its judge compares the arm 'rivall'"
    ):
        evaluation("big", ["mine"], home, endpoint="house")


def test_two_suites_of_one_metric_name_are_refused(home: Path) -> None:
    for name in ("a-b", "a_b"):
        write(f"evals/suites/{name}.yaml", f"suite: 1\nname: {name}\nlm_eval: {{tasks: [everyday_facts]}}\n")
    model = "model: {base: org/model, revision: abc123, template: model}\nevaluate: {suites: [a-b, a_b]}\n"
    (line,) = refused("recipe: 1\nname: t\n" + model + SOURCES)
    assert "'a_b' and 'a-b' would both name their metrics a_b.…; rename one" in line


def test_two_suites_cannot_have_one_metric_by_way_of_their_dots(home: Path) -> None:
    write("evals/tasks/more.yaml", LISTED.format("call_probes"))
    write("evals/suites/my.yaml", "suite: 1\nname: my\nlm_eval: {tasks: [more]}\n")
    judge = "probes: probes/weather-calls.jsonl\njudge: {tool_use: {}}\n"
    write("evals/suites/my.more.yaml", f"suite: 1\nname: my.more\n{judge}")
    model = "model: {base: org/model, revision: abc123, template: model}\nevaluate: {suites: [my, my.more]}\n"
    (line,) = refused("recipe: 1\nname: t\n" + model + SOURCES)
    assert "'my' and 'my.more' would both have the metric my.more.call_probes; rename one" in line
    write("evals/tasks/more.yaml", LISTED.format("acc"))
    load("recipe: 1\nname: t\n" + model + SOURCES)


def test_a_temperature_that_no_engine_can_divide_by(home: Path) -> None:
    for temperature, fine in ((0, True), (0.001, True), (1e-9, False)):
        text = f"suite: 1\nname: mine\nlm_eval: {{tasks: [everyday_facts]}}\ndecoding: {{temperature: {temperature}}}\n"
        write("evals/suites/mine.yaml", text)
        if fine:
            load_suite("mine", Workspace(home))
        else:
            with pytest.raises(RecipeError, match=r"must be 0 .* or at least 0\.001"):
                load_suite("mine", Workspace(home))


def test_a_recipe_is_found_by_each_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = library.shelf("recipes") / "quickstart.yaml"
    for name in ("quickstart.yaml", "recipes/quickstart.yaml"):
        assert located(Path(name)) == shipped.resolve()
    (tmp_path / "quickstart.yaml").write_text("recipe: 1\n")
    assert located(Path("quickstart.yaml")) == Path("quickstart.yaml")
    for name in ("none.yaml", "base", "../pyproject.toml", "x" * 5000):
        with pytest.raises(UsageError, match="no recipe"):
            located(Path(name))
