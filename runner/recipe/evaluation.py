"""How a recipe's result is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.recipe.arms import Arm, ArmName
from runner.recipe.common import Name, Part, Text

# Groups: metric, operator, arm, sign, delta, number. JSON Schema knows no named groups.
GATE = (
    r"^([a-z0-9_]+(?:\.[a-z0-9_]+)+)\s*(>=|<=|>|<)\s*"
    r"(?:([a-z][a-z0-9_]*)\s*(?:([+-])\s*([0-9]*\.?[0-9]+))?|(-?[0-9]*\.?[0-9]+))$"
)


class Evaluate(Part, frozen=True, kw_only=True):
    """How the result is judged: base and tuned model, the same prompts."""

    suites: Annotated[
        list[Name], Meta(description="Names of evals/suites/*.yaml.", examples=[["tool-use", "capability"]])
    ] = field(default_factory=list)
    system: Annotated[
        Text | None,
        Meta(
            description="System message of probes that have none, for both arms.",
            examples=["You are a witty assistant."],
        ),
    ] = None
    arms: Annotated[
        dict[ArmName, Arm],
        Meta(
            description="More arms beside `base` and `tuned`, by name.",
            examples=[{"prompted": {"system": "Answer as Mark Twain would, dryly and at your ease."}}],
        ),
    ] = field(default_factory=dict)
    engine: Annotated[
        Literal["transformers", "vllm"],
        Meta(
            description="What answers the probes, in all arms that are no endpoint's: engines are never mixed."
        ),
    ] = "transformers"
    gates: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    pattern=GATE,
                    max_length=200,
                    description="A metric (SUITE.NAME), then >=, <=, > or <, then a number, an arm (`base`, "
                    "or one of `arms`), or an arm plus or minus a number.",
                ),
            ]
        ],
        Meta(
            description="Conditions on the tuned model's metrics; one unmet makes the exit code 1, one that its "
            "prompts cannot decide 5.",
            examples=[["tool_use.right_call >= 0.9", "capability.hellaswag.acc >= base - 0.02"]],
        ),
    ] = field(default_factory=list)
    inconclusive: Annotated[
        Literal["say", "pass", "fail", "estimate"],
        Meta(
            description="How a gate counts whose interval holds the threshold. `say`: as itself, exit code 5; `pass` "
            "or `fail`; `estimate`: by the number alone, as if there were no interval. The report calls it "
            "inconclusive in any case."
        ),
    ] = "say"
