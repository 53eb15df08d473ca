"""Hides instruction sets from the peers, which then take the path that they take on lesser processors.

`restart_with` starts this program again with cpuid_mask.c preloaded, which answers the CPUID instruction in the
processor's place. Where the machine has CPUID faulting (Intel since Ivy Bridge; many virtual machines do not pass it
on) every library is deceived, else only the peers', of which patched_peers makes copies whose CPUID instructions trap.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from benchmarks.patched_peers import PatchError, patched_packages

SOURCE = Path(__file__).with_name("cpuid_mask.c")
LEVELS = {"avx2": "x86-64-v3", "avxvnni": "x86-64-v3+avxvnni"}  # what is left of the processor, and subbyte's target
PACKAGES = ("onnxruntime", "ai_edge_litert", "openvino")  # patched where they are installed
# What oneDNN inside torch is told, whose libraries are too large to copy for a peer of single layers. OpenVINO's oneDNN
# reads it too, and takes the same kernels as without it: it says no more than the masked processor does.
_ONEDNN = {"avx2": "AVX2", "avxvnni": "AVX2_VNNI"}
_LEVEL, _TRAP = "SUBBYTE_CPUID_LEVEL", "SUBBYTE_CPUID_TRAP"  # cpuid_mask.c reads them
_SYS_ARCH_PRCTL = 158
_ARCH_SET_CPUID = 0x1012


class MaskError(Exception):
    """Instruction sets cannot be hidden."""


def trap_in_force() -> str | None:
    """How CPUID is made to trap in this process; None where it is not."""
    return os.environ.get(_TRAP)


def can_fault() -> bool:
    """True where this machine has CPUID faulting."""
    # 1: CPUID stays allowed; the call fails without faulting
    return bool(ctypes.CDLL(None).syscall(_SYS_ARCH_PRCTL, _ARCH_SET_CPUID, 1) == 0)


def answered() -> int:
    """How many CPUID instructions were answered in the processor's place, in a process under the mask."""
    return int(ctypes.CDLL(None).cpuid_mask_answers())


def restart_with(level: str) -> NoReturn:
    """Replace this process by the same command line under the mask.  Raises MaskError."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise MaskError("--isa other than native is for Linux on x86-64; measure with --isa native.")
    environment = {**os.environ, **mask(level, mask_folder())}
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], environment)


def mask_folder() -> Path:
    """Where the mask and the copies of the peers stay from run to run."""
    folder = Path(tempfile.gettempdir()) / f"subbyte-isa-mask-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def mask(level: str, folder: Path) -> dict[str, str]:
    """The environment of a process that is to see no more than `level`; what it needs is written to `folder`."""
    environment = {
        "LD_PRELOAD": str(build_mask(folder)),
        _LEVEL: level,
        _TRAP: "faulting",
        "ONEDNN_MAX_CPU_ISA": _ONEDNN[level],
        "ATEN_CPU_CAPABILITY": "avx2",
    }
    if not can_fault():
        try:
            present = tuple(name for name in PACKAGES if importlib.util.find_spec(name) is not None)
            packages = patched_packages(present, folder / "packages")
        except PatchError as error:
            raise MaskError(f"--isa other than native needs CPUID faulting, or copies of the peers: {error}") from error
        path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
        environment |= {_TRAP: "patched", "PYTHONPATH": path}
    return environment


def build_mask(folder: Path) -> Path:
    """Compile cpuid_mask.c to a library in `folder`."""
    library = folder / "cpuid_mask.so"
    flags = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    done = subprocess.run(["cc", *flags, "-o", str(library), str(SOURCE)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MaskError(f"{SOURCE.name} does not compile: {done.stderr.strip()}")
    return library
