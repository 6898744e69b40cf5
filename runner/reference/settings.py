"""The page of the user's settings."""

from __future__ import annotations

from runner.reference.nodes import code
from runner.reference.tables import MADE
from runner.settings import SETTINGS

_HEAD = """\
What belongs to you and not to a recipe: addresses, secrets, who may be reached. Each is the variable `MIREPOIX_NAME` of
the environment, else a line of `settings.toml` in `$XDG_CONFIG_HOME/mirepoix` (`~/.config/mirepoix`; the variable
`MIREPOIX_SETTINGS` names another file), else the default. `recipe doctor` says which are in force, secrets covered. No
setting decides what a run makes. [Sources](../sources.md#your-settings) shows a file.
"""


def page() -> str:
    """All settings in a table."""
    lines = ["| setting | variable | default | what it is |", "|---|---|---|---|"]
    for name, setting in sorted(SETTINGS.items()):
        secret = " Secret." if setting.secret else ""
        default = code(setting.default) if setting.default else ""
        lines.append(f"| `{name}` | `MIREPOIX_{name.upper()}` | {default} | {setting.about}{secret} |")
    return "\n".join([MADE, "# Settings\n", _HEAD, *lines]) + "\n"
