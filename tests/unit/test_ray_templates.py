"""The templates of docs/ray/: right by Ray's own schema and KubeRay's fields, pinned, closed to the outside, and, where
a shell can tell, they do what docs/ray.md says.

Kubernetes and Slurm are not here: of the manifests what can be said of them is checked, the batch script runs with
programs in place of Slurm's and Ray's.
"""

from __future__ import annotations

import io
import ipaddress
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from runner.cli import main

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/ray"
FILES = sorted(p for p in FOLDER.iterdir() if p.is_file())
SHARED = ("kuberay-cluster.yaml", "kuberay-job.yaml")
BUCKET = "kuberay-bucket-job.yaml"
KUBERAY = (*SHARED, BUCKET)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of KubeRay's reference of ray.io/v1: the fields that there are, of those objects that the manifests have.
CLUSTER = {
    "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling", "authOptions",
    "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs",
}  # fmt: skip
HEAD = {"template", "headService", "enableIngress", "rayStartParams", "serviceType"}
WORKERS = {
    "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template", "scaleStrategy", "numOfHosts",
    "idleTimeoutSeconds", "suspend",
}  # fmt: skip
JOB = {
    "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata", "clusterSelector",
    "submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId", "submissionMode",
    "entrypointResources", "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished",
    "shutdownAfterJobFinishes", "suspend",
}  # fmt: skip


def load(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def of_kuberay(name: str) -> dict[str, Any]:
    """The object of KubeRay's in a manifest."""
    (one,) = (one for one in load(name) if one["apiVersion"] == "ray.io/v1")
    return one


def policy_in(name: str) -> dict[str, Any]:
    """Who may reach Ray, by a manifest."""
    (one,) = (one for one in load(name) if one["kind"] == "NetworkPolicy")
    return one


def spec(name: str) -> dict[str, Any]:
    """The cluster of a manifest."""
    one = of_kuberay(name)
    found: dict[str, Any] = one["spec"].get("rayClusterSpec", one["spec"])
    return found


def pods(name: str) -> list[dict[str, Any]]:
    cluster = spec(name)
    return [cluster["headGroupSpec"]["template"], *(g["template"] for g in cluster["workerGroupSpecs"])]


def starts(name: str) -> list[list[str]]:
    """The words of every `ray start` in a template."""
    text = (FOLDER / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"\bray start\b(.*(?:\n +--.*)*)", text)
    return [re.findall(r"(?<=--)[a-z][a-z-]+", one) for one in found]


def ray_there() -> None:
    try:
        version("ray")
    except PackageNotFoundError:
        pytest.skip("ray is not installed: bash .ci/tools")


def test_the_cluster_of_ray_up_is_one_by_rays_own_schema() -> None:
    ray_there()
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = load("ray-up.yaml")
    validate_config(prepare_config(config))
    with pytest.raises(ValidationError, match="nonsense"):
        validate_config(prepare_config(config | {"nonsense": 1}))


def test_the_options_of_ray_start_are_rays() -> None:
    ray_there()
    from ray.scripts.scripts import start

    known = {option[2:] for one in start.params for option in one.opts}
    said = [words for name in ("ray-up.yaml", "ray.sbatch") for words in starts(name)]
    assert len(said) >= 4
    for words in said:
        assert words and set(words) <= known


@pytest.mark.parametrize("name", KUBERAY)
def test_a_manifest_has_fields_that_kuberay_has(name: str) -> None:
    one = of_kuberay(name)
    assert set(one) == {"apiVersion", "kind", "metadata", "spec"}
    others = [] if name in SHARED else [policy_in(name)]
    assert [o for o in load(name) if o != one] == others
    cluster = spec(name)
    if one["kind"] == "RayJob":
        assert set(one["spec"]) <= JOB
    assert set(cluster) <= CLUSTER and set(cluster["headGroupSpec"]) <= HEAD
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups[1:]:
        assert set(group) <= WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups:  # a map of strings: numbers are refused
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_job_has_the_cluster_that_stays() -> None:
    assert spec("kuberay-job.yaml") == spec("kuberay-cluster.yaml")


@pytest.mark.parametrize("name", ["kuberay-job.yaml", BUCKET])
def test_the_jobs_command_is_one(name: str) -> None:
    job = of_kuberay(name)
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:2] == ["recipe", "run"] and not re.search(r"[;&|$]", job["spec"]["entrypoint"])
    assert "ray" in words[words.index("--engine") + 1]
    run = main.commands["run"]
    assert not {w for w in words if w.startswith("--")} - {o for p in run.params for o in p.opts}


@pytest.mark.parametrize("name", SHARED)
def test_every_pod_sees_the_workspace_at_one_path_and_has_one_image(name: str) -> None:
    volume, _ = load("kuberay-workspace.yaml")
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
    images = set()
    for pod in pods(name):
        (claimed,) = pod["spec"]["volumes"]
        assert claimed["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            (mount,) = container["volumeMounts"]
            assert (mount["name"], mount["mountPath"]) == (claimed["name"], "/workspace")
            images.add(container["image"].rpartition(":")[2])
    assert images == {PROJECT["version"]}


def test_the_bucket_stands_in_for_the_shared_volume() -> None:
    """The workspace is the head's alone; all pods may use the bucket, and have room for what they are sent."""
    job = of_kuberay(BUCKET)
    words = shlex.split(job["spec"]["entrypoint"])
    workspace = words[words.index("--workspace") + 1]
    assert words[-2:] == ["--to", "prepare"], "training wants the shared volume"
    head, *workers = pods(BUCKET)
    for pod in (head, *workers):
        assert not any("persistentVolumeClaim" in volume for volume in pod["spec"]["volumes"])
        (container,) = pod["spec"]["containers"]
        env = {one["name"]: one.get("value") for one in container["env"]}
        mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
        assert sorted(volumes) == sorted({one["name"] for one in mounts.values()})
        assert "sizeLimit" in volumes[mounts[env["TMPDIR"]]["name"]]["emptyDir"]
        assert env["HF_HOME"].startswith(f"{env['TMPDIR']}/")
        assert container["envFrom"] == [{"secretRef": {"name": "mirepoix-bucket"}}]
        assert container["image"].rpartition(":")[2] == PROJECT["version"]
        room = sum(int(v["emptyDir"]["sizeLimit"][:-2]) for v in volumes.values() if "emptyDir" in v)
        assert room < int(container["resources"]["limits"]["ephemeral-storage"][:-2])
        assert (workspace in mounts) == (words[2] in mounts) == (pod is head)
        assert ("MIREPOIX_ARTIFACT_STORE" in env) == (pod is head), "the head tells the others"
    text = (FOLDER / BUCKET).read_text(encoding="utf-8")
    for made in ("create configmap mirepoix-recipe", "create secret generic mirepoix-bucket"):
        assert made in text.partition("apiVersion")[0]
    assert "--extra share" in (ROOT / ".ci/Dockerfile.cpu").read_text(encoding="utf-8")
    assert re.search(r"^s3fs==", (ROOT / ".ci/pins.txt").read_text(encoding="utf-8"), re.M), (
        "Axolotl's, so the image has it"
    )


@pytest.mark.parametrize("name", KUBERAY)
def test_a_cluster_on_kubernetes_is_closed(name: str) -> None:
    cluster = spec(name)
    assert cluster["authOptions"] == {"mode": "token"}
    head = cluster["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP" and head["enableIngress"] is False
    policy = policy_in("kuberay-workspace.yaml" if name in SHARED else name)
    assert policy == policy_in("kuberay-workspace.yaml")
    (label,) = policy["spec"]["podSelector"]["matchLabels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    own, others = policy["spec"]["ingress"]
    assert own == {"from": [{"podSelector": {"matchLabels": dict([label])}}]}
    assert [port["port"] for port in others["ports"]] == [8265]
    for pod in pods(name):
        assert label in pod["metadata"]["labels"].items()
        assert not pod["spec"].get("hostNetwork") and pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        for container in pod["spec"]["containers"]:
            assert not any("hostPort" in port for port in container.get("ports", []))
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["resources"]["limits"] == container["resources"]["requests"]


def test_versions_are_those_of_the_project() -> None:
    (extra,) = map(Requirement, PROJECT["optional-dependencies"]["ray"])
    (pinned,) = re.findall(r"^ray==(.+)$", (ROOT / ".ci/pins.txt").read_text(), re.M)
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for found in re.findall(r"mirepoix(?:\[[^]]*\])?==([\d.]+\d)|mirepoix (\d[\d.]*\d)", text):
            assert "".join(found) == PROJECT["version"], file.name
        for found in re.findall(r"\bray(?:\[default\])?==([\d.]+\d)|rayVersion: ([\d.]+)|ARG RAY=(.+)", text):
            assert "".join(found) == pinned and extra.specifier.contains(pinned), file.name
        for found in re.findall(r"python(3\.\d+)|Python (3\.\d+)", text):
            assert SpecifierSet(PROJECT["requires-python"]).contains("".join(found)), file.name
    named = {file.name for file in FILES if re.search(r"ray.*2\.\d|rayVersion|ARG RAY", file.read_text())}
    assert named == {"Dockerfile", "ray-up.yaml", "ray.sbatch", *KUBERAY}


def test_nodes_get_what_training_and_evaluation_want() -> None:
    for name in ("ray-up.yaml", "ray.sbatch"):
        (extras,) = re.findall(r"'mirepoix\[([^]]+)\]==", (FOLDER / name).read_text(encoding="utf-8"))
        assert {"train", "eval", "ray"} <= set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), (
            name
        )
    said = re.findall(r"--extra (\w+)", (ROOT / ".ci/Dockerfile.cpu").read_text(encoding="utf-8"))
    assert {"train", "eval"} <= set(said), "the image that docs/ray/Dockerfile is built on"


def test_the_job_asks_for_no_gpu_that_it_has_not() -> None:
    """As it stands it has none, and so ends with the data; its head says how it goes on."""
    job = of_kuberay("kuberay-job.yaml")
    (group,) = (g for g in spec("kuberay-job.yaml")["workerGroupSpecs"] if g["groupName"] == "gpus")
    words = shlex.split(job["spec"]["entrypoint"])
    assert group["replicas"] or words[-2:] == ["--to", "prepare"]
    text = (FOLDER / "kuberay-job.yaml").read_text(encoding="utf-8")
    for named in ("`replicas` and `minReplicas` of the group gpus", "`--to prepare`", "profile: gpu"):
        assert named in text.partition("apiVersion")[0]


def test_tokens_can_be_had_in_the_ray_that_the_extra_allows() -> None:
    """Ray has them since 2.52; an older one would start a cluster that lets everybody in."""
    (extra,) = map(Requirement, PROJECT["optional-dependencies"]["ray"])
    assert not extra.specifier.contains("2.51.99")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_no_address_is_public_and_no_secret_is_there(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for found in re.findall(r"(?<![\d.=:\w-])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", text):
        assert not ipaddress.ip_address(found).is_global and found != "0.0.0.0"
    assert "https://" not in text and "http://" not in text
    for name in re.findall(r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|internal)\b(?!/)", text):
        assert name.endswith(".internal") or name in ("ray.io", "networking.k8s.io"), name
    assert not re.search(r"RAY_AUTH_TOKEN=\S", text) and not re.search(r"\b[0-9a-f]{32,}\b", text)
    if file.suffix in (".yaml", ".sbatch") and file.name != "kuberay-workspace.yaml":
        assert re.search(r"RAY_AUTH_MODE=token|authOptions: \{mode: token\}", text)


def test_ray_up_opens_the_ports_that_it_says() -> None:
    text = (FOLDER / "ray-up.yaml").read_text(encoding="utf-8")
    (config,) = load("ray-up.yaml")
    (said,) = re.findall(r"All ports are said.*: (\d+) and (\d+) to (\d+), (\d+) to (\d+)", text)
    one, low, high, first, last = map(int, said)
    head, workers = (" ".join(config[f"{who}_start_ray_commands"]) for who in ("head", "worker"))
    for command in (head, workers):
        ports = {int(port) for port in re.findall(r"-port=(\d+)", command)}
        assert ports - {one, first, last} == set(range(low, high + 1)) and {first, last} <= ports
    assert "--dashboard-host=127.0.0.1" in head and f":{one}" in workers


def test_the_image_is_that_of_the_project_and_its_commands_are_a_shells() -> None:
    parser = pytest.importorskip("dockerfile_parse").DockerfileParser(
        fileobj=io.BytesIO((FOLDER / "Dockerfile").read_bytes())
    )
    made = [(one["instruction"], one["value"]) for one in parser.structure if one["instruction"] != "COMMENT"]
    assert ("FROM", "${BASE}") in made and ("ARG", "BASE=mirepoix:cpu") in made
    assert [value for word, value in made if word == "USER"] == ["root", "mirepoix"], (
        "it does not run as root"
    )
    assert made[-1] == ("ENTRYPOINT", "[]"), "KubeRay says what is run"
    for value in (value for word, value in made if word == "RUN"):
        done = subprocess.run(["sh", "-n", "-c", value], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


STUBS = {
    "srun": 'while [[ $1 == -* ]]; do shift; done\nexec "$@"\n',
    "hostname": "echo 127.0.0.1 ::1\n",
    "python": "cat > /dev/null\n",  # what waits for Ray's nodes
    "ray": 'echo "ray $*" >> "$SAID"\nstat -c %a "$RAY_AUTH_TOKEN_PATH" >> "$SAID"\nexec sleep 60\n',
    "recipe": 'trap "kill \\$!; exit 143" TERM\nsleep "${LONG:-0}" &\necho "recipe $*" >> "$SAID"\nwait $!\nexit "${CODE:-0}"\n',
}


@contextmanager
def job(tmp_path: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The batch script as Slurm would start it, on one node, with stubs for all programs that it starts."""
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name, text in STUBS.items():
        (programs / name).write_text("#!/bin/bash\n" + text)
        (programs / name).chmod(0o755)
    given = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SAID": str(tmp_path / "said"),
        "RECIPE": "r.yaml",
        "SLURM_JOB_ID": "1217",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURMD_NODENAME": "here",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_PER_TASK": "4",
    }
    process = subprocess.Popen(
        ["bash", str(FOLDER / "ray.sbatch")],
        env=given | more,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def said(tmp_path: Path) -> list[str]:
    path = tmp_path / "said"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.skipif(sys.platform != "linux", reason="Slurm is on Linux")
@pytest.mark.parametrize("code", [0, 3])
def test_the_batch_script_runs_the_recipe_and_ends_as_it_does(tmp_path: Path, code: int) -> None:
    with job(tmp_path, CODE=str(code), LONG="0.3") as process:
        _, wrong = process.communicate(timeout=30)
    assert process.returncode == code, wrong
    (start,) = (line for line in said(tmp_path) if line.startswith("ray "))
    assert "--head --node-ip-address=127.0.0.1 --port=21700" in start and "--num-cpus=3" in start
    assert "600" in said(tmp_path), "the token is for nobody else to read"
    (run,) = (line for line in said(tmp_path) if line.startswith("recipe "))
    assert run == f"recipe run r.yaml --workspace {tmp_path} --engine ray --address 127.0.0.1:21700"
    assert not list(tmp_path.glob(".ray-*")), "the token is gone"


@pytest.mark.skipif(sys.platform != "linux", reason="Slurm is on Linux")
def test_slurms_warning_ends_the_run_in_order(tmp_path: Path) -> None:
    with job(tmp_path, LONG="60") as process:
        until = time.monotonic() + 20
        while not any(line.startswith("recipe ") for line in said(tmp_path)) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, wrong = process.communicate(timeout=20)
    assert process.returncode == 143, wrong
    assert not list(tmp_path.glob(".ray-*"))


def test_the_batch_script_wants_a_recipe(tmp_path: Path) -> None:
    with job(tmp_path, RECIPE="") as process:
        _, wrong = process.communicate(timeout=20)
    assert process.returncode and "say which: RECIPE=recipe.yaml sbatch ray.sbatch" in wrong
    assert said(tmp_path) == []
