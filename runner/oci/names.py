"""Which names files of a pack may have: plain ones below a folder, on any file system, that hide and steer nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

PICKLES = frozenset(
    (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".h5", ".keras")
)
"""What is a pickle, or may hold one."""
CODE = frozenset(
    ".py .pyc .pyd .pyw .pyx .pth .ipynb .so .sh .bash .zsh .fish .dll .dylib .exe .bat .cmd .ps1 .vbs .js .mjs "
    ".cjs .wasm .rb .pl .php .lua .jar .class .desktop .lnk .service".split()
)
LONGEST, DEEPEST = 512, 16
_STRANGE = frozenset('\\:*?"<>|')
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))))


def wrong(name: str) -> str:
    """Why no file of a pack may be called so; empty where it may."""
    parts = name.split("/")
    if (
        not name
        or len(name) > LONGEST
        or len(parts) > DEEPEST
        or any(len(p.encode("utf-8", "replace")) > 255 for p in parts)
    ):
        return "is no name of a file: empty, too long or too deep"
    if name.startswith("/") or ".." in parts or "." in parts or "" in parts:
        return "is a path that leaves the folder"
    if any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in name):
        return "holds characters that cannot be seen"
    if set(name) & _STRANGE or any(p != p.strip() or p.endswith(".") for p in parts):
        return "is no name that every file system takes"
    if any(p.partition(".")[0].lower() in _DEVICES for p in parts):
        return "is a device's name on some machines"
    if any(p.startswith(".") for p in parts):
        return "is a hidden file"
    suffix = "." + parts[-1].rpartition(".")[2].lower() if "." in parts[-1] else ""
    if suffix in PICKLES:
        return "is a pickle, or what may be one; weights are safetensors"
    return "is code" if suffix in CODE else ""


def clash(names: Iterable[str]) -> str:
    """Two names that mean one file where case or the spelling of letters does not count, or where one is the other's
    folder: in words; empty where there are none."""
    folders: dict[str, str] = {}
    files: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        for n in range(1, len(parts)):
            folder = "/".join(parts[:n])
            if (other := folders.setdefault(_alike(folder), folder)) != folder:
                return f"{other!r} and {folder!r}"
        if _alike(name) in files:
            return f"{files[_alike(name)]!r} and {name!r}"
        files[_alike(name)] = name
    for key, name in files.items():
        if key in folders:
            return f"{name!r}, a file and a folder"
    return ""


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def pickled(head: bytes) -> bool:
    """Whether a file begins as a pickle of protocol 2 and later does, or as what may hold some (of torch, of numpy)."""
    return (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")) or head.startswith(
        (b"PK\x03\x04", b"\x93NUMPY")
    )
