"""Which hosts a recipe asks, and whether they answer: through the guarded client, into a folder that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner import hubcache
from runner.doctor.findings import Finding
from runner.fetching import Unfetched
from runner.load import Loaded
from runner.modelchecks import EMBEDDED
from runner.net import urls
from runner.net.client import Client
from runner.net.failures import Refused, TooMuch
from runner.registry import plugins
from runner.settings import Settings
from runner.workspace import Workspace

_MOST = 64 << 10
_ASKED = {
    "gutenberg": ("gutendex_url", "gutenberg_mirror"),
    "reddit": ("reddit_login_url", "reddit_url"),
    "hub": ("hub_url",),
}
_APIS = {
    "open-meteo": ("open_meteo_geocoding_url", "open_meteo_url"),
    "openweathermap": ("openweathermap_url",),
}


def asked(loaded: Loaded, workspace: Workspace, settings: Settings) -> dict[str, str]:
    """Origin (`https://host`) → who asks it. What only the answers will name, such as links of a feed, is not in it."""
    found: dict[str, str] = {}
    for source in loaded.recipe.sources:
        plugin = plugins("source")[source.plugin]
        if plugin.fetch is None or not plugin.fetches(source.options):
            continue
        named = [settings[s] for s in _ASKED.get(source.plugin, ())]
        named += [settings[s] for s in _APIS.get(str(source.options.get("api")), ())]
        named += _addresses(source.options)
        if (service := plugin.service(source.options)) and f"{service}_url" in settings.values:
            named.append(settings[f"{service}_url"])
        for text in filter(None, named):
            try:
                address = urls.parse(text)
            except Unfetched:
                continue  # the check says it
            found.setdefault(f"{address.scheme}://{address.place}", f"the source {source.name!r}")
    model = loaded.recipe.model
    fetched = model and model.base not in EMBEDDED and workspace.find(model.base) is None
    if model and fetched and hubcache.commit(model.base, model.revision) is None:
        found.setdefault(settings["hub_url"], f"the model {model.base}")
    return found


def _addresses(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith(("http://", "https://")) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for one in inner for found in _addresses(one)]


def reached(origins: dict[str, str], settings: Settings) -> Iterator[Finding]:
    """Whether each answers. Any answer counts: that its front page is no page says nothing of what is behind it."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder, Client(settings, Path(folder)) as client:
        for origin, who in origins.items():
            host = origin.partition("://")[2]
            try:
                client.get(f"{origin}/", most=_MOST, robots=False)
            except (Refused, TooMuch) as e:
                status = getattr(e, "status", 200)
                if status < 500:
                    yield Finding("recipe", host, "ok", f"answers ({who})")
                else:
                    yield Finding("recipe", host, "warn", f"{e} ({who})", "try again later")
            except Unfetched as e:
                do = "see to the network, the setting proxy, or the address in your settings"
                yield Finding("recipe", host, "missing", f"not in reach: {e} ({who})", do)
            else:
                yield Finding("recipe", host, "ok", f"answers ({who})")
