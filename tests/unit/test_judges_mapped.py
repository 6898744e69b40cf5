"""Judges whose answers are scored in pieces, in other processes: the same scores, in the same order."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_evaluate import answered, home, making, planned

from runner import library
from runner.errors import Problem, RecipeError
from runner.evaluate import MAKERS
from runner.making import read_rows
from runner.record import Answer, Message, Probe
from runner.registry import JudgeContext, plugins
from runner.registry import contexts as given

__all__ = ["home"]
SAID = (
    "It is 21 degrees in Hannibal, with rain at 3 pm and a wind of 12 km/h, says Captain Obvious.",
    "I am sorry, but I cannot help with that.",
    "",
    "Clear skies over St. Louis all day.",
)


def by_pickle(work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
    """All that goes to another process and comes back."""
    for piece in pieces:
        yield pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(work))(pickle.loads(pickle.dumps(piece)))))


def by_processes(work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(work, pieces)


@pytest.mark.parametrize(
    ("judge", "file"),
    [
        ("tool_use", "weather-calls"),
        ("groundedness", "weather-answers"),
        ("groundedness", "weather-talks"),
        ("refusal", "refusals"),
    ],
)
def test_scores_do_not_hang_on_who_gives_them(judge: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = library.find(f"evals/probes/{file}.jsonl")
    assert path is not None
    probes = tuple(list(read_rows(path, Probe))[:9])
    answers = []
    for arm in ("base", "tuned"):
        for n, probe in enumerate(probes[:-1]):  # one is not answered at all
            text = SAID[(n + len(arm)) % len(SAID)]
            answers += [
                Answer(probe.id, arm, text, "stop", Message("assistant", text), repeat=r) for r in range(2)
            ]
    option = plugins("judge")[judge].bind({})
    files: Any = {"labelled": ()} if judge == "refusal" else {}

    def verdict(mapped: Any) -> bytes:
        context = JudgeContext(probes, tuple(answers), files, 17, system="You are a captain.", mapped=mapped)
        return msgspec.json.encode(plugins("judge")[judge].call(context, **option), order="sorted")

    whole = verdict(map)
    assert whole.count(b'"arm":"tuned"') >= len(probes)
    monkeypatch.setattr(given, "PIECE", 7)
    for mapped in (by_pickle, by_processes):
        assert verdict(mapped) == whole


def test_pieces_are_all_answers_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = tuple(Probe(f"p{n}", [Message("user", "?")]) for n in range(5))
    answers = tuple(Answer(p.id, arm, "!", "stop") for arm in ("b", "a") for p in reversed(probes))
    context = JudgeContext(probes, answers, {}, 0)
    assert list(context.pieces("j")) == [list(context.said("j"))]
    monkeypatch.setattr(given, "PIECE", 3)
    cut = list(context.pieces("j"))
    assert [len(piece) for piece in cut] == [3, 3, 3, 1]
    assert [one for piece in cut for one in piece] == list(context.said("j"))


def test_the_classifier_of_style_is_trained_fold_by_fold() -> None:
    pytest.importorskip("sklearn")
    from test_style_judge import LIKE, MODERN, PERSONA, PLAIN, UNLIKE, VOICE, pieces

    from runner.judges.style.classifier import Classifier

    some = pieces((PERSONA, VOICE), (MODERN, PLAIN))
    one, other = (Classifier(some, 17, "texts", mapped) for mapped in (map, by_pickle))
    assert one.probability([LIKE, UNLIKE]) == other.probability([LIKE, UNLIKE])
    assert one.held_out().tolist() == other.held_out().tolist()


def test_a_step_gives_its_engine_what_is_more_than_one_piece(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One piece is scored where the step is made: no cluster is started for it."""

    class Engine:
        name, spread = "e", True
        asked = 0

        def mapped(self, work: Any, pieces: Any) -> Iterator[Any]:
            Engine.asked += 1
            return by_pickle(work, pieces)

    made = planned(home)
    rows = {
        arm: [Answer(f"one{n}", arm, "No.", "stop", Message("assistant", "No.")) for n in range(5)]
        for arm in ("base", "tuned", "prompted")
    }
    found = {}
    for size in (256, 4):
        monkeypatch.setattr(given, "PIECE", size)
        m = making(made, "judge.one", answered(home, made, rows), engine=Engine())
        MAKERS["judge"](m)
        found[size] = {p.name: p.read_bytes() for p in m.out.iterdir()}
    assert found[256] == found[4] and Engine.asked == 1


def test_a_recipe_that_is_wrong_is_told_by_a_process_as_well() -> None:
    error = RecipeError([Problem("a", 1, 2, "w", "what"), Problem("b", 0, 0, "", "why")])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.problems == error.problems
