"""A whole run as a folder for another team: the recipe, its lock, and all small files that it reads.

Only what the recipe names goes along, each file looked at: nothing hidden, no pickle and no code, nothing that holds a
secret of this user. What the run made stays behind: it is made again, to the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner import library, locking, scrub
from runner.errors import StepError, UsageError
from runner.locking import RAW
from runner.locking.drift import INPUTS
from runner.results import folder, signing
from runner.results.finished import DATA, Finished
from runner.settings import Settings
from runner.steps import Plan
from runner.store import Store, file_digest
from runner.workspace import Workspace
from runner.yaml12 import dump

SMALL = 50_000_000
"""Bytes. Larger files are named in the folder's README instead, with their sha256: hosts of code refuse them."""
PICKLES = frozenset(
    (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".h5", ".keras")
)
CODE = frozenset((".py", ".pyc", ".so", ".sh", ".dll", ".exe"))


@dataclass(frozen=True)
class Whole:
    """What was written, names and bytes; `left_out` are names and sha256 of what is too large to go along."""

    folder: Path
    files: list[tuple[str, int]]
    left_out: list[tuple[str, str]]


def export_run(run: Finished, to: Path, settings: Settings, trust: frozenset[str] = frozenset()) -> Whole:
    """Write the folder `to`, whole or not at all.

    Raises UsageError where `to` may not be written, or where a file must not go along; Drifted where the run's inputs
    are no longer what it was made of; StepError where there is no room.
    """
    to = to.resolve() if not to.is_symlink() else to.absolute()
    folder.refuse(to)
    plan = run.plan(Workspace(run.root, trust))
    store = Store(run.root)
    found = [d for d in locking.drifts(run.lock, plan, store) if d.kind in INPUTS]
    if found:
        raise locking.Drifted(found, plan, f"runs/{run.name}/recipe.lock", run.again, undone="exported")
    if out := locking.outside(plan):
        raise UsageError(f"lies outside the workspace, so nobody else would find it: {', '.join(out[:5])}")
    scrubber = scrub.known(settings=settings)
    recipe = dump(run.recipe)
    if scrubber.text(recipe) != recipe:
        raise UsageError("the recipe holds one of your secrets; keep that in your settings, and run it again")
    wanted = list(_wanted(run, plan, store))
    for name, path, _ in wanted:
        if path.stat().st_size <= SMALL:
            _look(name, path, scrubber)
    folder.room(to, sum(size for _, p, _ in wanted if (size := p.stat().st_size) <= SMALL) + (1 << 20))
    left_out = []
    with folder.whole(to, {"as": "run", "run": run.name}) as filling:
        for name, path, sha256 in wanted:
            if path.stat().st_size > SMALL:
                left_out.append((name, sha256 or file_digest(path)))
                continue
            target = filling / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            if sha256 and file_digest(target) != sha256:
                raise StepError("export", f"{name} changed while it was copied; export it again")
        (filling / f"{run.name}.yaml").write_text(recipe, encoding="utf-8")
        locking.write(filling / f"{run.name}.lock", run.lock, filling)
        (filling / "data.sha256").write_text(_made(run), encoding="utf-8")
        (filling / "README.md").write_text(_readme(run, left_out), encoding="utf-8")
        _alike(run, filling, {name for name, _ in left_out})
    files = sorted(p for p in to.rglob("*") if p.is_file())
    return Whole(to, [(p.relative_to(to).as_posix(), p.stat().st_size) for p in files], left_out)


def _wanted(run: Finished, plan: Plan, store: Store) -> Iterator[tuple[str, Path, str]]:
    """Names in the new folder, the files, and their sha256 as far as the lock says it."""
    known = {n: sha for part in run.lock.stages.values() for n, sha in part.files.items()}
    for name, path in locking.carried(plan).items():
        _refuse(name, path)
        yield name, path, known.get(name, "")
    for sha256 in sorted({i.sha256 for f in run.lock.fetched.values() for i in f.items if i.sha256}):
        path = store.root / "raw" / sha256[:2] / sha256
        if path.is_file():
            yield f"{RAW}/{sha256}", path, sha256


def _refuse(name: str, path: Path) -> None:
    shelf = any(path.resolve().is_relative_to(library.shelf(k).resolve()) for k in library.KINDS)
    parts = PurePosixPath(name).parts
    if any(p.startswith(".") for p in parts):
        raise UsageError(f"{name}: a hidden file never goes along; give it a plain name in the recipe")
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in PICKLES and not shelf:
        raise UsageError(f"{name}: a pickle, or what may be one, never goes along; weights are safetensors")
    if suffix in CODE:
        raise UsageError(f"{name}: code never goes along; take it out of the folder that the recipe names")


def _look(name: str, path: Path, scrubber: scrub.Scrubber) -> None:
    if not scrubber:
        return
    raw = path.read_bytes()
    if scrubber.data(raw) != raw:
        raise UsageError(f"{name} holds one of your secrets, so it does not go along; take that out of it")


def _alike(run: Finished, filling: Path, left_out: set[str]) -> None:
    """Whether the folder means the same: a pattern of the recipe may take what we have written there, too."""
    if any(not name.startswith(f"{RAW}/") for name in left_out):
        return  # it cannot be planned yet; who puts the rest there is told by --locked
    later = (filling / folder.MARK, filling / signing.NAME)
    for path in later:
        path.touch()
    plan = run.plan(Workspace(filling))
    for path in later:
        path.unlink()
    found = [d for d in locking.drifts(run.lock, plan, Store(filling)) if d.kind in INPUTS]
    if found:
        told = "; ".join(f"{d.name}: {d}" for d in found[:5])
        raise UsageError(f"in a folder of its own the recipe would mean something else: {told}")


def _made(run: Finished) -> str:
    """What preparing must come to, as `sha256sum -c` reads it."""
    found = [(run.folder / n, n) for n in DATA if (run.folder / n).is_file()]
    return "".join(f"{file_digest(path)}  runs/{run.name}/{name}\n" for path, name in found)


def _readme(run: Finished, left_out: list[tuple[str, str]]) -> str:
    tools = run.lock.tools
    asked = (
        (f"recipe run {run.name}.yaml --locked --to prepare", "the data"),
        ("sha256sum -c data.sha256", "are they byte for byte those of the first run?"),
        (f"recipe run {run.name}.yaml --locked", "training and verdict, too"),
    )
    width = max(len(command) for command, _ in asked)
    lines = [
        f"# {run.name}",
        "",
        f"A recipe of mirepoix {tools.get('mirepoix', '')} (Python {tools.get('python', '')}), with all that it reads.",
        "In this folder:",
        "",
        "```console",
        *(f"$ {command:<{width}}    # {why}" for command, why in asked),
        "```",
        "",
        f"`{run.name}.lock` says of each input and each package what it was; `--locked` refuses others, by name.",
    ]
    if run.lock.fetched:
        lines.append(f"What was fetched lies in `{RAW}/`, so nothing of it is asked for again.")
    if left_out:
        lines += ["", f"Too large to go along ({SMALL // 1_000_000} MB); put them here:", ""]
        lines += [f"- `{name}`, sha256 `{sha256}`" for name, sha256 in left_out]
    return "\n".join(lines) + "\n"
