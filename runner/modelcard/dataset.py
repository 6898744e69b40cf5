"""The header of a data card: what a hub and `datasets.load_dataset` read of a folder with train.jsonl and its like.

Keys are those of the hub's dataset cards (https://huggingface.co/docs/hub/datasets-cards); `features` those of
`datasets` from 4.7 on, whose Json keeps a field as it stands: records of tool calls are of no one shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.modelcard.header import hub_licence
from runner.yaml12 import dump

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip
_FEATURES = [
    {"name": "messages", "list": "json"},
    {"name": "tools", "list": "json"},
    {"name": "tags", "dtype": "json"},
    {"name": "meta", "dtype": "json"},
]


def dataset_header(
    name: str,
    rows: Mapping[str, int],
    *,
    licences: Sequence[str],
    languages: Sequence[str] = (),
    datasets: Sequence[str] = (),
    own: bool = True,
    tools: bool = False,
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """The header as data. `rows` are those of each split, train and validation; one without rows is left out.

    `licences` are those of the sources, "" where one states none; `datasets` the hub's ids that rows came from, and
    `own` whether any came from elsewhere. `digests` (of the recipe, of the data) stand under a key of ours.
    """
    splits = {split: n for split, n in rows.items() if n}
    out: dict[str, Any] = {"pretty_name": name, **_licence(licences)}
    if languages:
        out["language"] = list(languages)
    out |= {"task_categories": ["text-generation"], "size_categories": [_size(sum(splits.values()))]}
    out["source_datasets"] = [*(["original"] if own else []), *(f"extended|{path}" for path in datasets)]
    out["tags"] = ["mirepoix", "conversational", *(["tool-calling"] if tools else [])]
    files = [{"split": split, "path": f"{split}.jsonl"} for split in splits]
    out["configs"] = [{"config_name": "default", "data_files": files}]
    counted = [{"name": split, "num_examples": n} for split, n in splits.items()]
    out["dataset_info"] = {"config_name": "default", "features": _FEATURES, "splits": counted}
    return out | {"mirepoix": dict(digests)}


def dataset_card(header: Mapping[str, Any], body: str) -> str:
    """The card as README.md of the folder."""
    return f"---\n{dump(dict(header))}---\n\n{body}"


def _licence(said: Sequence[str]) -> dict[str, Any]:
    """The one, or all of them, where the hub has a name for each; else that there are several, or none is known."""
    names = [hub_licence(licence) for licence in dict.fromkeys(said)]
    known = [name for name in names if name]
    if known and len(known) == len(names):
        return {"license": known[0] if len(set(known)) == 1 else sorted(set(known))}
    if not any(said):
        return {"license": "unknown"}
    return {"license": "other", "license_name": "several-see-card"}


def _size(n: int) -> str:
    return next((name for below, name in _SIZES if n < below), "n>1T")
