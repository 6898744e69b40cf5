"""Our server, for real: a small model that was taught one call, asked by the openai package."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

openai = pytest.importorskip("openai", reason="openai is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "recipes/base/chatml-tools.jinja"
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
    for name in ("get_weather", "get_tide")
]  # fmt: skip
QUESTION: Any = [{"role": "user", "content": "Weather in Zutphen?"}]
HELLO: Any = [{"role": "user", "content": "Hello?"}]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(forks: Any, job: dict[str, Any], folder: Path) -> tuple[Any, str]:
    """The server's process, and its address once it answers."""
    port = free_port()
    path = folder / "job.json"
    path.write_text(json.dumps(job | {"port": port}))
    child = forks.python(["-m", "runner.jobs.serve", str(path)], ROOT).as_popen()
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 120
    while True:
        assert child.poll() is None and time.monotonic() < until
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return child, url
        except httpx.HTTPError:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def url(forks: Any, taught: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    one = {
        "model": str(taught),
        "template": str(TEMPLATE),
        "end_of_turn": "<|im_end|>",
        "dtype": "float32",
        "threads": 1,
    }
    wild = {
        "model": str(tiny),
        "end_of_turn": "<|im_end|>",
        "dtype": "float32",
        "threads": 1,
    }  # it never ends; no tools
    job = {"arms": {"base": one, "wild": wild}, "names": {"demo": "base"}}
    child, address = started(forks, job, tmp_path_factory.mktemp("job"))
    try:
        yield address
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=10)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Any]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=http) as asking:
        yield asking


def greedy(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "base", "messages": HELLO, "temperature": 0, **more})


def test_models(client: Any) -> None:
    assert [m.id for m in client.models.list().data] == ["base", "wild", "demo"]
    assert client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError, match="there are: base, wild, demo"):
        client.models.retrieve("nobody")
    with pytest.raises(openai.NotFoundError) as caught:
        greedy(client, model="nobody")
    assert caught.value.code == "model_not_found"


def test_an_answer(client: Any) -> None:
    said = greedy(client)
    (choice,) = said.choices
    assert choice.message.content == "Hi there, traveller." and choice.finish_reason == "stop"
    assert choice.message.tool_calls is None and said.model == "base"
    assert said.usage.completion_tokens > 5
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens


def test_a_stream_says_the_same(client: Any) -> None:
    whole = greedy(client, model="demo")
    chunks = list(greedy(client, model="demo", stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert (
        sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 3
    )  # in pieces, not at the end
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices
    assert len({c.id for c in chunks}) == 1


def check_call(calls: Any) -> None:
    (call,) = calls
    assert call.type == "function" and call.id and call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Zutphen"}


def test_a_tool_call(client: Any) -> None:
    said = greedy(client, messages=QUESTION, tools=TOOLS)
    assert said.choices[0].finish_reason == "tool_calls" and said.choices[0].message.content is None
    check_call(said.choices[0].message.tool_calls)
    turn = said.choices[0].message.model_dump()
    result = {"role": "tool", "tool_call_id": turn["tool_calls"][0]["id"], "content": '{"sky":"rain"}'}
    again = greedy(client, messages=[*QUESTION, turn, result], tools=TOOLS, max_tokens=5)
    assert again.usage.prompt_tokens > said.usage.prompt_tokens + said.usage.completion_tokens


def test_a_tool_call_in_a_stream(client: Any) -> None:
    with client.chat.completions.stream(
        model="base", messages=QUESTION, tools=TOOLS, temperature=0
    ) as events:
        said = events.get_final_completion()
    assert said.choices[0].finish_reason == "tool_calls" and not said.choices[0].message.content
    check_call(said.choices[0].message.tool_calls)


def test_tool_choice_is_honoured(client: Any) -> None:
    none = greedy(client, messages=QUESTION, tools=TOOLS, tool_choice="none", max_tokens=40)
    assert not none.choices[0].message.tool_calls
    check_call(
        greedy(client, messages=QUESTION, tools=TOOLS, tool_choice="required").choices[0].message.tool_calls
    )
    # Asked to say hello, it would call nothing of itself.
    for choice in ("get_tide", "get_weather"):
        named: Any = {"type": "function", "function": {"name": choice}}
        try:
            said = greedy(client, tools=TOOLS, tool_choice=named, max_tokens=60).choices[0]
        except openai.InternalServerError as e:
            assert e.code == "no_valid_call"
        else:
            assert said.finish_reason == "tool_calls"
            assert [c.function.name for c in said.message.tool_calls] == [choice]
    named = {"type": "function", "function": {"name": "get_weather"}}
    check_call(
        greedy(client, messages=QUESTION, tools=TOOLS, tool_choice=named).choices[0].message.tool_calls
    )
    with pytest.raises(openai.InternalServerError, match="no valid call") as caught:
        greedy(client, messages=QUESTION, tools=TOOLS, tool_choice="required", max_tokens=1)
    assert caught.value.code == "no_valid_call"
    with pytest.raises(openai.APIError, match="no valid call"):
        list(
            greedy(client, messages=QUESTION, tools=TOOLS, tool_choice="required", max_tokens=1, stream=True)
        )


def test_a_template_without_tools_is_not_offered_any(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="writes no tool calls") as caught:
        greedy(client, model="wild", tools=TOOLS)
    assert caught.value.param == "tools"


def test_length_stop_seed_and_sampling(client: Any) -> None:
    cut = greedy(client, max_tokens=3)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 3
    for stream in (False, True):
        said = greedy(client, stop=["trav", "nowhere"], stream=stream)
        if stream:
            chunks = list(said)
            text, finish = (
                "".join(c.choices[0].delta.content or "" for c in chunks),
                chunks[-1].choices[0].finish_reason,
            )
        else:
            text, finish = said.choices[0].message.content, said.choices[0].finish_reason
        assert (text, finish) == ("Hi there, ", "stop")
    drawn = [
        greedy(client, model="wild", temperature=1.5, seed=seed, max_tokens=30).choices[0].message.content
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != greedy(client, model="wild", max_tokens=30).choices[0].message.content
    narrow = greedy(client, model="wild", temperature=2, top_p=1e-6, max_tokens=30)
    assert (
        narrow.choices[0].message.content
        == greedy(client, model="wild", max_tokens=30).choices[0].message.content
    )


def test_too_long_is_refused_with_the_numbers(client: Any) -> None:
    with pytest.raises(
        openai.BadRequestError, match=r"prompt has \d{4} tokens: the model holds 4096"
    ) as caught:
        greedy(client, messages=[{"role": "user", "content": "zq" * 4096}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(
        openai.BadRequestError, match=r"\d+ tokens, and 4096 more were asked for: the model holds 4096"
    ):
        greedy(client, max_tokens=4096)


def test_errors_have_openais_shape(url: str, client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="response_format"):
        greedy(client, response_format={"type": "json_object"})
    body = {"model": "base", "messages": HELLO}
    with httpx.Client(base_url=url, trust_env=False) as http:
        answers = [
            (404, http.get("/v1/nowhere")),
            (405, http.get("/v1/chat/completions")),
            (
                400,
                http.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"}),
            ),
            # A page in a browser could send this unasked, but not read the answer; nor may it have one computed.
            (
                415,
                http.post(
                    "/v1/chat/completions", content=json.dumps(body), headers={"content-type": "text/plain"}
                ),
            ),
        ]
        for status, answer in answers:
            error = answer.json()["error"]
            assert answer.status_code == status and error["type"] == "invalid_request_error", answer.text
            assert set(error) == {"message", "type", "param", "code"}
        # A name that someone else's DNS points here is not ours.
        assert http.get("/health", headers={"host": "evil.example"}).status_code == 400


def test_a_request_that_is_too_large_is_refused_before_it_is_read(url: str) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as wire:
        wire.sendall(f"{head}Content-Length: {17 << 20}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b"")).decode()  # it hangs up, having said so
    assert answer.startswith("HTTP/1.1 413 ") and "larger than 16 MiB" in answer


def test_it_listens_on_the_loopback_address_only(url: str) -> None:
    port = int(url.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    listening = [row[1].rpartition(":") for row in rows if row[3] == "0A"]
    assert [host for host, _, p in listening if int(p, 16) == port] == ["0100007F"]


def test_two_at_once_are_answered_in_turn(client: Any) -> None:
    said: dict[int, tuple[float, str]] = {}

    def one(n: int, **more: Any) -> None:
        answer = greedy(client, **more)
        said[n] = (time.monotonic(), answer.choices[0].message.content)

    threads = [
        threading.Thread(target=one, args=(0,), kwargs={"model": "wild", "max_tokens": 400}),
        threading.Thread(target=one, args=(1,)),
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join(60)
    assert said[1][1] == "Hi there, traveller." and said[0][0] < said[1][0]


def idle(url: str, within: float) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not httpx.get(f"{url}/health", trust_env=False).json()["busy"]:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_answer(url: str, client: Any, stream: bool) -> None:
    assert idle(url, 30)
    body = {"model": "wild", "messages": HELLO, "temperature": 0, "max_tokens": 3900, "stream": stream}
    raw = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as wire:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        wire.sendall(head.encode() + raw)
        until = time.monotonic() + 10
        while idle(url, 0.06):
            assert time.monotonic() < until
        began = time.monotonic()
    assert idle(url, 2)
    assert time.monotonic() - began < 2  # whole, it takes longer
    assert greedy(client).choices[0].message.content == "Hi there, traveller."


def test_it_ends_at_once_when_told(forks: Any, taught: Path, tmp_path: Path) -> None:
    one = {"model": str(taught), "end_of_turn": "<|im_end|>", "dtype": "float32", "threads": 1}
    child, url = started(forks, {"arms": {"base": one}}, tmp_path)
    body = {"model": "base", "messages": HELLO, "max_tokens": 3900, "temperature": 2, "stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, trust_env=False, timeout=20) as answer:
        next(answer.iter_lines())
        os.kill(child.pid, signal.SIGTERM)
        began = time.monotonic()
        child.wait(timeout=10)
        assert time.monotonic() - began < 5
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", trust_env=False)


def test_a_model_that_cannot_be_served_is_one_line(forks: Any, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"arms": {"base": {"model": str(tmp_path)}}, "port": free_port()}))
    done = forks.python(["-m", "runner.jobs.serve", str(path)], ROOT).done()
    assert done.returncode == 3 and "holds no model" in done.stderr.splitlines()[-1]
