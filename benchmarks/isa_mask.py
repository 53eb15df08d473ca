"""Hides instruction sets from every engine of the process: peers then take the path they take on lesser processors.

`restart_with` starts this program again with cpuid_mask.c preloaded: it makes the CPUID instruction fault and answers
in its place. That needs CPUID faulting, which Intel has since Ivy Bridge; many virtual machines do not pass it on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

SOURCE = Path(__file__).with_name("cpuid_mask.c")
LEVELS = {"avx2": "x86-64-v3", "avxvnni": "x86-64-v3+avxvnni"}  # what is left of the processor, and subbyte's target
_VARIABLE = "SUBBYTE_CPUID_LEVEL"  # cpuid_mask.c reads it
_SYS_ARCH_PRCTL = 158
_ARCH_SET_CPUID = 0x1012


class MaskError(Exception):
    """The processor cannot be masked."""


def level_in_force() -> str | None:
    """The level this process runs under."""
    return os.environ.get(_VARIABLE)


def check_faulting() -> None:
    """Raises MaskError where this machine has no CPUID faulting."""
    reason = None
    if sys.platform != "linux" or platform.machine() != "x86_64":
        reason = "only Linux on x86-64 has it"
    else:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(_SYS_ARCH_PRCTL, _ARCH_SET_CPUID, 1) != 0:  # 1: as it is, CPUID allowed
            code = ctypes.get_errno()
            reason = "this processor or its hypervisor has none" if code == errno.ENODEV else os.strerror(code)
    if reason is not None:
        raise MaskError(
            f"--isa other than native hides instruction sets from the peers by CPUID faulting: {reason}. "
            "Run on an Intel processor outside a virtual machine, or measure with --isa native."
        )


def restart_with(level: str) -> NoReturn:
    """Replace this process by the same command line under the mask.  Raises MaskError."""
    check_faulting()
    folder = Path(tempfile.gettempdir()) / f"subbyte-cpuid-mask-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = build_mask(folder)
    environment = {**os.environ, "LD_PRELOAD": str(library), _VARIABLE: level}
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], environment)


def build_mask(folder: Path) -> Path:
    """Compile cpuid_mask.c to a library in `folder`."""
    library = folder / "cpuid_mask.so"
    flags = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    done = subprocess.run(["cc", *flags, "-o", str(library), str(SOURCE)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MaskError(f"{SOURCE.name} does not compile: {done.stderr.strip()}")
    return library
