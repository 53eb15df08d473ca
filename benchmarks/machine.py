"""The machine and the programs that a table was made with: a speed claim without them says nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import peer_versions
from subbyte.compiler._runtime import cpu_features
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.compiler.version import VERSION

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def machine() -> dict[str, Any]:
    """What is known of this machine; None for what it does not tell."""
    cpuinfo = _cpuinfo()
    return {
        "processor": cpuinfo.get("model name", platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "megahertz": float(cpuinfo["cpu MHz"]) if "cpu MHz" in cpuinfo else None,
        "governor": _text(_CPUFREQ / "scaling_governor"),
        "virtual": "hypervisor" in cpuinfo.get("flags", "").split(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "features": cpu_features(),
    }


def programs(target: Target, compiler: str | None) -> dict[str, Any]:
    """The versions in play, and the flags that model.c is compiled with."""
    found = find_compiler(target, compiler)
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "subbyte": VERSION,
        "peers": peer_versions(),
        "target": target.name,
        "compiler": found.version,
        "flags": " ".join(found.flags_for(target)),
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo."""
    text = _text(Path("/proc/cpuinfo")) or ""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
