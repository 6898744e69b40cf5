"""The adapter that `make quickstart` left here is judged beside its base by a server: a real vLLM where one is to be had
(the setting vllm_python names its Python), else the server of this package. Which it was, the test's name in the log says.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from runner.errors import UsageError
from runner.evaluate import asking
from runner.evaluating import plan
from runner.hardware import profile
from runner.run import run
from runner.serving.engines import Engine, choose
from runner.settings import load
from runner.store import Store, marks

ROOT = Path(__file__).parents[2]


def here() -> Engine:
    """What answers: vLLM, or our own server under its name, so that the same steps are taken."""
    try:
        return choose("vllm", profile() == "gpu", load()["vllm_python"])
    except UsageError:
        return Engine("transformers", sys.executable, False, choose("transformers", False).why)


def lay_out(workspace: Path) -> None:
    """The quickstart's run, and its store, in which the base model is; without copying where that can be had."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:  # another file system
            shutil.copy2(old, new)

    for name in ("runs/quickstart", ".mirepoix/artifacts"):
        shutil.copytree(ROOT / name, workspace / name, copy_function=link)
    marks.trust(workspace / ".mirepoix")  # its mark stayed behind


@pytest.mark.parametrize("engine", [here()], ids=lambda e: e.name)
def test_the_quickstarts_adapter_calls_tools_and_its_base_does_not(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / "runs/quickstart/adapter/adapter_model.safetensors").is_file():
        pytest.skip("there is no quickstart adapter to judge: make quickstart")
    sys.stderr.write(f"answers come from {engine.why}\n")
    monkeypatch.setattr(asking.replica.engines, "choose", lambda *_: engine)
    lay_out(tmp_path)
    (tmp_path / "evals/suites").mkdir(parents=True)
    (tmp_path / "evals/suites/calls.yaml").write_text(
        "suite: 1\nname: calls\nprobes: probes/weather-calls.jsonl\nmax_new_tokens: 56\nlimit: 12\njudge: {tool_use: {}}\n"
    )
    made = plan("quickstart", ["calls"], tmp_path, engine="vllm", name="evaluated-by-a-test")
    outcome = run(made)
    report = json.loads((outcome.folder / "report.json").read_bytes())
    (suite,) = report["suites"]
    arms = next(m["arms"] for m in suite["metrics"] if m["metric"] == "calls.valid_call")
    assert arms["base"]["value"] < 0.5 < arms["tuned"]["value"], arms
    assert {d["engine"] for d in suite["decoding"].values()} == {engine.why}
    proof = report["adapter_proof"]
    assert proof.get("max_logit_difference") or proof.get("answers_differ")


def test_lm_evals_numbers_on_vllm_are_those_on_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.environ.get("MIREPOIX_VLLM_ALL"):
        pytest.skip("three servers more take minutes: MIREPOIX_VLLM_ALL=1")
    engine = here()
    if engine.name != "vllm":
        pytest.skip("lm-eval's tasks need a real vLLM: the setting vllm_python")
    if not (ROOT / "runs/quickstart/adapter/adapter_model.safetensors").is_file():
        pytest.skip("there is no quickstart adapter to judge: make quickstart")
    lay_out(tmp_path)
    (tmp_path / "evals/suites").mkdir(parents=True)
    (tmp_path / "evals/suites/knows.yaml").write_text(
        "suite: 1\nname: knows\nlm_eval: {tasks: [everyday_facts], limit: 16}\n"
    )
    found: dict[str, dict[str, Any]] = {}
    engines: tuple[Literal["vllm", "transformers"], ...] = ("vllm", "transformers")
    for name in engines:
        made = plan("quickstart", ["knows"], tmp_path, engine=name, name=f"known-on-{name}")
        outcome = run(made)
        (suite,) = json.loads((outcome.folder / "report.json").read_bytes())["suites"]
        assert all(name in said.lower() and "float32" in said for said in suite["lm_eval_engine"].values())
        store = Store(tmp_path)
        for arm in ("base", "tuned"):
            artifact = store.get(made.step(f"lm-eval.{arm}").fingerprint)
            assert artifact is not None
            (path,) = artifact.path.glob("*/results.json")
            found[f"{name} {arm}"] = json.loads(path.read_bytes())
    served = found["vllm tuned"]["served"]
    assert served["from_merged"] < 0.01 * served["from_base"], served
    for arm in ("base", "tuned"):
        one, other = (found[f"{name} {arm}"]["results"] for name in ("vllm", "transformers"))
        for a, b in zip(one, other, strict=True):
            apart = [doc for doc, value in a["samples"].items() if b["samples"][doc] != value]
            assert a["metric"] == b["metric"] and len(apart) <= 1, (arm, a["metric"], apart)
