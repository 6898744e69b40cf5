"""What benchmarks/scaling/simulate.py may never say: work that vanishes, more cores that are slower, a run that beats
the part of it that one process does. With round numbers of our own; and its results say what docs/scaling.md says."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks/scaling"
MICRO = 1e-6


def load(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"scaling_{name}", FOLDER / f"{name}.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


simulate = load("simulate")
FREE = simulate.Machine(memory=1e18, network=1e18, storage=1e18, latency=0, start=0)
CORES = (1, 2, 3, 8, 32, 200)


def line(row: float, fixed: float = 0.0) -> dict[str, float]:
    return {"row": row, "fixed": fixed}


def book(cpu: float, read: float = 0, written: float = 0, reads: float = 0) -> dict[str, Any]:
    return {"cpu": line(cpu), "read": line(read), "written": line(written), "reads": line(reads)}


def constants(alone: float = 2 * MICRO, worker: float = 98 * MICRO, **more: Any) -> dict[str, Any]:
    """One step that maps, of 1,000 rows a piece, and one that does not."""
    one = {
        "work": "Work", "pieces": line(1e-3), "sent": line(4), "back": line(200),
        "driver": book(0), "worker": book(worker, read=2000),
    }  # fmt: skip
    filter = {"alone": book(0), "maps": [one], "disk": line(2000), "kept": None}
    split = {"alone": book(alone, read=2000, reads=1), "maps": [], "disk": line(0), "kept": None}
    whole = {"filter": filter, "split": split}
    return {
        "steps": whole, "model": {}, "bands": {"sort": 2e-7, "find": 3e-7},
        "start": 0.0,
    } | more  # fmt: skip


NO_RAY = {"piece": 0.0, "sent": 0.0, "back": 0.0, "memory": {"driver": 1e8}}


def seconds(rows: float, machine: Any = FREE, **more: Any) -> float:
    found: float = simulate.run(constants(**more), NO_RAY, rows, machine).elapsed
    return found


@pytest.mark.parametrize("cores", CORES)
def test_all_work_is_done_once_whoever_does_it(cores: int) -> None:
    rows = 5_000_000  # more pieces than are simulated each by itself
    got = simulate.run(constants(), NO_RAY, rows, replace(FREE, cores=cores))
    assert got.taken == pytest.approx(rows / 1000)
    assert got.spent.workers == pytest.approx(98 * MICRO * rows)
    assert got.spent.driver == pytest.approx(2 * MICRO * rows)
    assert sum(got.steps.values()) == pytest.approx(got.elapsed)
    for share in got.shares.values():
        assert 0 <= share <= 1 + 1e-9


@pytest.mark.parametrize("rows", [1e3, 1e5, 7e6])
def test_more_cores_are_never_slower_and_no_run_beats_what_it_is_made_of(rows: float) -> None:
    times = [seconds(rows, replace(FREE, cores=cores)) for cores in CORES]
    assert times == sorted(times, reverse=True)
    for cores, time in zip(CORES, times, strict=True):
        assert time >= 2 * MICRO * rows + 98 * MICRO * rows / cores - 1e-9
        assert times[0] / time <= cores + 1e-9


def test_it_comes_to_amdahls_limit_and_stays_below() -> None:
    """2% is done by one process: 50 times at most, whatever there is of cores."""
    rows = 2e7
    one = seconds(rows)
    for cores in CORES:
        law = 1 / (0.02 + 0.98 / cores)
        assert one / seconds(rows, replace(FREE, cores=cores)) == pytest.approx(law, rel=0.02)
    assert 45 < one / seconds(rows, replace(FREE, cores=2000)) <= 50


def test_pieces_are_as_many_as_can_be_worked_on_at_once() -> None:
    """10,000 rows are 10 pieces: cores beyond 10 have nothing to do."""
    assert seconds(1e4, replace(FREE, cores=10)) == seconds(1e4, replace(FREE, cores=500))
    assert seconds(1e4, replace(FREE, cores=9)) > seconds(1e4, replace(FREE, cores=10))


@pytest.mark.parametrize("less", ["storage", "network", "speed"])
def test_less_of_anything_is_never_faster(less: str) -> None:
    machine = replace(FREE, cores=16, storage=1e8, network=1e8)
    times = [seconds(1e6, replace(machine, **{less: getattr(machine, less) / n})) for n in (1, 2, 10)]
    assert times == sorted(times) and times[0] < times[-1]


def test_storage_that_is_slow_decides() -> None:
    """2,000 bytes a row for workers, then 2,000 for the driver, of 10 MB/s: cores do not help."""
    machine = replace(FREE, cores=64, storage=1e7)
    got = simulate.run(constants(), NO_RAY, 1e6, machine)
    assert got.busiest == "storage"
    assert got.elapsed == pytest.approx(2 * 2000 * 1e6 / 1e7, rel=0.02)


def test_what_a_piece_costs_on_its_way_is_the_drivers() -> None:
    slow = NO_RAY | {"piece": 0.01}
    got = simulate.run(constants(), slow, 1e7, replace(FREE, cores=1000))
    assert got.busiest == "driver"
    assert got.elapsed >= 0.01 * 1e7 / 1000


def test_reads_one_by_one_are_waited_for_where_memory_does_not_hold_the_data() -> None:
    large = replace(FREE, latency=1e-3)
    assert seconds(1e6, large) == pytest.approx(seconds(1e6, FREE)), "it is all in memory"
    small = replace(large, memory=1e8)
    assert seconds(1e6, small) - seconds(1e6, FREE) == pytest.approx(1e6 * 1e-3)


def test_time_grows_with_rows() -> None:
    times = [seconds(rows) for rows in (1e4, 1e5, 1e6, 1e7)]
    assert times == sorted(times)
    assert [simulate.parts(rows) for rows in (1, 1 << 22, (1 << 22) + 1, 1e8)] == [1, 1, 2, 32]


def dedups(rows: float) -> list[Any]:
    """What dedup's search and comparison come to."""
    one = {
        "pieces": line(26e-6), "sent": line(1.6), "back": line(8), "driver": book(0), "worker": book(3 * MICRO),
    }  # fmt: skip
    found: list[Any] = []
    for work in ("Finding", "Comparing"):
        found += simulate._maps(one | {"work": work}, constants(), NO_RAY, rows)
    return found


def test_dedups_columns_are_sorted_in_parts() -> None:
    finding, comparing = dedups(1e6)
    assert finding.pieces == 26 and finding.work * finding.pieces == pytest.approx(3 * MICRO * 1e6)
    assert comparing.work * comparing.pieces == pytest.approx(3 * MICRO * 1e6)
    sorting, finding, _ = dedups(1e8)
    assert sorting.pieces == 26 * 24 and sorting.work * sorting.pieces == pytest.approx(26e8 * 2e-7)
    assert finding.pieces == 26 * 32 and finding.work * finding.pieces == pytest.approx(26e8 * 3e-7)


def test_where_it_ends() -> None:
    small = replace(FREE, memory=1e9)
    assert simulate.run(constants(), NO_RAY, 1e7, small).ends == ""
    assert simulate.run(constants(), NO_RAY, 1e8, small).ends == "driver's memory"
    assert simulate.run(constants(), NO_RAY, 1e10, FREE).ends == "row numbers"


@pytest.fixture(scope="module")
def shown() -> tuple[dict[str, Any], dict[str, Any]]:
    return simulate.read("constants.json"), simulate.read("ray.json")


def test_what_was_measured_is_whole(shown: tuple[dict[str, Any], dict[str, Any]]) -> None:
    measured, ray = shown
    assert set(measured["steps"]) | set(measured["model"]) == set(simulate.ORDER)
    work = simulate.work(measured, ray, 1e6, model=True)
    parallel = sum(
        one.work * one.pieces for todo in work.values() for one in todo if isinstance(one, simulate.Map)
    )
    assert parallel > 0
    assert measured["bands"]["sort"] > 0 and ray["piece"] > 0


@pytest.mark.parametrize(("rows", "model"), [((1e6, 1e8, 1e10), False), ((1e6, 1e8), True)])
def test_the_page_has_the_tables_that_it_gives(
    rows: tuple[float, ...], model: bool, shown: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    found = simulate.table(*shown, rows, (1, 4, 16, 64, 256, 1024), simulate.Machine(), model)
    assert "\n".join(simulate.lines(found)) in page


def test_what_a_hundred_million_rows_cost_is_what_it_gives(
    shown: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """docs/ray.md: hours, and their price with a head that costs what a node does."""
    page = (ROOT / "docs/ray.md").read_text(encoding="utf-8")
    for cores, nodes in ((16, 1), (64, 4), (256, 16)):
        cells = [str(cores), str(nodes)]
        for model in (False, True):
            machine = simulate.Machine(cores=cores)
            hours = simulate.run(*shown, 1e8, machine, model=model).elapsed / 3600
            cells += [f"{hours:.1f}", f"{(1 + nodes) * round(hours, 2):.1f} P"]
        assert f"| {' | '.join(cells)} |" in page
