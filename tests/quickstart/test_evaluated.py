"""The adapter that `make quickstart` left here is judged beside its base by a server: a real vLLM where one is to be had
(the setting vllm_python names its Python), else the server of this package. Which it was, the test's name in the log says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.evaluate import asking
from runner.evaluating import plan
from runner.hardware import profile
from runner.run import run
from runner.serving.engines import Engine, choose
from runner.settings import load

ROOT = Path(__file__).parents[2]


def here() -> Engine:
    """What answers: vLLM, or our own server under its name, so that the same steps are taken."""
    try:
        return choose("vllm", profile() == "gpu", load()["vllm_python"])
    except UsageError:
        return Engine("transformers", sys.executable, False, choose("transformers", False).why)


@pytest.mark.parametrize("engine", [here()], ids=lambda e: e.name)
def test_the_quickstarts_adapter_calls_tools_and_its_base_does_not(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / "runs/quickstart/adapter/adapter_model.safetensors").is_file():
        pytest.skip("there is no quickstart adapter to judge: make quickstart")
    sys.stderr.write(f"answers come from {engine.why}\n")
    monkeypatch.setattr(asking.engines, "choose", lambda *_: engine)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/quickstart").symlink_to(ROOT / "runs/quickstart")
    (tmp_path / ".mirepoix").symlink_to(ROOT / ".mirepoix")  # the base model is in there
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
