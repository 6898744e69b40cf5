"""Plans: which steps a recipe comes to, which of them are made, and what the training will take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from runner.api.common import Name, as_data, chosen, told
from runner.api.recipes import Recipe, Trust, loaded
from runner.api.tables import table
from runner.errors import Problem, safe

if TYPE_CHECKING:
    from runner.forecast import Forecast
    from runner.sensitivity import Sees
    from runner.steps import Plan as Planned
    from runner.unset import Unset

Profile = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class PlannedStep:
    """One step. `made`: the store has it, so that a run takes it from there; else `why` says why not."""

    name: str
    stage: str
    fingerprint: str
    made: bool
    why: str


@dataclass(frozen=True)
class PlannedFetch:
    """What a source needs of the network. `items` is how many it has fetched, None where it has not been asked yet;
    `failed` how many of them could not be had."""

    name: str
    source: str
    items: int | None
    failed: int

    @property
    def said(self) -> str:
        """The same in words."""
        if self.items is None:
            return "not fetched yet"
        more = f", {self.failed} not had: --refresh failed asks again" if self.failed else ""
        return f"{self.items} items{more}"


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What a run of a recipe would do now. `print(plan)` says it in lines, as `recipe plan` does."""

    recipe: Recipe
    planned: Planned
    """What lower modules take."""
    fetches: tuple[PlannedFetch, ...]
    steps: tuple[PlannedStep, ...]
    unset: list[Unset]
    """Services that the run would ask and that no setting names: it stops before its first step."""
    warnings: list[Problem]
    """Gates that no result on so many prompts could pass, each at its place."""
    gpu: str | None = None
    tell: Callable[[str], None] = field(default=lambda said: None)

    @property
    def profile(self) -> str:
        """`cpu` or `gpu`: what it is planned for."""
        return self.planned.profile

    @property
    def to_run(self) -> list[PlannedStep]:
        """The steps that are not made yet."""
        return [s for s in self.steps if not s.made]

    @cached_property
    def forecast(self) -> Forecast | None:
        """Rows, tokens, steps, bytes, seconds and US dollars, as far as they are known: `forecast.data()` has them
        by name. None for a recipe without a model. Where a counted recipe trains on this machine's CPU, that is
        measured once, which takes some seconds."""
        from runner.forecast import forecast

        return forecast(self.planned, self.gpu, self.tell)

    @cached_property
    def sees(self) -> list[Sees]:
        """Of each suite: how many prompts it has, and the smallest true difference (a share of them, 0 to 1) that
        they would show in four of five runs, at worst."""
        from runner.sensitivity import sensitivity

        return sensitivity(self.planned)

    def lines(self) -> list[str]:
        """The plan in words, without the forecast."""
        from runner.sensitivity import lines

        said = [f"{self.recipe.name} on {self.profile}"]
        width = max(map(len, [s.name for s in self.steps] + [f.name for f in self.fetches]))
        for f in self.fetches:
            todo = "run " if f.items is None else "skip"
            said.append(safe(f"  {todo}  {f.name:<{width}}  {f.said}"))
        for s in self.steps:
            said.append(safe(f"  {'skip' if s.made else 'run '}  {s.name:<{width}}  {s.why}".rstrip()))
        said.append(f"{len(self.to_run)} of {len(self.steps)} steps to run")
        said += [
            safe(f"not set here, so that a run stops before its first step: {one.what}") for one in self.unset
        ]
        said += [safe(line) for line in lines(self.sees)]
        return said + [safe(f"warning: {one}") for one in self.warnings]

    def forecast_lines(self) -> list[str]:
        """The forecast in words; none for a recipe without a model."""
        if self.forecast is None:
            return []
        from runner.forecast.text import lines

        return [safe(line) for line in lines(self.forecast)]

    def data(self) -> dict[str, Any]:
        """All of it as plain data: what `recipe plan --json` prints."""
        import msgspec

        return {
            "recipe": self.recipe.name,
            "profile": self.profile,
            "fetches": [
                {"fetch": f.source, "run": f.items is None, "items": f.items or 0} for f in self.fetches
            ],
            "steps": [
                {
                    "step": s.name,
                    "stage": s.stage,
                    "fingerprint": s.fingerprint,
                    "run": not s.made,
                    "why": s.why,
                }
                for s in self.steps
            ],
            "forecast": self.forecast.data() if self.forecast else None,
            "suites_see": [msgspec.to_builtins(one) for one in self.sees],
            "unset": [msgspec.to_builtins(one) for one in self.unset],
            "warnings": [as_data(one) for one in self.warnings],
        }

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *self.forecast_lines()])

    def __repr__(self) -> str:
        todo = f"{len(self.to_run)} of {len(self.steps)} steps to run"
        return f"<Plan {self.recipe.name} on {self.profile}: {todo}>"

    def _repr_html_(self) -> str:
        rows = [(f.name, "fetch", "run" if f.items is None else "skip", f.said) for f in self.fetches]
        rows += [(s.name, s.stage, "skip" if s.made else "run", s.why) for s in self.steps]
        return table(("step", "stage", "run or skip", "why"), rows, repr(self)[1:-1])


@told
def plan(
    recipe: Recipe | Name,
    *,
    profile: Profile | None = None,
    gpu: str | None = None,
    workspace: Name = ".",
    trust: Collection[Trust] = (),
    tell: Callable[[str], None] = lambda said: None,
) -> Plan:
    """Say which steps of a recipe would run, which are made already, and why. Writes nothing and asks nobody.

    `profile` is the hardware to plan for (what is here, where nothing is said), `gpu` the one to forecast: h100, h200,
    a100-80, a100-40, 4090, 3090. `workspace` and `trust` are for a recipe that is named by its file. `tell` hears of
    what takes a while. Raises what `load` raises.
    """
    from runner import plan as plans
    from runner.forecast.machines import NAMES
    from runner.provable import unprovable
    from runner.runfolder import before
    from runner.status import status
    from runner.store import Store
    from runner.unset import of_plan

    chosen("profile", profile, get_args(Profile))
    chosen("gpu", gpu, NAMES)
    known = loaded(recipe, workspace, trust)
    planned = plans.plan(known.loaded, known.place, profile)
    store = Store(known.folder)
    steps = [
        PlannedStep(s.name, s.stage, s.fingerprint, made, why)
        for s, made, why in status(planned, store, before(planned))
    ]
    fetches = [
        PlannedFetch(
            f.name,
            f.source.name,
            None if f.items is None else len(f.items),
            sum(bool(i.error) and not i.left_out for i in f.items or ()),
        )
        for f in planned.fetches
    ]
    unset = of_plan(planned, store)
    warnings = unprovable(planned.loaded, planned.workspace)
    return Plan(known, planned, tuple(fetches), tuple(steps), unset, warnings, gpu, tell)


@told
def compile_to(
    recipe: Recipe | Name,
    out: Name,
    *,
    profile: Profile | None = None,
    workspace: Name = ".",
    trust: Collection[Trust] = (),
) -> list[str]:
    """Write what a recipe compiles to into a folder: `axolotl.yml`, and a file a data step. The names written."""
    from runner import plan as plans
    from runner.compile import compile_to as write

    known = loaded(recipe, workspace, trust)
    return write(plans.plan(known.loaded, known.place, profile), Path(out))
