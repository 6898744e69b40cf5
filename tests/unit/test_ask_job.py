"""Answers through an endpoint, on loopback: one that works, that is away, slow, short of breath, or lies."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.errors import StepError
from runner.jobs.ask import ask
from runner.jobs.completion import AskJob
from runner.jobs.endpoint import KEY
from runner.record import Answer

QUICK = {"connect": 2.0, "read": 1.0, "think": 1.0, "attempts": 3, "first_wait": 0.01, "longest_wait": 0.05,
         "jitter": 0.0, "longest_closed": 3.0, "linger": 0.05}  # fmt: skip
Reply = tuple[int, dict[str, str], bytes]


def completion(text: str | None = "Hello.", finish: str = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text} | more, "finish_reason": finish}
    return 200, {"Content-Type": "application/json"}, json.dumps({"id": "x", "choices": [choice]}).encode()


class Stub(ThreadingHTTPServer):
    """`answer` gets the body that was asked and how often that prompt was asked before."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.answer: Callable[[dict[str, Any], int], Reply] = lambda body, before: completion()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        before = sum(a == body for a in self.server.asked)
        self.server.asked.append(body)
        self.server.keys.add(self.headers["Authorization"])
        assert self.path == "/v1/chat/completions"
        status, headers, raw = self.server.answer(body, before)
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except OSError:
            pass  # who asked has given up

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def job(root: Path, url: str, count: int = 4, **more: Any) -> AskJob:
    rows = [
        {"id": f"p{n}", "messages": [{"role": "user", "content": f"Question {n}?"}]} for n in range(count)
    ]
    (root / "probes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    own = {
        k: more.pop(k)
        for k in list(more)
        if k in ("temperature", "top_p", "repeats", "tool_choice", "strict")
    }
    one = {"arm": "rival", "probes": str(root / "probes.jsonl"), "out": str(root / "out/a.jsonl")} | own
    one["max_new_tokens"] = 16
    fields = {"url": url, "model": "big", "engine": "endpoint house: big", "sets": [one], "pace": "1000"}
    return msgspec.convert(
        fields | {"at_once": "4", "store": str(root / "store"), "limits": QUICK, "seed": 3} | more, AskJob
    )


def answers(root: Path) -> list[Answer]:
    return [msgspec.json.decode(x, type=Answer) for x in (root / "out/a.jsonl").read_bytes().splitlines()]


def number(body: dict[str, Any]) -> int:
    return int(body["messages"][-1]["content"].split()[1].rstrip("?"))


def test_answers_in_probe_order_with_how_they_were_drawn(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "k3y")
    stub.answer = lambda body, before: completion(
        f"No. {number(body)}", "length" if number(body) == 1 else "stop"
    )
    ask(job(tmp_path, stub.url))
    assert [(a.id, a.raw, a.finish) for a in answers(tmp_path)] == [
        (f"p{n}", f"No. {n}", "length" if n == 1 else "stop") for n in range(4)
    ]
    assert stub.keys == {"Bearer k3y"}
    assert all(b["model"] == "big" and b["temperature"] == 0 and b["max_tokens"] == 16 for b in stub.asked)
    assert not any(key in b for b in stub.asked for key in ("seed", "tools", "tool_choice", "top_p"))
    facts = json.loads((tmp_path / "out/facts.json").read_text())
    assert facts["decoding"] == {
        "engine": "endpoint house: big", "seed": None, "temperature": 0.0, "top_p": 1.0, "repeats": 1,
        "tool_choice": "auto", "strict": False,
    }  # fmt: skip
    left = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"k3y" not in left, "no file holds the key"


def test_each_repeat_has_a_seed_of_its_own(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda body, before: completion(str(body["seed"]))
    ask(job(tmp_path, stub.url, temperature=0.7, repeats=3))
    found = answers(tmp_path)
    assert [(a.id, a.repeat) for a in found] == [(f"p{n}", r) for n in range(4) for r in range(3)]
    assert len({a.raw for a in found}) == 12
    first = [a.raw for a in found]
    (tmp_path / "out/a.jsonl").unlink()
    ask(job(tmp_path, stub.url, temperature=0.7, repeats=3))
    assert [a.raw for a in answers(tmp_path)] == first


def test_tools_are_offered_and_calls_read(stub: Stub, tmp_path: Path) -> None:
    call = {"id": "z", "type": "function", "function": {"name": "get", "arguments": '{"city": "Zutphen"}'}}
    stub.answer = lambda body, before: completion(None, "tool_calls", tool_calls=[call, call])
    made = job(tmp_path, stub.url, 1, tool_choice="required", strict=True)
    probe = json.loads((tmp_path / "probes.jsonl").read_text())
    probe["tools"] = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]
    (tmp_path / "probes.jsonl").write_text(json.dumps(probe) + "\n")
    ask(made)
    (answer,) = answers(tmp_path)
    assert answer.message is not None and [c.id for c in answer.message.tool_calls] == ["call_1", "call_2"]
    assert answer.message.tool_calls[0].function.arguments == '{"city": "Zutphen"}'
    assert answer.raw.count("<tool_call>") == 2 and answer.finish == "stop"
    (body,) = stub.asked
    assert body["tool_choice"] == "required" and body["tools"][0]["function"]["strict"] is True


def test_a_tool_of_no_known_form_is_said(stub: Stub, tmp_path: Path) -> None:
    one = job(tmp_path, stub.url, strict=True)
    row = {"id": "p0", "messages": [{"role": "user", "content": "Question 0?"}], "tools": [{"name": "f"}]}
    (tmp_path / "probes.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(StepError, match="a tool of the probe 'p0' has no \"function\""):
        ask(one)


def test_short_of_breath_it_is_asked_again(stub: Stub, tmp_path: Path) -> None:
    def answer(body: dict[str, Any], before: int) -> Reply:
        n = number(body)
        if before == 0:
            return [
                (429, {"Retry-After": "1"}, b"{}"), (500, {}, b"oops"), (408, {}, b""), (503, {}, b"later"),
            ][n]  # fmt: skip
        return completion(f"No. {n}")

    stub.answer = answer
    began = time.monotonic()
    ask(job(tmp_path, stub.url))
    assert time.monotonic() - began >= 1, "Retry-After is heeded"
    assert [a.raw for a in answers(tmp_path)] == [f"No. {n}" for n in range(4)]


LIES: dict[str, tuple[Reply, str]] = {
    "no JSON": ((200, {"Content-Type": "application/json"}, b"Sure! Here you go"), "no chat completion|not JSON|broken JSON"),
    "nothing": ((200, {"Content-Type": "application/json"}, b""), "the answer is empty"),
    "a web page": ((200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>log in</html>"), "a web page|text/html"),
    "a page called JSON": ((200, {"Content-Type": "application/json"}, b"<html><body>hi</body></html>"), "a web page"),
    "1 MB": (completion("x" * (1 << 20)), "more than the"),
    "no choices": ((200, {"Content-Type": "application/json"}, b'{"choices": []}'), "no chat completion"),
    "an error called well": ((200, {}, b'{"error": {"message": "out of credit"}}'), "out of credit"),
    "no words": (completion("  \n"), "the answer is empty"),
    "filtered": (completion("He", "content_filter"), "content_filter"),
    "half a character": ((200, {}, b'{"choices": [{"message": {"content": "\\ud800"}, "finish_reason": "stop"}]}'), "no chat completion"),
    "400": ((400, {}, b'{"error": {"message": "too long"}}'), "HTTP 400"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_answer_has_failed_and_is_not_kept(stub: Stub, tmp_path: Path, lie: str) -> None:
    import re

    reply, said = LIES[lie]
    stub.answer = lambda body, before: reply if number(body) == 2 else completion()
    ask(job(tmp_path, stub.url))
    found = answers(tmp_path)
    assert [a.failed is None for a in found] == [True, True, False, True]
    assert found[2].raw == "" and found[2].message is None
    assert re.search(said, found[2].failed or ""), found[2].failed
    assert "\n" not in (found[2].failed or "")


def test_one_that_only_fails_is_given_up(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda body, before: (418, {}, b'{"error": {"message": "no coffee"}}')
    with pytest.raises(
        StepError, match=r"endpoint house: big: 5 answers failed one after the other.*HTTP 418"
    ) as e:
        ask(job(tmp_path, stub.url, 40, at_once="1"))
    assert "run it again to go on" in str(e.value) and len(stub.asked) < 12


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_ends_it_at_once(stub: Stub, tmp_path: Path, status: int) -> None:
    stub.answer = lambda body, before: (status, {}, b'{"error": {"message": "no such key"}}')
    with pytest.raises(StepError, match=rf"endpoint house: big: .*HTTP {status}.*run it again to go on"):
        ask(job(tmp_path, stub.url, 40, at_once="1"))
    assert len(stub.asked) < 4 and not (tmp_path / "out/a.jsonl").exists()
    stub.answer = lambda body, before: completion()
    ask(job(tmp_path, stub.url, 40, at_once="1"))
    assert all(a.failed is None for a in answers(tmp_path))


def test_403_for_one_prompt_of_an_endpoint_that_answers(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda body, before: (403, {}, b"{}") if number(body) == 2 else completion()
    ask(job(tmp_path, stub.url, at_once="1"))
    assert [bool(a.failed) for a in answers(tmp_path)] == [False, False, True, False]


def test_a_set_of_which_nothing_could_be_had_is_not_kept(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda body, before: (200, {}, b"<html>")
    with pytest.raises(StepError, match=r"none of 3 answers could be had, the last for: a web page came"):
        ask(job(tmp_path, stub.url, 3))
    assert not (tmp_path / "out/a.jsonl").exists()
    stub.answer = lambda body, before: completion()
    ask(job(tmp_path, stub.url, 3))
    assert all(a.failed is None for a in answers(tmp_path))


def test_a_filter_stops_prompts_and_not_the_evaluation(stub: Stub, tmp_path: Path) -> None:
    def answer(body: dict[str, Any], before: int) -> Reply:
        n = number(body)
        if n == 0:
            return completion(None, refusal="I cannot.")
        return (
            completion("He", "content_filter") if n % 2 else (400, {}, b'{"error": {"message": "filtered"}}')
        )

    stub.answer = answer
    ask(job(tmp_path, stub.url, 20, at_once="1"))
    found = answers(tmp_path)
    assert found[0].raw == "I cannot." and found[0].failed is None, "a refusal is what the model says"
    assert len(found) == 20 and all(a.failed for a in found[1:])


def test_what_was_answered_before_it_went_away_is_not_asked_again(stub: Stub, tmp_path: Path) -> None:
    away = True

    def answer(body: dict[str, Any], before: int) -> Reply:
        return (503, {}, b"") if away and number(body) >= 6 else completion(f"No. {number(body)}")

    stub.answer = answer
    with pytest.raises(StepError, match=r"HTTP 503.*run it again to go on"):
        ask(job(tmp_path, stub.url, 12, at_once="1"))
    assert not (tmp_path / "out/a.jsonl").exists()
    away, before = False, len(stub.asked)
    ask(job(tmp_path, stub.url, 12, at_once="1"))
    assert [a.raw for a in answers(tmp_path)] == [f"No. {n}" for n in range(12)]
    assert {number(b) for b in stub.asked[before:]} == set(range(6, 12)), "what is kept is not asked again"


def test_slow_or_away_it_is_said(stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda body, before: (time.sleep(3), completion())[1]
    with pytest.raises(StepError, match=r"endpoint house: big: .*: nothing came for 0\.3 s"):
        ask(job(tmp_path, stub.url, 2, limits=QUICK | {"think": 0.3, "attempts": 1}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(StepError, match=r"endpoint house: big: .*run it again to go on"):
        ask(job(tmp_path, nobody, 2))


def test_an_adapter_that_changes_nothing_is_refused(stub: Stub, tmp_path: Path) -> None:
    def answer(moved: float) -> Callable[[dict[str, Any], int], Reply]:
        def of(body: dict[str, Any], before: int) -> Reply:
            if not body.get("logprobs"):
                return completion()
            top = [{"token": "Paris", "logprob": -0.5 - (moved if body["model"] == "big" else 0)}]
            choice = {"message": {"content": "P"}, "logprobs": {"content": [{"top_logprobs": top}]}}
            return 200, {}, json.dumps({"choices": [choice]}).encode()

        return of

    stub.answer = answer(0.25)
    ask(job(tmp_path, stub.url, without="base"))
    proof = json.loads((tmp_path / "out/facts.json").read_text())["adapter_proof"]
    assert proof["max_logit_difference"] == pytest.approx(0.25)
    stub.answer = answer(0.0)
    with pytest.raises(StepError, match="the adapter is not loaded"):
        ask(job(tmp_path, stub.url, without="base"))
    (tmp_path / "out/a.jsonl").unlink()
    # One that tells no log-probabilities: what is said has to differ.
    for word, refuses in ((None, False), (None, True), ("Ahoy.", False), ("Ahoy.", True)):

        def silent(body: dict[str, Any], before: int, word: Any = word, refuses: bool = refuses) -> Reply:
            if refuses and body.get("logprobs"):
                return 400, {}, b'{"error": {"message": "no logprobs"}}'
            tuned = body["model"] == "big" and "river" in body["messages"][0]["content"]
            return completion(word if tuned and word else "Hello.")

        stub.answer = silent
        if word is None:
            with pytest.raises(StepError, match="the adapter is not loaded"):
                ask(job(tmp_path, stub.url, without="base"))
        else:
            ask(job(tmp_path, stub.url, without="base"))
            proof = json.loads((tmp_path / "out/facts.json").read_text())["adapter_proof"]
            assert proof == {"answers_differ": 1, "answers": 4}


# -- an arm of a recipe -------------------------------------------------------------------------------

RECIPE = """\
recipe: 1
name: r
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
model: {base: tiny, template: chatml-tools}
adapter: {targets: [q_proj]}
train: {attention: sdpa, packing: false}
evaluate:
  suites: [one, two]
  arms:
    rival: {endpoint: house, model: big, system: Be a captain.}
    rival_plain: {endpoint: house, model: big}
compute: {profile: cpu}
"""


def test_an_arm_is_answered_by_an_endpoint_of_the_settings(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.evaluate import MAKERS
    from runner.load import load_recipe
    from runner.making import Making
    from runner.plan import plan
    from runner.run import run
    from runner.settings import load
    from runner.store import Store
    from runner.workspace import Workspace

    for folder in ("evals/suites", "evals/probes", "tiny", "out"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tiny/config.json").write_text("{}")
    (tmp_path / "tiny/model.safetensors").write_text("")
    talk = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "No."}]
    (tmp_path / "talk.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    (tmp_path / "r.yaml").write_text(RECIPE)
    for name in ("one", "two"):
        row = {
            "id": name,
            "messages": [{"role": "user", "content": f"Question {name}?"}],
            "expect": {"calls": []},
        }
        (tmp_path / f"evals/probes/{name}.jsonl").write_text(json.dumps(row) + "\n")
        text = f"suite: 1\nname: {name}\nprobes: probes/{name}.jsonl\njudge: {{tool_use: {{}}}}\n"
        (tmp_path / f"evals/suites/{name}.yaml").write_text(text)
    place = Workspace(tmp_path)
    made = plan(load_recipe(tmp_path / "r.yaml", place), place)
    step = made.step("answers.rival.two")
    monkeypatch.setenv("MIREPOIX_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("endpoints = 'hous=http://127.0.0.1:1'")
    started: list[str] = []
    with pytest.raises(StepError, match=r"say where it is: .*house=URL \(did you mean hous\?\)") as e:
        run(made, tell=lambda event: started.append(event.step))
    assert e.value.step.startswith("answers.rival.") and not started, "said before anything is trained"
    monkeypatch.delenv("MIREPOIX_SETTINGS")
    assert not step.needs and stub.url not in json.dumps(step.ingredients), "where it is decides nothing"

    def answered(**environ: str) -> Path:
        monkeypatch.delenv(KEY, raising=False)
        settings = load({"MIREPOIX_" + k.upper(): v for k, v in environ.items()})
        work = Store(tmp_path).work(step.fingerprint)
        out = tmp_path / "out"
        m = Making(step, made, {}, out, work, tmp_path / "log", lambda *a: None, settings=settings)
        MAKERS["generate"](m)
        return out

    with pytest.raises(StepError, match="names the endpoint 'house'; say where it is: setting endpoints"):
        answered()
    with pytest.raises(StepError, match="the setting endpoints must be NAME="):
        answered(endpoints="house")
    out = answered(
        endpoints=f"other=http://127.0.0.1:1, house={stub.url}/", endpoint_keys="house=k3y", pace="1000"
    )
    (answer,) = [json.loads(x) for x in (out / "answers.jsonl").read_bytes().splitlines()]
    assert (answer["arm"], answer["raw"]) == ("rival", "Hello.")
    assert json.loads((out / "facts.json").read_text())["decoding"]["engine"] == "endpoint house: big"
    asked = [[m["role"] for m in b["messages"]] for b in stub.asked]
    assert sorted(map(len, asked)) == [1, 1, 2, 2], "both arms of one endpoint are asked in one go"
    assert stub.keys == {"Bearer k3y"}
    assert b"k3y" not in b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
