"""The word lists of datasets/prompts/english.yaml."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from runner.library import find


@lru_cache
def read(name: str) -> dict[str, Any]:
    """A file of datasets/prompts/ that comes with mirepoix."""
    import yaml

    path = find(f"datasets/prompts/{name}.yaml")
    if path is None:
        raise FileNotFoundError(f"datasets/prompts/{name}.yaml does not come with this installation")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@lru_cache
def words(*uses: str) -> frozenset[str]:
    """All words of these uses: `function`, `verbs`, `vague` …"""
    return frozenset(word for use in uses for word in read("english")[use].split())


def plain(word: str) -> str:
    """A word as the lists have it."""
    return word.lower().replace("’", "'")
