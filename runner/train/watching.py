"""A training watched while it runs: how far it is, and whether its loss is still a number."""

from __future__ import annotations

import re

from runner.making import Making
from runner.train.checkpoints import not_a_number

_LOGGED = re.compile(rb"\{'loss': [^{}\n]*'epoch': [^{}\n]*\}")
_NUMBER = re.compile(rb"'(loss|grad_norm|epoch)': '?([-+.\w]+)'?")
_WAITS = re.compile(rb"^mirepoix: (waits for \d{1,6} GPUs? that others use)$", re.MULTILINE)
PATIENCE = 2
"""Steps in a row without a finite loss, after which there is nothing left to wait for: the weights are spoilt."""


class Watch:
    """To be called every now and then; reads what the log has got since. `step` steps were done before it."""

    def __init__(self, m: Making, step: int, epochs: float, most: int | None) -> None:
        self.m, self.step, self.epochs, self.most = m, step, epochs, most
        self.seen = m.log.stat().st_size if m.log.exists() else 0
        self.lost = 0
        self.waits = False  # for what others use of a cluster, as has been told
        self.over = False  # the trainer has given its account of the whole

    def __call__(self) -> None:
        """Tell the progress. Raises StepError where the loss has not been a number for so many steps."""
        if not self.m.log.exists():
            return
        with self.m.log.open("rb") as f:
            f.seek(self.seen)
            new = f.read()
        self.over |= b"'train_runtime': " in new
        if not self.waits and (said := _WAITS.search(new)):
            self.waits = True
            self.m.progress(0, 1000, said[1].decode())
        end, told = 0, None
        for found in _LOGGED.finditer(new):
            end = found.end()
            entry = {k.decode(): _number(v) for k, v in _NUMBER.findall(found[0])}
            self.step += 1
            self.lost = self.lost + 1 if not_a_number(entry) else 0
            if self.lost == PATIENCE:
                raise self.m.fail(self._spoilt(), log=True)
            told = entry
        self.seen += end
        if told is not None:
            done = self.step / self.most if self.most else told.get("epoch", 0.0) / self.epochs
            self.m.progress(round(1000 * min(done, 1.0)), 1000, f"loss {told['loss']:.3f}")

    def _spoilt(self) -> str:
        train = self.m.plan.loaded.recipe.train
        first = self.step - PATIENCE + 1
        what = f"the loss is no number any more, since step {first}; the training was stopped"
        lower = f"lower train.learning_rate (now {train.learning_rate:g})"
        lower += f" or train.max_grad_norm (now {train.max_grad_norm:g})"
        if train.precision == "fp16":
            lower += ", or set train.precision: bf16"
        if first == 1:
            lower = f"the base model's own weights may be damaged; if they are not, {lower}"
        return f"{what}: {lower}"


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
