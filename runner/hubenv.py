"""What a process that reads a hub's data sets is told: its environment, and the addresses that may be reached.

Hugging Face's library reads endpoint, token and cache folder from the environment once, when it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from runner.settings import SETTINGS

Setting = Callable[[str], str]
PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")


def addresses(setting: Setting) -> dict[str, str]:
    """The settings that such a job's file holds. No secrets: they go through the environment, or not at all."""
    told = ("allow", "contact")
    return {n: setting(n) if s.address or n in told else "" for n, s in SETTINGS.items()}


def environment(setting: Setting, folder: Path) -> dict[str, str]:
    """The environment of a process that asks the hub, its caches in `folder`; the one place where the token is."""
    own = {
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_ENDPOINT": setting("hub_url"),
        "HF_HUB_USER_AGENT_ORIGIN": "mirepoix",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",  # it connects by itself, past our look at each address
        "HF_HUB_ETAG_TIMEOUT": "60",
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "DO_NOT_TRACK": "1",
        "USE_TORCH": "0",
        "USE_TF": "0",
        "USE_JAX": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "PYTHONHASHSEED": "0",
    }
    if token := setting("hub_token"):
        own["HF_TOKEN"] = token
        del own["HF_HUB_DISABLE_IMPLICIT_TOKEN"]
    if proxy := setting("proxy"):
        own |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}
    return {k: os.environ[k] for k in PASSED if k in os.environ} | own
