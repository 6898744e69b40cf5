"""The tool judge accepts the truths of the Berkeley Function-Calling Leaderboard (kit, Apache-2.0,
not ours)."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

from runner.judges.tool_use import ExpectedCall, match_fault, schema_fault
from runner.record import FunctionCall

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit")
BFCL = KIT / "tools" / "bfcl"
pytestmark = pytest.mark.skipif(not BFCL.is_dir(), reason=f"needs the BFCL files of the kit: {BFCL}")

# (file, truths, truths refused when all that may be left out is, truths that their own schema
# refuses). All are upstream's mistakes, counted so that a change of our rules shows:
# simple_python_17 and parallel_88 may leave out an argument that their schema requires; nine
# live_simple truths are null for a string.
FILES = [
    ("BFCL_v4_simple_python", 200, 1, 0),
    ("BFCL_v4_multiple", 100, 0, 0),
    ("BFCL_v4_parallel", 100, 1, 0),
    ("BFCL_v4_live_simple", 100, 0, 9),
]


def helpers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bfcl_answers", Path(__file__).parent / "bfcl_answers.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = helpers()
lines, sample, first, as_json_schema = made.lines, made.sample, made.first, made.as_json_schema


@pytest.mark.parametrize("least", [False, True], ids=["all arguments", "only those needed"])
@pytest.mark.parametrize(("name", "count", "unmatched", "invalid"), FILES)
def test_truths_are_accepted(name: str, count: int, unmatched: int, invalid: int, least: bool) -> None:
    questions = {q["id"]: q for q in lines(BFCL / f"{name}.jsonl")}
    truths = lines(BFCL / "possible_answer" / f"{name}.jsonl")
    refused, failed = [], []
    for truth in truths:
        functions = questions[truth["id"]]["function"]
        tools = {f["name"]: as_json_schema(f["parameters"]) for f in functions}
        expected = [ExpectedCall(n, a) for call in truth["ground_truth"] for n, a in call.items()]
        calls = []
        for e in expected:
            given = {k: v for k, v in e.arguments.items() if not (least and "" in v)}
            arguments = {k: sample(first(v)) for k, v in given.items() if first(v) != "" or "" not in v}
            calls.append(FunctionCall(e.name, json.dumps(arguments)))
        # Order does not count: hand them over backwards.
        if fault := match_fault(calls[::-1], expected, tools):
            refused.append((truth["id"], fault))
        if not least:
            failed += [(truth["id"], f) for c in calls if (f := schema_fault(c, tools[c.name]))]
    assert len(truths) == count
    assert len(refused) == (unmatched if least else 0), refused
    assert least or len(failed) == invalid, failed


@pytest.mark.parametrize("name", [f[0] for f in FILES])
def test_spoilt_truths_are_refused(name: str) -> None:
    """A truth with its first argument replaced, dropped or joined by a stranger is never
    accepted."""
    for truth in lines(BFCL / "possible_answer" / f"{name}.jsonl"):
        expected = [ExpectedCall(n, a) for call in truth["ground_truth"] for n, a in call.items()]
        if len(expected) != 1:
            continue
        arguments = {k: sample(first(v)) for k, v in expected[0].arguments.items() if first(v) != ""}
        needed = [k for k, v in expected[0].arguments.items() if "" not in v and k in arguments]
        for key in needed[:1]:
            spoilt = [
                arguments | {key: "no such value"},
                {k: v for k, v in arguments.items() if k != key},
                arguments | {"stranger": 1},
            ]
            for wrong in spoilt:
                call = FunctionCall(expected[0].name, json.dumps(wrong))
                assert match_fault([call], expected, {}), truth["id"]
