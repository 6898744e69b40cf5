"""Step `askable`: a probe that the chat template cannot ask is noticed before anything is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner import installed, library
from runner.chat import Renderer
from runner.errors import StepError
from runner.evaluate.probes import probes
from runner.load import load_recipe, load_suite, suite_names
from runner.modelchecks import templates
from runner.plan import plan
from runner.record import Message
from runner.recorded import rehearsed
from runner.run import run
from runner.steps import Plan
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: tiny, template: TEMPLATE, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, targets: [q_proj, v_proj]}
train: {attention: sdpa, packing: false}
evaluate: {suites: [one, two], arms: {prompted: {system: Be a captain.}, far: {endpoint: house, model: m, system: Be far.}}}
compute: {profile: cpu}
"""
SAYS = """\
{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
NO_SYSTEM = (
    '{% if messages[0].role == "system" %}{{ raise_exception("System role not supported") }}{% endif %}'
    + SAYS
)
DEAF = SAYS.replace("{% for m in messages %}", '{% for m in messages if m.role != "system" %}')
TOOL = {"type": "function", "function": {"name": "get_tide", "parameters": {"type": "object"}}}


def user(id: str, text: str = "How high is it?", **more: Any) -> dict[str, Any]:
    return {"id": id, "messages": [{"role": "user", "content": text}], "expect": {"calls": []}} | more


@pytest.fixture
def home(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIREPOIX_ENDPOINTS", "house=http://127.0.0.1:9/v1")
    shutil.copytree(tiny, tmp_path / "tiny")
    for folder in ("evals/suites", "evals/probes"):
        (tmp_path / folder).mkdir(parents=True)
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Which fish, {n}?"},
                {"role": "assistant", "content": f"Shad {n}."},
            ]
        }
        for n in range(60)
    ]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    suite(tmp_path, "one", [user("plain"), user("twice", "And now?")])
    suite(tmp_path, "two", [user("other", "Where?")])
    return tmp_path


def suite(root: Path, name: str, rows: list[dict[str, Any]], more: str = "") -> None:
    (root / f"evals/probes/{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    (root / f"evals/suites/{name}.yaml").write_text(
        f"suite: 1\nname: {name}\nprobes: probes/{name}.jsonl\nmax_new_tokens: 4\njudge: {{tool_use: {{}}}}\n{more}"
    )


def planned(root: Path, template: str, recipe: str = RECIPE) -> Plan:
    (root / "t.jinja").write_text(template)
    (root / "r.yaml").write_text(recipe.replace("TEMPLATE", "t.jinja"))
    place = Workspace(root)
    return plan(load_recipe(root / "r.yaml", place), place)


def refused(made: Plan) -> str:
    """What a run says that ends before a step of training; it has got as far as the step that looks."""
    told: list[tuple[str, str]] = []
    with pytest.raises(StepError) as e:
        run(made, tell=lambda event: told.append((event.what, event.step)))
    assert e.value.step == "askable" and "\n" not in e.value.message
    assert ("starts", "askable") in told and not [s for _, s in told if s in ("rows", "preprocess", "train")]
    return e.value.message


def test_a_probe_that_the_template_refuses_is_noticed_before_training(home: Path) -> None:
    said = refused(
        planned(home, NO_SYSTEM)
    )  # the arm that is asked in words has a system message in every probe
    assert said == (
        "3 of 3 probes cannot be asked with the template 't.jinja': "
        "'plain' of evals/probes/one.jsonl: it refuses it (System role not supported); "
        "'twice' of evals/probes/one.jsonl: it refuses it (System role not supported); "
        "'other' of evals/probes/two.jsonl: it refuses it (System role not supported). "
        "Name another in model.template, or mend the probes"
    )


def test_what_the_template_leaves_out_is_noticed(home: Path) -> None:
    assert "'plain' of evals/probes/one.jsonl: it leaves out the system text (message 1)" in refused(
        planned(home, DEAF)
    )
    suite(home, "two", [user("calls", tools=[TOOL])])
    said = refused(planned(home, SAYS))
    assert (
        said.startswith("1 of 3 probes")
        and "'calls' of evals/probes/two.jsonl: it leaves out the tool 'get_tide'" in said
    )
    config = json.loads((home / "tiny/config.json").read_bytes())
    (home / "tiny/config.json").write_text(json.dumps(config | {"max_position_embeddings": 512}))
    suite(home, "two", [user("long", "long " * 600)])
    assert "'long' of evals/probes/two.jsonl: " in (said := refused(planned(home, SAYS)))
    assert "with 4 new ones more than the " in said and "that the model can hold" in said


def test_many_are_counted_and_some_named(home: Path) -> None:
    suite(home, "two", [user(f"t{n}", f"Question {n}?") for n in range(30)])
    said = refused(planned(home, NO_SYSTEM))
    assert (
        said.startswith("32 of 32 probes")
        and said.count(".jsonl: it refuses it") == 8
        and "; and 24 more." in said
    )
    suite(home, "two", [user(f"t{n}", f"Question {n}?") for n in range(30)], "limit: 2\n")
    assert refused(planned(home, NO_SYSTEM)).startswith("4 of 4 probes"), (
        "no probe past a suite's limit is asked"
    )


def test_the_template_of_the_models_own_tokenizer(home: Path) -> None:
    (home / "tiny/chat_template.jinja").write_text(NO_SYSTEM)
    made = planned(home, NO_SYSTEM, RECIPE.replace("TEMPLATE", "model"))
    assert made.template is None
    assert "cannot be asked with the template 'model'" in refused(made)


def test_only_what_the_recipes_own_template_is_asked(home: Path) -> None:
    """Without the arm that is asked in words nothing has a system message; an endpoint has a template of its own."""
    made = planned(home, NO_SYSTEM, RECIPE.replace("prompted: {system: Be a captain.}, ", ""))
    assert next(s.name for s in made.steps if s.stage == "train") == "askable"
    only = Plan(
        made.loaded,
        made.workspace,
        made.profile,
        tuple(s for s in made.steps if s.name in OPEN),
        made.template,
    )
    assert run(only, to="train").executed == len(only.steps)


OPEN = ("source.talk", "filter", "dedup", "decontaminate", "render", "mix", "split", "askable")


@pytest.mark.parametrize("template", sorted(templates()))
def test_every_shipped_template_asks_every_shipped_probe(tiny: Path, template: str) -> None:
    text = library.shelf("recipes").parent.joinpath(templates()[template]).read_text(encoding="utf-8")
    renderer = Renderer(str(tiny), revision=None, template=text, end_of_turn="<|im_end|>")
    place, asked = Workspace(tiny), 0
    for name in set(suite_names(place)) - {"held-out-books"}:  # whose texts the workspace brings
        common = load_suite(name, place).common
        for probe in probes(place.find(f"evals/{common.probes}") or Path(), None) if common.probes else ():
            system = [] if probe.messages[0].role == "system" else [Message("system", "Be a captain.")]
            for one in (probe, rehearsed(probe)):
                for messages in (one.messages, [*system, *one.messages]):
                    renderer.prompt(messages, one.tools)
                    asked += 1
    assert asked > 1000


def test_a_vllm_that_is_not_here_is_noticed_before_the_first_step(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "version", lambda name: None if "vllm" in name else "1.0")
    made = planned(home, SAYS, RECIPE.replace("evaluate: {", "evaluate: {engine: vllm, "))
    started: list[str] = []
    with pytest.raises(
        StepError, match=r"evaluate\.engine is vllm: vLLM is not installed; install it with: pip"
    ) as e:
        run(made, tell=lambda event: started.append(event.step))
    assert e.value.step == "answers.base.one" and not started
    run(made, to="prepare", tell=lambda event: started.append(event.step))
    assert "split" in started, "what asks no vLLM needs none"


def test_what_decides_the_step(home: Path) -> None:
    def mark(template: str = SAYS, recipe: str = RECIPE) -> str:
        return planned(home, template, recipe).step("askable").fingerprint

    first = mark()
    assert mark() == first and mark(recipe=RECIPE.replace("Be far.", "Be further.")) == first
    assert len({first, mark(DEAF), mark(recipe=RECIPE.replace("Be a captain.", "Be a pilot."))}) == 3
    suite(home, "two", [user("other", "Whither?")])
    assert mark() != first
