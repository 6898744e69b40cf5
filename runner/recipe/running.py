"""Where a recipe's training runs, and who else is told how it goes. Neither changes the data."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.recipe.common import Part

Resource = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^(?![Gg][Pp][Uu]s?$)[A-Za-z][A-Za-z0-9_.:-]*$",
        description="A resource by its name in Ray; how many GPUs, `compute.gpus` says.",
    ),
]
Label = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_. -]*$")]


Engine = Literal["local", "ray"]
"""Where work is done: a module of runner/engines/ each."""


class Compute(Part, frozen=True, kw_only=True):
    """Where it runs. Never changes the data."""

    engine: Annotated[
        Engine,
        Meta(
            description="`local`: this machine. `ray`: a Ray cluster, the one of the setting `ray_address` or of "
            "--address, else one that is started here for the run."
        ),
    ] = "local"
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(
            description="Processes of a Ray cluster that is started here, no more than the setting `workers` says. "
            "Default: as many."
        ),
    ] = None
    profile: Annotated[
        Literal["auto", "cpu", "gpu"],
        Meta(description="`auto`: gpu where an NVIDIA GPU is seen, else cpu."),
    ] = "auto"
    gpus: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="GPUs that train together: of this machine the first ones that are visible; with the engine "
            "`ray` those of the whole cluster, on as many nodes as it takes.",
        ),
    ] = 1
    strategy: Annotated[
        Literal["ddp", "zero2", "zero3", "fsdp2"],
        Meta(
            description="What GPUs share. `ddp`: nothing, each holds the whole model; `zero2` (DeepSpeed): optimizer "
            "states and gradients; `zero3` (DeepSpeed) and `fsdp2` (PyTorch): the weights too."
        ),
    ] = "ddp"
    resources: Annotated[
        dict[Resource, Annotated[float, Meta(gt=0, le=1e15)]],
        Meta(
            description="What each GPU's process wants of its node besides, on a Ray cluster: `CPU`, `memory` in "
            "bytes, or a resource of the cluster's own.",
            examples=[{"CPU": 8}],
        ),
    ] = field(default_factory=dict)


class Wandb(Part, frozen=True, kw_only=True):
    """Weights & Biases: metrics and the Axolotl config, never code, git state, command lines or environment."""

    project: Annotated[
        str, Meta(min_length=1, max_length=128, description="Project that runs go to.", examples=["personas"])
    ]
    mode: Annotated[
        Literal["offline", "online"],
        Meta(description="`online` sends, where the user allows it; the key comes from WANDB_API_KEY."),
    ] = "offline"
    entity: Annotated[
        Label | None, Meta(description="Team or user that the project belongs to.", examples=["our-team"])
    ] = None


class Trackio(Part, frozen=True, kw_only=True):
    """Trackio: a local database of metrics, shown by `trackio show`."""

    project: Annotated[Label, Meta(description="Project that runs go to.", examples=["personas"])]


class Track(Part, frozen=True, kw_only=True):
    """Who else is told how the training goes. Files stand in `runs/NAME/track/`."""

    wandb: Wandb | None = None
    tensorboard: Annotated[bool, Meta(description="Event files for `tensorboard --logdir`.")] = False
    trackio: Trackio | None = None
