"""THE registry: what sources, filters and judges there are, and which options each takes.

A plug-in is a function in a file of its own; its keyword-only parameters are its options, and their
annotations are the schema. Shipped plug-ins are found by standing in their folder, third parties' through
the entry-point group `mirepoix.plugins` (each entry point names a module that registers on import).
`version` and the versions of `libraries` (distributions that decide a plug-in's output) are part of the
fingerprint of every step that uses it.

`declare` has the decorators, `options` the types of options, `contexts` what a plug-in gets besides them, `plugin` what
the rest of the house sees of one, `wanted` what judges want of probes, `discover` finds them all. Plug-ins import from
here.
"""

from __future__ import annotations

from runner.fetching import InputFile
from runner.registry.contexts import Given, JudgeContext, SourceContext, Unit
from runner.registry.declare import filter, judge, source
from runner.registry.discover import plugins
from runner.registry.options import Files, ProbeFile, SourceName, ToolSetName
from runner.registry.plugin import Kind, Plugin, Said
from runner.registry.wanted import Wanted, wants_of

__all__ = [
    "Files",
    "Given",
    "InputFile",
    "JudgeContext",
    "Kind",
    "Plugin",
    "ProbeFile",
    "Said",
    "SourceContext",
    "SourceName",
    "ToolSetName",
    "Unit",
    "Wanted",
    "filter",
    "judge",
    "plugins",
    "source",
    "wants_of",
]
