"""`axolotl …` on a node of a cluster: `python -m runner.jobs.axolotl_node LIBRARIES.json VERB CONFIG …`.

LIBRARIES.json says which versions the machine has that runs the recipe. Where this node has others, nothing is begun:
the training would be another than the one that the recipe's fingerprint names.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from runner.installed import version
from runner.jobs.ray_node import differing


def differ(wanted: Mapping[str, str]) -> list[str]:
    """What is another version here, or absent, in words."""
    return differing(wanted, {name: version(name) for name in wanted})


def words(node: str, other: list[str]) -> str:
    """Why a node will not do, and the next step."""
    return f"the node {node} has {', '.join(other)}; install the same there as where the recipe is run"


def said(node: str, other: list[str]) -> str:
    """The same where Axolotl, which says much besides, has the word."""
    return f"mirepoix: {words(node, other)}"


def main(libraries: Path, arguments: list[str]) -> None:
    """Raises ValueError on such a node."""
    if other := differ(json.loads(libraries.read_bytes())):
        raise ValueError(said(socket.gethostname(), other))
    from axolotl.cli.main import main as axolotl

    sys.argv[1:] = arguments
    axolotl()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
