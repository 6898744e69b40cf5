"""What an unquoted text means, by the core schema of YAML 1.2."""

from __future__ import annotations

import math
import re
from typing import Any

_INT = re.compile(r"[-+]?(0|[0-9](_?[0-9])*)$")
_HEX, _OCT = re.compile(r"0x[0-9a-fA-F]+$"), re.compile(r"0o[0-7]+$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9](_?[0-9])*(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_NOT_FINITE = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")


def scalar(text: str) -> Any:
    """The value of an unquoted scalar by the 1.2 core schema."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.match(text) and len(text) <= 400:
        return int(text.replace("_", ""))
    if _HEX.match(text) or _OCT.match(text):
        return int(text, 0) if len(text) <= 400 else math.inf  # Python says no number of over 4,300 digits
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    if _NOT_FINITE.match(text):
        return float(text.lower().replace(".", ""))
    return text
