"""The tool judge against BFCL's own checker, over model-like answers made from all truths of the kit."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runner.judges.tool_use import ExpectedCall, match_fault, tool_use
from runner.record import Answer, FunctionCall, Message, Probe, ToolCall
from runner.registry import JudgeContext

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit")
BFCL = KIT / "tools" / "bfcl"
ORACLE = "bfcl-eval==2026.3.23"
pytestmark = pytest.mark.skipif(not BFCL.is_dir(), reason=f"needs the BFCL files of the kit: {BFCL}")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = load("bfcl_answers")


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The Python of an environment that holds bfcl-eval and nothing else; made once, in build/bfcl."""
    home = ROOT / "build" / "bfcl"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (home / ORACLE).exists():
        try:
            subprocess.run(
                [sys.executable, "-m", "venv", "--clear", str(home)], check=True, capture_output=True
            )
            pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", ORACLE]
            subprocess.run(pip, check=True, capture_output=True, timeout=300)
        except (subprocess.SubprocessError, OSError) as e:
            pytest.skip(f"no environment with {ORACLE}: {e}")
        (home / ORACLE).touch()
    return python


def cases() -> list[dict[str, Any]]:
    found = []
    for category in made.CATEGORIES:
        name = f"BFCL_v4_{category}.jsonl"
        questions = {q["id"]: q for q in made.lines(BFCL / name)}
        for truth in made.lines(BFCL / "possible_answer" / name):
            for kind, calls in made.answers(truth["ground_truth"]):
                found.append(
                    {
                        "id": truth["id"], "kind": kind, "category": category,
                        "functions": questions[truth["id"]]["function"],
                        "calls": [{n: a} for n, a in calls],
                        "truth": truth["ground_truth"],
                    }
                )  # fmt: skip
    return found


def ours(case: dict[str, Any], schemas: Any = made.as_json_schema) -> str:
    tools = {f["name"]: schemas(f["parameters"]) for f in case["functions"]}
    expected = [ExpectedCall(n, a) for call in case["truth"] for n, a in call.items()]
    calls = [FunctionCall(n, json.dumps(a)) for call in case["calls"] for n, a in call.items()]
    return match_fault(calls, expected, tools)


def theirs(python: Path, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    script = Path(__file__).parent / "bfcl_oracle.py"
    text = "\n".join(map(json.dumps, asked))
    done = subprocess.run([str(python), str(script)], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(python: Path) -> tuple[Counter[str], Counter[str], list[tuple[str, str, str, Any]]]:
    """Answers of each kind, those that BFCL's checker crashed on, and those judged differently."""
    asked = cases()
    seen: Counter[str] = Counter()
    crashed: Counter[str] = Counter()
    unlike = []
    for case, said in zip(asked, theirs(python, asked), strict=True):
        if "crashed" in said:
            crashed[case["id"]] += 1
            continue
        seen[case["kind"], said["valid"]] += 1  # type: ignore[index]
        fault = ours(case)
        if (not fault) != said["valid"]:
            unlike.append((case["id"], case["kind"], fault or "right", said["why"] or "valid"))
    return seen, crashed, unlike


def test_agreement_with_bfcls_own_checker(oracle: Path) -> None:
    seen, _crashed, unlike = compare(oracle)
    total = sum(seen.values())
    assert total > 10_000
    for kind in ("right", "wrong type", "missing argument", "extra argument", "wrong value", "wrong name",
                 "wrong count", "other order", "alternative value", "spelling"):  # fmt: skip
        assert seen[kind, True] + seen[kind, False] >= 400, kind  # type: ignore[index]
    assert 1 - len(unlike) / total >= 0.999, unlike


def test_no_call_where_none_fits() -> None:
    """BFCL's rule for its irrelevance cases: right is whatever makes no call."""
    questions = made.lines(BFCL / "BFCL_v4_irrelevance.jsonl")
    probes, answers = [], []
    for q in questions:
        tools = [
            {"type": "function", "function": f | {"parameters": made.as_json_schema(f["parameters"])}}
            for f in q["function"]
        ]
        for kind in ("said", "called"):
            asked = [Message(m["role"], m["content"]) for m in q["question"][0]]
            probe = Probe(f"{q['id']}-{kind}", asked, tools, {}, {"calls": []})
            call = ToolCall("call_1", FunctionCall(q["function"][0]["name"], "{}"))
            said = Message("assistant", "I have no tool for that." if kind == "said" else None)
            if kind == "called":
                said = Message("assistant", None, [call])
            probes.append(probe)
            answers.append(Answer(probe.id, "tuned", "raw", "stop", said))
    verdict = tool_use(JudgeContext(tuple(probes), tuple(answers), {}, 0))
    scores = {s.id: s.value for s in verdict.scores if s.metric == "irrelevance_ok"}
    assert len(scores) == 240
    assert all(value == float(key.endswith("-said")) for key, value in scores.items())
