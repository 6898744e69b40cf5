"""What comes of a run, for others: an adapter's folder, a merged model, a GGUF file; and its push to a hub."""

from __future__ import annotations

from runner.results.found import Run, find
from runner.results.pushing import Parcel, Target, objections, parcel, send, target
from runner.results.writing import FORMS, Export, export

__all__ = [
    "FORMS",
    "Export",
    "Parcel",
    "Run",
    "Target",
    "export",
    "find",
    "objections",
    "parcel",
    "send",
    "target",
]
