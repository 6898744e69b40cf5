"""A run of prepare on a cluster, simulated: how long, how much faster, and what is busiest.

    python benchmarks/scaling/simulate.py                          # 10⁶, 10⁸ and 10¹⁰ rows on 1 to 1024 cores
    python benchmarks/scaling/simulate.py --rows 1e7 --cores 64 --storage 5e9 --latency 1e-4

One driver hands out pieces, takes what comes of them in their order, and does alone what nobody else does; workers read
rows from one storage that all share. What a row costs comes from results/constants.json (measure.py), what a piece
costs on its way through Ray from results/ray.json (roles.py). Simulated are pieces, one by one in their order: when
each is sent, when a worker is free for it, when it has read its rows, when the driver takes it. Where there are more
than AT_ONCE, some are taken together. docs/scaling.md has the formulas.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ORDER = ("source.corpus", "filter", "dedup", "decontaminate", "model", "render", "mix", "split")
AT_ONCE = 4096  # pieces of one map that are simulated each by itself
COLUMNS = 26  # of dedup's keys: 25 bands at Jaccard 0.8 and 128 permutations, and one of whole texts
PART = 1 << 22  # keys of a column that dedup sorts at once
ROWS = (1 << 32) - 1  # rows have numbers of 32 bits
KEY, ROW = 8, 4  # bytes
COLUMN_BYTES = (
    64  # of the driver's memory, a row: measured from 100,000 to 1,000,000 rows (docs/benchmarks.md)
)
MEMORY = "driver's memory"
UP = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Machine:
    """What a run has. Bytes, seconds; `speed` is a core's, beside the one that was measured."""

    cores: int = 1
    memory: float = 64e9  # of a node; what the driver's columns leave of it holds what was read
    network: float = 1.25e9  # bytes a second in and out of the driver
    storage: float = 1e9  # bytes a second, of all readers and writers together
    latency: float = 5e-4  # seconds of a read that the node's memory does not hold
    speed: float = 1.0
    start: float = 8.0  # seconds until a cluster is there


@dataclass
class Spent:
    """Seconds of each resource; `workers` are those of all cores together."""

    driver: float = 0.0
    workers: float = 0.0
    network: float = 0.0
    storage: float = 0.0

    def add(self, other: Spent) -> None:
        self.driver += other.driver
        self.workers += other.workers
        self.network += other.network
        self.storage += other.storage


@dataclass(frozen=True)
class Alone:
    """What the driver does by itself: seconds of CPU, bytes of storage, reads that it waits for one by one."""

    cpu: float
    bytes: float = 0.0
    reads: float = 0.0


@dataclass(frozen=True)
class Map:
    """Pieces, all alike. Each costs the driver `send` and `take`, a worker `work` and the storage `read` bytes
    (those that it writes, too);
    `sent` and `back` bytes travel."""

    pieces: float
    send: float
    take: float
    work: float
    read: float
    sent: float
    back: float
    reads: float = 0.0
    own: float = 0.0
    fixed: float = 0.0  # seconds that each worker takes to be ready


@dataclass
class Result:
    """How a run went: seconds; of what; the steps' seconds; bytes of the driver's memory."""

    rows: float
    machine: Machine
    elapsed: float = 0.0
    spent: Spent = field(default_factory=Spent)
    steps: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    taken: float = 0.0  # pieces that the driver took

    @property
    def shares(self) -> dict[str, float]:
        """How busy each resource was, 0 to 1."""
        each = vars(self.spent) | {"workers": self.spent.workers / self.machine.cores}
        return {name: seconds / self.elapsed for name, seconds in each.items()}

    @property
    def busiest(self) -> str:
        shares = self.shares
        return max(shares, key=lambda name: shares[name])

    @property
    def ends(self) -> str:
        """Why it could not be done, if it could not."""
        if self.rows > ROWS:
            return "row numbers"
        return MEMORY if self.memory > self.machine.memory else ""


def parts(rows: float) -> int:
    """Into how many parts dedup cuts the keys of a band: a power of two."""
    return 1 << max(0, math.ceil(math.log2(max(1.0, rows / PART))))


def work(
    constants: dict[str, Any], ray: dict[str, Any], rows: float, model: bool
) -> dict[str, list[Alone | Map]]:
    """What each step has to do for so many rows."""
    steps = constants["steps"] | (constants["model"] if model else {})
    out: dict[str, list[Alone | Map]] = {}
    for name in (n for n in ORDER if n in steps):
        step = steps[name]
        alone = {key: line["row"] * rows + line["fixed"] for key, line in step["alone"].items()}
        todo: list[Alone | Map] = [Alone(alone["cpu"], alone["read"] + alone["written"], alone["reads"])]
        todo += [part for one in step["maps"] for part in _maps(one, constants, ray, rows)]
        out[name] = todo
    return out


def _map(one: dict[str, Any], ray: dict[str, Any], rows: float) -> Map:
    many = max(one["pieces"]["row"] * rows, 1.0)
    per = rows / many

    def each(line: dict[str, float]) -> float:
        return line["row"] * per

    driver = each(one["driver"]["cpu"])
    sent, back = each(one["sent"]), each(one["back"])
    relay = ray["piece"] + ray["sent"] * sent + ray["back"] * back
    return Map(
        pieces=many,
        send=relay / 2,
        take=relay / 2 + driver,
        work=each(one["worker"]["cpu"]),
        read=each(one["worker"]["read"]) + each(one["worker"]["written"]),
        sent=sent,
        back=back,
        reads=each(one["worker"]["reads"]),
        own=each(one["driver"]["read"]) + each(one["driver"]["written"]),
        fixed=one["worker"]["cpu"]["fixed"],
    )


def _maps(
    one: dict[str, Any], constants: dict[str, Any], ray: dict[str, Any], rows: float
) -> list[Alone | Map]:
    """A map; of dedup's search for rows that share a key, what it has besides where a column is sorted in parts."""
    mapped = _map(one, ray, rows)
    if one["work"] != "Finding":
        return [mapped]
    ranges = COLUMNS * parts(rows)
    finding = _of(mapped, ranges)
    if parts(rows) == 1:
        return [finding]
    keys, runs = COLUMNS * rows, COLUMNS * math.ceil(rows / PART)
    sorted_ = Map(
        runs, ray["piece"] / 2, ray["piece"] / 2, constants["bands"]["sort"] * keys / runs,
        (2 * KEY + ROW) * keys / runs, 0, 0,
    )  # fmt: skip
    read = (KEY + ROW) * keys / ranges
    return [sorted_, replace(finding, work=constants["bands"]["find"] * keys / ranges, read=read)]


def _of(one: Map, pieces: float) -> Map:
    """The same work in so many pieces; what a piece costs is then another share of it."""
    each = one.pieces / pieces
    shared = ("send", "take", "work", "read", "sent", "back", "reads", "own")
    return replace(one, pieces=pieces, **{name: getattr(one, name) * each for name in shared})


def run(
    constants: dict[str, Any], ray: dict[str, Any], rows: float, machine: Machine, *, model: bool = False
) -> Result:
    """Simulate a run."""
    result = Result(rows, machine)
    result.memory = ray["memory"]["driver"] + COLUMN_BYTES * rows
    result.elapsed = machine.start + constants["start"] / machine.speed
    data = sum(step["disk"]["row"] for step in constants["steps"].values()) * rows
    missing = max(0.0, 1 - max(0.0, machine.memory - result.memory) / data)  # of the data, in a node's memory
    for name, todo in work(constants, ray, rows, model).items():
        begun = result.elapsed
        for one in todo:
            if isinstance(one, Alone):
                _alone(one, machine, missing, result)
            else:
                _mapped(one, machine, missing, result)
        result.steps[name] = result.elapsed - begun
    return result


def _alone(one: Alone, machine: Machine, missing: float, result: Result) -> None:
    cpu = one.cpu / machine.speed
    storage = one.bytes / machine.storage + one.reads * machine.latency * missing
    result.spent.add(Spent(driver=cpu, storage=storage))
    result.elapsed += cpu + storage  # one thread: it reads, then it works


def _mapped(one: Map, machine: Machine, missing: float, result: Result) -> None:
    """The pieces of a map, in their order."""
    least = max(AT_ONCE, 16 * machine.cores)
    together = max(1.0, one.pieces / least)  # pieces that are simulated as one
    many = max(1, round(one.pieces / together))
    together = one.pieces / many
    own = together * one.own / machine.storage
    send, take = together * one.send / machine.speed, together * one.take / machine.speed
    cpu, read = together * one.work / machine.speed, together * one.read / machine.storage
    wait = together * one.reads * machine.latency * missing
    there, back = together * one.sent / machine.network, together * one.back / machine.network
    ready = one.fixed / machine.speed
    begun = driver = storage = network = result.elapsed
    free = [begun + ready] * machine.cores
    window = 2 * machine.cores
    arrived: list[float] = []
    sent = 0
    for n in range(many):
        while sent < many and sent < n + window:
            driver += send
            network = max(network, driver) + there
            worker = max(heapq.heappop(free), network)
            storage = max(storage, worker) + read
            done = storage + wait + cpu
            heapq.heappush(free, done)
            arrived.append(done)
            sent += 1
        driver = max(driver, arrived[n] + back) + take + own
    result.elapsed = driver
    result.taken += one.pieces
    busy = many * (cpu + wait)
    result.spent.add(Spent(many * (send + take), busy, many * (there + back), many * (read + own)))


def read(name: str) -> dict[str, Any]:
    """A file of results/."""
    found: dict[str, Any] = json.loads((HERE / "results" / name).read_text(encoding="utf-8"))
    return found


def table(constants: dict[str, Any], ray: dict[str, Any], rows: Iterable[float], cores: Iterable[int],
          machine: Machine, model: bool) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each number of rows and of cores."""
    out = []
    for many in rows:
        one = run(constants, ray, many, replace(machine, cores=1), model=model).elapsed
        for n in cores:
            got = run(constants, ray, many, replace(machine, cores=n), model=model)
            out.append(
                {
                    "rows": many,
                    "cores": n,
                    "seconds": got.elapsed,
                    "speed-up": one / got.elapsed,
                    "busiest": got.busiest,
                    "share": got.shares[got.busiest],
                    MEMORY: got.memory,
                    "ends": got.ends,
                    "steps": got.steps,
                }
            )
    return out


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The table as Markdown."""
    out = ["| rows | cores | time | speed-up | busiest | driver's memory |", "|---|---|---|---|---|---|"]
    for row in rows:
        ends = f": past its {row['ends']}" if row["ends"] == MEMORY else ""
        time = f"({told(row['seconds'])})" if row["ends"] else told(row["seconds"])
        cells = (
            power(row["rows"]), f"{row['cores']:,}", time, f"{row['speed-up']:.1f}",
            f"{row['busiest']} {row['share']:.0%}", f"{row[MEMORY] / 1e9:.1f} GB{ends}",
        )  # fmt: skip
        out.append(f"| {' | '.join(cells)} |")
    return out


def power(rows: float) -> str:
    """10⁶ for a power of ten; else the number."""
    exponent = round(math.log10(rows))
    return f"10{str(exponent).translate(UP)}" if rows == 10**exponent else f"{rows:,.0f}"


def told(seconds: float) -> str:
    """A time as one reads it."""
    for unit, many in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * many:
            return f"{seconds / many:,.1f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e8, 1e10])
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1024])
    parser.add_argument("--model", action="store_true", help="rows are rendered, too")
    parser.add_argument("--json", action="store_true")
    for name, value in vars(Machine()).items():
        if name != "cores":
            parser.add_argument(f"--{name}", type=float, default=value)
    args = parser.parse_args()
    machine = Machine(**{name: getattr(args, name) for name in vars(Machine()) if name != "cores"})
    rows = table(read("constants.json"), read("ray.json"), args.rows, args.cores, machine, args.model)
    if args.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    print("\n".join(lines(rows)))


if __name__ == "__main__":
    main()
