"""The model card: the same bytes for the same run, a header that a hub reads, and texts that cannot become markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from markdown_it import MarkdownIt

from runner import modelcard
from runner.modelcard import Base, Facts, Form, Right, Template
from runner.modelcard.facts import Form as Forms

CARDS = Path(__file__).parents[1] / "examples/cards"
PROOF = {
    "greedy_tokens": 24,
    "saved_greedy_tokens": 24,
    "merge_error": 1.5e-5,
    "saved_error": 0.11,
    "max_logit_difference": 7.25,
}


def estimate(value: float, low: float, high: float, n: int = 60) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def facts(**more: Any) -> Facts:
    metric = {
        "metric": "weather_tools.valid_call",
        "unit": "share",
        "better": "higher",
        "base": estimate(0.05, 0.01, 0.14),
        "tuned": estimate(0.95, 0.86, 0.98),
        "difference": estimate(0.9, 0.79, 0.95) | {"p": 1e-9},
    }
    none = dict.fromkeys(("value", "low", "high")) | {"n": 0}
    silent = {
        "metric": "weather_tools.wit",
        "unit": "share",
        "better": None,
        "base": none,
        "tuned": none,
        "difference": none,
    }
    whole: dict[str, Any] = {
        "name": "twain-small",
        "description": "A small model that talks like Mark Twain and calls tools.",
        "base": Base(
            name="meta-llama/Llama-3.1-8B-Instruct",
            hub="meta-llama/Llama-3.1-8B-Instruct",
            revision="0e9e39f249a16976918f6564b8830bc894c89659",
            license="Llama 3.1 Community License",
            weights="nf4",
        ),
        "template": Template(
            name="chatml-tools", sha256="a" * 64, own=True, end_of_turn="<|im_end|>", tool_parser="hermes"
        ),
        "max_length": 2048,
        "adapter": {"type": "qlora", "r": 12, "alpha": 32, "dropout": 0.05, "targets": ["q_proj", "v_proj"]},
        "train": {
            "learning_rate": 2e-4,
            "schedule": "cosine",
            "warmup": 0.03,
            "effective_batch": 16,
            "micro_batch": 2,
            "packing": True,
            "optimizer": "adamw_torch",
            "precision": "auto",
            "seed": 17,
        },
        "languages": ["en"],
        "datasets": ["someone/chat"],
        "revisions": {"someone/chat": "c" * 40},
        "tools": True,
        "rights": [
            Right(licence="CC-BY-4.0", source="weather", attribution="Open-Meteo.com", rows=40),
            Right(licence="public domain (USA)", source="twain", attribution="", rows=60),
        ],
        "terms": [],
        "rows": {
            "in": 130,
            "trained": 98,
            "validation": 2,
            "dropped": 30,
            "by_reason": [
                {
                    "source": "twain",
                    "fate": "dropped",
                    "by": "filters[0].words",
                    "reason": "too few words",
                    "rows": 20,
                },
                {
                    "source": "weather",
                    "fate": "dropped",
                    "by": "filters[0].words",
                    "reason": "too few words",
                    "rows": 10,
                },
            ],
        },
        "mix": {
            "by": "source",
            "unit": "tokens",
            "shares": [
                {"name": "twain", "asked": 0.6, "got": 0.597, "records": 60, "tokens": 5970},
                {"name": "weather", "asked": 0.4, "got": 0.403, "records": 40, "tokens": 4030},
            ],
        },
        "training": {
            "steps": [
                {"step": n, "loss": 3.5 - n / 10, "learning_rate": 1e-4, "epoch": n / 6} for n in range(1, 13)
            ],
            "validation": [{"step": 6, "loss": 2.9}, {"step": 12, "loss": 2.5}],
            "adapter_bytes": 123456,
            "trainable_parameters": 3407872,
        },
        "proof": {"records": 100, "tokens": 10000, "trained_tokens": 4200},
        "suites": [
            {
                "name": "weather-tools",
                "description": "Calls of one tool.",
                "metrics": [metric, silent],
                "facts": {},
            }
        ],
        "gates": [
            {
                "gate": "weather_tools.valid_call > base",
                "verdict": "pass",
                "value": 0.95,
                "threshold": 0.05,
                "why": "",
            }
        ],
        "profile": "gpu",
        "versions": {"torch": "2.13.0", "peft": "0.20.0"},
        "recipe_yaml": "recipe: 1\nname: twain-small\n",
        "recipe_sha256": "b" * 64,
        "step": "c" * 64,
    }
    return Facts(**whole | more)


def header(text: str) -> dict[str, Any]:
    """As the hub takes it: what stands between the first two lines of `---`."""
    match = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", text)
    assert match
    data = yaml.safe_load(match[2])
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("form", ["adapter", "merged", "gguf"])
def test_golden(form: Form, golden_write: bool) -> None:
    said = modelcard.text(facts(), form, PROOF if form != "adapter" else None)
    golden = CARDS / f"{form}.md"
    if golden_write:
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_facts_keep_their_bytes_through_the_store() -> None:
    again = msgspec.json.decode(msgspec.json.encode(facts()), type=Facts)
    assert modelcard.text(again) == modelcard.text(facts())


def test_the_hubs_own_library_reads_the_header() -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(modelcard.text(facts()))
    assert card.data.base_model == "meta-llama/Llama-3.1-8B-Instruct"
    assert card.data.to_dict()["base_model_relation"] == "adapter"
    assert (card.data.license, card.data.language, card.data.datasets) == (
        "llama3.1",
        ["en"],
        ["someone/chat"],
    )
    (result,) = card.data.eval_results
    assert (result.metric_name, result.metric_value) == ("weather_tools.valid_call", 0.95)
    assert result.metric_args == {"interval_95": [0.86, 0.98], "prompts": 60}
    assert (result.dataset_name, result.task_type) == ("weather-tools", "text-generation")
    # A key of ours passes through, and what the library writes it reads as the same.
    assert card.data.to_dict()["mirepoix"] == {
        "recipe": f"sha256:{facts().recipe_sha256}",
        "training": f"sha256:{facts().step}",
        "base_revision": "0e9e39f249a16976918f6564b8830bc894c89659",
        "datasets": {"someone/chat": "c" * 40},
    }
    again = hub.ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict() and again.data.eval_results == card.data.eval_results
    assert again.text == card.text
    ours = header(modelcard.text(facts()))
    assert (
        hub.repocard_data.eval_results_to_model_index("twain-small", card.data.eval_results)
        == ours["model-index"]
    )


def test_a_number_has_its_interval_and_a_data_set_its_revision() -> None:
    said = modelcard.text(facts())
    assert "| weather\\_tools.valid\\_call | higher | 0.050 (0.010 … 0.140) | 0.950 (0.860 … 0.980)" in said
    assert f"| `someone/chat` | `{'c' * 40}` |" in said
    assert "| `someone/chat` | `not pinned` |" in modelcard.text(facts(revisions={}))
    assert "datasets" not in header(modelcard.text(facts(revisions={})))["mirepoix"]


@pytest.mark.parametrize(
    "text,name",
    [("Apache-2.0", "apache-2.0"), ("Llama 3.1 Community License", "llama3.1"), ("MIT", "mit"), ("GPL-3.0-only", "gpl-3.0"),
     ("public domain (USA)", None), ("", None), ("whatever I say", None)],
)  # fmt: skip
def test_licences_by_the_hubs_names(text: str, name: str | None) -> None:
    assert modelcard.hub_licence(text) == name


def test_the_header_says_no_licence_that_is_not_known() -> None:
    base = msgspec.structs.replace(facts().base, license="")
    assert "license" not in header(modelcard.text(facts(base=base)))
    unknown = [Right(licence="", source="a", attribution="", rows=1)]
    said = header(modelcard.text(facts(rights=unknown)))
    assert (said["license"], said["license_name"]) == ("other", "several-see-licences")
    for licence in ("CC-BY-SA-4.0", "its users' own, under Reddit's terms; no open licence"):
        asking = [Right(licence=licence, source="a", attribution="", rows=1)]
        assert header(modelcard.text(facts(rights=asking)))["license"] == "other"


def test_what_is_not_known_is_left_out() -> None:
    base = Base(name="models/mine", hub=None, revision=None, license="", weights="as they are")
    bare = facts(
        base=base,
        description="",
        languages=[],
        datasets=[],
        suites=[],
        gates=[],
        proof={},
        terms=[],
        rights=[],
    )
    text = modelcard.text(bare)
    assert not {"base_model", "license", "language", "datasets", "model-index"} & set(header(text))
    assert "## Evaluation" not in text and "It was not evaluated." in text
    assert "None" not in text and "huggingface.co" not in text
    assert "BitsAndBytesConfig" not in text and "bitsandbytes" not in text


def test_the_right_base_precision_stands_in_the_snippets() -> None:
    text = modelcard.text(facts())
    (python,) = re.findall(r"```python\n(.*?)```", text, re.S)
    compile(python, "card", "exec")
    assert "quantization_config=four_bits" in python and "bnb_4bit_use_double_quant=True" in python
    assert 'revision="0e9e39f' in python and "chat_template.jinja" in python
    assert "--quantization bitsandbytes" in text and "--max-lora-rank 16 " in text
    (whole,) = re.findall(r"```python\n(.*?)```", modelcard.text(facts(), "merged"), re.S)
    compile(whole, "card", "exec")
    assert "BitsAndBytes" not in whole


EVIL = [
    "---\nlicense: mit\n---\n# owned",
    "<script>alert(1)</script>",
    "</details><img src=x onerror=alert(1)>",
    "[click](https://evil.example) ![x](https://evil.example/x.png)",
    "``` \n</details>\n<script>x</script>\n```",
    "`````",
    "| a | b |\n|---|---|\n| c | d |",
    "# heading\n\n- list\n\n> quote",
    "1. one",
    "a: b\n- c: {d: [e]}\n\u2028license: mit\x07\x1b[31m",
    "*bold* _it_ ~~no~~ \\",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_of_a_recipe_or_a_row_becomes_markup(evil: str) -> None:
    plain = facts()
    suite: dict[str, Any] = plain.suites[0] | {"description": evil, "facts": {evil: 0.5}}
    reason = {"source": "a", "fate": "dropped", "by": "filters[0].words", "reason": evil, "rows": 1}
    wicked = facts(
        description=evil,
        base=msgspec.structs.replace(plain.base, license=evil, origin=evil),
        template=Template(name="chatml-tools", sha256=None, own=True, end_of_turn=evil),
        rights=[Right(licence=evil, source="a", attribution=evil, rows=1)],
        terms=[evil],
        rows=plain.rows | {"by_reason": [reason]},
        mix={
            "by": "persona",
            "unit": "records",
            "shares": [{"name": evil, "asked": None, "got": 1.0, "records": 1}],
        },
        suites=[suite],
        gates=[plain.gates[0] | {"why": evil}],
        recipe_yaml=f"description: |\n  {evil}\n{evil}\n",
    )
    forms: tuple[Form, ...] = ("adapter", "merged", "gguf")
    for form in forms:
        text = modelcard.text(wicked, form, PROOF)
        said = header(text)
        assert said["license"] == "other" and set(said) <= set(header(modelcard.text(plain))) | {
            "license_name"
        }
        body = text.split("\n---\n", 1)[1]
        _only_ours(body)
        _only_ours(modelcard.notes(wicked))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)


def _only_ours(text: str) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    flat = [t for token in tokens for t in (token, *(token.children or ()))]
    html = "".join(t.content for t in flat if t.type in ("html_block", "html_inline"))
    assert re.sub(r"\s+", "", html) in ("", "<details><summary>Thewholerecipe</summary></details>")
    links = [str(t.attrGet("href")) for t in flat if t.type == "link_open"]
    assert all(link.startswith("https://huggingface.co/meta-llama/") for link in links)
    assert not any(
        t.type in ("image", "blockquote_open", "ordered_list_open", "em_open", "strong_open") for t in flat
    )
    assert [t.tag for t in flat if t.type == "heading_open"].count("h1") == 1
    tables = [t for t in flat if t.type in ("table_open", "tr_open", "th_open", "td_open")]
    for row in re.split(r"tr_open", " ".join(t.type for t in tables)):
        assert row.count("td_open") in (0, 2, 3, 4, 5, 7)


def test_forms_are_those_of_the_command() -> None:
    from runner.cli.results import FORMS

    assert (*Forms.__args__, "run") == FORMS  # a whole run is no model, and has no card of one


RECIPE = """\
recipe: 1
name: small
description: Speaks {{braces}} and <b>tags</b>.
sources:
  - jsonl: {files: [ABSOLUTE]}
    name: a
  - tools: {set: weather, conversations: 5}
    name: weather
filters:
  - language: {keep: [en, nl]}
model: {base: base, license: Apache-2.0, template: chatml-tools, end_of_turn: <|im_end|>}
compute: {profile: cpu}
"""


def judged(root: Path) -> Path:
    """The report of a run whose other steps left what they leave. Nothing is trained."""
    import numpy as np

    from runner import drops, ledger, report
    from runner.load import load_recipe
    from runner.making import Making, write_json
    from runner.plan import plan
    from runner.record import Fate
    from runner.rows import save
    from runner.store import Artifact, Manifest
    from runner.workspace import Workspace

    work, away = root / "w", root / "elsewhere"
    for folder in (work / "base", away):
        folder.mkdir(parents=True)
    (away / "rows.jsonl").write_text("{}\n")
    (work / "base/config.json").write_text("{}")
    (work / "base/model.safetensors").write_bytes(b"")
    (work / "r.yaml").write_text(RECIPE.replace("ABSOLUTE", str(away / "rows.jsonl")))
    place = Workspace(work, frozenset({"paths"}))
    made = plan(load_recipe(work / "r.yaml", place), place)
    inputs = {}
    for name in ("source.a", "source.weather", "mix", "split", "proof", "train"):
        path = root / "made" / name
        path.mkdir(parents=True)
        inputs[name] = Artifact(path, Manifest(1, name, "f" * 64, {}, {}))
        if name.startswith("source."):
            write_json(path / "counts.json", {"records": 3, "rejected": 0, "licenses": {"CC0-1.0": 3}})
            (path / "records.jsonl").write_text("{}\n" * 3)
            save(path / "lines.npy", np.arange(0, 12, 3))
    for name, column in (("kept", [0, 1, 2]), ("times", [1, 1, 1]), ("held", [0, 0, 0])):
        save(inputs["mix"].path / f"{name}.npy", np.array(column))
    drops.Dropper().write(inputs["mix"].path)
    fates = [Fate(f"a/{n}", "a", "trained", license="CC0-1.0", attribution="A. Writer") for n in range(3)]
    fates.append(Fate("a/9", "a", "dropped", "filters[0].language", "language: de", license="MIT"))
    ledger.write(inputs["split"].file("ledger.parquet"), fates)
    tally = ledger.Tally()
    tally.add(ledger.block("a", fates))
    summary = ledger.summary(tally, ledger.shares(made.loaded.recipe, ["a"], [3], None), None)
    write_json(inputs["split"].file("summary.json"), summary)
    write_json(inputs["proof"].file("proof.json"), {"records": 3, "tokens": 90, "trained_tokens": 30})
    about = {"base_weights": "nf4", "template": "a" * 64, "step": "c" * 64}
    write_json(inputs["train"].file("adapter/mirepoix.json"), about)
    steps = [{"step": 1, "loss": 2.5, "learning_rate": 1e-4, "epoch": 1.0}]
    write_json(
        inputs["train"].file("training.json"), {"steps": steps, "validation": [], "trainable_parameters": 12}
    )
    out = root / "out"
    out.mkdir()
    report.report(Making(made.step("report"), made, inputs, out, root, root / "log", lambda *_: None))
    return out


def test_the_report_makes_it_of_what_the_steps_left(tmp_path: Path) -> None:
    outs = [judged(tmp_path / name) for name in ("one", "two")]
    text = (outs[0] / "model-card.md").read_text()
    found = msgspec.json.decode((outs[0] / "model-card.json").read_bytes(), type=Facts)
    assert text == modelcard.text(found)
    assert found.rights == [Right(licence="CC0-1.0", source="a", attribution="A. Writer", rows=3)]
    assert found.base == Base(name="base", hub=None, revision=None, license="Apache-2.0", weights="nf4")
    assert found.template.tool_parser == "hermes"
    assert (found.languages, found.tools, found.datasets) == (["en", "nl"], True, [])
    assert header(text)["license"] == "apache-2.0" and "base_model" not in header(text)
    assert "| filters\\[0\\].language | language: de | 1 |" in text and "The 3 records" in text
    # The recipe named a place of this machine; the card says no more than the file's name.
    assert str(tmp_path) not in text and "…/rows.jsonl" in text
    digests = [re.search("sha256 of the recipe.*", (o / "model-card.md").read_text()) for o in outs]
    assert all(digests) and str(tmp_path) not in (outs[0] / "model-card.json").read_text()


def test_the_card_says_what_was_drawn_and_what_is_missing() -> None:
    from runner.modelcard.verdicts import verdicts

    usual = facts()
    assert "template, greedily." in "\n".join(verdicts(usual))
    suite = usual.suites[0]
    metric = suite["metrics"][0]
    metric = metric | {"tuned": metric["tuned"] | {"missing": 4, "limits": [0.88, 0.95]}}
    how = {"temperature": 0.7, "top_p": 0.9, "repeats": 3}
    suite = suite | {
        "metrics": [metric], "decoding": {"base": how, "tuned": how}, "failed": {"base": 0, "tuned": 4},
    }  # fmt: skip
    text = "\n".join(verdicts(facts(suites=[suite])))
    assert "greedily" not in text
    assert "Answers were drawn at temperature 0.7, top_p 0.9, 3 a prompt." in text
    assert "- Not answered: 4 of tuned\n- weather_tools.valid_call, tuned: 4 missing; " in text.replace(
        "\\_", "_"
    )
    assert "with them it could be 0.880 … 0.950" in text
    mixed = suite | {"decoding": {"base": {"temperature": 0.0}, "tuned": how}}
    assert "temperature 0 (base); temperature 0.7" in "\n".join(verdicts(facts(suites=[mixed])))
