"""Plain data → YAML that means the same to readers of versions 1.1 and 1.2."""

from __future__ import annotations

import re
from typing import Any

import yaml

from runner.yaml12.scalars import scalar

_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
_TEXT = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    """Quotes text that PyYAML (1.1) would write bare but a 1.2 reader would take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if _BREAKS.search(value):  # line ends of YAML 1.1 that are none in 1.2: only escapes are safe
        style: str | None = '"'
    else:
        style = "|" if "\n" in value else None if scalar(value) == value else "'"
    return dumper.represent_scalar(_TEXT, value, style=style)


_Dumper.add_representer(str, _text)


def dump(data: Any) -> str:
    """YAML that means `data` to PyYAML's `safe_load` and to YAML 1.2 readers alike."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
