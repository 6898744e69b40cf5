"""What a training took of its machine is read from its log, and from no other training's."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.page import measured
from runner.watching import answering

STEPS = [{"step": n, "loss": 3 / n + 0.00001, "epoch": n / 7} for n in range(1, 5)]


def line(n: int, loss: float | None = None, speed: float = 100.0, gib: float = 2.5) -> str:
    return (
        f"{{'loss': '{loss or 3 / n:.4g}', 'grad_norm': '1', 'memory/device_reserved (GiB)': '{gib}', "
        f"'tokens/train_per_sec_per_gpu': '{speed + n}', 'epoch': '{n / 7:.4g}'}}\n"
    )


LOG = "".join(map(line, range(1, 5))) + "{'train_runtime': '281.1', 'train_loss': '1.9'}\n"


def test_time_speed_and_memory() -> None:
    found = measured.read(LOG.encode(), {"steps": STEPS})
    assert found["seconds"] == {"taken": 281.1} and found["memory"] == {"taken": 2.5 * (1 << 30)}
    assert found["curve"][3] == {"step": 4, "tokens_per_second": 104.0, "memory": 2.5}


@pytest.mark.parametrize(
    "log", ["", LOG.replace("'3'", "'9'"), line(1) + line(2), line(1) + "nan {'loss': 'x'}"]
)
def test_another_training_s_log_says_nothing(log: str) -> None:
    assert measured.read(log.encode(), {"steps": STEPS}) == {}


def test_nothing_trained() -> None:
    assert measured.read(LOG.encode(), None) == measured.read(LOG.encode(), {"steps": []}) == {}


def test_one_that_was_stopped_and_went_on_has_no_time() -> None:
    """Steps 1 and 2 were done in a first try; of the second, which was done again, the later speed counts."""
    found = measured.read((line(1) + line(2, speed=7) + LOG.partition("\n")[2]).encode(), {"steps": STEPS})
    assert "seconds" not in found and found["curve"][1]["tokens_per_second"] == 102.0


def test_on_a_cpu_no_memory_is_told() -> None:
    log = LOG.replace("'2.5'", "'0'")
    assert measured.read(log.encode(), {"steps": STEPS}).keys() == {"curve", "seconds"}


def test_what_is_served_has_it_and_the_file_does_not(tmp_path: Path) -> None:
    logs = tmp_path / "runs/t/logs"
    logs.mkdir(parents=True)
    (logs / "train.log").write_text(LOG)
    report = tmp_path / "report.json"
    report.write_text(
        json.dumps({"name": "t", "training": {"steps": STEPS}, "forecast": {"memory": {"foretold": 2e9}}})
    )
    made: Any = SimpleNamespace(file=lambda name: tmp_path / name)
    served = (answering._measured(tmp_path, "t", made) or b"").decode()
    assert "4 min 41 s" in served and "2.5 GiB" in served and "Tokens a second over 4 logged steps" in served
    (logs / "train.log").unlink()
    assert answering._measured(tmp_path, "t", made) is None
