"""Runs of words that answers share with training texts: against a slow search that cannot be wrong."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import pytest

from runner.contamination import plain
from runner.record import FunctionCall, Message, Record, ToolCall
from runner.shingles import BATCH
from runner.verbatim import Run, Text, Verbatim, texts

WORDS = ["river", "mule", "boat", "the", "and", "of"]


def shared(said: str, trained: str, prompt: list[str], n: int) -> int:
    """The longest run of words of `said` in `trained` without a word that stands in a run of `n` of the prompt; by
    trying all."""
    words, other = plain(said).split(), plain(trained).split()
    asked = [plain(p).split() for p in prompt]
    grams = {tuple(p[i : i + n]) for p in asked for i in range(len(p) - n + 1)}
    taken = {
        j for i in range(len(words) - n + 1) if tuple(words[i : i + n]) in grams for j in range(i, i + n)
    }
    best = 0
    for i in range(len(words)):
        for j in range(len(other)):
            k = 0
            while (
                i + k < len(words)
                and j + k < len(other)
                and words[i + k] == other[j + k]
                and i + k not in taken
            ):
                k += 1
            best = max(best, k)
    return best if best >= n else 0


def test_as_the_slow_search_finds_them() -> None:
    draw = random.Random(7)

    def text(most: int) -> str:
        return " ".join(draw.choices(WORDS[: draw.randint(3, 6)], k=draw.randint(0, most)))

    found = 0
    for _ in range(300):
        n = draw.choice([2, 3, 5])
        said = [text(25) for _ in range(draw.randint(1, 4))]
        prompts = [[text(8)] for _ in said]
        trained = [text(25) for _ in range(draw.randint(0, 4))]
        runs = Verbatim(said, prompts, ngram=n).look(Text(t, str(i), "user") for i, t in enumerate(trained))
        for one, prompt, run in zip(said, prompts, runs, strict=True):
            wanted = [shared(one, t, prompt, n) for t in trained]
            assert (run.words if run else 0) == max(wanted, default=0)
            if run:
                found += 1
                assert run.record == str(wanted.index(run.words)), "the first of equally long ones"
                assert f" {run.text} " in f" {' '.join(plain(one).decode().split())} "
    assert found > 200


def test_a_passage_is_found_wherever_it_stands_and_however_it_is_set() -> None:
    passage = (
        "The ferry left at six, with two mules and a preacher aboard; nobody had paid, and nobody meant to."
    )
    filler = [
        f"Line {i} says nothing of note at all, but it says it at some length."
        for i in range(3 * BATCH // 60)
    ]
    at = len(filler) - 5
    trained = [*filler[:at], f"And so he said: “{passage.upper()}” They laughed.", *filler[at:]]
    (run,) = Verbatim([f"Well — {passage}"], [[]]).look(
        Text(t, f"r{i}", "user") for i, t in enumerate(trained)
    )
    words = plain(passage).decode().split()
    assert run == Run(len(words), " ".join(words), f"r{at}", "user")


@pytest.mark.parametrize("count", [1, 7])
def test_runs_go_over_no_end_of_a_text_or_an_answer(count: int) -> None:
    one, other = "a b c d e", "f g h i j"
    halves = [Text(one, "1", "user"), Text(other, "2", "user")]
    for run in Verbatim([f"{one} {other}"] * count, [[]] * count, ngram=3).look(halves):
        assert run and run.words == 5
    for run in Verbatim([one, other] * count, [[], []] * count, ngram=3).look(
        [Text(f"{one} {other}", "1", "user")]
    ):
        assert run and run.words == 5


def test_answers_that_go_on_where_another_ends_are_two() -> None:
    found = Verbatim(["a b c d", "c d e f"], [[], []], ngram=3).look([Text("a b c d e f", "1", "user")])
    assert [r.text for r in found if r] == ["a b c d", "c d e f"]


def test_the_prompts_own_words_do_not_count() -> None:
    told = "one two three four five six seven eight"
    more = "nine ten eleven twelve"
    trained = [Text(f"{told} {more}", "r", "assistant")]
    assert Verbatim([f"{told} {more}"], [[]], ngram=4).look(trained)[0] == Run(
        12, f"{told} {more}", "r", "assistant"
    )
    assert Verbatim([f"{told} {more}"], [[f"Go on from: {told}"]], ngram=4).look(trained)[0] == Run(
        4, more, "r", "assistant"
    )
    assert Verbatim([told], [["Say it.", told]], ngram=4).look(trained) == [None]


def test_answers_that_repeat_themselves_take_no_time() -> None:
    loop = "ha " * 3000
    runs = Verbatim([loop] * 60, [[]] * 60).look([Text(loop, "r", "assistant")] * 5)
    assert {r.words for r in runs if r} == {16 + 7}, "the first 16 places of an n-gram are looked at"


def test_what_records_share_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "it is my pleasure to answer your letter of the tenth of May as well as I can"
    looked = Verbatim([template, f"{template} {'ho ' * 20}"], [[], []])
    better, calls = looked._better, 0

    def counted(*how: object) -> bool:
        nonlocal calls
        calls += 1
        return better(*how)  # type: ignore[arg-type]

    monkeypatch.setattr(looked, "_better", counted)
    # The first answer's best stays behind what the second one's words promise, record after record.
    runs = looked.look(
        Text(f"{i} {template} {'ho ' * 15}. {'x ' * 50}", f"r{i}", "assistant") for i in range(9000)
    )
    assert [r.words for r in runs if r] == [18, 33]
    assert calls == 1


def test_memory_does_not_grow_with_the_training_data() -> None:
    said = ["the quick brown fox jumps over the lazy dog and the river runs by"]

    def trained(count: int) -> Iterator[Text]:
        for i in range(count):
            yield Text(f"{i} " * 100 + said[0], f"r{i}", "assistant")

    peaks = []
    for count in (1000, 8000):
        looked = Verbatim(said, [[]])
        tracemalloc.start()
        looked.look(trained(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_what_of_a_record_is_looked_at() -> None:
    call = ToolCall("1", FunctionCall("f", '{"city": "Hannibal"}'))
    record = Record(
        [
            Message("system", "the recipe's own words"),
            Message("user", "u"),
            Message("assistant", tool_calls=[call]),
            Message("tool", "t", tool_call_id="1"),
            Message("assistant", "a"),
        ],
        meta={"id": "x"},
    )
    assert [(t.text, t.role) for t in texts([record])] == [
        ("u", "user"),
        ('{"city": "Hannibal"}', "assistant"),
        ("t", "tool"),
        ("a", "assistant"),
    ]
    assert {t.record for t in texts([record])} == {"x"}


def test_nothing_to_look_for() -> None:
    assert Verbatim([], [], ngram=3).look([Text("a b c", "r", "user")]) == []
    assert Verbatim(["", "a b"], [[], []], ngram=3).look(
        [Text("a b c", "r", "user"), Text("", "s", "user")]
    ) == [None, None]
    with pytest.raises(ValueError, match="at least 2"):
        Verbatim([], [], ngram=1)
