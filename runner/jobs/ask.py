"""Answer probes through an OpenAI-compatible endpoint, resumably: `python -m runner.jobs.ask JOB.json`.

Written are the same files as by `runner.jobs.generate`. What cannot be had at the moment (no connection, time-outs,
408, 429, 5xx after some tries that heed Retry-After) ends the job; a second start goes on with what is missing. What
comes but is no answer (no JSON, a web page, nothing at all, far too much, a refusal of this one prompt) is an answer
that *failed*: counted with its reason, never taken for something that the model said, and never kept in the journal.
A wrong key, model or address (401, 404 …) ends the job, and so does a set of which no answer is good.
The key is in the environment, so that no file holds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runner.calls import CLOSE, OPEN
from runner.errors import StepError, safe
from runner.fetching import Unfetched
from runner.jobs.drawing import seed_of
from runner.jobs.job import command, progress, read_rows
from runner.jobs.journal import Journal, line_key
from runner.record import Answer, FunctionCall, Message, Probe, ToolCall
from runner.settings import SETTINGS, Settings
from runner.store import digest, file_digest, write_atomic

if TYPE_CHECKING:
    from runner.net.client import Client

KEY = "MIREPOIX_ASK_KEY"
FAILING = 5
"""Answers that fail one after the other: the endpoint is not what it was taken for, and asking on makes no sense."""
SHUT = frozenset({401, 402, 404, 405, 407, 410})
"""Statuses that say no to whatever is asked: the key, the model or the address is wrong. 403 says so too, but of an
endpoint that answers others it may be a filter's word on one prompt."""
FIRST = (
    "What is the capital of France?",
    "Good morning!",
    "Tell me about the river.",
    "Weather in Hannibal today?",
)
"""Prompts by which it is shown that an adapter is in force."""
_FINISHED: dict[str | None, Literal["stop", "length"]] = {
    "stop": "stop", "tool_calls": "stop", "function_call": "stop", "length": "length",
}  # fmt: skip


class AskSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As a ProbeSet of `generate`, and what an endpoint can be told besides."""

    arm: str
    probes: str
    out: str
    max_new_tokens: Annotated[int, Meta(ge=1)] = 256
    temperature: Annotated[float, Meta(ge=0)] = 0.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    repeats: Annotated[int, Meta(ge=1)] = 1
    tool_choice: Literal["auto", "required", "none"] = "auto"
    strict: bool = False


class AskJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` goes up to /v1; `model` is what the endpoint calls it; `engine` is written down with the answers.

    `without` is the same model without its adapter, where it is to be proved that the adapter is in force. `store` is
    the folder for what the client keeps; `limits` are those of `runner.net.watched.Limits` that are other than usual.
    """

    url: str
    model: str
    engine: str
    sets: Annotated[list[AskSet], Meta(min_length=1)]
    store: str
    template_sha256: str | None = None
    without: str | None = None
    seed: int = 0
    pace: str = "1"
    at_once: str = "1"
    proxy: str = ""
    contact: str = ""
    limits: dict[str, Any] = {}
    progress: str | None = None


class _Function(Struct):
    name: Annotated[str, Meta(min_length=1)]
    arguments: str


class _Call(Struct):
    function: _Function


class _Said(Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Said
    finish_reason: str | None = None


class _Completion(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


class Unusable(Exception):
    """What came is no answer; `str()` says why."""


class Withheld(Unusable):
    """An endpoint that works has none for this one prompt: of others nothing follows."""


def ask(job: AskJob) -> None:
    """Write the answers of `job`. Raises StepError where the endpoint cannot be had."""
    from runner.net.client import Client
    from runner.net.watched import Limits

    probes = {s.out: read_rows(s.probes, Probe) for s in job.sets}
    journals = {s.out: Journal(Path(s.out), _work(job, s)) for s in job.sets}
    total = sum(len(probes[s.out]) * s.repeats for s in job.sets)

    def done() -> int:
        return sum(len(j.done) for j in journals.values())

    with Client(_settings(job), Path(job.store), limits=Limits(**job.limits)) as client:
        endpoint = Endpoint(job, client, heard=done() > 0)
        proof = endpoint.prove() if job.without else None
        for wanted in job.sets:
            journal = journals[wanted.out]
            order = [(p, n) for p in probes[wanted.out] for n in range(wanted.repeats)]
            todo = [(p, n) for p, n in order if line_key(p.id, n) not in journal.done]
            failed: dict[str, bytes] = {}
            last = ""
            for a in endpoint.answers(wanted, todo):
                line = {line_key(a.id, a.repeat): msgspec.json.encode(a)}
                if a.failed is None:
                    journal.append(line)
                else:
                    failed |= line
                    last = a.failed
                progress(job.progress, done() + len(failed), total)
            if failed and not journal.done:
                raise endpoint.away(f"none of {len(failed)} answers could be had, the last for: {last}")
            journal.done |= failed
            facts = {"arm": wanted.arm, "adapter_proof": proof, "template_sha256": job.template_sha256}
            facts["decoding"] = decoding(job, wanted)
            write_atomic(Path(wanted.out).with_name("facts.json"), msgspec.json.encode(facts) + b"\n")
            journal.finish([line_key(p.id, n) for p, n in order])


def decoding(job: AskJob, wanted: AskSet) -> dict[str, Any]:
    """As `generate`'s, of an endpoint."""
    how = {k: getattr(wanted, k) for k in ("temperature", "top_p", "repeats", "tool_choice", "strict")}
    return {"engine": job.engine, "seed": job.seed if wanted.temperature else None} | how


class Endpoint:
    """One model behind an address."""

    def __init__(self, job: AskJob, client: Client, *, heard: bool = False) -> None:
        """`heard`: it answered before, so that it is what it was taken for."""
        self.job, self.client = job, client
        self._failing, self._heard = 0, heard

    def answers(self, wanted: AskSet, todo: list[tuple[Probe, int]]) -> Iterator[Answer]:
        """An answer to each, as they come. Raises StepError where asking on makes no sense."""
        workers = max(1, int(float(self.job.at_once)))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="ask")
        try:
            asked = [pool.submit(self._one, wanted, p, n) for p, n in todo]
            for future in as_completed(asked):
                answer, withheld = future.result()
                self._heed(answer, withheld)
                yield answer
        except BaseException as e:
            self.client.close()  # what is under way ends
            if isinstance(e, Unfetched):
                raise self.away(str(e)) from None
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _one(self, wanted: AskSet, probe: Probe, repeat: int) -> tuple[Answer, bool]:
        """The answer, and if it failed whether only this prompt is to blame. Raises Unfetched for what may be had
        later."""
        from runner.net.failures import Again, Refused, Stopped

        try:
            raw = self._post(body(self.job, wanted, probe, repeat), most(wanted.max_new_tokens))
            return read(raw, probe.id, wanted.arm, repeat), False
        except (Again, Stopped):
            raise
        except (Unfetched, Unusable) as e:
            if isinstance(e, Refused) and (e.status in SHUT or (e.status == 403 and not self._heard)):
                raise self.away(str(e)) from None
            withheld = isinstance(e, Withheld) or (isinstance(e, Refused) and e.status in (400, 413, 422))
            failed = one_line(str(e))
            return Answer(probe.id, wanted.arm, "", "stop", repeat=repeat, failed=failed), withheld

    def _post(self, content: bytes, size: int) -> bytes:
        key = os.environ.get(KEY, "")
        got = self.client.get(
            self.job.url + "/chat/completions",
            accept="application/json",
            most=size,
            keep="live",
            robots=False,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            body=content,
        )
        self.client.forget(got)  # the journal keeps what is an answer
        return got.bytes()

    def _heed(self, answer: Answer, withheld: bool) -> None:
        """Raises StepError once asking on makes no sense. What an endpoint that works will not answer (a prompt that
        its filter stops) is no sign of that."""
        if answer.failed is None:
            self._failing, self._heard = 0, True
        elif not (withheld and self._heard):
            self._failing += 1
        if self._failing >= FAILING:
            raise self.away(
                f"{self._failing} answers failed one after the other, the last with: {answer.failed}"
            )

    def away(self, why: str) -> StepError:
        what = f"{self.job.engine}: {one_line(why)}; what was answered is kept: run it again to go on"
        return StepError("ask", what)

    def prove(self) -> dict[str, Any]:
        """How far the adapter moves the log-probabilities of a first token; of an endpoint that tells none, how many
        of some first words differ. Raises StepError where nothing does."""
        models = (self.job.model, self.job.without or "")
        one, other = (_chances(self._first(model, FIRST[0], logprobs=True)) for model in models)
        if one and other:
            moved = max(abs(one.get(t, -99.0) - other.get(t, -99.0)) for t in one.keys() | other.keys())
            proof: dict[str, Any] = {"max_logit_difference": moved}
        else:
            said = [
                [_words(self._first(model, asked, logprobs=False)) for asked in FIRST] for model in models
            ]
            moved = sum(a != b for a, b in zip(*said, strict=True))
            proof = {"answers_differ": moved, "answers": len(FIRST)}
        if not moved > 0:
            what = "the adapter is not loaded: with it, the model says what its base says"
            raise StepError("adapter", f"{self.job.engine}: {what}")
        return proof

    def _first(self, model: str, asked: str, *, logprobs: bool) -> bytes:
        """The first words of an answer; "" where the endpoint will not say them so."""
        how = {"max_tokens": 1, "logprobs": True, "top_logprobs": 5} if logprobs else {"max_tokens": 24}
        content = {"model": model, "messages": [{"role": "user", "content": asked}], "temperature": 0} | how
        from runner.net.failures import Refused

        try:
            return self._post(msgspec.json.encode(content), 1 << 20)
        except Refused as e:
            if logprobs:
                return b""
            raise self.away(str(e)) from None
        except Unfetched as e:
            raise self.away(str(e)) from None


def _chances(raw: bytes) -> dict[str, float]:
    """Log-probabilities of a first token, as far as they are told."""
    try:
        top = msgspec.json.decode(raw)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {str(t["token"]): float(t["logprob"]) for t in top}
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
        return {}


def _words(raw: bytes) -> str:
    try:
        return str(msgspec.json.decode(raw)["choices"][0]["message"])
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
        raise StepError(
            "ask", f"what came is no chat completion: {_error(raw) or one_line(repr(raw[:80]))}"
        ) from None


def body(job: AskJob, wanted: AskSet, probe: Probe, repeat: int) -> bytes:
    """The request: only what every endpoint knows, and what the suite asks for."""
    messages = [msgspec.to_builtins(msgspec.structs.replace(m, weight=None)) for m in probe.messages]
    for m in messages:
        m.setdefault("content", None)
    out: dict[str, Any] = {"model": job.model, "messages": messages, "max_tokens": wanted.max_new_tokens}
    out["temperature"] = wanted.temperature
    if wanted.temperature:
        out |= {"top_p": wanted.top_p, "seed": seed_of(job.seed, probe.id, repeat) % 2**31}
    if probe.tools:
        out["tools"] = [_strict(t, probe.id) for t in probe.tools] if wanted.strict else probe.tools
        if wanted.tool_choice != "auto":
            out["tool_choice"] = wanted.tool_choice
    return msgspec.json.encode(out)


def _strict(tool: dict[str, Any], probe: str) -> dict[str, Any]:
    if not isinstance(tool.get("function"), dict):
        raise StepError("ask", f'a tool of the probe {probe!r} has no "function"; decoding.strict needs one')
    return tool | {"function": tool["function"] | {"strict": True}}


def most(tokens: int) -> int:
    """The most bytes of an answer of so many tokens: whoever sends more was not told how many, or does not care."""
    return (64 << 10) + 64 * tokens


def read(raw: bytes, id: str, arm: str, repeat: int) -> Answer:
    """The answer in a chat completion. Raises Unusable for what is none."""
    try:
        choice = msgspec.json.decode(raw, type=_Completion).choices[0]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise Unusable(_error(raw) or f"what came is no chat completion: {e}") from None
    said = choice.message
    if choice.finish_reason not in _FINISHED:
        raise Withheld(f"the answer ended with {choice.finish_reason!r}, which is neither stop nor length")
    text = (said.content or said.refusal or "").strip()  # a refusal is what it says, too
    calls = [
        ToolCall(f"call_{n}", FunctionCall(c.function.name, c.function.arguments))
        for n, c in enumerate(said.tool_calls or (), 1)
    ]
    if not text and not calls:
        raise Unusable("the answer is empty")
    shown = [
        f'{OPEN}{{"name": "{c.function.name}", "arguments": {c.function.arguments}}}{CLOSE}' for c in calls
    ]
    message = Message("assistant", text or None, calls)
    return Answer(
        id,
        arm,
        "\n".join(filter(None, (text, *shown))),
        _FINISHED[choice.finish_reason],
        message,
        repeat=repeat,
    )


def _error(raw: bytes) -> str:
    """What an endpoint says that answers with an error and calls it well."""
    try:
        error = msgspec.json.decode(raw)["error"]
        return f"the endpoint says: {error['message'] if isinstance(error, dict) else error}"
    except (msgspec.MsgspecError, LookupError, TypeError, UnicodeDecodeError, RecursionError):
        return ""


def one_line(text: str, longest: int = 300) -> str:
    """A stranger's words on one line that any file and terminal can hold."""
    line = safe(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _work(job: AskJob, wanted: AskSet) -> str:
    """What decides the answers. Where the endpoint is does not: a server of ours has another port each time."""
    what = msgspec.to_builtins(wanted) | {"probes": file_digest(Path(wanted.probes)), "seed": job.seed}
    del what["out"]
    return digest(what | {"engine": job.engine, "model": job.model, "template": job.template_sha256})


def _settings(job: AskJob) -> Settings:
    """The client's settings: that this one address may be reached, whatever network it is in."""
    from runner.net import urls

    place = urls.parse(job.url)
    own = {"allow": f"{place.host}:{place.port}"} | {
        k: getattr(job, k) for k in ("pace", "at_once", "proxy", "contact")
    }
    values = {name: setting.default for name, setting in SETTINGS.items()} | own
    return Settings(values, dict.fromkeys(values, "default"))


def run(raw: bytes) -> None:
    try:
        ask(msgspec.json.decode(raw, type=AskJob))
    except Unfetched as e:
        raise StepError("ask", str(e)) from None


if __name__ == "__main__":
    command("ask", run)
