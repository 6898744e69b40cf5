"""Local lm-eval tasks: what a task file may not do. (A whole run is in test_generate_job.py.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.errors import StepError

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from runner.jobs.lm_tasks import read_task, sandbox

SHIPPED = Path(__file__).resolve().parents[2] / "evals" / "tasks"
TASK = (SHIPPED / "everyday_facts.yaml").read_text(encoding="utf-8")


def folder(tmp_path: Path, text: str) -> Path:
    rows = [{"question": f"Is it {i}?", "choices": ["yes", "no"], "answer": i % 2} for i in range(6)]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "everyday-facts.jsonl").write_text(data, encoding="utf-8")
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "test_split: test",
            "process_docs: !function os.abort",
            "could not determine a constructor",
        ),
        ("test_split: test", "include: /etc/passwd", "unknown keys: include"),
        ("dataset_path: json", "dataset_path: some/hub-set", "must be json, csv or parquet"),
        ("test: everyday-facts.jsonl", "test: ../secret.jsonl", "no data file"),
        ("metric: acc\n", "metric: [acc]\n", "not a metric of lm-eval's own"),
        ("metric: acc\n", "metric: ./evil.py\n", "not a metric of lm-eval's own"),
        ("metric: acc\n", "metric: acc\n    hf_evaluate: true\n", "not a metric of lm-eval's own"),
        ("metric: acc\n", "metric: likelihood\n", "makes no number of 'likelihood'"),
        (
            "aggregation: mean",
            "aggregation: bleu",
            "the aggregation 'bleu' is none that lm-eval has for 'acc'",
        ),
        ("aggregation: mean", "aggregation: own.py", "the aggregation 'own.py' is none"),
        ("metric: acc\n", "metric: f1\n", "the aggregation 'mean' is none that lm-eval has for 'f1'"),
    ],
)
def test_task_files_are_data(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TASK
    (tmp_path.parent / "secret.jsonl").write_text("{}")
    with pytest.raises(StepError, match=said):
        read_task(folder(tmp_path, TASK.replace(old, new, 1)), "t", "cache")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dataset_kwargs", [1], "data_files must map each split to one file"),
        ("metric_list", 3, "metric_list must be a list"),
    ],
)
def test_odd_shapes_are_words(tmp_path: Path, key: str, value: object, said: str) -> None:
    import msgspec

    text = msgspec.yaml.encode(msgspec.yaml.decode(TASK) | {key: value}).decode()
    with pytest.raises(StepError, match=said):
        read_task(folder(tmp_path, text), "t", "cache")


def test_a_task_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"no task '../t' in .* \(there are: t\)"):
        read_task(folder(tmp_path, TASK), "../t", "cache")


def test_templates_cannot_reach_python() -> None:
    from jinja2.exceptions import SecurityError
    from lm_eval import utils

    sandbox()
    assert utils.apply_template("{{ a | upper }}", {"a": "x"}) == "X"
    with pytest.raises(SecurityError):
        utils.apply_template("{{ ''.__class__.__mro__[1].__subclasses__() }}", {})


def test_the_shipped_task_reads() -> None:
    task = read_task(SHIPPED, "everyday_facts", "cache")
    assert Path(task["dataset_kwargs"]["data_files"]["test"]).is_absolute()


def test_what_a_metric_keeps_of_a_sample_can_be_written() -> None:
    import numpy as np

    from runner.jobs.lm_eval import _plain, sample_of

    # As lm-eval's f1 leaves it: no number, but a pair of the right class and the one that numpy found likeliest.
    kept = {
        "metrics": ["f1", "brier_score"],
        "f1": (1, np.int64(0)),
        "brier_score": (0, np.array([0.5, 0.5])),
    }
    row = sample_of(kept | {"doc_id": np.int64(3), "doc": {"x": {1}}})
    assert json.loads(json.dumps(row, default=_plain)) == {
        "f1": [1, 0],
        "brier_score": [0, [0.5, 0.5]],
        "doc_id": 3,
        "doc": {"x": "{1}"},
        "prompt": None,
    }
