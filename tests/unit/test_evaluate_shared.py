"""Answers that several jobs give together: the same bytes as from one, whoever of them was killed, however many go on."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from test_ask_job import Stub, completion, stub
from test_evaluate import RECIPE, home, making, planned

from runner import installed, process
from runner.engines.ray import Ray
from runner.errors import StepError
from runner.evaluate import MAKERS, asking, lmeval, shares
from runner.evaluate import jobs as ours
from runner.jobs import generate
from runner.jobs.join import JoinJob, JoinSet, join
from runner.jobs.journal import Journal, line_key
from runner.jobs.share import Share, failed_at, tell, told_at
from runner.process import Job
from runner.serving import replica
from runner.serving.engines import Engine
from runner.steps import Plan
from runner.store import Store
from runner.watching import going

__all__ = ["home", "stub"]


@dataclass
class Several:
    """An engine with room for `room` models, which runs jobs here, one after the other. `killed` are shares that end at
    once, as by a kill."""

    room: int
    killed: set[str] = field(default_factory=set)
    spread: bool = False
    name: str = "several"
    ran: list[str] = field(default_factory=list)

    def mapped(self, work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
        return map(work, pieces)

    def replicas(self, gpu: bool) -> int:
        return self.room

    def run(self, jobs: Sequence[Job], *, gpu: bool, watch: Callable[[], None]) -> None:
        for job in jobs:
            _, module, path = job.arguments
            self.ran.append(Path(path).name)
            if any(Path(path).name == f"job.{name}.json" for name in self.killed):
                raise process.Failed("ended by SIGKILL (out of memory?)", -9, log=job.log)
            if module == "runner.serving.replica":
                replica.main(Path(path))
            else:
                here(["", "-m", module, path])
            watch()


def here(argv: list[str], **how: Any) -> None:
    """A job in this process, where its libraries are loaded."""
    try:
        importlib.import_module(argv[2]).run(Path(argv[3]).read_bytes())
    except StepError as e:
        raise process.Failed(str(e), 3) from None


@pytest.fixture
def small(home: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Batches of three answers; those to one suite are drawn, three to each probe."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what is so small is slower with more
    monkeypatch.setattr(ours, "BATCH", 3)
    shutil.rmtree(home / "tiny")
    shutil.copytree(tiny, home / "tiny")
    with (home / "evals/suites/two.yaml").open("a") as suite:
        suite.write("decoding: {temperature: 1.0, repeats: 3}\n")
    yield home
    torch.set_num_threads(threads)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The probes that were answered by the model, in turn."""
    seen: list[str] = []
    converse = generate.converse

    def counted(loaded: Any, wanted: Any, asked: Any, *more: Any) -> Any:
        seen.extend(f"{wanted.arm} {probe.id} {n}" for probe, n in asked)
        return converse(loaded, wanted, asked, *more)

    monkeypatch.setattr(generate, "converse", counted)
    return seen


def made(root: Path, plan: Plan, engine: Any, told: Any = None) -> dict[str, bytes]:
    """What the step makes of base's answers, for itself and for all whose probes its jobs answer; and nothing else."""
    m = making(plan, "answers.base.one", engine=engine)
    MAKERS["generate"](m if told is None else type(m)(**{**vars(m), "progress": told}))
    steps = [s for s in plan.steps if s.kind == "generate" and "tuned" not in s.name]
    found = {}
    for step in steps:
        for file in sorted((Store(root).work(step.fingerprint) / "answers").iterdir()):
            found[f"{step.name}/{file.name}"] = file.read_bytes()
    return found


def alone(root: Path, plan: Plan) -> dict[str, bytes]:
    found = made(root, plan, Several(1))
    forget(root)
    return found


def forget(root: Path) -> None:
    shutil.rmtree(root / ".mirepoix/work")


def test_the_same_bytes_as_from_one(small: Path, answered: list[str]) -> None:
    plan = planned(small)
    one = alone(small, plan)
    assert len(one) == 8, "answers and facts of two arms and two suites, and nothing beside them"
    before, told = sorted(answered), []
    answered.clear()
    engine = Several(3)
    assert made(small, plan, engine, lambda *how: told.append(how)) == one
    assert engine.ran == ["job.1of3.json", "job.2of3.json", "job.3of3.json"]
    assert sorted(answered) == before and len(set(before)) == len(before) == 40
    assert told[-1] == (40, 40, "answers") and (0, 40, "loading the model") in told
    m = making(plan, "answers.base.one", engine=Several(100))
    assert shares.many(m, [5, 15, 5], 2) == 3 + 8 + 3, "none that has nothing to do"


def test_a_killed_job_costs_no_answer_however_many_go_on(small: Path, answered: list[str]) -> None:
    plan = planned(small)
    one = alone(small, plan)
    every, told = len(answered), list[tuple[int, int, str]]()
    for killed, room in (("2of2", 2), ("3of3", 2), ("3of3", 1)):
        answered.clear()
        with pytest.raises(StepError, match=r"SIGKILL .*kept: run it again") as said:
            made(small, plan, Several(int(killed[-1]), {killed}))
        assert said.value.log and said.value.log.endswith(f".{killed}.log")
        assert every / 3 < len(answered) < every
        told.clear()
        assert made(small, plan, Several(room), lambda *how: told.append(how)) == one
        assert told[-1] == (40, 40, "answers"), "of jobs that have nothing left to do, too"
        assert len(answered) == every, "what was answered is not asked again"
        forget(small)


def test_journals_of_other_work_are_never_mixed_in(small: Path) -> None:
    plan = planned(small)
    one = alone(small, plan)
    with pytest.raises(StepError):
        made(small, plan, Several(3, {"2of3"}))
    suite = small / "evals/suites/one.yaml"
    suite.write_text(suite.read_text().replace("max_new_tokens: 4", "max_new_tokens: 3"))
    (left,) = Store(small).work(plan.step("answers.base.one").fingerprint).glob("answers/*.1of3.partial")
    other = planned(small)
    work = Store(small).work(other.step("answers.base.one").fingerprint) / "answers"
    work.mkdir(parents=True)
    for name in ("answers.jsonl.1of2.partial", "answers.jsonl.partial", "answers.jsonl.9of9.partial"):
        shutil.copy(left, work / name)
    mixed = made(small, other, Several(2))
    assert mixed["answers.base.one/answers.jsonl"] != one["answers.base.one/answers.jsonl"]
    forget(small)
    assert mixed == made(small, other, Several(1))


def test_nodes_that_would_answer_otherwise_end_the_step(
    small: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, versions = planned(small), iter("121")
    monkeypatch.setattr(generate, "made_by", lambda loaded: {"torch": next(versions)})
    with pytest.raises(
        StepError, match=r"would answer otherwise than .*: torch 2 instead of 1; have the same"
    ):
        made(small, plan, engine := Several(3))
    assert engine.ran == ["job.1of3.json", "job.2of3.json"], "not when all of them are done"


def test_answers_that_are_not_all_there_are_no_answers(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    (tmp_path / "probes.jsonl").write_text(
        "".join(json.dumps({"id": f"p{n}", "messages": []}) + "\n" for n in range(2))
    )
    one = JoinSet(probes=str(tmp_path / "probes.jsonl"), out=str(out), repeats=1)
    for number, work in enumerate(("a", "b")):
        share = Share(number=number, of=2)
        tell(out, {"arm": "x"}, share, work, {})
        journal = Journal(out, "a", share.name)
        if not number:
            journal.append({line_key("p0"): b'{"id":"p0"}'})
        journal.close()
    with pytest.raises(StepError, match="asked different things"):
        join(JoinJob(sets=[one], of=2))
    tell(out, {"arm": "x"}, Share(number=1, of=2), "a", {})
    with pytest.raises(StepError, match=r"1 answers are missing, the first to .*p1"):
        join(JoinJob(sets=[one], of=2))
    assert not out.exists()


def test_a_cluster_without_a_gpu_is_told_before_anything_is_asked(
    small: Path, tmp_path: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Ray("", 1, small, tmp_path / "log")
    monkeypatch.setattr(engine, "_start", lambda: None)
    monkeypatch.setattr(engine, "_room", lambda: {"CPU": 4, "GPU": 0, "nodes": 2})
    (small / "r.yaml").write_text(RECIPE.replace("profile: cpu", "profile: gpu"))
    with pytest.raises(StepError, match=r"no node of the cluster has a GPU, .* or set it to cpu"):
        made(small, planned(small), engine)
    assert not answered


@pytest.mark.parametrize("of", [2, 12])
def test_files_of_shares_are_called_the_same_by_who_writes_and_who_looks(tmp_path: Path, of: int) -> None:
    """Jobs name them; whoever starts jobs, or shows how far they are, imports none of them."""
    out = tmp_path / "answers.jsonl"
    each = [Share(number=n, of=of) for n in range(of)]
    written = [at(out, share) for at in (told_at, failed_at) for share in each]
    for path in written:
        path.touch()
    for share in (*each, Share()):
        journal = Journal(out, "work", share.name)
        journal.close()
        assert going._JOURNAL.fullmatch(journal.partial.name)
    assert not any(going._JOURNAL.fullmatch(path.name) for path in written)
    nobody: Any = None
    look = shares.Agreement(nobody, [out], [share.name for share in each])
    assert [file for _, file in look.untold] == written[:of]
    shares.forget([{"out": str(out)}])
    assert not any(path.exists() for path in written)
    assert len(list(tmp_path.iterdir())) == of + 1  # the journals stay


def test_what_differs_between_nodes() -> None:
    one: dict[str, Any] = {
        "facts": {"arm": "a", "adapter_proof": {"moved": 1.0}, "decoding": {"engine": "v1"}},
        "by": {},
    }
    other = {"facts": one["facts"] | {"adapter_proof": {"moved": 1.1}}, "by": {}}
    assert installed.differing(one, other) == []
    other = {
        "facts": one["facts"] | {"adapter_proof": None, "decoding": {"engine": "v2"}},
        "by": {"torch": "2"},
    }
    assert installed.differing(one, other) == [
        "adapter_proof False instead of True", "decoding.engine v2 instead of v1", "torch 2 instead of absent",
    ]  # fmt: skip


@pytest.fixture
def servers(stub: Stub, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where servers of vLLM's would be started, what they were started with; all of them are one that is here."""
    started: list[Any] = []
    monkeypatch.setattr(replica.engines, "choose", lambda *_: Engine("vllm", "py", False, "vLLM 9"))
    ready = home / "ready"
    ready.mkdir()
    (ready / "chat_template.jinja").write_text("{{ messages }}")
    monkeypatch.setattr(replica.server, "ready", lambda served: ready)

    @contextmanager
    def serving(served: Any, engine: Engine, **how: Any) -> Iterator[Any]:
        started.append(served)
        yield SimpleNamespace(url=stub.url)

    monkeypatch.setattr(replica.server, "serving", serving)
    monkeypatch.setattr(asking, "AT_ONCE", 8)
    monkeypatch.setattr(process, "run", here)
    (home / "r.yaml").write_text(RECIPE.replace("evaluate: {", "evaluate: {engine: vllm, "))
    return started


def test_servers_on_several_nodes(home: Path, stub: Stub, servers: list[Any]) -> None:
    """Each share starts a server of its own and asks it; what it will not answer has failed, in both ways."""

    def answer(body: dict[str, Any], before: int) -> Any:
        text = body["messages"][-1]["content"]
        if "fox 3" in text:
            return 400, {}, b'{"error": {"message": "not this one"}}'
        return completion(f"{len(body['messages'])} {text}")

    stub.answer = answer
    plan = planned(home)
    one = alone(home, plan)
    assert [s.log for s in servers] == ["serve.log"]
    engine = Several(3, spread=True)
    several = made(home, plan, engine)
    assert several == one and b"HTTP 400" in one["answers.base.one/answers.jsonl"]
    assert [s.log for s in servers[1:]] == [f"serve.{n}of3.log" for n in (1, 2, 3)]
    assert json.loads(one["answers.base.one/facts.json"])["decoding"]["engine"] == "vLLM 9"
    forget(home)
    engine = Several(1, spread=True)
    assert made(home, plan, engine) == one and engine.ran == ["job.json"], (
        "not on the machine that runs the recipe"
    )


def test_a_set_of_which_no_answer_is_good_ends_the_step(home: Path, stub: Stub, servers: list[Any]) -> None:
    stub.answer = lambda body, before: (
        (400, {}, b'{"error": {"message": "no"}}')
        if "of one" in body["messages"][-1]["content"]
        else completion()
    )
    with pytest.raises(StepError, match=r"none of 5 answers could be had, the last for: HTTP 400"):
        made(home, planned(home), Several(3, spread=True))


def test_a_job_file_holds_all_that_a_server_goes_by(home: Path, servers: list[Any]) -> None:
    m = making(planned(home), "answers.base.one")
    served = asking.served_of(m, "base")
    served = replace(served, base=msgspec.structs.replace(served.base, base="/a path/that no recipe may say"))
    part = asking.part_of(m, served, ("base",), [replica.Asker("ask", {"model": "base"})], "float32", "2of3")
    said = msgspec.json.encode(part.job)
    again = msgspec.json.decode(said, type=replica.Replica, dec_hook=lambda kind, said: kind(said))
    assert replace(again.served, base=served.base) == served and again.askers == [
        replica.Asker("ask", {"model": "base"})
    ]
    assert again.served.base == msgspec.structs.replace(served.base, base="base")
    assert again.log == m.log.with_name("log.2of3.log") and again.place.parent == m.work


@pytest.mark.parametrize(
    ("engine", "module"), [("transformers", "jobs.lm_eval"), ("vllm", "serving.replica")]
)
def test_lm_eval_is_a_job_where_there_is_room(
    engine: str, module: str, home: Path, servers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    (home / "r.yaml").write_text(
        RECIPE.split("evaluate:")[0]
        + f"evaluate: {{engine: {engine}, suites: [facts]}}\ncompute: {{profile: cpu}}\n"
    )
    (home / "evals/suites/facts.yaml").write_text(
        "suite: 1\nname: facts\nlm_eval: {tasks: [everyday_facts], limit: 6}\n"
    )
    monkeypatch.setattr(lmeval.server, "length", lambda served: 512)
    seen: list[Any] = []
    wanted = {"HF_ENDPOINT": "http://127.0.0.1:9/", "OMP_NUM_THREADS": "3"}  # what a node is told, too
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)

    class Elsewhere(Several):
        def run(self, jobs: Sequence[Job], *, gpu: bool, watch: Callable[[], None]) -> None:
            (job,) = jobs
            assert {k: job.more[k] for k in ("HF_ENDPOINT", "OMP_NUM_THREADS")} == wanted
            seen.append((job.arguments[1], json.loads(Path(job.arguments[2]).read_bytes())))
            raise process.Failed("exit code 3: no room", 3)

    with pytest.raises(StepError, match=r"lm-eval\.base: exit code 3: no room"):
        MAKERS["lm_eval"](making(planned(home), "lm-eval.base", engine=Elsewhere(2, spread=True)))
    assert [name for name, _ in seen] == [f"runner.{module}"] and not servers
    job = seen[0][1] if engine == "transformers" else seen[0][1]["askers"][0]["job"]
    assert job["tasks"] == ["everyday_facts"] and job["limit"] == 6
