"""The model card: what a run made, of what, how it was judged and how it is used, in a hub's conventions.

The same run gives the same bytes: no time, no path of this machine. What is not known is left out. Texts of recipes and
rows are not ours: none of them can end the YAML header, or become markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.modelcard.body import body
from runner.modelcard.dataset import dataset_card, dataset_header
from runner.modelcard.facts import Base, Facts, Form, Right, Template
from runner.modelcard.header import header, hub_licence
from runner.modelcard.notes import notes
from runner.yaml12 import dump

__all__ = [
    "Base", "Facts", "Form", "Right", "Template", "dataset_card", "dataset_header", "header", "hub_licence", "notes",
    "text",
]  # fmt: skip


def text(facts: Facts, form: Form = "adapter", proof: Mapping[str, Any] | None = None) -> str:
    """The card as README.md. `proof` is what a merge found out of itself (see jobs/merge)."""
    return f"---\n{dump(header(facts, form))}---\n\n" + "\n".join(body(facts, form, proof or {})) + "\n"
