"""`recipe` as it is typed, in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from runner import cli


def recipe(*arguments: str, code: int | None = 0) -> Result:
    """What it said. It ends with that exit code (None: with any), and never in a traceback."""
    done = CliRunner().invoke(cli.main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert "Traceback" not in done.output
    assert code is None or done.exit_code == code, done.output
    return done
