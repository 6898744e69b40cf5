"""Models that answer on other machines: what a node must have, and what becomes of the answers of one that has not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from test_ask_job import Stub, completion, stub
from test_evaluate import RECIPE, home, making, planned
from test_evaluate_shared import Several, answered, here, made, servers, small

from runner import hardware, installed, process
from runner.errors import StepError
from runner.evaluate import asking, shares
from runner.evaluate import jobs as ours
from runner.jobs import ask, axolotl_node, generate, lm_eval
from runner.jobs.completion import AskJob
from runner.jobs.join import JoinJob, JoinSet, join
from runner.jobs.share import Share, tell
from runner.serving import replica, server
from runner.serving.engines import Engine
from runner.steps import JUDGING, version
from runner.store import Store

__all__ = ["answered", "home", "servers", "small", "stub"]


@pytest.mark.parametrize("room", [1, 2])
def test_a_node_with_other_versions_than_the_fingerprint_names_answers_nothing(
    room: int, small: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, said = planned(small), r"the node \S+ has torch 0\.1 instead of \S+; install the same there"
    monkeypatch.setattr(axolotl_node, "version", lambda name: {"torch": "0.1"}.get(name) or version(name))
    with pytest.raises(StepError, match=said):
        made(small, plan, Several(room, spread=True))
    assert not answered


def test_lm_eval_s_own_version_is_held_to_besides(home: Path) -> None:
    text = "evaluate: {suites: [facts]}\ncompute: {profile: cpu}\n"
    (home / "r.yaml").write_text(RECIPE.split("evaluate:")[0] + text)
    (home / "evals/suites/facts.yaml").write_text(
        "suite: 1\nname: facts\nlm_eval: {tasks: [everyday_facts], limit: 6}\n"
    )
    job = ours.model_of(making(planned(home), "lm-eval.base", engine=Several(1, spread=True)), "base")
    assert set(job["libraries"]) == {n for n in (*JUDGING, "lm-eval") if version(n) != "absent"}
    assert "libraries" not in ours.model_of(making(planned(home), "lm-eval.base"), "base")
    other = lm_eval.LmEvalJob(
        model="m", arm="base", tasks=["t"], task_folder="t", out="o", libraries={"lm-eval": "0.1"}
    )
    with pytest.raises(StepError, match=r"has lm-eval \S+ instead of 0\.1"):
        lm_eval.evaluate(other)


def test_answers_of_a_node_that_was_refused_are_not_taken_over(
    small: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(small)
    for torch, kept in (("1", False), ("2", False), ("2", True)):
        monkeypatch.setattr(generate, "made_by", lambda loaded, torch=torch: {"torch": torch})
        answered.clear()
        with pytest.raises(StepError, match="SIGKILL"):
            made(small, plan, Several(2, {"2of2"}))
        assert (not answered) == kept, "only what the same would answer"


def test_a_server_s_answers_hang_on_what_serves_too(tmp_path: Path) -> None:
    (tmp_path / "probes.jsonl").touch()
    one = {"arm": "a", "probes": str(tmp_path / "probes.jsonl"), "out": "o", "max_new_tokens": 1}
    job = {"url": "u", "model": "m", "engine": "e", "sets": [one], "store": "s"}
    works = [
        ask._work(wanted, wanted.sets[0])
        for by in ({}, {"processor": "cuda A"}, {"processor": "cuda B"})
        for wanted in [msgspec.convert(job | {"by": by}, AskJob)]
    ]
    assert len(set(works)) == 3


def test_a_share_that_was_done_again_elsewhere_is_compared_too(tmp_path: Path) -> None:
    """As it is in the end: what was looked at while the jobs ran was of another node."""
    one = JoinSet(probes="p", out=str(tmp_path / "answers.jsonl"), repeats=1)
    for number, torch in enumerate("121"):
        share = Share(number=number, of=3)
        tell(Path(one.out), {"arm": "x"}, share, "the same", {"torch": torch})
    with pytest.raises(
        StepError, match=r"would answer otherwise than .*: torch 2 instead of 1; have the same"
    ):
        join(JoinJob(sets=[one], of=3))


def test_kinds_of_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    for device, kind in (("cpu", "cpu AVX512"), ("cuda:1", "cuda GPU 1")):
        loaded: Any = SimpleNamespace(model=SimpleNamespace(device=torch.device(device)))
        assert generate.made_by(loaded)["processor"] == kind
    assert hardware.processor(True, tmp_path) == "cuda"
    for number, name in enumerate(("H100 PCIe", "A100", "A100")):
        (folder := tmp_path / f"driver/nvidia/gpus/{number}").mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {name}\nIRQ: 1\n")
    assert hardware.processor(True, tmp_path) == "cuda A100 H100 PCIe"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text("model name\t: X\nflags\t\t: fpu avx2 avx512f avx2x\n")
    assert hardware.processor(False, tmp_path) == "x86_64 avx2 avx512f"


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", True),
        ("flags\t\t: avx2 amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd sve bf16 i8mm\n", True),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", False),
        ("Features\t: fp asimd sve\n", False),
        (None, False),
    ],
)
def test_which_processors_multiply_in_bf16(tmp_path: Path, cpuinfo: str | None, has: bool) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(f"model name\t: X\n{cpuinfo}")
    assert hardware.bf16("cpu", tmp_path) is has and hardware.bf16("gpu", tmp_path)


def test_what_a_shared_folder_shows_late_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As over NFS: a file whose name was asked for before it was there is seen once its folder is listed."""
    m, out = making(planned(home), "answers.base.one"), home / "answers.jsonl"
    iterdir, told = Path.iterdir, {"facts": {}, "by": {}, "node": "n"}

    def listed(folder: Path) -> Iterator[Path]:
        if folder == home:
            (home / "facts.1of2.json").write_text(json.dumps(told))
        return iterdir(folder)

    look = shares.Agreement(m, [out], ["1of2"])
    look()
    assert look.untold
    monkeypatch.setattr(Path, "iterdir", listed)
    look.until_told()
    assert not look.untold
    monkeypatch.setattr(shares, "LATE", 0.0)
    look = shares.Agreement(m, [out], ["2of2"])
    with pytest.raises(
        StepError, match=r"facts\.2of2\.json is not seen here, 0 seconds after .* run it again"
    ):
        look.until_told()


@pytest.mark.parametrize("room", [1, 3])
def test_locks_of_the_store_are_of_the_machine_that_runs_the_recipe(
    room: int, home: Path, stub: Stub, servers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client on a node keeps, and locks, is the node's own, and goes with it; the driver keeps what servers
    read from being collected."""
    stores: list[str] = []

    def ran(argv: list[str], **how: Any) -> None:
        if argv[2] == "runner.jobs.ask":
            stores.append(json.loads(Path(argv[3]).read_bytes())["store"])
        names = [p.name for p in Store(home).folder("locks").glob("serving.*")]
        assert len(names) == 1 and Store(home).is_held(names[0])
        here(argv)

    monkeypatch.setattr(process, "run", ran)
    stub.answer = lambda body, before: completion("yes")
    asked: list[Any] = []
    monkeypatch.setattr(server, "ready", lambda served: asked.append(served) or home / "ready")
    made(home, planned(home), Several(room, spread=True))
    assert len(stores) == room and not any(Path(s).is_relative_to(home) or Path(s).exists() for s in stores)
    assert len(asked) == 1, "by the driver"


def test_a_server_on_a_node_takes_no_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That would ask whether the user's own folder, which is another there, knows the workspace."""
    served = asking.served_of(making(planned(home), "answers.base.one"), "base")
    (folder := home / "made").mkdir()
    (folder / "about.json").write_text('{"rank": 8, "positions": 512}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")

    class Started(Exception):
        pass

    def start(argv: list[str], **how: Any) -> Any:
        raise Started(*argv)

    def no_store(*_: object) -> Any:
        raise AssertionError("a store was asked for")

    monkeypatch.setattr(server, "Store", no_store)
    monkeypatch.setattr(process, "start", start)
    engine = Engine("vllm", "py", False, "vLLM 9")
    with (
        pytest.raises(Started, match=str(folder / "chat_template.jinja")),
        server.serving(served, engine, arms=("base",), made=folder),
    ):
        pass


def test_a_vllm_other_than_the_fingerprint_names_is_not_asked(
    home: Path, servers: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    m = making(planned(home), "answers.base.one", engine=Several(1, spread=True))
    part = asking.part_of(m, asking.served_of(m, "base"), ("base",), [], "float32", made=home)
    (path := home / "job.json").write_text(json.dumps(part.job))
    replica.main(path)
    assert len(servers) == 1
    monkeypatch.setattr(installed, "version", lambda name: {"torch": "0.1"}.get(name) or version(name))
    with pytest.raises(SystemExit):
        replica.main(path)
    assert len(servers) == 1 and "it has torch 0.1 instead of " in capsys.readouterr().err
