"""The verb `show`: a recipe as it takes effect, its sources, and what became of rows."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from runner import api, errors
from runner.cli.common import ALLOW, TRUST, command, covered, emit
from runner.errors import safe

PARTS = ("sources", "drops", "row", "near", "render", "why")
OF_A_ROW = ("row", "near", "render")


@click.command()
@click.argument(
    "what", nargs=-1, metavar="[RECIPE] [sources | drops | row ID | near ID | render ID] | why RUN WHAT"
)
@click.option("--rows", type=click.IntRange(1, 1000), default=5, help="How many records of each source.")
@ALLOW
@TRUST
@command
def show(
    what: tuple[str, ...],
    rows: int,
    allow: tuple[str, ...],
    trust: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Print the effective recipe, `extends` merged, and which file set each key.

    With `sources`: the first records of each source, fetching no more than they need. Of what was run: `drops`, which
    rows were dropped and why; `row ID`, a row's whole way; `near ID`, what it repeats; `render ID`, it as the model
    sees it, with what is trained in colour. Without a recipe: of the last run.

    With `why RUN WHAT`: which steps, inputs and versions a thing of a run came of. WHAT is a metric or METRIC:ARM, the
    id of a probe or ID:ARM, that of a row, or a file of runs/RUN.
    """
    if what[:1] == ("why",) and (len(what) == 3 or not Path("why").exists()):
        _show_why(what[1:], workspace, as_json)
        return errors.OK
    recipe, part, id = _asked(what, workspace)
    if part == "sources":
        return _show_sources(recipe, rows, allow, trust, workspace, as_json)
    if part is not None:
        _show_rows(recipe, part, id, trust, workspace, as_json)
        return errors.OK
    loaded = api.load(recipe, workspace, trust)
    if as_json:
        emit({"recipe": loaded.values, "who": loaded.who})
        return errors.OK
    click.echo(safe(loaded.yaml), nl=False)
    click.echo("\n# who set each key")
    width = max(map(len, loaded.who))
    for key, place in loaded.who.items():
        click.echo(safe(f"# {key:<{width}}  {place}"))
    return errors.OK


def _asked(what: tuple[str, ...], workspace: Path) -> tuple[Path, str | None, str]:
    """The recipe, the part and the row that the words after `show` mean."""
    words = list(what)
    named = bool(words) and (words[0] not in PARTS or Path(words[0]).exists())
    recipe = Path(words.pop(0)) if named else None
    part = words.pop(0) if words else None
    if part is not None and part not in PARTS:
        raise errors.UsageError(f"nothing called {part!r} to show{api.common.nearest(part, PARTS)}")
    if part == "why":
        raise errors.UsageError("it is of a run, and not of a recipe: recipe show why RUN WHAT")
    if len(words) != (part in OF_A_ROW):
        after = "the ID of a row" if part in OF_A_ROW else "nothing"
        raise errors.UsageError(f"show {part or 'RECIPE'} takes {after} after it")
    if recipe is None:
        if part in (None, "sources"):
            raise errors.UsageError("name a recipe: recipe show RECIPE" + (f" {part}" if part else ""))
        recipe = api.rows.latest(workspace)
    return recipe, part, words[0] if words else ""


def _show_sources(
    recipe: Path, rows: int, allow: tuple[str, ...], trust: Any, workspace: Path, as_json: bool
) -> int:
    shown, code = [], errors.OK
    for one in api.rows.preview(recipe, rows, allow=allow, workspace=workspace, trust=trust):
        code = code if one["records"] else errors.StepError.exit_code
        shown.append(one)
        if not as_json:
            click.echo(safe(api.rows.preview_text(one)))
    if as_json:
        emit({"sources": shown})
    return code


def _show_rows(recipe: Path, part: Any, id: str, trust: Any, workspace: Path, as_json: bool) -> None:
    look = api.rows.look(recipe, workspace=workspace, trust=trust)
    found = api.rows.found(look, part, id)
    if as_json:
        emit({"run": look.name, part: found})
    elif part == "render" and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        # What could steer a terminal is taken out before colours go in.
        for one in found["parts"]:
            if "text" in one:
                one["text"] = _harmless(one["text"])
        click.echo(api.rows.text(part, found, lambda text: click.style(text, fg="green")))
    else:
        click.echo(safe(api.rows.text(part, found)))


def _show_why(words: tuple[str, ...], workspace: Path, as_json: bool) -> None:
    if len(words) != 2:
        raise errors.UsageError("say of which run, and of what: recipe show why RUN WHAT")
    found = api.rows.why(*words, workspace)
    if as_json:
        emit(found)
    else:
        click.echo(safe(covered(api.rows.why_text(found))))


def _harmless(text: str) -> str:
    """The same number of characters, none of which a terminal obeys."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
