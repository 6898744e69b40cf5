"""Step `askable`: every probe, as every arm of the base's template is asked it, rendered before anything is trained.

A template that refuses a probe would end the run when answers are drawn, hours later. One that leaves a part of it out
would not end it at all: the model would be judged by what it was never told.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner import basemodel, chat, templates
from runner.evaluate.probes import asked, probes
from runner.making import Making, write_json
from runner.record import Probe
from runner.recorded import rehearsed
from runner.suite import Suite

NAMED = 8
"""Probes that are named where more cannot be asked."""


def askable(m: Making) -> None:
    """Raises StepError that names the probes that cannot be asked, each with its file and why."""
    recipe = m.plan.loaded.recipe
    assert recipe.model is not None
    renderer, most = basemodel.renderer(m), basemodel.positions(m)
    arms: list[str] = m.step.details["arms"]
    looked, wrong = 0, list[str]()
    for suite, file in m.step.details["probes"]:
        for probe in probes(file.path, suite.common.limit):
            looked += 1
            every = (asked(probe, recipe.evaluate, arm) for arm in arms)
            why = next(_faults(suite, every, renderer, most), None)
            if why:
                wrong.append(f"{probe.id!r} of {file.name}: {why}")
        m.progress(looked, 0, "probes")
    if wrong:
        more = f"; and {len(wrong) - NAMED:,} more" if len(wrong) > NAMED else ""
        raise m.fail(
            f"{len(wrong):,} of {looked:,} probes cannot be asked with the template {recipe.model.template!r}: "
            f"{'; '.join(wrong[:NAMED])}{more}. Name another in model.template, or mend the probes"
        )
    write_json(m.out / "askable.json", {"probes": looked})


def _faults(suite: Suite, every: Iterator[Probe], renderer: chat.Renderer, most: int | None) -> Iterator[str]:
    for probe in every:
        try:
            tokens = len(renderer.prompt(probe.messages, probe.tools))
            if probe.world:
                after = rehearsed(probe)
                renderer.prompt(after.messages, after.tools)
        except chat.Unrenderable as e:
            yield f"it refuses it ({' '.join(str(e).split())[:200]})"
        except chat.Lost as e:
            yield f"it leaves out {e}"
        except templates.TooMuch as e:
            yield f"it {e}"
        else:
            new = suite.common.max_new_tokens
            if most is not None and tokens + new > most:
                yield f"{tokens:,} tokens, with {new:,} new ones more than the {most:,} that the model can hold"
