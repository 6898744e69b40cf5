"""The command line: parses arguments, prints, exits; decides nothing. A file here is a group of verbs."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from runner import ending

if Path(sys.argv[0]).name == "recipe":  # the verbs take a moment to load
    ending.for_good()

from runner.cli import (
    about,
    beginning,
    common,
    compare,
    completing,
    diffing,
    evaluating,
    line,
    packing,
    replay,
    reporting,
    results,
    rows,
    serving,
    signing,
    storing,
)


class Verbs(click.Group):
    """The verbs. With --json, what is wrong with the command line itself is told as JSON, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["mirepoix.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as e:
            if not ctx.meta["mirepoix.json"]:
                raise
            common.emit({"ok": False, "exit": e.exit_code, "errors": [{"what": e.format_message()}]})
            ctx.exit(e.exit_code)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mirepoix", prog_name="recipe")
def main() -> None:
    """One YAML recipe: from text sources to a fine-tuned, judged adapter."""


for verb in (
    beginning.new, line.check, line.plan, line.compile_, line.run, rows.show, about.list_, about.doctor, about.schema,
    about.completion,
    reporting.report, compare.compare, diffing.diff, evaluating.evaluate, serving.serve, serving.chat, results.export,
    storing.gc, replay.lock, replay.replay, signing.sign, signing.verify,
    packing.pack, packing.push, packing.pull,
):  # fmt: skip
    main.add_command(verb)
completing.attach(main)


def _defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A defect of ours is told as Python tells it, but for secrets, which a message or a call may hold."""
    sys.stderr.write(common.covered("".join(traceback.format_exception(kind, error, trace))))


def entry() -> None:
    """The program `recipe`: as `main`, but over when it is done.

    Python takes more than a second to take Torch's modules down again, one by one; the kernel does it at once.
    """
    # Whatever Python is started from here imports nothing of the folder that it is started in.
    os.environ["PYTHONSAFEPATH"] = "1"
    ending.for_good()
    sys.excepthook = _defect
    try:
        main()
    except SystemExit as e:
        # Where we are told to end, no thread is waited for either.
        if not ("torch" in sys.modules or ending.told()) or not isinstance(e.code, int | None):
            raise
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(e.code or 0)
