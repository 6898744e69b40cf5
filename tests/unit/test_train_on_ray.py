"""Trainings that a Ray cluster is asked for: what is compiled, what goes to its nodes, and what is refused before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from runner import axolotl, process, sharing, trouble
from runner.jobs import axolotl_node, axolotl_ray
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.steps import version
from runner.train import jobs, launching
from runner.train.watching import Watch
from runner.workspace import Workspace

RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [rows.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
train: {micro_batch: 2, effective_batch: 16, attention: sdpa}
compute: {COMPUTE}
"""


@dataclass
class Cluster:
    """An engine with so many GPUs that writes down what it is given to run."""

    gpus: int = 0
    name: str = "ray"
    spread: bool = True
    ran: list[tuple[process.Job, bool]] = field(default_factory=list)

    def replicas(self, gpu: bool) -> int:
        return self.gpus

    def joining(self) -> dict[str, str]:
        return {"RAY_ADDRESS": "10.0.0.1:6379"}

    def run(self, jobs: Sequence[process.Job], *, gpu: bool, watch: Callable[[], None]) -> None:
        self.ran += [(job, gpu) for job in jobs]


def making(root: Path, compute: str, engine: Cluster | None = None) -> Making:
    (root / "rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (root / "r.yaml").write_text(RECIPE.replace("COMPUTE", compute))
    workspace = Workspace(root)
    made = plan(load_recipe(root / "r.yaml", workspace), workspace)
    whole: Any = engine
    return Making(made.step("train"), made, {}, root, root, root / "train.log", lambda *_: None, engine=whole)


def compiled(m: Making) -> dict[str, Any]:
    paths = axolotl.Paths("MODEL", "T", None, "P", "O")
    return axolotl.config(m.plan.loaded.recipe, m.plan.profile, paths, m.plan.template, bf16=True)


def prints(m: Making) -> dict[str, str]:
    return {s.name: s.fingerprint for s in m.plan.steps}


def test_processes_and_what_each_wants_are_the_recipe_s(tmp_path: Path) -> None:
    config = compiled(making(tmp_path, "engine: ray, profile: gpu, gpus: 4, resources: {CPU: 8, fast: 0.5}"))
    assert {k: config[k] for k in sharing.PLACE} == {
        "use_ray": True,
        "ray_num_workers": 4,
        "resources_per_worker": {"GPU": 1, "CPU": 8, "fast": 0.5},
        "ray_run_name": "t",
    }
    assert config["ddp"] is True and config["gradient_accumulation_steps"] == 2
    alone = compiled(making(tmp_path, "engine: ray, profile: gpu"))
    assert alone["ray_num_workers"] == 1 and "ddp" not in alone


@pytest.mark.parametrize(
    "compute", ["engine: ray, profile: cpu", "profile: gpu, gpus: 4, resources: {CPU: 8}"]
)
def test_without_a_cluster_or_gpus_ray_is_no_matter_of_axolotl_s(tmp_path: Path, compute: str) -> None:
    assert not set(compiled(making(tmp_path, compute))) & set(sharing.PLACE)


def test_who_starts_the_processes_decides_nothing(tmp_path: Path) -> None:
    one = making(tmp_path, "profile: gpu, gpus: 4, strategy: zero2")
    other = making(tmp_path, "engine: ray, resources: {CPU: 8}, profile: gpu, gpus: 4, strategy: zero2")
    assert {n for n, p in prints(one).items() if p != prints(other)[n]} <= {"report"}
    assert axolotl.untold(compiled(one)) == axolotl.untold(compiled(other))  # which the artifact holds


def test_the_run_s_engine_decides_what_is_launched_not_the_recipe_s(tmp_path: Path) -> None:
    (tmp_path / "validation.jsonl").touch()

    class Rows:
        def file(self, name: str) -> Path:
            return tmp_path / name

    for compute, engine in (("profile: gpu", Cluster(1)), ("engine: ray, profile: gpu", None)):
        rows: Any = {"rows": Rows()}
        m = replace(making(tmp_path, compute, engine), inputs=rows)
        config = jobs.axolotl_config(m, tmp_path / "prepared", tmp_path / "out")
        assert config.get("use_ray", False) == launching.placed(m) == (engine is not None)


def test_a_gpu_is_no_resource_besides(tmp_path: Path) -> None:
    from runner.errors import RecipeError

    for wrong in ("{GPU: 2}", "{CPU: 0}", "{CPU: .inf}", "{'': 1}"):
        with pytest.raises(RecipeError, match=r"r.yaml:7:\d+: compute.resources"):
            making(tmp_path, f"engine: ray, profile: gpu, resources: {wrong}")


def test_what_goes_to_the_cluster(tmp_path: Path) -> None:
    """Paths hold on each node and what is secret stands in no file; the process that calls Ray is in an empty folder."""
    m = making(tmp_path, "engine: ray, profile: gpu, gpus: 2, resources: {CPU: 3}", Cluster(2))
    job = launching.on_cluster(
        m, "w/axolotl.yml", {"WANDB_API_KEY": "hunter2hunter2", "WANDB_MODE": "online"}
    )
    assert job.arguments[:2] == ("-m", "runner.jobs.axolotl_ray")
    assert not list(job.cwd.iterdir()) and job.log.is_absolute()
    assert job.more["RAY_ADDRESS"] == "10.0.0.1:6379" and job.more["WANDB_API_KEY"] == "hunter2hunter2"
    raw = Path(job.arguments[2]).read_bytes()
    assert b"hunter2" not in raw
    said = msgspec.json.decode(raw, type=axolotl_ray.TrainJob)
    assert (said.root, said.config) == (str(tmp_path), "w/axolotl.yml")
    assert said.resources == {"GPU": 1, "CPU": 3} and said.workers == 2
    assert said.libraries == {"torch": version("torch")} | said.libraries
    assert {"WANDB_API_KEY", "HF_TOKEN", "LOCAL_KERNELS", "HF_HUB_OFFLINE", "RAY_ADDRESS"} <= set(said.names)
    assert not {"PATH", "HOME", "CUDA_VISIBLE_DEVICES"} & set(said.names)  # each node's own
    assert launching.arguments(m, "train") == []


@pytest.mark.parametrize(
    ("profile", "verb"), [("cpu", "train"), ("cpu", "preprocess"), ("gpu", "preprocess")]
)
def test_what_axolotl_does_in_one_process_runs_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, verb: str
) -> None:
    monkeypatch.setattr(jobs, "need", lambda *_: None)
    monkeypatch.setattr("runner.train.targets.check", lambda m: None)
    monkeypatch.setattr("runner.basemodel.model_at", lambda m: "tiny")
    (tmp_path / "tiny").mkdir()
    monkeypatch.setenv("HF_HOME", "/share/hub")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    cluster = Cluster(1)
    m = making(tmp_path, f"engine: ray, profile: {profile}", cluster)
    jobs.run_axolotl(m, verb, compiled(m))
    ((job, gpu),) = cluster.ran
    assert gpu == (profile == "gpu")
    assert job.arguments[1] == "runner.jobs.axolotl_node" and job.arguments[3:5] == (verb, "axolotl.yml")
    assert job.more["HF_HOME"] == "/share/hub"  # where the hub's models are, on each node
    assert job.more["OMP_NUM_THREADS"] == "3"  # the user's own thrift
    assert job.cwd == tmp_path and Path(job.arguments[2]).is_absolute()
    assert job.more.get("CUDA_VISIBLE_DEVICES") == (
        "" if profile == "cpu" else None
    )  # which, is Ray's to say


def test_another_version_on_a_node_is_told_and_nothing_begun(tmp_path: Path) -> None:
    wanted = {"torch": version("torch"), "msgspec": "0.0.1", "no-such-library": "1"}
    assert axolotl_node.differ(wanted) == [
        f"msgspec {version('msgspec')} instead of 0.0.1", "no-such-library absent instead of 1",
    ]  # fmt: skip
    (tmp_path / "libraries.json").write_text(json.dumps(wanted))
    argv = [
        sys.executable,
        "-m",
        "runner.jobs.axolotl_node",
        str(tmp_path / "libraries.json"),
        "train",
        "x.yml",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    said = trouble.words(done.stderr, trouble.About("b"))
    assert done.returncode == 1 and said is not None
    assert said.startswith("the node ") and said.endswith("install the same there as where the recipe is run")


def node(name: str, alive: bool = True, **has: float) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": has, "NodeManagerAddress": name}


NODES = [
    node("a", CPU=8),
    node("b", CPU=8, GPU=4),
    node("c", CPU=64, GPU=2),
    node("d", alive=False, CPU=8, GPU=8),
]


def test_room_is_counted_on_each_node_by_itself() -> None:
    assert axolotl_ray.fit(NODES, {"GPU": 1}) == {"b": 4, "c": 2}
    assert axolotl_ray.fit(NODES, {"GPU": 1, "CPU": 4}) == {"b": 2, "c": 2}
    assert axolotl_ray.fit(NODES, {"GPU": 1, "fast": 1}) == {}
    assert axolotl_ray.fit([node("e", GPU=4, fast=0.3)], {"GPU": 1, "fast": 0.1}) == {"e": 3}
    assert axolotl_ray.fit([node("e", GPU=4, fast=0.29)], {"GPU": 1, "fast": 0.1}) == {"e": 2}


@pytest.mark.parametrize(
    ("free", "words"), [({"GPU": 3.0}, "2 GPUs"), ({"GPU": 4.0}, "1 GPU"), ({}, "5 GPUs"), ({"GPU": 5.0}, "")]
)
def test_what_others_use_is_waited_for_with_a_word(
    tmp_path: Path, free: dict[str, float], words: str
) -> None:
    told: list[Any] = []
    m: Any = SimpleNamespace(log=tmp_path / "train.log", progress=lambda *how: told.append(how))
    watch = Watch(m, 0, 1.0, None)
    said = axolotl_ray.waits(free, axolotl_ray.TrainJob("/w", "c", [], {}, {"GPU": 1, "CPU": 4}, 5))
    m.log.write_text(f"$ x\n{said}\nmore\n")
    watch()
    watch()
    assert told == ([(0, 1000, f"waits for {words} that others use")] if words else [])


def test_too_little_room_is_told_before_ray_waits_for_it() -> None:
    class Ray:
        def nodes(self) -> list[dict[str, Any]]:
            return NODES

    job = axolotl_ray.TrainJob("/w", "c", [], {}, {"GPU": 1, "CPU": 4}, 5)
    with pytest.raises(
        ValueError, match=r"5 processes .* GPU 1, CPU 4 of its node, and the cluster has room for 4"
    ) as told:
        axolotl_ray.look(Ray(), job)
    words = trouble.words(f"Traceback\nValueError: {told.value}\n", trouble.About("b", gpu=True))
    assert words is not None and words.startswith("5 processes are to train (compute.gpus)")


class Asked:
    """Ray, of which each node answers `answer`, or raises it."""

    class exceptions:
        RayError = type("RayError", (Exception,), {})
        GetTimeoutError = type("GetTimeoutError", (RayError,), {})

    def __init__(self, answer: Any) -> None:
        self.answer, self.util, self.asked = answer, self, list[str]()

    @property
    def scheduling_strategies(self) -> Any:
        return self

    def NodeAffinitySchedulingStrategy(self, node: str, *, soft: bool) -> str:
        self.asked.append(node)
        return node

    def nodes(self) -> list[dict[str, Any]]:
        return NODES

    def remote(self, *args: Any, **how: Any) -> Any:
        return (lambda work: self) if how else self

    def get(self, what: Any, timeout: float) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Asked.exceptions.GetTimeoutError("late"), r"node b does not answer within 120 seconds"),
        (Asked.exceptions.RayError("x\nNo module named 'runner.jobs'"), "node b has no mirepoix, or another"),
        (Asked.exceptions.RayError("a lot\nit broke"), "node b cannot be used: it broke"),
        (["torch 1 instead of 2"], "node b has torch 1 instead of 2; install the same"),
    ],
)
def test_a_node_that_does_not_answer_is_told_in_words(answer: Any, said: str) -> None:
    ray = Asked(answer)
    job = axolotl_ray.TrainJob("/w", "c", [], {"torch": "2"}, {"GPU": 1}, 5)
    with pytest.raises(ValueError, match=f"^mirepoix: the {said}"):
        axolotl_ray.look(ray, job)
    assert ray.asked == ["b", "c"]  # those with GPUs


def test_what_a_process_begins_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the training may know, whatever the node's Ray was started with."""
    wanted: Mapping[str, str | None] = {"HF_TOKEN": None, "WANDB_MODE": "offline"}
    monkeypatch.setenv("HF_TOKEN", "the node's own")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.chdir("/")
    axolotl_ray.beginning(str(tmp_path), wanted)()
    assert "HF_TOKEN" not in os.environ and os.environ["WANDB_MODE"] == "offline"
    assert Path.cwd() == tmp_path


def test_a_process_gets_what_axolotls_command_says_to_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on an H100: without it 2.4 GiB were held for 0.9, and as much more would be on a card that is nearly full."""
    pytest.importorskip("axolotl.utils")
    for name in (*axolotl_ray.OWN, "RAY_CHDIR_TO_TRIAL_DIR"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever is set here
        monkeypatch.delenv(name)
    told: list[Any] = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=lambda **how: told.append(how)))
    monkeypatch.setattr(axolotl_ray, "look", lambda ray, job: (_ for _ in ()).throw(ValueError("looked")))
    with pytest.raises(ValueError, match="looked"):
        axolotl_ray.main(axolotl_ray.TrainJob(str(tmp_path), "c", [], {}, {"GPU": 1}, 1))
    for name in axolotl_ray.OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir("/")
    told[0]["runtime_env"]["worker_process_setup_hook"]()
    assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("RuntimeError: Distributed package doesn't have NCCL built in", "the GPU cannot be used as it is"),
        ("ray.exceptions.ActorDiedError: The actor died unexpectedly before", "was ended from outside"),
    ],
)
def test_what_ray_says_in_words(said: str, words: str) -> None:
    assert words in (trouble.words(f"Traceback\n{said}\nmore", trouble.About("b", gpu=True)) or "")


def test_nodes_need_what_shares_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "version", lambda name: "1.0")
    for strategy, wanted in (("zero2", True), ("ddp", False)):
        m = making(tmp_path, f"engine: ray, profile: gpu, gpus: 2, strategy: {strategy}", Cluster(2))
        said = json.loads(launching.libraries(m).read_text())
        assert ("deepspeed" in said) == wanted and {"torch", "axolotl", "transformers"} <= set(said)
