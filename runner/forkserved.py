"""What the process that forks the workers of `runner.pool` imports first, and nobody else.

It ends with us, and workers with it. A worker that is only being born when we are killed finds half of what it needs:
that is not worth a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

_us, _server = os.getppid(), os.getpid()


def _with_parent(parent: int) -> None:
    """Linux: PR_SET_PDEATHSIG, so that not even one that is deep in a library goes on by itself. The pipe by which the
    server would know is held open by workers, too."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _told(*what: Any) -> None:
    try:
        os.kill(_us, 0)
    except ProcessLookupError:
        return
    sys.__excepthook__(*what)


if sys.argv[:1] == ["-c"] and "multiprocessing.forkserver" in sys.modules:
    _with_parent(_us)
    os.register_at_fork(after_in_child=lambda: _with_parent(_server))
    sys.excepthook = _told
