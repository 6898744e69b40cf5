"""Stage train: the base model, Axolotl's prepared rows, the proof of what is trained, and the adapter.

Axolotl runs as a job (`axolotl preprocess`, `axolotl train`); our own process never imports it. Its config
holds paths relative to the workspace, which is the jobs' current folder.
"""

from __future__ import annotations

from runner.making import Maker
from runner.train.model import model
from runner.train.proof import proof
from runner.train.rows import preprocess, rows
from runner.train.training import train

MAKERS: dict[str, Maker] = {
    "model": model,
    "rows": rows,
    "preprocess": preprocess,
    "proof": proof,
    "train": train,
}
