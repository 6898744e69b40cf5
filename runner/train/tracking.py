"""What trackers are told, and what they are kept from: their part of the training job's environment.

Their files stand in `runs/NAME/track/`. A tracker gets metrics, the training's numbers and the Axolotl config. It
gets no code, git state, command line, console or machine description, and its key only where it is to send.
"""

from __future__ import annotations

import os
from pathlib import Path

from runner import paths
from runner.errors import StepError
from runner.making import Making
from runner.steps import version

NEEDS = {"wandb": "wandb", "tensorboard": "tensorboard", "trackio": "trackio"}
KEY = "WANDB_API_KEY"
# https://docs.wandb.ai/ref/python/settings: every one of these would otherwise be sent with a run.
WANDB_QUIET = {
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_DISABLE_JOB_CREATION": "true",
    "WANDB_SAVE_CODE": "false",
    "WANDB_CONSOLE": "off",
    "WANDB_LOG_MODEL": "false",
    "WANDB_WATCH": "false",
    "WANDB_HOST": "local",
    "WANDB_USERNAME": "",
    "WANDB_EMAIL": "",
    "WANDB_PROGRAM": "axolotl",
    "WANDB__DISABLE_META": "true",
    "WANDB__DISABLE_MACHINE_INFO": "true",
    "WANDB__DISABLE_STATS": "true",
    "WANDB__SAVE_REQUIREMENTS": "false",
    "WANDB_SILENT": "true",
}
# Where the key goes: what stands in the environment comes before what a file says.
ADDRESS, PUBLIC = "WANDB_BASE_URL", "https://api.wandb.ai"
# wandb reads these in the folder that a training starts in, the workspace, and only then at WANDB_DIR (wandb_setup.py).
# They name addresses, proxies, headers and what else is sent, in more keys than could be set against them.
SETTINGS = ("wandb/settings", ".wandb/settings")


def folder(m: Making) -> Path:
    """Where this run's trackers write."""
    return m.log.parent.parent / "track"


def settle(folder: Path) -> None:
    """Put in the place of links that a tracker made to files elsewhere, such as Axolotl's scratch config, what they
    name: the files stand for themselves then, and nothing in a run's folder leads out of it."""
    for link in paths.leading_out(folder):
        try:
            data = link.read_bytes() if link.is_file() else None
        except OSError:
            data = None
        link.unlink()
        if data is not None:
            link.write_bytes(data)


def environment(m: Making) -> dict[str, str]:
    """What the training job's environment says to trackers. Raises StepError where one is not installed."""
    track = m.plan.loaded.recipe.track
    wanted = {"wandb": track.wandb, "tensorboard": track.tensorboard, "trackio": track.trackio}
    for name, asked in wanted.items():
        if asked and version(NEEDS[name]) == "absent":
            what = f"track.{name} is asked for and {NEEDS[name]} is not installed; install it with: "
            raise m.fail(f"{what}pip install '{NEEDS[name]}', or leave it out of the recipe")
    out = {"WANDB_MODE": track.wandb.mode if track.wandb else "disabled", KEY: ""}
    if any(wanted.values()):
        folder(m).mkdir(parents=True, exist_ok=True)
    if track.wandb:
        _no_settings(m)
        out |= WANDB_QUIET | {"WANDB_DIR": str(folder(m))}
        out[ADDRESS] = os.environ.get(ADDRESS) or PUBLIC
        # A training that is gone on with is the same run.
        out |= {"WANDB_RUN_ID": m.step.fingerprint[:16], "WANDB_RESUME": "allow"}
        if track.wandb.mode == "online":
            out[KEY] = _key(m)
    if track.tensorboard:
        out["TENSORBOARD_LOGGING_DIR"] = str(folder(m) / "tensorboard")
    if track.trackio:
        out |= {"TRACKIO_DIR": str(folder(m) / "trackio"), "TRACKIO_WEBHOOK_URL": ""}
        out["GRADIO_ANALYTICS_ENABLED"] = "False"
    return out


def _no_settings(m: Making) -> None:
    """Raises StepError where the workspace would tell wandb where to send, and through whom."""
    for name in SETTINGS:
        if (m.plan.workspace.root / name).exists():
            raise m.fail(
                f"the workspace holds {name}, which would decide where wandb sends metrics and key; take it away "
                "(your own settings stand in ~/.config/wandb/settings and in variables WANDB_…)"
            )


def _key(m: Making) -> str:
    """wandb's key, without which an online training would stop and ask."""
    key = os.environ.get(KEY, "")
    if not key and not Path("~/.netrc").expanduser().is_file():
        raise _no_key(m)
    return key


def _no_key(m: Making) -> StepError:
    return m.fail(f"track.wandb.mode is online and {KEY} is not set; set it, or make the mode offline")
