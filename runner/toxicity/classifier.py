"""detoxify's classifier, with weights that are on this machine; nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from runner.errors import StepError

_PIECE, _BATCH = 1500, 32  # characters that the classifier reads at once, and how many such pieces
MODELS = {"original": "bert-base-uncased", "unbiased": "roberta-base", "multilingual": "xlm-roberta-base"}


def classified(texts: Sequence[str], model: str) -> list[tuple[float, str]]:
    """Of each text the highest score of any piece in any class, and that class; (0, "") of one without words."""
    classifier = _detoxify(model)
    worst: list[tuple[float, str]] = [(0.0, "")] * len(texts)
    pieces = [(n, p) for n, text in enumerate(texts) for p in _pieces(text)]
    for start in range(0, len(pieces), _BATCH):
        some = pieces[start : start + _BATCH]
        scores = classifier.predict([p for _, p in some])
        for label, values in scores.items():
            for (n, _), value in zip(some, values, strict=True):
                worst[n] = max(worst[n], (float(value), str(label)))
    return worst


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            cut = text.rfind(" ", start + 1, end) + 1
            end = cut or end
        if piece := text[start:end].strip():
            yield piece.encode(errors="replace").decode()
        start = end


def installed() -> bool:
    try:
        version("detoxify")
    except PackageNotFoundError:
        return False
    return True


@lru_cache(maxsize=2)
def _detoxify(model: str) -> Any:
    """The classifier, from files that are here. Raises StepError that says what is missing."""
    try:
        import detoxify  # type: ignore[import-not-found,unused-ignore]
        import huggingface_hub
        import torch
    except ImportError as e:
        raise StepError("toxicity", f"by detoxify needs {e.name}: pip install detoxify") from None
    url = detoxify.detoxify.MODEL_URLS[model]
    weights = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not weights.is_file():
        what = f"by detoxify needs the weights of {model!r} at {weights}: put them there"
        raise StepError("toxicity", what)
    try:
        words = huggingface_hub.snapshot_download(MODELS[model], local_files_only=True)
    except (OSError, ValueError):
        what = f"by detoxify needs the configuration and tokenizer of {MODELS[model]!r} in the hub's cache"
        raise StepError("toxicity", what) from None
    return detoxify.Detoxify(model, checkpoint=str(weights), huggingface_config_path=words)
