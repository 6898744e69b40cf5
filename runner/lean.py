"""Transformers, without what it imports for nobody here: a fifth of each process's start."""

from __future__ import annotations

import sys


def transformers() -> None:
    """Import what models and tokenizers need of Transformers, but not scikit-learn.

    That would come along for a way of decoding with a second model, which no process of ours knows
    (`transformers.generation.candidate_generator`, the only place). Whoever needs scikit-learn imports it afterwards.
    """
    if "sklearn" in sys.modules or "transformers.generation.candidate_generator" in sys.modules:
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # what import calls a module that is not there
    try:
        import transformers.generation.candidate_generator
    finally:
        del sys.modules["sklearn"]
    assert transformers
