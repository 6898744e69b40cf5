"""Verbs about using what was trained: serve, chat."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import api, ending, errors
from runner.cli.common import TRUST_STORE, command
from runner.errors import safe

if TYPE_CHECKING:
    from runner.api.serving import Engine, Served

RUN = click.argument("run_name", metavar="RUN")
ENGINE = click.option(
    "--engine",
    type=click.Choice(["auto", "vllm", "transformers"]),
    default="auto",
    help="What answers. Default: vLLM where it is installed and can run, else Transformers.",
)
ARM = click.option(
    "--arm", type=click.Choice(["both", "tuned", "base"]), default="both", help="Which models. Default: both."
)
LENGTH = click.option(
    "--max-length",
    type=click.IntRange(min=16),
    default=None,
    help="Tokens of prompt and answer together, at most.",
)


def _found(run: str, workspace: Path, engine: Any) -> tuple[Served, Engine]:
    served, chosen = api.serving.served(run, workspace, engine)
    _say(f"engine: {chosen.why}")
    return served, chosen


def _say(what: str) -> None:
    click.echo(safe(what), err=True)


@click.command()
@RUN
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="On 127.0.0.1; 0 takes a free one.",
)
@ENGINE
@ARM
@LENGTH
@TRUST_STORE
@command
def serve(
    run_name: str, port: int, engine: Any, arm: Any, max_length: int | None, workspace: Path, as_json: bool
) -> int:
    """Serve a run's model to OpenAI clients on this machine, with the template that was trained.

    The tuned model is called `tuned`, or by the run's name; the base model `base`. With --json, one line says the
    address once it answers.
    """
    try:
        served, chosen = _found(run_name, workspace, engine)
        with api.serving.serving(
            served, chosen, arm, port=port, max_length=max_length or 0, tell=_say
        ) as running:
            if as_json:
                ready = {"url": running.url, "engine": chosen.name, "models": running.models}
                click.echo(json.dumps(ready))
            else:
                click.echo(safe(f"{running.url} answers for {', '.join(running.models)}; Ctrl-C ends it"))
            while running.ended is None:
                time.sleep(0.2)
            log = api.serving.log_shown(running)
            raise errors.StepError("serve", f"the server ended by itself ({running.ended})", log)
    except (KeyboardInterrupt, ending.Ended) as e:
        ending.say("ended")
        return ending.code(e)


@click.command()
@RUN
@click.option(
    "--tools", "tools_of", metavar="NAME|FILE", help="Tools to offer: a source of the run, or a JSON file."
)
@click.option("--system", help="System message. Default: the recipe's.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, help="Default: 0, as it is judged.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=512, show_default=True, help="Longest answer."
)
@ENGINE
@ARM
@LENGTH
@TRUST_STORE
@command
def chat(
    run_name: str,
    tools_of: str | None,
    system: str | None,
    temperature: float,
    max_tokens: int,
    engine: Any,
    arm: Any,
    max_length: int | None,
    workspace: Path,
    as_json: bool,
) -> int:
    """Talk with a run's model, base beside tuned: both answer each question, each with its own history.

    Questions come from the terminal, or one a line from a pipe; /help says what else can be typed. With --json, each
    answer is a line of JSON.
    """
    from runner.cli.conversation import Conversation

    served, chosen = _found(run_name, workspace, engine)
    offered = api.talking.tools(tools_of, served) if tools_of else []
    with api.serving.serving(served, chosen, arm, max_length=max_length or 0, tell=_say) as running:
        system = served.system if system is None else system
        dialogue = api.talking.dialogue(
            running, arm, system=system, max_tokens=max_tokens, temperature=temperature
        )
        dialogue.tools = offered
        return Conversation(dialogue, served, as_json=as_json).hold()
