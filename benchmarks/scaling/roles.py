"""What Ray itself costs, and whether simulate.py foretells what real runs cost: who spent how much CPU, by role.

    python benchmarks/scaling/roles.py            # some minutes; needs the package ray

First, pieces that do nothing, small and large, are mapped on a Ray cluster: what a piece and a byte cost on the way
there and back, beyond what metered.py books (results/ray.json). Then whole runs of chain.yaml on the engine `ray`; the
processes are told apart by what they are: the driver, what talks to Ray, workers, Ray's own. Beside each stands what
simulate.py says (results/checked.json). All clusters are on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE))
EVERY = 0.1  # seconds between two looks
TICK = os.sysconf("SC_CLK_TCK")
ROLES = ("driver", "relay", "workers", "ray")
LEAST = 200  # rows of a run that costs what every run costs


class Watch(threading.Thread):
    """Looks at all processes that come of one: CPU seconds and the most memory of each, by role."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.done = root, threading.Event()
        self.seen: dict[int, tuple[str, float, float]] = {}

    def run(self) -> None:
        while not self.done.wait(EVERY):
            self.look()

    def look(self) -> None:
        parents, lines = {}, {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                high = next((x for x in (entry / "status").read_text().splitlines() if "VmHWM" in x), "")
            except OSError:
                continue
            pid = int(entry.name)
            parents[pid] = int(fields[1])
            lines[pid] = (line, (int(fields[11]) + int(fields[12])) / TICK, _kilobytes(high) * 1024)
        ours = {self.root, *self.seen}
        grown = True
        while grown:  # children of children
            new = {pid for pid, parent in parents.items() if parent in ours and pid not in ours}
            ours |= new
            grown = bool(new)
        for pid in ours & set(lines):
            line, cpu, high = lines[pid]
            was = self.seen.get(pid, ("ray", 0.0, 0.0))
            role = self.role(pid, line) if line.strip() else was[0]  # one that is ending has no name any more
            self.seen[pid] = (was[0] if was[0] != "ray" else role, max(cpu, was[1]), max(high, was[2]))

    def role(self, pid: int, line: str) -> str:
        if pid == self.root:
            return "driver"
        if "runner.jobs.ray_driver" in line:
            return "relay"
        return "workers" if line.startswith("ray::") and "Agent" not in line else "ray"

    def told(self) -> dict[str, dict[str, float]]:
        """CPU seconds of each role, and the bytes of its largest process."""
        out = {role: {"cpu": 0.0, "peak": 0.0} for role in ROLES}
        for role, cpu, high in self.seen.values():
            out[role]["cpu"] += cpu
            out[role]["peak"] = max(out[role]["peak"], high)
        return out


def _kilobytes(line: str) -> int:
    return int(line.split()[1]) if line else 0


@contextmanager
def watching(pid: int) -> Iterator[Watch]:
    watch = Watch(pid)
    watch.start()
    try:
        yield watch
    finally:
        watch.look()
        watch.done.set()
        watch.join()


def relay(workers: int = 1) -> dict[str, float]:
    """Seconds of the driver's and the relay's CPU for a piece, and for a byte there and back."""
    from runner.engines.ray import Ray

    with tempfile.TemporaryDirectory() as folder, watching(os.getpid()) as watch:
        root = Path(folder)
        with Ray("", workers, root, root / "log") as engine:

            def cost(work: Callable[[Any], Any], piece: Any, many: int) -> float:
                watch.look()
                before = watch.told()
                for _ in engine.mapped(work, [piece] * many):
                    pass
                watch.look()
                after = watch.told()
                return sum(after[r]["cpu"] - before[r]["cpu"] for r in ("driver", "relay")) / many

            cost(bytes, 8, 50)  # until all is warm
            piece = cost(bytes, 8, 600)
            large = 1 << 20
            return {
                "piece": piece,
                "sent": max(0.0, cost(len, bytes(large), 150) - piece) / large,
                "back": max(0.0, cost(bytes, large, 150) - piece) / large,
            }


def real(root: Path, workers: int) -> dict[str, Any]:
    """A run of the chain in a fresh copy of a workspace, by role."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.link(root / "rows.jsonl", place / "rows.jsonl")
        text = (root / "chain.yaml").read_text() + f"compute: {{engine: ray, workers: {workers}}}\n"
        (place / "chain.yaml").write_text(text)
        argv = [str(Path(sys.executable).with_name("recipe")), "run", "chain.yaml", "--to", "prepare"]
        begun = time.monotonic()
        process = subprocess.Popen(argv, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with watching(process.pid) as watch:
            _, said = process.communicate(timeout=1800)
        if process.returncode:
            raise SystemExit(said.decode())
        return {"wall": time.monotonic() - begun, "load": os.getloadavg()[0], "roles": watch.told()}


def foretold(rows: int, workers: int, ray: dict[str, Any]) -> dict[str, float]:
    """What simulate.py says of the same run: CPU seconds of the driver with its relay, and of workers."""
    import simulate

    machine = simulate.Machine(cores=workers, latency=0, storage=1e12, network=1e12)
    got = simulate.run(simulate.read("constants.json"), ray, rows, machine)
    least = ray["least"][str(workers)]
    return {
        "driver": got.spent.driver + least["roles"]["driver"]["cpu"] + least["roles"]["relay"]["cpu"],
        "workers": got.spent.workers + least["roles"]["workers"]["cpu"],
    }


def main() -> None:
    from measure import workspace

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    costs: dict[str, Any] = relay()
    print(costs, flush=True)
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        for rows in (LEAST, *args.rows):
            root = workspace(Path(scratch) / str(rows), rows)
            for workers in args.workers:
                runs.append({"rows": rows, "workers": workers} | real(root, workers))
                print(json.dumps(runs[-1]), flush=True)
    costs["least"] = {str(one["workers"]): one for one in runs if one["rows"] == LEAST}
    costs["memory"] = {role: max(one["roles"][role]["peak"] for one in runs) for role in ROLES}
    (args.out / "ray.json").write_text(json.dumps(costs, indent=1, sort_keys=True) + "\n")
    for one in runs:
        one["foretold"] = foretold(one["rows"], one["workers"], costs)
    (args.out / "checked.json").write_text(json.dumps(runs, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
