"""A training watched by its log: how far it is, and a loss that is no number any more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.errors import StepError
from runner.train.watching import Watch


class Log:
    """As much of a Making as a Watch looks at, and a log to write to."""

    def __init__(self, tmp_path: Path, **train: Any) -> None:
        self.log, self.told = tmp_path / "train.log", []
        settings = SimpleNamespace(
            **({"learning_rate": 2e-4, "max_grad_norm": 1.0, "precision": "auto"} | train)
        )
        self.plan = SimpleNamespace(loaded=SimpleNamespace(recipe=SimpleNamespace(train=settings)))

    def progress(self, done: int, of: int, what: str) -> None:
        self.told.append((done, of, what))

    def fail(self, message: str, *, log: bool = False) -> StepError:
        return StepError("train", message)

    def say(self, loss: str, norm: str, epoch: str = "0.5") -> None:
        line = f"{{'loss': '{loss}', 'grad_norm': '{norm}', 'learning_rate': '2e-4', 'epoch': '{epoch}'}}\n"
        with self.log.open("a") as f:
            f.write(line)


@pytest.fixture
def log(tmp_path: Path) -> Any:
    return Log(tmp_path)


def test_progress(log: Any) -> None:
    log.say("9.9", "1", "1.9")  # of an earlier try
    watch = Watch(log, 3, 2.0, None)
    watch()
    assert log.told == []
    log.say("3.5", "1.2", "0.5")
    log.say("3.25", "1.2", "1.0")
    watch()
    watch()
    assert log.told == [(500, 1000, "loss 3.250")]
    assert watch.step == 5 and not watch.over


def test_progress_towards_the_most_steps(log: Any) -> None:
    watch = Watch(log, 30, 100.0, 40)
    log.say("3.5", "1.2")
    watch()
    assert log.told == [(775, 1000, "loss 3.500")]


def test_a_line_of_which_half_is_there(log: Any) -> None:
    watch = Watch(log, 0, 2.0, None)
    log.log.write_text("{'loss': '3.5', 'grad_")
    watch()
    assert watch.step == 0
    log.log.write_text("{'loss': '3.5', 'grad_norm': '1.2', 'epoch': '0.5'}\n")
    watch()
    assert watch.step == 1


@pytest.mark.parametrize(("loss", "norm"), [("nan", "nan"), ("inf", "1.0"), ("0", "nan"), ("0.0", "inf")])
def test_the_second_step_without_a_number_stops_the_training(log: Any, loss: str, norm: str) -> None:
    """Transformers shows such a loss as 0."""
    watch = Watch(log, 40, 2.0, None)
    log.say("3.5", "1.2")
    log.say(loss, norm)
    watch()
    log.say(loss, norm)
    with pytest.raises(StepError, match=r"since step 42; .* lower train.learning_rate \(now 0.0002\)"):
        watch()


def test_one_such_step_may_pass(log: Any) -> None:
    """fp16 skips a step where its scale was too large; the gradient's norm alone says nothing."""
    watch = Watch(log, 0, 2.0, None)
    for loss, norm in (("nan", "nan"), ("3.5", "inf"), ("3.4", "inf"), ("nan", "nan"), ("3.3", "1")):
        log.say(loss, norm)
    watch()
    assert watch.step == 5


def test_what_to_lower(tmp_path: Path) -> None:
    log: Any = Log(tmp_path, precision="fp16")
    watch = Watch(log, 0, 2.0, None)
    log.say("nan", "nan")
    log.say("nan", "nan")
    with pytest.raises(StepError, match=r"weights may be damaged.*train.precision: bf16"):
        watch()


def test_the_trainers_own_account_of_the_end(log: Any) -> None:
    watch = Watch(log, 0, 2.0, None)
    log.say("3.5", "1.2")
    with log.log.open("a") as f:
        f.write("{'train_runtime': '20.1', 'train_loss': '3.4', 'epoch': '2'}\n")
    watch()
    assert watch.over
