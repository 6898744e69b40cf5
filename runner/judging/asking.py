"""Goes to the endpoint: some questions at once, what is no answer asked once more, a budget, and when to give up.

Retries of what may work in a moment (408, 429, 5xx, time-outs), `Retry-After` and the pace are the guarded client's;
so is keeping: an answer is kept for ever by endpoint, model, messages and parameters, an error never. Everything here
is decided in the order of the questions, so the same answers make the same verdict however many came at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta, Struct

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.judging.prompts import Question, body, enforcing
from runner.judging.replies import Said, completion, one_line, read
from runner.teaching.answers import Reply
from runner.teaching.spending import PER_BYTE, estimate

MOST = 256 << 10
"""Bytes of an answer; one of the most tokens that may be asked for has a tenth of it."""
PROBE = 256
"""Tokens that the first request's answer may have at least: grammars let models write a lot of white space."""
AT_ONCE = 16
"""Questions that are decided together; how many are under way at once is the user's setting `at_once`."""
GIVE_UP = 5
"""Questions that fail one after the other: the endpoint is down, or will have nothing of us."""
_AGAIN = {
    "refused": "An earlier answer was a refusal. To judge is no endorsement of the material.",
    "unreadable": "An earlier answer could not be read.",
}
_NOTE = "{} Answer with the JSON object alone, in the form that was given, with the code in it."

Tell = Callable[[int, int, str], None]
"""done, of, what"""


class Budget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What judging may take, admission included. Past it the rest is missing, and counted."""

    requests: Annotated[int, Meta(ge=1, description="Requests, those asked once more among them.")] | None = (
        None
    )
    tokens: (
        Annotated[int, Meta(ge=1, description="Tokens, in and out together, as the endpoint counts them.")]
        | None
    ) = None


@dataclass
class Spent:
    """What was asked so far. Kept answers count too: how far a budget goes hangs on the data alone."""

    budget: Budget
    requests: int = 0
    tokens: int = 0
    held: int = 0
    """Tokens that questions under way are taken to need."""
    per_byte: float = PER_BYTE
    over: str = ""
    """Why nothing more is asked, once that is so."""

    def reserve(self, size: int, most_out: int) -> bool:
        """Whether another request of `size` bytes goes out; once one does not, none does."""
        wanted = estimate(size, self.per_byte) + most_out
        requests, tokens = self.budget.requests, self.budget.tokens
        if requests is not None and self.requests + 1 > requests:
            self.over = self.over or f"over the budget of {requests:,} requests"
        elif tokens is not None and self.tokens + self.held + wanted > tokens:
            self.over = self.over or f"over the budget of {tokens:,} tokens"
        if self.over:
            return False
        self.requests += 1
        self.held += wanted
        return True

    def settle(self, sizes: Sequence[int], most_out: int, replies: Sequence[Reply | None]) -> None:
        """What those under way came to. An answer that counts no tokens is taken to have had what was held for it."""
        self.held = 0
        for size, reply in zip(sizes, replies, strict=True):
            if reply is None:
                continue
            if reply.tokens_in is None or reply.tokens_out is None:
                self.tokens += estimate(size, self.per_byte) + most_out
                continue
            self.per_byte = max(self.per_byte, reply.tokens_in / size)
            self.tokens += reply.tokens_in + reply.tokens_out


@dataclass
class Asker:
    """Asks one model behind one service of the user's settings. `ask` is runner/services.py's."""

    ask: Callable[..., Any]
    service: str
    model: str
    max_tokens: int
    spent: Spent
    structured: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    """How many questions have no verdict, by kind of fault."""
    _failing: int = 0
    _heard: bool = False

    def probe(self) -> bool:
        """Whether the endpoint enforces `response_format: json_schema`; if so it is used from now on.

        Raises StepError where the endpoint cannot be reached: what is asked next hangs on the answer, so a passing
        outage must not decide it.
        """
        question = enforcing(self.model)
        most = max(self.max_tokens, PROBE)
        content = body(question, model=self.model, max_tokens=most, structured=True)
        if not self.spent.reserve(len(content), most):
            return False
        try:
            answer = self._post(content)
        except Unfetched as e:
            self.spent.settle([], most, [])
            if e.transient:
                raise self._down(f"the first request failed: {e}") from None
            return False  # it knows no such format, and says so
        self._heard = True
        self.spent.settle([len(content)], most, [answer])
        self.structured = read(answer, question).value is not None
        return self.structured

    def all(
        self, questions: Sequence[Question], tell: Callable[[int], None] = lambda done: None
    ) -> list[Said]:
        """A verdict for each question, or why there is none. Raises StepError where the endpoint is down."""
        out: list[Said] = []
        for start in range(0, len(questions), AT_ONCE):
            some = questions[start : start + AT_ONCE]
            said = self._round([(q, "") for q in some])
            again = [n for n, s in enumerate(said) if s.fault in _AGAIN]
            second = self._round([(some[n], _NOTE.format(_AGAIN[said[n].fault])) for n in again])
            for n, s in zip(again, second, strict=True):
                # What was wrong with an answer says more than that the second could not be had.
                said[n] = said[n] if s.fault in ("failed", "budget") else s
            self.faults.update(s.fault for s in said if s.fault)
            out += said
            tell(len(out))
        return out

    def _round(self, asked: Sequence[tuple[Question, str]]) -> list[Said]:
        bodies = [
            body(q, model=self.model, max_tokens=self.max_tokens, structured=self.structured, note=note)
            for q, note in asked
        ]
        out = [self.spent.reserve(len(b), self.max_tokens) for b in bodies]
        answers: list[Reply | Unfetched | None] = [None] * len(asked)
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="judge")
        try:
            futures = {n: pool.submit(self._answer, b) for n, b in enumerate(bodies) if out[n]}
            for n, future in futures.items():
                answers[n] = future.result()
                self._heed(answers[n])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        sizes = [len(b) for b in bodies]
        self.spent.settle(sizes, self.max_tokens, [a if isinstance(a, Reply) else None for a in answers])
        return [self._said(a, q) for a, (q, _) in zip(answers, asked, strict=True)]

    def _said(self, answer: Reply | Unfetched | None, question: Question) -> Said:
        if answer is None:
            return Said(None, f"not asked: {self.spent.over}", "budget")
        if isinstance(answer, Unfetched):
            return Said(None, f"the judge did not answer: {one_line(str(answer))}", "failed")
        return read(answer, question)

    def _answer(self, content: bytes) -> Reply | Unfetched:
        try:
            return self._post(content)
        except Unfetched as e:
            return e

    def _post(self, content: bytes) -> Reply:
        answer: Reply = self.ask(self.service, content, completion, most=MOST, lenient=True)
        return answer

    def _heed(self, answer: Reply | Unfetched | None) -> None:
        """Raises StepError once so many fail one after the other that asking on makes no sense.

        What an endpoint that works will not have (a prompt that its filter stops) says nothing of the next question.
        """
        if not isinstance(answer, Unfetched):
            self._failing, self._heard = 0, True
        elif answer.transient or not self._heard:
            self._failing += 1
            if self._failing == GIVE_UP:
                raise self._down(f"{GIVE_UP} requests failed one after the other, the last: {answer}")

    def _down(self, what: str) -> StepError:
        said = f"{one_line(what)}; answers are kept: run it again to go on"
        return StepError("judge", f"the service {self.service!r} does not answer: {said}")
