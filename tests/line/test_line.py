"""The whole line with the real Axolotl, on a tiny random model: killed while it trains, resumed, judged, cached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

pytest.importorskip("axolotl.common", reason="axolotl is not installed")

RECIPE = """
recipe: 1
name: line
sources:
  - tools: {set: weather, conversations: 40}
    name: weather
  - jsonl: {files: [talk.jsonl]}
    name: talk
filters:
  - words: {min: 3}
mix: {weights: {weather: 0.8, talk: 0.2}}
split: {validation: 0.1}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 2048}
adapter: {r: 4, alpha: 8, dropout: 0, targets: [q_proj, v_proj]}
train:
  {epochs: 3, micro_batch: 2, effective_batch: 2, packing: false, attention: sdpa, gradient_checkpointing: false,
   save_every: 5, learning_rate: 2e-3}
evaluate:
  suites: [few-calls, few-facts]
  gates: [few_calls.valid_call >= 0.9]
compute: {profile: cpu}
"""

SUITES = {
    "few-calls": "probes: probes/few.jsonl\nmax_new_tokens: 8\njudge: {tool_use: {}}\n",
    "few-facts": "lm_eval: {tasks: [everyday_facts], limit: 4}\n",
}


@pytest.fixture(scope="module")
def workspace(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("line")
    _copy(tiny, root / "tiny")
    talk = [
        {
            "messages": [
                {"role": "user", "content": f"Say {w}."},
                {"role": "assistant", "content": f"{w}, then."},
            ]
        }
        for w in ("red", "blue", "green", "white", "black", "amber", "pink", "grey", "teal", "gold")
    ]
    (root / "talk.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talk) + "not json\n")
    for name, body in SUITES.items():
        path = root / "evals/suites" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"suite: 1\nname: {name}\n{body}")
    probe = {
        "id": "p1",
        "messages": [{"role": "user", "content": "Weather in Zutphen today?"}],
        "tools": [
            {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
        ],
        "expect": {"calls": [{"name": "get_weather", "arguments": {"city": ["Zutphen"]}}]},
    }
    (root / "evals/probes").mkdir()
    (root / "evals/probes/few.jsonl").write_text(json.dumps(probe) + "\n")
    (root / "line.yaml").write_text(RECIPE)
    return root


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


def _run(forks: Any, workspace: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    started = forks.start("run", workspace / "line.yaml", "--workspace", workspace, "--json", *more)
    return started.end()


def test_the_line_ends_in_a_verdict(forks: Any, workspace: Path) -> None:
    code, outcome, errors = _run(forks, workspace)
    assert code == 1, errors  # a random model calls no tools: the gate fails
    assert outcome["failed_gates"] and "few_calls.valid_call" in outcome["failed_gates"][0]
    run = workspace / "runs/line"
    report = json.loads((run / "report.json").read_bytes())
    assert report["proof"]["records"] == report["rows"]["trained"] + report["rows"]["validation"]
    assert report["adapter_proof"]["max_logit_difference"] > 0
    html = (run / "report.html").read_text()
    assert "few_calls.valid_call" in html and html.count("<script") == 1
    # The adapter comes with its card: what it was trained on, and how it was judged.
    card = (run / "adapter/README.md").read_text()
    assert card.startswith("---\n") and "`tiny`" in card and "valid_call" in card
    assert f"{report['rows']['trained']:,}" in card
    precise = "bf16" if yaml.safe_load((run / "axolotl.yml").read_bytes())["bf16"] else "fp32"
    assert f"| precision | {precise} |" in card, "and not what the recipe leaves open"
    # Loss in the report = loss in Axolotl's log, step by step, the resumed part included.
    log = (run / "logs/train.log").read_text()
    said = [line.split("'loss': '")[1].split("'")[0] for line in log.splitlines() if "'loss': '" in line]
    losses = [s["loss"] for s in report["training"]["steps"]]
    assert len(losses) == report["training"]["steps"][-1]["step"]
    shown = [f"{x:.4g}" for x in losses]
    assert shown[-3:] == said[-3:]
    assert set(said) >= set(shown[-5:])


def test_a_rows_fate_is_what_stands_in_the_jsonl(workspace: Path) -> None:
    run = workspace / "runs/line"
    fates = {row["id"]: row for row in pq.read_table(run / "ledger.parquet").to_pylist()}
    assert len(fates) == 51
    for name, fate in (("train", "trained"), ("validation", "validation")):
        ids = [json.loads(line)["meta"]["id"] for line in (run / "data" / f"{name}.jsonl").open()]
        assert {i for i, f in fates.items() if f["fate"] == fate} == set(ids)
    rejected = [f for f in fates.values() if f["by"] == "source"]
    assert len(rejected) == 1 and "not JSON" in rejected[0]["reason"]


def test_the_second_run_does_nothing_and_a_changed_filter_does_what_follows(
    forks: Any, workspace: Path
) -> None:
    code, outcome, _ = _run(forks, workspace)
    assert (code, outcome["executed"]) == (1, 0)
    recipe = workspace / "line.yaml"
    recipe.write_text(RECIPE.replace("min: 3", "min: 2"))
    code, outcome, _ = _run(forks, workspace, "--to", "prepare")
    assert code == 0
    # filter, decontaminate, render, mix, split; neither source.
    assert (outcome["executed"], outcome["kept"]) == (5, 2)
