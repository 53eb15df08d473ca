"""Who works on a trial: a process of a machine, and whether it still does."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _identity(pid: int) -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": pid, "started": _started(pid)}


def this_worker() -> dict[str, Any]:
    """This process: {"host", "pid", "started"}; started tells it from a later process of the same number."""
    return dict(_identity(os.getpid()))


def is_gone(worker: Mapping[str, Any]) -> bool:
    """Whether the process has certainly ended: one of this machine, and no process here is it."""
    if worker.get("host") != socket.gethostname():
        return False
    pid = int(worker["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    started = _started(pid)
    return started == "ended" or (None not in (started, worker.get("started")) and started != worker["started"])


def _started(pid: int) -> str | None:
    """When the process began, in the kernel's ticks; "ended" if it only waits for its parent; None: not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in ("Z", "X") else fields[19]
