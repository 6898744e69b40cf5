"""A push to a hub: what would go where under which licence, what speaks against it, and the push itself.

The token is the user's own (HF_TOKEN, or `hf auth login`); no recipe can name one, and nothing here prints it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner import extras, licences, modelcard
from runner.errors import StepError, UsageError
from runner.modelcard import Facts, Form
from runner.results.writing import listed
from runner.settings import Settings
from runner.steps import version

SUFFIXES = (".safetensors", ".json", ".md", ".jinja", ".txt")
_TARGET = re.compile(r"^hub:([A-Za-z0-9][A-Za-z0-9._-]{0,95})/([A-Za-z0-9][A-Za-z0-9._-]{0,95})$")


@dataclass(frozen=True)
class Target:
    """A repository of a hub. `state` is "new", or whether it is "public" or "private" as it is there now."""

    repository: str
    endpoint: str
    private: bool
    state: str

    @property
    def said(self) -> str:
        """Where that is, and who will see it."""
        if self.state == "new":
            what = f"a new {'private' if self.private else 'public'} repository"
        else:
            what = f"{self.state}, is there already: files of these names are replaced"
        return f"{self.repository} at {self.endpoint} ({what})"


@dataclass(frozen=True)
class Parcel:
    """What would go: names and bytes of files of `folder`, and the licence that the card says."""

    folder: Path
    files: list[tuple[str, int]]
    licence: str


def target(said: str, settings: Settings, private: bool) -> Target:
    """The repository that `hub:OWNER/NAME` means, as the hub has it. Raises UsageError, StepError."""
    match = _TARGET.match(said)
    if not match or any(".." in part or "--" in part for part in match.groups()):
        raise UsageError(f"--to {said[:200]!r}: say hub:OWNER/NAME")
    endpoint = (os.environ.get("HF_ENDPOINT") or settings["hub_url"]).rstrip("/")
    _safe_for_tokens(endpoint)
    repository = "/".join(match.groups())
    state = _state(repository, endpoint)
    if private and state == "public":
        raise UsageError(
            f"{repository} is there already and public; make it private on the hub, or leave --private out"
        )
    return Target(repository, endpoint, private, state)


def _safe_for_tokens(endpoint: str) -> None:
    """A token goes over TLS, or to this very machine."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if parts.scheme == "https" or (parts.scheme == "http" and here):
        return
    raise UsageError(f"the hub's address {parts.scheme}://{host} is not https, so no token is sent to it")


def _state(repository: str, endpoint: str) -> str:
    api = _api(endpoint)
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = _asked(lambda: api.model_info(repository, timeout=60))
    except RepositoryNotFoundError:
        return "new"
    return "private" if info.private else "public"


def objections(facts: Facts) -> list[str]:
    """What licences say against passing the result on, a sentence each; none where nothing does."""
    under: dict[str, list[str]] = {
        facts.base.license or licences.UNKNOWN: [f"the base model {facts.base.name}"]
    }
    for right in facts.rights:
        named = under.setdefault(right.licence or licences.UNKNOWN, [])
        if right.source not in named:
            named.append(right.source)
    out = []
    if unknown := under.pop(licences.UNKNOWN, None):
        out.append(f"the licence is not known of {', '.join(unknown)}")
    out += [f"{', '.join(of)}: {name!r} forbids it" for name, of in under.items() if licences.kept(name)]
    asked = licences.terms(under)
    return out + [said for said in asked if said.startswith(("no-derivatives", "these do not go together"))]


def parcel(folder: Path, facts: Facts, form: Form) -> Parcel:
    """The files of a folder that would go. Raises StepError where one is of a kind that is never pushed."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or (path.is_file() and path.suffix not in SUFFIXES):
            what = f"{path.relative_to(folder)} is none of {', '.join(SUFFIXES)}: nothing is pushed"
            raise StepError("push", what)
    head = modelcard.header(facts, form)
    licence = str(head.get("license", "not stated"))
    return Parcel(
        folder, listed(folder), licence if licence != "other" else f"other ({head.get('license_name', '')})"
    )


def send(what: Parcel, to: Target, message: str) -> str:
    """Push; the address of the commit. Raises StepError in the hub's words."""
    api = _api(to.endpoint)

    def push() -> Any:
        if to.state == "new":
            api.create_repo(to.repository, private=to.private, repo_type="model", exist_ok=False)
        return api.upload_folder(
            repo_id=to.repository,
            folder_path=what.folder,
            repo_type="model",
            commit_message=message,
            allow_patterns=[name for name, _ in what.files],
        )

    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return str(_asked(push).commit_url)
    except RepositoryNotFoundError:
        raise StepError(
            "push", f"the hub has no {to.repository}: it was taken away meanwhile; push again"
        ) from None


def _api(endpoint: str) -> Any:
    if version("huggingface_hub") == "absent":
        raise extras.Missing("huggingface_hub is not installed", extras.install("hub"))
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise UsageError("no token for the hub: set HF_TOKEN, or log in with `hf auth login`")
    return HfApi(endpoint=endpoint, token=token, library_name="mirepoix")


def _asked(call: Any) -> Any:
    """What a call to the hub gives. A repository that is not there is the caller's business."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    try:
        return call()
    except RepositoryNotFoundError as e:
        if e.response is not None and e.response.status_code == 404:
            raise
        raise StepError("push", "the hub does not take the token; make one that may write") from None
    except HfHubHTTPError as e:
        status = e.response.status_code if e.response is not None else "no answer"
        said = (e.server_message or "").splitlines()
        hint = "; the token may not write there" if status in (401, 403) else ""
        raise StepError(
            "push", f"the hub says {status}{': ' + said[0][:200] if said else ''}{hint}"
        ) from None
    except (httpx.HTTPError, OSError, ValueError) as e:
        raise StepError("push", f"the hub could not be reached: {type(e).__name__}: {str(e)[:200]}") from None
