"""Recipe → Plan: frozen steps, each with the fingerprint of all that decides its bytes. Pure but for reading inputs.
A file here is a stage.

A fingerprint is sha256 over canonical JSON of a step's ingredients: its name and version, its options, the
digests of its input files, the fingerprints of the steps it needs, the seed, and the versions of libraries
that decide its output. Never a time, an absolute path or a worker count.
"""

from __future__ import annotations

from runner.errors import RecipeError
from runner.hardware import Profile
from runner.load import Loaded
from runner.plan.against import contaminated, fetch_tasks, task_files
from runner.plan.evaluate import askable, evaluate, report
from runner.plan.planner import Planner, hub_request, moves, template_text
from runner.plan.prepare import prepare
from runner.plan.train import train
from runner.steps import Plan
from runner.trainchecks import machine
from runner.workspace import Workspace

__all__ = ["contaminated", "evaluate", "hub_request", "moves", "plan", "task_files", "template_text"]


def plan(loaded: Loaded, workspace: Workspace, wanted: Profile | None = None) -> Plan:
    """All steps of a recipe, in the order in which they can run. Reads inputs to digest them; writes nothing."""
    p = Planner(loaded, workspace, wanted)
    if loaded.recipe.model and (bad := list(machine(loaded.document, loaded.recipe.train, p.profile))):
        raise RecipeError(bad)
    fetch_tasks(p)
    data = prepare(p)
    model = p.recipe.model
    if model:
        askable(p, model)  # first, so that nothing is trained that could not be judged
        contaminated(p)
        train(p, model, data)
        if loaded.suites:
            evaluate(p, model)
    report(p, loaded)
    fetches = tuple(p.fetches.values())
    return Plan(p.loaded, workspace, p.profile, tuple(p.steps.values()), p.template, fetches, p.weights)
