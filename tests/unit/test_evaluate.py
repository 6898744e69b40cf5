"""Stage evaluate: what each arm is asked, one loading for many steps, answers that failed, contaminated suites."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import process
from runner import recipe as r
from runner.errors import RecipeError, StepError
from runner.evaluate import MAKERS, asking
from runner.evaluate.judging import samples, with_failed
from runner.evaluate.probes import asked, probes
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.recipe.arms import Arm
from runner.record import Answer, Message, Probe, Score
from runner.serving import vllm
from runner.serving.engines import Engine
from runner.steps import Plan
from runner.store import Artifact, Store, digest
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
decontaminate: {against: none}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, targets: [q_proj, v_proj]}
train: {attention: sdpa, packing: false}
evaluate: {suites: [one, two], arms: {prompted: {system: Be a captain.}}}
compute: {profile: cpu}
"""
TALK = {"messages": [{"role": "user", "content": "Which fish swims up this river in May?"},
                     {"role": "assistant", "content": "The shad does, sir."}]}  # fmt: skip


def probe(id: str, text: str) -> dict[str, Any]:
    return {"id": id, "messages": [{"role": "user", "content": text}], "expect": {"calls": []}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    for folder in ("evals/suites", "evals/probes", "tiny"):
        (root / folder).mkdir(parents=True)
    (root / "tiny/config.json").write_text("{}")
    (root / "tiny/model.safetensors").write_text("")
    (root / "talk.jsonl").write_text(json.dumps(TALK) + "\n")
    (root / "r.yaml").write_text(RECIPE)
    for name in ("one", "two"):
        rows = [probe(f"{name}{n}", f"fox {n} of {name}?") for n in range(5)]
        (root / f"evals/probes/{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
        (root / f"evals/suites/{name}.yaml").write_text(
            f"suite: 1\nname: {name}\nprobes: probes/{name}.jsonl\nmax_new_tokens: 4\njudge: {{tool_use: {{}}}}\n"
        )
    return root


def planned(root: Path) -> Plan:
    place = Workspace(root)
    return plan(load_recipe(root / "r.yaml", place), place)


def making(made: Plan, name: str, inputs: dict[str, Any] | None = None, **more: Any) -> Making:
    root, step = made.workspace.root, made.step(name)
    out = root / "out" / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    work = Store(root).work(step.fingerprint)
    return Making(step, made, inputs or {}, out, work, root / "log", lambda *a: None, **more)


def test_what_an_arm_is_asked() -> None:
    bare = Probe("p", [Message("user", "Hello?")])
    own = Probe("p", [Message("system", "Use metres."), Message("user", "Hello?")])

    def systems(evaluate: r.Evaluate, arm: str) -> list[str | None]:
        out: list[str | None] = []
        for one in (bare, own):
            said = asked(one, evaluate, arm).messages
            assert said[-1].content == "Hello?" and [m.role for m in said[:-1]] in ([], ["system"])
            out.append(said[0].content if len(said) == 2 else None)
        return out

    arms = {"prompted": Arm(system="Be a captain.")}
    evaluate = r.Evaluate(system="Be brief.", arms=arms)
    for arm in ("base", "tuned"):
        assert systems(evaluate, arm) == ["Be brief.", "Use metres."]
    assert systems(evaluate, "prompted") == ["Be a captain.", "Be a captain.\n\nUse metres."]
    assert systems(r.Evaluate(arms=arms), "base") == [None, "Use metres."]
    assert systems(r.Evaluate(arms=arms), "prompted")[0] == "Be a captain."


@pytest.mark.usefixtures("forked_jobs")
def test_the_same_weights_are_loaded_once_for_all_suites_and_arms(
    home: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home / "tiny")
    shutil.copytree(tiny, home / "tiny")
    made = planned(home)
    jobs: list[dict[str, Any]] = []
    run = process.run

    def counted(argv: list[str], **how: Any) -> None:
        jobs.append(json.loads(Path(argv[-1]).read_bytes()))
        run(argv, **how)

    monkeypatch.setattr(process, "run", counted)
    names = [s.name for s in made.steps if s.kind == "generate" and "tuned" not in s.name]
    assert names == ["answers.base.one", "answers.base.two", "answers.prompted.one", "answers.prompted.two"]
    store, said = Store(home), {}
    for name in names:
        step = made.step(name)
        with store.making(name, step.fingerprint, step.ingredients) as out:
            m = making(made, name)
            MAKERS["generate"](Making(m.step, made, {}, out, m.work, m.log, m.progress))
        folder = store.path(step.fingerprint)
        rows = [json.loads(x) for x in (folder / "answers.jsonl").read_bytes().splitlines()]
        said[name] = [(x["id"], x["arm"]) for x in rows]
        assert json.loads((folder / "facts.json").read_bytes())["arm"] == name.split(".")[1]
    assert said == {n: [(f"{n[-3:]}{i}", n.split(".")[1]) for i in range(5)] for n in names}
    assert len(jobs) == 1 and len(jobs[0]["sets"]) == 4 and jobs[0]["adapter"] is None
    # A suite that changes has its own answers made, and no others.
    rows = (home / "evals/probes/two.jsonl").read_text().splitlines()
    (home / "evals/probes/two.jsonl").write_text("\n".join(rows[:3]) + "\n")
    again = planned(home)
    MAKERS["generate"](making(again, "answers.base.two"))
    assert [s["arm"] for s in jobs[1]["sets"]] == ["base", "prompted"]
    two = {again.step(f"answers.{arm}.two").fingerprint for arm in ("base", "prompted")}
    assert {Path(s["out"]).parts[-3] for s in jobs[1]["sets"]} == {Store(home).work(x).name for x in two}


def test_what_another_run_has_answered_is_left_to_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs that write the same answers would mix them up; and who wants those that this job gives has to wait."""
    made, other = planned(home), Store(home)
    fingerprints = [
        made.step(f"answers.{arm}.{suite}").fingerprint
        for arm in ("base", "prompted")
        for suite in ("one", "two")
    ]
    seen: list[set[str]] = []

    def look(argv: list[str], **how: Any) -> None:
        sets = json.loads(Path(argv[-1]).read_bytes())["sets"]
        seen.append({Path(s["out"]).parts[-3] for s in sets})
        assert [other.is_held(f) for f in fingerprints] == [False, True, True, True], (
            "its own is held by the run"
        )
        raise process.Failed("enough")

    monkeypatch.setattr(process, "run", look)
    with other.trying(fingerprints[2]), pytest.raises(StepError, match="enough"):
        MAKERS["generate"](making(made, "answers.base.one"))
    assert seen == [{fingerprints[0], fingerprints[1], fingerprints[3]}]
    assert not any(other.is_held(f) for f in fingerprints)


# -- answers that failed ----------------------------------------------------------------------------


def test_an_answer_that_failed_is_missing_with_its_reason_and_never_0() -> None:
    answers = [
        Answer("a", "base", "x", "stop"),
        Answer("b", "base", "", "stop", failed="it said nothing"),
        Answer("b", "tuned", "x", "stop"),
        Answer("c", "base", "", "stop", failed="500"),
        Answer("d", "base", "x", "stop"),
        Answer("d", "base", "", "stop", failed="late", repeat=1),
        Answer("d", "base", "", "stop", failed="later", repeat=2),
        Answer("a", "rival", "", "stop", failed="away"),
    ]
    judged = [
        Score("a", "base", "m", 1.0),
        Score("b", "tuned", "n", 0.0),
        Score("b", "base", "n", None, "no answer"),
        Score("d", "base", "m", 1.0),
    ]
    found = with_failed(judged, answers)
    assert [s for s in found if s.value is not None] == [s for s in judged if s.value is not None]
    assert {(s.id, s.metric, s.reason) for s in found if s.value is None} == {
        ("b", "n", "no answer: it said nothing"),
        ("c", "m", "no answer: 500"),
        ("c", "n", "no answer: 500"),
        ("d", "m", "no answer: late"),
        ("d", "m", "no answer: later"),
        ("a", "m", "no answer: away"),
    }
    tuned = Answer("e", "tuned", "", "stop", failed="gone")
    lost = [s for s in with_failed(judged, [*answers, tuned]) if s.id == "e"]
    assert [(s.arm, s.metric) for s in lost] == [("tuned", "n")], "the judge scores m of base alone"
    shown = samples([Probe(x, []) for x in "abcd"], ("base", "tuned"), answers, found)
    assert shown[1]["scores"] == {"n": {"tuned": 0.0, "base": None}}
    assert shown[1]["reasons"] == {"n": {"base": "no answer: it said nothing"}}
    assert shown[3]["scores"] == {"m": {"base": 1.0}}, "of several answers those count that are there"
    assert shown[1]["answers"] == {"base": "", "tuned": "x"}


def answered(root: Path, made: Plan, rows: dict[str, list[Answer]]) -> dict[str, Any]:
    import msgspec

    inputs = {}
    for arm, answers in rows.items():
        folder = root / "answers" / arm
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "answers.jsonl").write_bytes(b"".join(msgspec.json.encode(a) + b"\n" for a in answers))
        (folder / "facts.json").write_text(json.dumps({"decoding": {"engine": arm}}))
        inputs[f"answers.{arm}.one"] = Artifact(folder, None)  # type: ignore[arg-type]
    return inputs


def test_all_arms_are_judged_and_failures_counted(home: Path) -> None:
    made = planned(home)
    ids = [f"one{n}" for n in range(5)]
    talk = Message("assistant", "Hello.")
    rows = {
        arm: [Answer(id, arm, "Hello.", "stop", talk) for id in ids] for arm in ("base", "prompted", "tuned")
    }
    rows["prompted"][2] = Answer("one2", "prompted", "", "stop", failed="the server was away")
    m = making(made, "judge.one", answered(home, made, rows))
    MAKERS["judge"](m)
    found = json.loads((m.out / "suite.json").read_bytes())
    assert found["failed"] == {"base": 0, "prompted": 1, "tuned": 0}
    assert found["decoding"] == {arm: {"engine": arm} for arm in rows}
    scores = [json.loads(x) for x in (m.out / "scores.jsonl").read_bytes().splitlines()]
    scores = [s for s in scores if s["metric"] == "no_call"]
    missing = [s for s in scores if s["value"] is None]
    assert [(s["id"], s["arm"], s["reason"]) for s in missing] == [
        ("one2", "prompted", "no answer: the server was away")
    ]
    assert len(scores) == 15 and all(s["value"] == 1.0 for s in scores if s not in missing)
    sample = found["samples"][2]
    assert sample["scores"]["no_call"] == {"base": 1.0, "tuned": 1.0, "prompted": None}
    nobody = {arm: [Answer(id, arm, "", "stop", failed="away") for id in ids] for arm in rows}
    with pytest.raises(StepError, match="nothing was answered, so there is nothing to judge: away"):
        MAKERS["judge"](making(made, "judge.one", answered(home, made, nobody)))


def test_blank_lines_of_probes_are_none(home: Path) -> None:
    path = home / "evals/probes/one.jsonl"
    path.write_text("\n" + path.read_text() + "  \n\n")
    assert [p.id for p in probes(path, 2)] == ["one0", "one1"] and len(probes(path, None)) == 5
    planned(home)
    path.write_text("\n\n")
    with pytest.raises(RecipeError, match=r"one\.jsonl:1:1: .*there is no probe in it"):
        planned(home)


# -- contaminated suites ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Pray, WHICH fish swims up  this river -- in May, then?", True),
        ("Which fish swims up this hill?", False),
    ],
)
def test_a_suite_whose_probes_were_trained_on_is_refused(home: Path, asked: str, found: bool) -> None:
    (home / "evals/probes/two.jsonl").write_text(json.dumps(probe("fishy", asked)) + "\n")
    made = planned(home)
    split = home / "split"
    (split / "data").mkdir(parents=True)
    (split / "data/train.jsonl").write_text(json.dumps(TALK | {"meta": {"id": "talk/1"}}) + "\n")
    (split / "data/validation.jsonl").write_text("")
    m = making(made, "contaminated", {"split": Artifact(split, None)})  # type: ignore[arg-type]
    if not found:
        MAKERS["contaminated"](m)
        assert json.loads((m.out / "looked.json").read_bytes()) == {
            "probes": 6, "documents": 0, "passages": 0, "turns": 2,
        }  # fmt: skip
        return
    with pytest.raises(StepError) as refused:
        MAKERS["contaminated"](m)
    for word in ("contaminated", "'fishy'", "'two'", "'talk/1'"):
        assert word in str(refused.value)


# -- the template that was trained ----------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
@pytest.mark.parametrize("about", [{"template": digest("another")}, {"template": digest(None)}, {}, None])
def test_what_was_trained_with_another_template_is_refused(home: Path, about: Any, engine: str) -> None:
    (home / "r.yaml").write_text(RECIPE.replace("evaluate: {", f"evaluate: {{engine: {engine}, "))
    made = planned(home)
    (home / "trained/adapter").mkdir(parents=True)
    if about is not None:
        (home / "trained/adapter/mirepoix.json").write_text(json.dumps(about))
    inputs = {"train": Artifact(home / "trained", None)}  # type: ignore[arg-type]
    with pytest.raises(
        StepError, match=r"answers\.tuned\.one: trained/adapter was trained with another chat template"
    ):
        MAKERS["generate"](making(made, "answers.tuned.one", inputs))


# -- answers over HTTP ------------------------------------------------------------------------------


def served_run(home: Path, tiny: Path, lora: Any) -> tuple[Plan, dict[str, Any]]:
    """A plan whose probes a server is to answer, and the training that it goes on from."""
    shutil.rmtree(home / "tiny")
    shutil.copytree(tiny, home / "tiny")
    (home / "r.yaml").write_text(RECIPE.replace("evaluate: {", "evaluate: {engine: vllm, "))
    made = planned(home)
    trained = home / "trained"
    lora(tiny, trained / "adapter")
    (trained / "adapter/mirepoix.json").write_text(json.dumps({"template": digest(made.template)}))
    return made, {"train": Artifact(trained, None)}  # type: ignore[arg-type]


@pytest.mark.usefixtures("forked_jobs")
def test_a_server_is_started_on_each_models_own_weights(
    home: Path, tiny: Path, lora: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With the server of this package, as vLLM is seldom installed: all but vLLM's own command line is the same.
    monkeypatch.setattr(
        asking.replica.engines, "choose", lambda *a: Engine("transformers", sys.executable, False, "ours")
    )
    made, inputs = served_run(home, tiny, lora)
    said = {}
    for arm, more in (("base", {}), ("prompted", {}), ("tuned", inputs)):
        m = making(made, f"answers.{arm}.one", more)
        MAKERS["generate"](m)
        rows = [json.loads(x) for x in (m.out / "answers.jsonl").read_bytes().splitlines()]
        assert [(x["id"], x["arm"]) for x in rows] == [(f"one{n}", arm) for n in range(5)]
        said[arm] = [x["raw"] for x in rows]
        facts = json.loads((m.out / "facts.json").read_bytes())
        assert facts["decoding"]["engine"] == "ours"
        assert facts["template_sha256"] == hashlib.sha256((made.template or "").encode()).hexdigest()
        assert bool(facts["adapter_proof"]) == (arm == "tuned")
    assert said["base"] != said["tuned"] != said["prompted"] != said["base"]
    monkeypatch.setattr(asking.server, "serving", None)  # one start had the other arm and suite answered too
    MAKERS["generate"](making(made, "answers.prompted.two"))


def test_vllms_command_for_a_base_and_for_an_adapter(home: Path, tiny: Path, lora: Any) -> None:
    made, inputs = served_run(home, tiny, lora)
    engine, ready = Engine("vllm", "py", False, "vLLM"), home / "ready"
    ready.mkdir()
    how: dict[str, Any] = {
        "ready": ready,
        "port": 1,
        "r": 4,
        "limit": 512,
        "tool_parser": "hermes",
        "dtype": "float32",
    }
    base = asking.served_of(making(made, "answers.base.one"), "base")
    argv = vllm.argv(engine, base, arms=("base",), **how)
    assert argv[argv.index("--model") + 1] == str((home / "tiny").resolve())
    assert argv[argv.index("--dtype") + 1] == "float32"
    assert argv[argv.index("--served-model-name") + 1] == "base" and "--enable-lora" not in argv
    tuned = asking.served_of(making(made, "answers.tuned.one", inputs), "tuned")
    argv = vllm.argv(engine, tuned, arms=("base", "tuned"), **how)
    assert f"tuned={home / 'trained/adapter'}" in argv and "--enable-lora" in argv
    assert (
        base.template
        == home / ".mirepoix/work" / made.step("answers.base.one").fingerprint / "template.jinja"
    )
