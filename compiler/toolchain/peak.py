"""What one core of this machine does at most with a target's instructions: what `bench --per-op` compares with.

A C program (targets/common/peak/peak.c) is built for the target and run once for each machine, compiler and version of
it; its answer is kept in a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import Compiler, compile_c

PEAK_SOURCE = Path(__file__).parents[2] / "targets" / "common" / "peak" / "peak.c"
_BEYOND_CACHES = 128 * 1024 * 1024


@dataclass(frozen=True)
class Peak:
    """The roof of one core.

    instruction: the one that multiplies, "C" for a plain loop; gmac_per_s: 1e9 of its multiply-adds a second.
    reads: (bytes, 1e9 bytes a second): reading so many bytes again and again, from the first cache level to beyond all.
    """

    instruction: str
    gmac_per_s: float
    reads: tuple[tuple[int, float], ...]

    def roof_us(self, macs: int, moved: int, threads: int = 1) -> float:
        """The least microseconds of an operation that moves `moved` bytes, as many as it works on.

        The larger of computing at the peak and of reading that many bytes from the fastest level that holds them; with
        several threads as though each had such a core for itself.
        """
        rate = next((rate for level, rate in self.reads if moved <= level), self.reads[-1][1])
        return max(macs / self.gmac_per_s, moved / rate) / 1000 / threads

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        reads = [{"bytes": level, "gb_per_s": rate} for level, rate in self.reads]
        return {"instruction": self.instruction, "gmac_per_s": self.gmac_per_s, "reads": reads}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Peak:
        """The inverse of as_dict.  Raises KeyError, TypeError, ValueError: it is something else."""
        reads = tuple((int(read["bytes"]), float(read["gb_per_s"])) for read in content["reads"])
        return cls(str(content["instruction"]), float(content["gmac_per_s"]), reads)


def measured_peak(target: Target, compiler: Compiler, cache: Path) -> Peak:
    """The peak of this machine with the instructions of `target`, which runs here.

    cache: the folder in which it is kept; it is measured where it is not found there.
    Raises ToolchainError: the program cannot be built or run.
    """
    levels = (target.facts.l1_bytes // 2, target.facts.l2_bytes // 2, 4 * target.facts.l2_bytes, _BEYOND_CACHES)
    key = (_processor(), target.name, compiler.command, compiler.version, levels, PEAK_SOURCE.read_bytes())
    kept = cache / f"peak-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.json"
    known = _read(kept)
    if known is not None:
        return known
    peak = _measure(target, compiler, levels)
    _write(kept, peak)
    return peak


def _measure(target: Target, compiler: Compiler, levels: tuple[int, ...]) -> Peak:
    with tempfile.TemporaryDirectory(prefix="subbyte-") as folder:
        program = Path(folder) / "peak"
        compile_c(compiler, compiler.flags_for(target), [PEAK_SOURCE], program)
        try:
            done = subprocess.run(
                [program, *map(str, levels)], capture_output=True, text=True, timeout=120, check=True
            ).stdout
            return Peak.from_dict(json.loads(done))
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
            raise ToolchainError(f"the peak of this machine cannot be measured for '{target.name}': {error}") from error


def _processor() -> str:
    """What tells this machine from others."""
    names = [line for line in _cpuinfo().splitlines() if line.startswith(("model name", "CPU part", "uarch"))]
    return "\n".join([platform.machine(), platform.node(), *sorted(set(names))])


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _read(path: Path) -> Peak | None:
    """What was measured before; None where nothing was, or where the file is damaged."""
    try:
        return Peak.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, peak: Peak) -> None:
    """Keep it for the next time; a folder that cannot be written to costs that time alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(peak.as_dict()) + "\n")
        beside.replace(path)
    except OSError:
        return
