"""The user's own settings: upstream addresses, secrets, who may be reached. Never part of a recipe.

Read from `MIREPOIX_NAME` variables, else from `settings.toml` in `$XDG_CONFIG_HOME/mirepoix` (`~/.config/mirepoix`;
`MIREPOIX_SETTINGS` names another file), else the default. A workspace holds none: it may come from a stranger.
Nothing here decides a fingerprint, and secrets are shown by nobody.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import UsageError


@dataclass(frozen=True)
class Setting:
    default: str
    about: str
    secret: bool = False
    address: bool = False
    """A service's address: its host may be reached even where it is not a public one."""


SETTINGS: dict[str, Setting] = {
    "gutendex_url": Setting("https://gutendex.com", "Catalogue of Project Gutenberg.", address=True),
    "gutenberg_mirror": Setting(
        "https://gutenberg.pglaf.org", "Mirror that Project Gutenberg's texts are read from.", address=True
    ),
    "open_meteo_url": Setting("https://api.open-meteo.com", "Open-Meteo, forecasts.", address=True),
    "open_meteo_geocoding_url": Setting(
        "https://geocoding-api.open-meteo.com", "Open-Meteo, places.", address=True
    ),
    "openweathermap_url": Setting("https://api.openweathermap.org", "OpenWeatherMap.", address=True),
    "openweathermap_key": Setting("", "OpenWeatherMap's API key.", secret=True),
    "hub_url": Setting(
        "https://huggingface.co", "Hub of data sets, and of results that are pushed.", address=True
    ),
    "hub_token": Setting("", "Token for the hub of data sets.", secret=True),
    "reddit_url": Setting("https://oauth.reddit.com", "Reddit's API.", address=True),
    "reddit_login_url": Setting("https://www.reddit.com", "Where Reddit gives tokens.", address=True),
    "reddit_client_id": Setting("", "Reddit application: client id.", secret=True),
    "reddit_client_secret": Setting("", "Reddit application: client secret.", secret=True),
    "teacher_url": Setting("", "OpenAI-compatible endpoint of the teacher, up to /v1.", address=True),
    "teacher_key": Setting("", "The teacher endpoint's API key.", secret=True),
    "moderation_url": Setting("", "OpenAI-compatible endpoint for moderation, up to /v1.", address=True),
    "moderation_key": Setting("", "The moderation endpoint's API key.", secret=True),
    "judge_url": Setting("", "OpenAI-compatible endpoint of models that judge, up to /v1.", address=True),
    "judge_key": Setting("", "The judges' endpoint's API key.", secret=True),
    "endpoints": Setting(
        "",
        "NAME=URL, several with commas: OpenAI-compatible endpoints that evaluations may name, each up to /v1.",
    ),
    "endpoint_keys": Setting("", "NAME=KEY, several with commas: the API keys of `endpoints`.", secret=True),
    "contact": Setting("", "E-mail or page that services can reach you at; part of the user agent."),
    "allow": Setting("", "HOST:PORT, several with commas: addresses that are not public but may be fetched."),
    "filesystems": Setting(
        "",
        "s3, gs, az, sftp …, several with commas: what `files` may read with your credentials, wherever a recipe says.",
    ),
    "proxy": Setting("", "HTTP proxy for all fetching.", address=True),
    "pace": Setting("1", "Requests a second to one host, at most."),
    "at_once": Setting("1", "Requests under way to one host at once, at most."),
    "pack_keys": Setting(
        "",
        "Files with public keys, several with commas: only packs that the owner of one has signed are taken.",
    ),
    "signing_key": Setting("", "File with the private key that `recipe sign` takes."),
    "signing_passphrase": Setting("", "The passphrase of that key.", secret=True),
    "vllm_python": Setting(
        "", "Python of an environment of its own that holds vLLM: `recipe serve` starts it with that."
    ),
    "workers": Setting("", "Processes that prepare data; they decide no byte of it. Default: one a core."),
    "ray_address": Setting(
        "", "HOST:PORT of a Ray cluster, for the engine `ray`. Default: one is started for the run."
    ),
    "artifact_store": Setting(
        "",
        "s3://BUCKET/FOLDER, gs://, sftp://, a path from / or ~ on …: artifacts are put there, and taken from there.",
    ),
    "artifact_store_put": Setting(
        "yes",
        "Whether what is made here is put into `artifact_store`, too: yes, or no, and it is only taken from.",
    ),
    "trackers": Setting(
        "", "wandb, several with commas: trackers that recipes may send to without --trust trackers."
    ),
    "state": Setting(
        "",
        "Folder that remembers which stores are yours. Default: mirepoix in $XDG_STATE_HOME, else in ~/.local/state.",
    ),
}


def _variable(name: str) -> str:
    return f"MIREPOIX_{name.upper()}"


def _home(variable: str, below: str, environ: Mapping[str, str]) -> Path | None:
    """A folder of the user's, by the XDG base directories, which take no relative ones; None for who has no home."""
    if (named := Path(environ.get(variable, ""))).is_absolute():
        return named
    try:
        return Path.home() / below
    except RuntimeError:  # a number that no account of this machine has, in a container
        return None


def _file(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get("MIREPOIX_SETTINGS"):
        return Path(named)
    home = _home("XDG_CONFIG_HOME", ".config", environ)
    return home / "mirepoix" / "settings.toml" if home else None


def _read(path: Path | None, named: bool) -> dict[str, Any]:
    import tomllib

    if path is None:
        return {}
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        if named:
            raise UsageError(f"no settings file {str(path)!r}, which MIREPOIX_SETTINGS names") from None
        return {}
    except (OSError, ValueError) as e:
        raise UsageError(f"{path}: cannot be read: {e}") from None


@dataclass(frozen=True)
class Settings:
    """All settings, each a text. `origin` says where each came from: a variable, the file, or "default"."""

    values: Mapping[str, str]
    origin: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @property
    def workers(self) -> int:
        """How many processes may work. Raises UsageError where the setting is no such number."""
        said = self.values["workers"]
        if not said:
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if not said.isascii() or not said.isdigit() or not 1 <= int(said) <= 1024:
            raise UsageError(f"the setting workers must be a number from 1 to 1024, not {said!r}")
        return int(said)

    def with_cluster(self, address: str) -> Settings:
        """The same settings, with another Ray cluster. Raises UsageError where that is no HOST:PORT."""
        values, origin = {"ray_address": address}, {"ray_address": "--address"}
        settings = Settings({**self.values, **values}, {**self.origin, **origin})
        if not settings.cluster:
            raise UsageError("--address must be the HOST:PORT of a Ray cluster, not ''")
        return settings

    def without(self, name: str) -> Settings:
        """The same settings, but for one that is as if nobody had set it."""
        values, origin = {name: SETTINGS[name].default}, {name: "default"}
        return Settings({**self.values, **values}, {**self.origin, **origin})

    @property
    def cluster(self) -> str:
        """HOST:PORT of the Ray cluster that is named; "" where none is. Raises UsageError where it is no such thing."""
        said = self.values["ray_address"]
        host, _, port = said.rpartition(":")
        whole = host and not set(host) & set(
            "/@?# \t"
        )  # ray://HOST:PORT is of Ray's client, which we are not
        if said and not (whole and port.isascii() and port.isdigit() and 0 < int(port[:9]) < 65536):
            raise UsageError(f"{self.named_cluster} must be the HOST:PORT of a Ray cluster, not {said!r}")
        return said

    @property
    def puts(self) -> bool:
        """Whether artifacts are put into the artifact store. Raises UsageError where that says neither yes nor no."""
        said = self.values["artifact_store_put"]
        if said not in ("yes", "no"):
            raise UsageError(f"the setting artifact_store_put must be yes or no, not {said!r}")
        return said == "yes"

    @property
    def named_cluster(self) -> str:
        """What names the cluster, for who reads an error."""
        origin = self.origin["ray_address"]
        return origin if origin == "--address" else f"the setting ray_address ({origin})"

    @property
    def state(self) -> Path | None:
        """The folder of what is remembered from run to run; None where there is none. Raises UsageError.

        Never one that is named from where we are: that may be a workspace of somebody else.
        """
        if said := self.values["state"]:
            path = Path(said).expanduser()
            if not path.is_absolute():
                raise UsageError(f"the setting state must be an absolute path, not {said!r}")
            return path
        home = _home("XDG_STATE_HOME", ".local/state", os.environ)
        return home / "mirepoix" if home and home.is_absolute() else None

    @property
    def trackers(self) -> frozenset[str]:
        """The trackers that recipes may send to, by the user's own word."""
        return frozenset(filter(None, map(str.strip, self.values["trackers"].split(","))))

    @property
    def endpoints(self) -> dict[str, tuple[str, str]]:
        """Name → address and key ("" without one) of the endpoints that evaluations may name. Raises UsageError."""
        urls, keys = (_named(self.values[s], s) for s in ("endpoints", "endpoint_keys"))
        return {name: (url.rstrip("/"), keys.get(name, "")) for name, url in urls.items()}


def _named(text: str, setting: str) -> dict[str, str]:
    out = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, equals, value = map(str.strip, pair.partition("="))
        if not (name and equals and value):  # it may hold a key, so it is not shown
            raise UsageError(f"the setting {setting} must be NAME=…, several with commas")
        out[name] = value
    return out


def load(environ: Mapping[str, str] | None = None, *, allow: tuple[str, ...] = ()) -> Settings:
    """The settings in force, with what the command line allows besides.

    Raises UsageError for a file that cannot be read or holds something unknown.
    """
    environ = os.environ if environ is None else environ
    path = _file(environ)
    written = _read(path, "MIREPOIX_SETTINGS" in environ)
    for name in written:
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else f"; there are {', '.join(SETTINGS)}"
            raise UsageError(f"{path}: no setting {name!r}{hint}")
    values, origin = {}, {}
    for name, setting in SETTINGS.items():
        if (variable := _variable(name)) in environ:
            values[name], origin[name] = environ[variable], variable
        elif name in written:
            value = written[name]
            many = value if isinstance(value, list) else [value]
            values[name], origin[name] = ",".join(map(str, many)), str(path)
        else:
            values[name], origin[name] = setting.default, "default"
        if setting.address:
            values[name] = values[name].rstrip("/")
    if allow:
        values["allow"] = ",".join([*filter(None, [values["allow"]]), *allow])
        origin["allow"] = "--allow"
    return Settings(values, origin)
