"""Jobs that each hold a model, on a cluster of two nodes with a GPU each, as far as Ray counts: there is no card.

With MIREPOIX_RAY=1 a real model answers on both of them, too: the same bytes as here, and no answer lost by a kill.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import DEAR, QUIET

from runner import process, warded
from runner.engines.ray import Ray
from runner.errors import StepError
from runner.evaluate import MAKERS
from runner.evaluate import jobs as ours
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.process import Job
from runner.store import Store
from runner.workspace import Workspace

NODES = """
import sys
from ray.cluster_utils import Cluster
here = {"node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000, "num_gpus": 1}
cluster = Cluster(initialize_head=True, head_node_args=here | {"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1, **here)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""
TELLS = """
import json, os, pathlib, sys, time
mine, all_of_them = pathlib.Path(sys.argv[1]), [pathlib.Path(p) for p in sys.argv[2:]]
seen = {k: os.environ.get(k) for k in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
mine.write_text(json.dumps(seen | {"pid": os.getpid(), "ppid": os.getppid()}))
while not all(p.exists() for p in all_of_them):
    time.sleep(0.02)
"""
WAITS = (
    "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
)
FAILS = "import sys, time; time.sleep(0.5); sys.exit('Error: no room')"
RUNS = """
import sys
from pathlib import Path
from runner.engines.ray import Ray
from runner.process import Job
address, root, code = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
jobs = [Job(("-c", code, str(root / f"k{n}")), root / f"k{n}.log", root) for n in range(2)]
with Ray(address, 1, root, root / "killed.log") as engine:
    engine.run(jobs, gpu=True, watch=lambda: None)
"""


@contextmanager
def nodes() -> Iterator[str]:
    """The address of the cluster."""
    child = warded.start(
        [sys.executable, "-c", NODES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | QUIET,
    )
    try:
        assert child.stdout and child.stdin
        yield child.stdout.readline().decode().strip()
        child.stdin.close()
        child.wait(20)
    finally:
        warded.end(child, 0.5)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with nodes() as one:
        yield one


def until(true: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def together(engine: Ray, root: Path, name: str) -> list[dict[str, Any]]:
    """What two jobs see that wait for each other."""
    seen = [root / f"{name}{n}" for n in range(2)]
    jobs = [Job(("-c", TELLS, str(p), *map(str, seen)), p.with_suffix(".log"), root) for p in seen]
    engine.run(jobs, gpu=True, watch=lambda: None)
    return [json.loads(p.read_text()) for p in seen]


def test_each_job_has_a_gpu_and_gives_it_back_however_it_ends(address: str, tmp_path: Path) -> None:
    with Ray(address, 1, tmp_path, tmp_path / "engine.log") as engine:
        assert engine.replicas(True) == engine.replicas(False) == 2
        for one in together(engine, tmp_path, "a"):
            assert one["CUDA_VISIBLE_DEVICES"] == "0" and one["OMP_NUM_THREADS"] is None
        # One that fails is heard while another goes on, which ends too; and names its log.
        jobs = [
            Job(("-c", WAITS, str(tmp_path / "w")), tmp_path / "w.log", tmp_path),
            Job(("-c", FAILS), tmp_path / "f.log", tmp_path),
        ]
        with pytest.raises(process.Failed, match="no room") as failed:
            engine.run(jobs, gpu=True, watch=lambda: None)
        assert failed.value.log == tmp_path / "f.log"
        if (tmp_path / "w").exists():  # else it had not begun
            pid = int((tmp_path / "w").read_text())
            until(lambda: not runs(pid), "what nobody waits for goes on")
        # So they are when who runs them is killed; and both GPUs are free again each time.
        argv = [sys.executable, "-c", RUNS, address, str(tmp_path), WAITS]
        child = subprocess.Popen(argv, env=os.environ | {"PYTHONSAFEPATH": "1"})
        try:
            until(lambda: all((tmp_path / f"k{n}").exists() for n in range(2)), "two jobs run")
            time.sleep(0.2)
            pids = [int((tmp_path / f"k{n}").read_text()) for n in range(2)]
            assert all(map(runs, pids))
        finally:
            child.kill()
            child.wait()
        until(lambda: not any(map(runs, pids)), "jobs outlive who had them run")
        assert len(together(engine, tmp_path, "b")) == 2


RECIPE = """
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
decontaminate: {against: none}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, targets: [q_proj, v_proj]}
train: {attention: sdpa, packing: false}
evaluate: {suites: [one]}
compute: {profile: cpu}
"""


@DEAR
def test_a_model_answers_on_two_nodes(
    address: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes as from one job on this machine; a job that is killed ends the run, and the next goes on."""
    monkeypatch.setattr(ours, "BATCH", 4)
    root = tmp_path / "w"
    for folder in ("evals/suites", "evals/probes"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(tiny, root / "tiny")
    (root / "talk.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "Hi."}]}) + "\n")
    (root / "r.yaml").write_text(RECIPE)
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"fox {n}?"}], "expect": {"calls": []}}
            for n in range(40)]  # fmt: skip
    (root / "evals/probes/one.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    (root / "evals/suites/one.yaml").write_text(
        "suite: 1\nname: one\nprobes: probes/one.jsonl\nmax_new_tokens: 200\njudge: {tool_use: {}}\n"
        "decoding: {temperature: 1.0}\n"
    )
    place = Workspace(root)
    made = plan(load_recipe(root / "r.yaml", place), place)
    step = made.step("answers.base.one")
    told: list[tuple[int, int]] = []

    def answers(engine: Any) -> dict[str, bytes]:
        out = root / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        work, log = Store(root).work(step.fingerprint), root / "runs/r/logs/answers.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        MAKERS["generate"](
            Making(
                step, made, {}, out, work, log, lambda done, of, what: told.append((done, of)), engine=engine
            )
        )
        found = {p.name: p.read_bytes() for p in out.iterdir()}
        shutil.rmtree(work)
        return found

    alone = answers(None)
    assert len(alone["answers.jsonl"].splitlines()) == 40 and len(alone) == 2
    with Ray(address, 1, root, root / "engine.log") as engine:
        told.clear()
        assert answers(engine) == alone and told[-1] == (40, 40)
        logs = {p.name for p in (root / "runs/r/logs").iterdir()}
        assert {"answers.1of2.log", "answers.2of2.log"} <= logs

        class Killing:
            """The engine; it kills a job once there are answers."""

            spread, name, killed = True, "ray", 0

            def replicas(self, gpu: bool) -> int:
                return engine.replicas(gpu)

            def run(self, jobs: Any, *, gpu: bool, watch: Callable[[], None]) -> None:
                def look() -> None:
                    watch()
                    if not self.killed and told and told[-1][0] > 4:
                        for entry in Path("/proc").glob("[0-9]*/cmdline"):
                            line = entry.read_bytes().split(b"\0")
                            if b"runner.jobs.generate" in line and line[-2].endswith(b"job.2of2.json"):
                                self.killed += 1
                                os.kill(int(entry.parent.name), signal.SIGKILL)

                engine.run(jobs, gpu=gpu, watch=look)

        told.clear()
        killing = Killing()
        with pytest.raises(StepError, match=r"SIGKILL .*kept: run it again") as said:
            answers(killing)
        assert killing.killed and said.value.log == "runs/r/logs/answers.2of2.log"
        kept = told[-1][0]
        assert 0 < kept < 40
        told.clear()
        assert answers(engine) == alone
        assert min(done for done, of in told if done) >= 4
