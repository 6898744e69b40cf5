"""A hub's data sets through Hugging Face's own library, kept to what is theirs and to addresses that may be reached.

Only files of data (JSON, CSV, Parquet, text) are read, only those of the data set itself, and only from addresses
that the user's settings allow: a data set's card is a stranger's text, and may name any file or address.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol

from runner.errors import StepError
from runner.fetching import Unfetched
from runner.net.client import agent
from runner.net.guard import Guard
from runner.settings import Settings

FORMATS = ("json", "csv", "parquet", "text")
CHUNK = 1 << 20  # bytes, or a thousand rows, that the library reads at once


class Asked(Protocol):
    """What is asked for; `settings` are the addresses of `runner.settings`."""

    @property
    def path(self) -> str: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def settings(self) -> dict[str, str]: ...


def found(job: Asked) -> Any:
    """What the hub says of the data set, once all that this process does is guarded. Raises StepError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    settings = Settings(job.settings, {})
    guard(settings)
    name_us(agent(settings))
    try:
        info = HfApi().dataset_info(job.path, revision=job.revision, timeout=60)
    except RevisionNotFoundError:
        raise StepError("hub", f"{job.path} has no revision {job.revision!r}") from None
    except RepositoryNotFoundError:
        raise StepError(
            "hub", f"the hub has no data set {job.path}, or shows it only with a hub_token"
        ) from None
    except Exception as e:  # whatever the library, or what it is built on, raises
        raise why(job, "cannot be had", e) from None
    commit = str(info.sha)
    if job.revision and len(job.revision) == 40 and job.revision != commit:
        raise StepError("hub", f"{job.path}: the hub gave revision {commit}, not {job.revision}")
    if getattr(info, "gated", False) and not os.environ.get("HF_TOKEN"):
        raise StepError("hub", f"{job.path} is gated: set hub_token, and accept its terms on the hub")
    stay_inside(job.path, commit)
    return info


def licence(info: Any) -> str:
    """The licence that a data set's card names; "" where it names none."""
    name = getattr(info.card_data, "license", None) if info.card_data else None
    return name if isinstance(name, str) else ""


def why(job: Asked, what: str, error: BaseException) -> StepError:
    if isinstance(error, MemoryError) or "malloc" in str(error) or "Cannot allocate" in str(error):
        return StepError("hub", f"{job.path} {what}: a row of it takes too much memory")
    if type(error).__name__ == "CastError":
        return StepError(
            "hub", f"{job.path}: its files have different columns; name those of one kind (files)"
        )
    chain: BaseException | None = error
    said: list[str] = []
    while chain is not None and len(said) < 4:
        line = next((x for x in str(chain).splitlines() if x.strip()), type(chain).__name__)
        said.append(line.replace(job.settings["hub_url"], "hub:")[:300])
        chain = chain.__cause__ or chain.__context__
    # The outermost words are the library's for the person; the innermost say which address or line it was.
    return StepError("hub", f"{job.path} {what}: {'; '.join(dict.fromkeys([said[0], said[-1]]))}")


def name_us(user_agent: str) -> None:
    """Every request of the library says who we are, and not who it is."""
    import httpx
    from huggingface_hub import set_client_factory

    def sign(request: httpx.Request) -> None:
        request.headers["user-agent"] = user_agent

    set_client_factory(
        lambda: httpx.Client(follow_redirects=True, timeout=60, event_hooks={"request": [sign]})
    )


def guard(settings: Settings) -> None:
    """Every connection of this process goes to an address that is checked as it is looked up."""
    plain, allowed = socket.getaddrinfo, Guard(settings)

    def checked(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        socket.getaddrinfo = plain
        try:
            found = allowed.addresses(name, int(port))
        except Unfetched as e:
            raise OSError(str(e)) from None
        finally:
            socket.getaddrinfo = checked
        return [x for a in found for x in plain(str(a), port, *args, **kwargs)]

    socket.getaddrinfo = checked


def stay_inside(path: str, commit: str) -> None:
    """Files that a card names by an address or an absolute path are not looked for, let alone read."""
    from datasets import data_files

    plain = data_files.resolve_pattern

    def inside(pattern: str, base_path: str, *args: Any, **kwargs: Any) -> Any:
        own = pattern.startswith(f"hf://datasets/{path}@{commit}/")
        if not own and ("://" in pattern or pattern.startswith(("/", "~")) or ".." in pattern.split("/")):
            raise StepError("hub", f"{path}: its card names a file outside it ({pattern[:100]!r})")
        return plain(pattern, base_path, *args, **kwargs)

    data_files.resolve_pattern = inside


def only_data(job: Asked, builder: Any, commit: str) -> None:
    """Raises StepError where the data set is more than files of data of its own."""
    kind = type(builder).__module__.rpartition(".")[2]
    if not type(builder).__module__.startswith("datasets.packaged_modules.") or kind not in FORMATS:
        raise StepError("hub", f"{job.path} holds {kind} files; only {', '.join(FORMATS)} are read")
    own = f"hf://datasets/{job.path}@{commit}/"
    for files in (builder.config.data_files or {}).values():
        for name in files:
            if not str(name).startswith(own):
                raise StepError("hub", f"{job.path}: the file {str(name)[:100]!r} is not its own")


def in_small_steps(builder: Any) -> None:
    """Have the library read little at once, and leave words what they are."""
    kind = type(builder).__module__.rpartition(".")[2]
    if kind == "json":
        builder.config.chunksize = CHUNK
    if kind == "csv":
        builder.config.chunksize = 1000
        builder.config.na_filter = False  # "NA" and "None" are words
    if kind == "parquet":
        builder.config.batch_size = 1000
