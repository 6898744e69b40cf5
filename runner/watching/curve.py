"""The curve of a training that goes on, out of its log as far as it is written."""

from __future__ import annotations

import os
import re
from pathlib import Path
from threading import Lock
from typing import Any

from runner.page.measured import numbers
from runner.shown import finite
from runner.watching import reading

_SAID = re.compile(rb"(\d{1,9})/(\d{1,9}) \[[\d:]+<([\d:?]+)|\{'(?:eval_)?loss': [^{}\n]*\}")
PIECE = 4 << 20
MOST = 20_000
"""Steps that are kept; of longer trainings every other one is, then every fourth."""


class Curve:
    """What the log of one try of a training says, read on from where it was left. Steps are counted from 1.

    The trainer logs each step as a dict and draws its bar anew after it, which says how many steps are done.
    """

    def __init__(self, workspace: Path, run: str, start: int) -> None:
        self._workspace, self._run, self._at = workspace, run, start
        self._lock, self._last, self._thin = Lock(), False, 1
        self._newest: dict[str, Any] | None = None
        self.steps: list[dict[str, Any]] = []
        self.validation: list[dict[str, Any]] = []
        self.step = self.total = 0
        self.left = ""
        self.tokens: int | None = None

    def read(self) -> None:
        """Take in what is new."""
        with self._lock, reading.opened(self._workspace, "runs", self._run, "logs", "train.log") as fd:
            while raw := os.pread(fd, PIECE, self._at):
                end = max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1
                if not end and len(raw) < PIECE:  # what is being written: the newest bar, mostly
                    self._take(raw, only_bars=True)
                    return
                self._take(raw[: end or PIECE])
                self._at += end or PIECE

    def _take(self, raw: bytes, only_bars: bool = False) -> None:
        for found in _SAID.finditer(raw):
            if found[1] is None and only_bars:
                return
            if found[1] is None:
                self._entry(numbers(found[0]))
            elif self._last:  # the bar that is drawn after an entry is the training's, and counts it
                self._last = False
                self.step, self.total = max(self.step, int(found[1])), int(found[2])
                self.left = found[3].decode()
                if self._newest is not None:
                    self._newest["step"] = self.step

    def _entry(self, said: dict[str, float | None]) -> None:
        if "eval_loss" in said:
            self.validation.append({"step": self.step, "loss": said["eval_loss"]})
            return
        self.step += 1
        self._last = True
        tokens = finite(said.get("tokens/total"))
        self.tokens = self.tokens if tokens is None else round(tokens)
        self._newest = None
        if self.step % self._thin == 0 or not self.steps:
            self._newest = {
                "step": self.step,
                **{k: said.get(k) for k in ("loss", "learning_rate", "grad_norm")},
            }
            self.steps.append(self._newest)
        if len(self.steps) > MOST:
            self.steps, self._thin = self.steps[::2], 2 * self._thin


def before(workspace: Path, fingerprint: str, first: int) -> list[dict[str, Any]]:
    """The steps before `first` that a training which was gone on with had made: its newest checkpoint has them."""
    place = (".mirepoix", "work", fingerprint, "out")
    there = [n for n in reading.folders(workspace, *place) if re.fullmatch(r"checkpoint-\d{1,9}", n)]
    for name in sorted(there, key=lambda n: int(n[11:]), reverse=True):
        logged = reading.data(workspace, *place, name, "trainer_state.json").get("log_history")
        if not isinstance(logged, list):
            continue
        steps = [e for e in logged if isinstance(e, dict) and "loss" in e and finite(e.get("step"))]
        return [
            {k: e.get(k) for k in ("step", "loss", "learning_rate", "grad_norm")}
            for e in steps
            if e["step"] < first
        ]
    return []
