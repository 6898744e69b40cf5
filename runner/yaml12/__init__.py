"""YAML with the meaning of version 1.2, its places kept, and its dangers refused before construction.

PyYAML speaks 1.1: `no` is False, `2e-4` is text, `on:` is a key True, dates are objects, the last of
duplicate keys wins in silence. Here PyYAML only parses; scalars are resolved by the 1.2 core schema
(with digit groups, `8_000_000`, kept as a convenience). Size, depth, aliases and tags are limited on
the event stream, which is built iteratively, so that no document can exhaust the stack or memory.

    places   a document as plain data, and where each value of it stands
    scalars  what an unquoted text means
    reading  text → a document, or every problem that is in it
    writing  plain data → text
"""

from __future__ import annotations

from runner.yaml12.places import Path, Place, Yaml, dotted
from runner.yaml12.reading import MAX_BYTES, decode, parse
from runner.yaml12.scalars import scalar
from runner.yaml12.writing import dump

__all__ = ["MAX_BYTES", "Path", "Place", "Yaml", "decode", "dotted", "dump", "parse", "scalar"]
