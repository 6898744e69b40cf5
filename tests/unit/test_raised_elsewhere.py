"""What a worker in another process raises arrives, and says what it said there."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from runner import errors, extras, pool
from runner.jobs import ray_node
from runner.jobs.ray_node import Needs


class Odd(Exception):
    """One that cannot be made again from what it says."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def raises(what: str) -> None:
    if what == "odd":
        raise Odd(what, "as it is")
    raise extras.Missing(what, "pip install x")


def test_an_extra_that_a_worker_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PATIENCE", -1.0)
    with pytest.raises(extras.Missing, match=r"^ftlangdetect; install it with: pip install x$") as e:
        list(pool.mapped(raises, ["ftlangdetect"], 2))
    assert (e.value.what, e.value.how, e.value.exit_code) == ("ftlangdetect", "pip install x", 3)


def test_what_a_node_raises_can_be_taken_out(tmp_path: Path) -> None:
    """Else whoever waits for it gets a TypeError of pickle's instead."""
    (tmp_path / "seen").write_text("secret")
    work = (pickle.dumps(raises), Needs(ray_node.installed(()), str(tmp_path / "seen"), "secret"), False)
    told = {what: ray_node.do(work, pickle.dumps(what)) for what in ("odd", "lacks")}
    assert {what for what, _ in told.values()} == {"raised"}
    odd, lacks = (pickle.loads(said) for _, said in told.values())
    assert (type(odd), str(odd)) == (RuntimeError, "Odd: odd: as it is")
    assert (type(lacks), str(lacks)) == (extras.Missing, "lacks; install it with: pip install x")


def test_an_error_that_cannot_be_written() -> None:
    error = ValueError(lambda: None)
    assert str(pickle.loads(errors.pickled(error))).startswith("ValueError: <function ")
