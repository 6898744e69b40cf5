"""Transformers is imported without scikit-learn, which is there all the same for whoever asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

PROGRAM = """
import sys
from runner import lean
{before}
lean.transformers()
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationMixin
AutoModelForCausalLM, AutoTokenizer, GenerationMixin
print("sklearn" in sys.modules)
import sklearn.metrics
print(sklearn.metrics.accuracy_score([1], [1]))
"""


@pytest.mark.parametrize(("before", "there"), [("", "False"), ("import sklearn.metrics", "True")])
def test_scikit_learn_stays_out_and_can_be_had(before: str, there: str) -> None:
    argv = [sys.executable, "-c", PROGRAM.format(before=before)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == f"{there}\n1.0\n"
