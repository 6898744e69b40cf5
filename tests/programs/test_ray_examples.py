"""Every example recipe: the same data on this machine's cores, and on Ray clusters of every shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ray_nodes import DEAR, Nodes, digests, nodes

from runner import api
from runner.errors import StepError
from runner.store import marks

ROOT = Path(__file__).parents[2]
VALID = ROOT / "tests/examples/valid"
SHAPES = {
    "1 worker": (1, 0),
    "2 workers": (2, 0),
    "4 workers": (4, 0),
    "2 nodes": (1, 1),
}  # cores, other nodes
EXAMPLES = [
    *sorted(VALID.glob("*.yaml")),
    ROOT / "recipes/quickstart.yaml",
    ROOT / "recipes/twain-books.yaml",
]
CHEAP = {("2 nodes", "plain-text")}


class Came(NamedTuple):
    """What a run came to: the digests of its data and artifacts, or the error that ended it."""

    made: dict[str, str]
    error: str


def laid_out(root: Path, recipe: Path) -> Path:
    """A workspace with what a recipe reads; its file in there. It asks for no more than our few rows have."""
    file = _laid_out(root, recipe)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("total: 60_000", "total: 2_000").replace("total: 8_000", "total: 2_000"))
    return file


def _laid_out(root: Path, recipe: Path) -> Path:
    root.mkdir()
    if recipe.parent == VALID:
        shutil.copytree(VALID.parent / "data", root / "data")
        shutil.copytree(VALID, root / "valid")
        return root / "valid" / recipe.name
    for folder in ("recipes", "datasets", "evals"):
        shutil.copytree(ROOT / folder, root / folder)
    if recipe.stem == "twain-books":  # books of our own
        for name in ("books", "held-out/same-author", "held-out/other-authors"):
            (root / name).mkdir(parents=True)
        talk = [json.loads(x) for x in (ROOT / "datasets/river-town-a.jsonl").read_text().splitlines()]
        said = [m["content"] for one in talk for m in one["messages"] if m["role"] == "assistant"]
        third = len(said) // 3
        (root / "books/a.txt").write_text("\n\n".join(said[:third]))
        (root / "held-out/same-author/b.txt").write_text("\n\n".join(said[third : 2 * third]))
        (root / "held-out/other-authors/c.txt").write_text("\n\n".join(said[2 * third :]))
    return root / "recipes" / recipe.name


def came(root: Path, recipe: Path, address: str | None = None) -> Came:
    """Prepare its data; on this machine's cores, or on a cluster."""
    name = api.load(recipe, root).name
    try:
        api.run(recipe, to="prepare", workspace=root, engine="ray" if address else "local", address=address)
    except StepError as e:
        return Came({}, str(e))
    found = digests(root, name)
    assert found
    return Came(found, "")


class Alone:
    """What each recipe comes to on this machine's cores; made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[Path, Came] = {}

    def __call__(self, recipe: Path) -> Came:
        root = self.folder / recipe.stem
        if recipe not in self.known:
            file = laid_out(root, recipe)
            self.models(root)
            self.known[recipe] = came(root, file)
        return self.known[recipe]

    def models(self, root: Path, of: str = "*") -> None:
        """Take over what base models are like: that takes longest, and is not done on a cluster."""
        for manifest in self.folder.glob(f"{of}/.mirepoix/artifacts/*/*/manifest.json"):
            there = root / Path(*manifest.parent.parts[-4:])
            if json.loads(manifest.read_bytes())["step"] == "model" and not there.exists():
                shutil.copytree(manifest.parent, there)
        (root / ".mirepoix").mkdir(exist_ok=True)
        marks.make(root / ".mirepoix")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return Alone(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Iterator[tuple[str, Nodes]]:
    cores, others = SHAPES[request.param]
    with nodes(cores) as cluster:
        for _ in range(others):
            cluster.add()
        yield request.param, cluster


@pytest.mark.parametrize(
    ("shape", "recipe"),
    [
        pytest.param(
            shape, recipe, marks=() if (shape, recipe.stem) in CHEAP else DEAR, id=f"{recipe.stem}-{shape}"
        )
        for shape in SHAPES
        for recipe in EXAMPLES
    ],
    indirect=["shape"],
    scope="module",
)
def test_the_same_data(recipe: Path, shape: tuple[str, Nodes], alone: Alone, tmp_path: Path) -> None:
    """On a cluster as on this machine's cores; and where these cannot, for the same reason."""
    here = alone(recipe)
    root = tmp_path / "w"
    file = laid_out(root, recipe)
    alone.models(root, recipe.stem)
    assert came(root, file, shape[1].address) == here
    log = next(root.glob("runs/*/logs/engine.log")).read_text()
    assert "ray_driver" in log


@DEAR
def test_every_example_comes_to_data(alone: Alone) -> None:
    """So it is data that are compared, not errors."""
    assert {recipe.stem: alone(recipe).error for recipe in EXAMPLES if alone(recipe).error} == {}
