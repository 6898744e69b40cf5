"""What the documentation names is there: files, modules, tests, links, and each room of the house on its floor."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from runner.objectstore import OPENED

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# The folders of this repository; datasets/, evals/ and recipes/ are names of a user's own workspace as well.
PATH = re.compile(r"(?<![\w./-])(?:runner|tests|benchmarks|schemas|docs|\.ci)/[\w./*{},-]*")
MODULE = re.compile(r"(?<![\w./-])runner(?:\.[a-z_]\w*)+")
TEST = re.compile(r"(?<![\w/])test_\w+\.py\b")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def names(pattern: re.Pattern[str], page: Path) -> list[str]:
    return sorted(set(pattern.findall(page.read_text(encoding="utf-8"))))


def spelt_out(path: str) -> Iterator[str]:
    """`a/{b,c}` → `a/b`, `a/c`."""
    if (m := re.search(r"\{([^}]*)\}", path)) is None:
        yield path
        return
    for one in m[1].split(","):
        yield from spelt_out(path[: m.start()] + one + path[m.end() :])


def there(path: str) -> bool:
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


def is_module(name: str) -> bool:
    """Whether it is a module, or something that stands in one under this name."""
    place = ROOT.joinpath(*name.split("."))
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    above = place.parent.with_suffix(".py")
    above = above if above.is_file() else place.parent / "__init__.py"
    return above.is_file() and bool(re.search(rf"\b{place.name}\b", above.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """GitHub's names of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    gone = [p for path in names(PATH, page) for p in spelt_out(path.rstrip(".,")) if not there(p)]
    gone += [name for name in names(MODULE, page) if not is_module(name)]
    gone += [name for name in names(TEST, page) if not any((ROOT / "tests").rglob(name))]
    assert gone == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    gone = []
    for file, anchor in names(LINK, page):
        if re.match(r"[a-z]+:", file):
            continue
        target = page.parent / file if file else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            gone.append(f"{file}#{anchor}" if anchor else file)
    assert gone == []


def test_the_store_names_the_places_that_are_opened() -> None:
    page = (ROOT / "docs/store.md").read_text(encoding="utf-8")
    part = page.partition("### Where it can be\n")[2].partition("\n### ")[0]
    named = {
        s for row in re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE) for s in re.findall(r"`(\w+)://", row)
    }
    assert named == OPENED - {"memory"}  # which ends with its process
    assert f"These {len(named)} and no others" in part


def floors() -> list[list[str]]:
    """The rows of the table in architecture.md, from the top: which rooms each names."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| [\d½]+ \| ([^|]+) \|", text, re.MULTILINE)
    return [re.findall(r"`(\w+)/?`", re.sub(r"\([^()]*\)", "", cell)) for cell in cells]


def test_architecture_names_each_room_once() -> None:
    inside = (ROOT / "runner").iterdir()
    rooms = [p.stem for p in inside if p.suffix == ".py" or (p / "__init__.py").is_file()]
    assert sorted(room for floor in floors() for room in floor) == sorted(set(rooms) - {"__init__"})


def test_architecture_has_the_floors_that_imports_are_held_to() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    depth = {room.strip(): n for n, layer in enumerate(layers) for room in layer.split("|")}
    spans = [(min(depth[r] for r in floor), max(depth[r] for r in floor)) for floor in floors()]
    assert all(above[1] <= below[0] for above, below in pairwise(spans)), spans
