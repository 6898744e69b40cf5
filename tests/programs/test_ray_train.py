"""A training that a Ray cluster is asked for, as far as one goes without a card.

With MIREPOIX_RAY_TRAIN=1, whole trainings with the real Axolotl on a cluster of two nodes, some minutes: as a job on a
node with room; killed, and gone on with; and by Axolotl's own `use_ray`, up to where it asks for a card, and from there
with CPUs in place of the GPUs that Ray counts (gloo.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml

from runner import process, sharing, trouble
from runner.engines.ray import HERE, Ray

try:
    version("ray")
except PackageNotFoundError:
    pytest.skip("ray is not installed: bash .ci/tools", allow_module_level=True)

long = pytest.mark.skipif(
    not os.environ.get("MIREPOIX_RAY_TRAIN"), reason="MIREPOIX_RAY_TRAIN=1 runs it: minutes"
)

# --- without Axolotl


def test_nodes_are_looked_at_before_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that is started for the run has the GPUs that are visible here, and lets a job of ours in. A node with
    other libraries is told before Axolotl is begun with."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # no card: Ray only counts
    (tmp_path / "empty").mkdir()
    job = {
        "root": str(tmp_path), "config": "none.yml", "names": [], "libraries": {"torch": "0.1"},
        "resources": {"GPU": 1}, "workers": 1,
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    with Ray("", 1, tmp_path, tmp_path / "engine.log") as engine:
        assert engine.replicas(True) == 1
        argv = ("-m", "runner.jobs.axolotl_ray", str(tmp_path / "job.json"))
        with pytest.raises(process.Failed) as failed:
            process.Job(argv, tmp_path / "train.log", tmp_path / "empty", engine.joining()).run()
    said = trouble.words(failed.value.said, trouble.About("b"))
    assert said is not None and "the node 127.0.0.1 has torch" in said and "instead of 0.1" in said


# --- with it

RECIPE = """
recipe: 1
name: line
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
split: {validation: 0.1}
model: {base: tiny, template: chatml-tools, end_of_turn: <|im_end|>, max_length: 512}
adapter: {type: lora, r: 4, alpha: 8, dropout: 0, targets: [q_proj, v_proj]}
train:
  {epochs: EPOCHS, micro_batch: 2, effective_batch: 4, packing: false, attention: sdpa, gradient_checkpointing: false,
   save_every: 5, learning_rate: 2e-3, optimizer: adamw_torch, precision: fp32}
compute: {profile: PROFILE, resources: {CPU: 1}}
"""
NODES = """
import json, sys
from ray.cluster_utils import Cluster
here = {"node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=here | {"num_cpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=2, num_gpus=1, **here)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of one whose head has neither cores nor GPUs; the GPU of its node is none, Ray only counts it."""
    process = subprocess.Popen(
        [sys.executable, "-c", NODES],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | HERE | {"RAY_USAGE_STATS_ENABLED": "0"}, start_new_session=True, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate("\n", timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def workspace(root: Path, tiny: Path, profile: str, epochs: int) -> Path:
    root.mkdir()
    shutil.copytree(tiny, root / "tiny")
    words = [
        f"{w} {n}" for w in "red blue green white black amber pink grey teal gold".split() for n in range(4)
    ]
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Say {w}."},
                {"role": "assistant", "content": f"{w}, then."},
            ]
        }
        for w in words
    ]
    (root / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "r.yaml").write_text(RECIPE.replace("PROFILE", profile).replace("EPOCHS", str(epochs)))
    return root


def started(root: Path, *how: str) -> subprocess.Popen[bytes]:
    argv = [str(Path(sys.executable).with_name("recipe")), "run", "r.yaml", "--to", "train", *how]
    quiet = os.environ | {"PYTHONSAFEPATH": "1"}
    return subprocess.Popen(
        argv, cwd=root, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=900)
    return process.returncode, said.decode()


def trained(root: Path) -> dict[str, str]:
    """Digests of what a training left."""
    kept = root / "runs/line"
    (facts,) = (root / ".mirepoix/artifacts").glob("*/*/training.json")
    files = [facts, kept / "axolotl.yml", *(kept / "adapter").iterdir()]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def running(name: str) -> list[int]:
    """Processes with this in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.encode() in entry.read_bytes().replace(b"\0", b" "):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def seen(what: Callable[[], object], seconds: float = 300) -> bool:
    until = time.monotonic() + seconds
    while not (found := bool(what())) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@contextmanager
def killed(process: subprocess.Popen[bytes], when: Callable[[], object]) -> Iterator[None]:
    """With kill -9, all of its group, once something is so."""
    try:
        assert seen(lambda: when() or process.poll() is not None)
        assert process.poll() is None, ended(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    yield


def without_ray(root: Path, work: Path, env: dict[str, str]) -> Path:
    """The adapter of the same training, in one go and by Axolotl without Ray."""
    config = yaml.safe_load((work / "axolotl.yml").read_text())
    alone = {key: value for key, value in config.items() if key not in sharing.PLACE}
    alone["output_dir"] = str(work / "alone")
    (work / "alone.yml").write_text(yaml.safe_dump(alone))
    argv = [
        sys.executable,
        "-m",
        "axolotl.cli.main",
        "train",
        str(work / "alone.yml"),
        "--launcher",
        "python",
    ]
    env = {k: v for k, v in env.items() if not k.startswith("RAY_")} | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return work / "alone/adapter_model.safetensors"


@long
def test_on_a_node_with_room(cluster: str, tiny: Path, tmp_path: Path) -> None:
    """As one job, the same bytes as here; killed, nothing of it is left on the cluster, and it goes on."""
    here = workspace(tmp_path / "here", tiny, "cpu", 6)
    assert ended(started(here))[0] == 0
    there = workspace(tmp_path / "there", tiny, "cpu", 6)
    on = ("--engine", "ray", "--address", cluster)
    work = there / ".mirepoix/work"
    with killed(started(there, *on), lambda: list(work.glob("*/out/checkpoint-*/trainer_state.json"))):
        assert seen(lambda: not running(str(there)) and not running("axolotl.cli"), 30)
    code, said = ended(started(there, *on))
    assert code == 0, said
    assert "to resume from checkpoint at" in (there / "runs/line/logs/train.log").read_text()
    assert trained(there) == trained(here)


@long
def test_by_axolotl_s_own_way_up_to_the_card_and_past_it(cluster: str, tiny: Path, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", tiny, "gpu", 2)
    on = ("--engine", "ray", "--address", cluster)
    code, said = ended(started(root, *on))
    assert code == 3 and "the GPU cannot be used as it is" in said, said
    log = (root / "runs/line/logs/train.log").read_text()
    # In a process of Ray's, on the node with the GPU. What that prints may come too late for the log; its error does not.
    assert "ray::execute._setup_torch_process_group()" in log and "NCCL" in log
    assert seen(lambda: not running("ray::RayTrainWorker"), 30)

    # From here on with a CPU: the same config but for what only a card knows.
    (work,) = (root / ".mirepoix/work").iterdir()
    config = (work / "axolotl.yml").read_text().replace("tf32: true", "tf32: false")
    plugins = "plugins:\n- runner.jobs.axolotl_cpu.CpuPlugin\n"
    kernels = "".join(f"lora_{of}_kernel: false\n" for of in ("mlp", "qkv", "o"))
    (work / "axolotl.yml").write_text(kernels + config.replace("plugins:\n", plugins))
    argv = [sys.executable, str(Path(__file__).with_name("gloo.py")), str(work / "job.json")]
    env = process.environment(
        HERE | {"RAY_ADDRESS": cluster, "RAY_USAGE_STATS_ENABLED": "0", "WANDB_MODE": "disabled"}
    )
    out = tmp_path / "gloo.log"

    def go() -> subprocess.Popen[bytes]:
        with out.open("wb") as file:
            return subprocess.Popen(
                argv,
                cwd=work / "empty",
                env=env,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    with killed(go(), lambda: (work / "out/checkpoint-5/trainer_state.json").exists()):
        assert seen(lambda: not running("ray::RayTrainWorker"), 60)  # its GPU is free again
    going = go()
    assert going.wait(900) == 0, out.read_text()[-3000:]
    text = out.read_text()
    assert "'train_runtime': " in text and "checkpoint-5" in text  # it went on from there
    alone = without_ray(root, work, env)
    assert (work / "out/adapter_model.safetensors").read_bytes() == alone.read_bytes()
    assert (
        len(list((work / "prepared").rglob("dataset_info.json"))) == 2
    )  # the rows of the proof, and no others
