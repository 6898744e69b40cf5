"""What is installed beside the core, by extra, and the one line that installs what is missing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from runner import library
from runner.errors import UsageError

# Extra → the distribution that tells whether it is installed, and what it is for.
EXTRAS = {
    "train": ("axolotl", "training"),
    "eval": ("lm-eval", "judging"),
    "web": ("trafilatura", "web pages"),
    "browser": ("playwright", "pages that need a browser"),
    "reddit": ("praw", "Reddit's API"),
    "hub": ("datasets", "data sets of a hub, and pushes to one"),
    "serve": ("uvicorn", "serve and chat"),
    "vllm": ("vllm", "serving and judging with vLLM"),
    "ray": ("ray", "clusters"),
    "track": ("wandb", "Weights & Biases"),
    "gpu": ("flash-attn", "flash attention"),
    "sign": ("cryptography", "signatures"),
    "share": ("oras", "registries of recipes"),
}


class Missing(UsageError):
    """Something is asked for that needs a package which is not installed; the message ends with what installs it."""

    exit_code = 3

    def __init__(self, what: str, how: str) -> None:
        self.what, self.how = what, how
        super().__init__(f"{what}; install it with: {how}")

    def __reduce__(self) -> tuple[type[Missing], tuple[str, str]]:
        return Missing, (self.what, self.how)  # it may come from a process of ours


def version(distribution: str) -> str | None:
    """The version that is installed here; None where there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def install(*extras: str, packages: Iterable[str] = ()) -> str:
    """The one line that installs these extras, and packages that are no extra's.

    Of a checkout the extras are the checkout's own: no registry has those of a version that is worked on.
    """
    words = []
    if extras:
        names = ",".join(sorted(set(extras), key=list(EXTRAS).index))
        root = library.shelf("schemas").parent
        here = Path.cwd()
        if not (root / "pyproject.toml").is_file():
            words += [f"'mirepoix[{names}]'"]
        elif root == here:
            words += ["-e", f"'.[{names}]'"]
        else:
            words += ["-e", shlex.quote(f"{root}[{names}]")]
    words += [p if p.replace("-", "").replace("_", "").isalnum() else shlex.quote(p) for p in packages]
    return " ".join(["pip install", *words])
