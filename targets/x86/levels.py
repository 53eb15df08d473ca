"""The names, features and compiler flags of x86 targets: a microarchitecture level, then `+feature` for more."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from subbyte.compiler.errors import UnsupportedError

# Source: System V ABI for x86-64, table 3.1; names in LLVM's spelling, less those that no processor of the level lacks.
_V2 = frozenset({"sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "cx16", "popcnt", "sahf"})
_V3 = _V2 | {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVELS = {"x86-64-v3": _V3, "x86-64-v4": _V4}

# What may follow a level, in the order of a full name; those of AVX-512 follow v4 alone.
FEATURES = (
    "avxvnni",
    "avx512vnni",
    "avx512vbmi",
    "avx512vbmi2",
    "avx512ifma",
    "avx512bitalg",
    "avx512vpopcntdq",
    "avx512bf16",
    "gfni",
)

# The targets that have kernels of their own, each better than the one before.
NAMES = ("x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+avx512vnni", "x86-64-v4+avx512vnni+avx512vbmi")

_CPUINFO_SPELLING = {
    "pni": "sse3",
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
    "lahf_lm": "sahf",
    "abm": "lzcnt",
    "bmi1": "bmi",
    "avx_vnni": "avxvnni",
}


@dataclass(frozen=True)
class Level:
    """A parsed target name. added: the features named after the base."""

    base: str
    added: tuple[str, ...]

    @property
    def name(self) -> str:
        return "+".join((self.base, *self.added))

    @property
    def features(self) -> frozenset[str]:
        """Everything that the processor must have."""
        return LEVELS[self.base] | set(self.added)

    @property
    def compiler_flags(self) -> tuple[str, ...]:
        """For GCC and clang."""
        return (f"-march={self.base}", *(f"-m{feature}" for feature in self.added))

    @property
    def zig_cpu(self) -> str:
        """For `zig cc -mcpu`."""
        return "+".join((self.base.replace("-", "_"), *self.added))


def parse(name: str) -> Level | None:
    """The level called `name`; None where it is not a name of this family.

    Raises UnsupportedError: a level without kernels, an unknown feature, or one that the level cannot have.
    """
    base, *added = name.split("+")
    if base != "x86-64" and not base.startswith("x86-64-v"):
        return None
    if base not in LEVELS:
        raise UnsupportedError(
            f"target '{name}': there are no kernels for the level '{base}'; levels are {', '.join(LEVELS)}, and "
            "'portable' runs on every processor"
        )
    unknown = [feature for feature in added if feature not in FEATURES]
    if unknown:
        raise UnsupportedError(
            f"target '{name}' names the unknown feature '{unknown[0]}'; features of {base} are {', '.join(FEATURES)}"
        )
    wider = [feature for feature in added if feature.startswith("avx512") and base != "x86-64-v4"]
    if wider:
        raise UnsupportedError(
            f"target '{name}': '{wider[0]}' needs AVX-512, which {base} does not have; use x86-64-v4+{wider[0]}"
        )
    return Level(base, tuple(feature for feature in FEATURES if feature in added))


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What this machine's processor has, in LLVM's spelling, as far as the operating system lets it be used."""
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.is_file():
        return frozenset()
    line = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), ":")
    flags = line.partition(":")[2].split()
    return frozenset(_CPUINFO_SPELLING.get(flag, flag.replace("avx512_", "avx512")) for flag in flags)
