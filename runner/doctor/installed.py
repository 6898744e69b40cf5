"""What is installed: mirepoix itself, and each extra or the line that installs it."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from runner import extras
from runner.doctor.findings import Finding
from runner.steps import version


def installed() -> Iterator[Finding]:
    """What there is of it."""
    yield Finding("installed", "mirepoix", "ok", f"{version('mirepoix')}, Python {platform.python_version()}")
    for name, (distribution, about) in extras.EXTRAS.items():
        here = extras.version(distribution)
        said = f"{distribution} {here}" if here else f"not installed ({about})"
        yield Finding("installed", name, "ok", said, "" if here else extras.install(name))
