"""One model behind an OpenAI-compatible address: its answers, how it fails, the proof that its adapter is in force."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import msgspec

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.jobs.completion import AskJob, AskSet, Unusable, Withheld, body, error_in, most, one_line, read
from runner.jobs.talking import Talk
from runner.record import Answer, Probe

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

        talk = Talk(probe, wanted.rounds)
        try:
            while True:
                content = body(self.job, wanted, talk.probe, repeat, talk.asked)
                raw = self._post(content, most(wanted.max_new_tokens))
                answer = talk.heard(read(raw, probe.id, wanted.arm, repeat))
                if not talk.goes_on(answer):
                    return answer, False
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
            "ask", f"what came is no chat completion: {error_in(raw) or one_line(repr(raw[:80]))}"
        ) from None
