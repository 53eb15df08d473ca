"""The processors of Arm's A profile: names, features, compiler flags, pipelines, and the boards that carry them.

A name is an architecture with `+feature` for more (`armv8.2-a+dotprod`), or a core (`cortex-a72`). What the features of
a target demand of a processor is only what Linux tells of it (AT_HWCAP): runtime_cpp/src/cpu_features.c reads it, and
refuses a model that was compiled for more.

Sources: Arm's technical reference manuals of the cores; llvm/lib/Target/{AArch64,ARM}/*Processors.td; Linux,
arch/{arm,arm64}/include/uapi/asm/hwcap.h.
"""

from __future__ import annotations

import platform
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.target import Board, did_you_mean

AARCH32, AARCH64 = "aarch32", "aarch64"

# What every processor of an architecture has, of that which Linux tells.
_V7 = frozenset({"neon", "vfp3"})
_V7_WITH_FMA = _V7 | {"vfp4"}
_V7_WITH_DIVISION = _V7_WITH_FMA | {"hwdiv-arm", "hwdiv"}
_V8 = frozenset({"fp-armv8", "neon"})
_V8_2 = _V8 | {"crc", "lse", "rdm"}
_V8_2_DOT = _V8_2 | {"fullfp16", "dotprod"}


@dataclass(frozen=True)
class Processor:
    """A core, or an architecture with what was added to it.

    features: what it has of that which Linux tells. core: the pipeline whose costs apply. qemu: the `-cpu` of qemu-user
    that has the features, of several the least. tuned: the core for which instructions are ordered, where the
    architecture alone says which instructions there are.
    """

    name: str
    state: str  # AARCH32 or AARCH64
    features: frozenset[str]
    core: str
    qemu: str
    compiler_flags: tuple[str, ...]
    zig_cpu: str
    part: int | None = None  # as /proc/cpuinfo has it under "CPU part"

    @property
    def emulator(self) -> tuple[str, ...]:
        """The command that runs static programs for it, from QEMU 7.1 on."""
        return ("qemu-aarch64" if self.state == AARCH64 else "qemu-arm", "-cpu", self.qemu)


def _core32(name: str, features: frozenset[str], core: str, qemu: str, fpu: str, part: int) -> Processor:
    flags = (f"-mcpu={name}", f"-mfpu={fpu}", "-mfloat-abi=hard")
    return Processor(name, AARCH32, features, core, qemu, flags, name.replace("-", "_"), part)


def _core64(name: str, features: frozenset[str], core: str, qemu: str, part: int) -> Processor:
    # LLVM's cores have the crypto extension, which the chip may lack (a Raspberry Pi 4 does), and what is not demanded.
    zig_cpu = name.replace("-", "_") + ("-aes-sha2-crc" if features == _V8 else "-aes-sha2-rcpc")
    return Processor(name, AARCH64, features, core, qemu, (f"-mcpu={name}",), zig_cpu, part)


def _core_with_i8mm(name: str, core: str, part: int) -> Processor:
    """A core of Armv8.4 or 9: compiled for as Armv8.2 with what the kernels use, without scalable vectors."""
    return Processor(
        name, AARCH64, _I8MM.features, core, _I8MM.qemu, (*_I8MM.compiler_flags, f"-mtune={name}"), _I8MM.zig_cpu, part
    )


_ARMV7 = Processor(
    "armv7-a+neon",
    AARCH32,
    _V7,
    "cortex-a7",
    "cortex-a9",
    ("-march=armv7-a", "-mfpu=neon", "-mfloat-abi=hard"),
    "generic+v7a+neon",
)
_ARMV8 = Processor("armv8-a", AARCH64, _V8, "cortex-a53", "cortex-a53", ("-march=armv8-a",), "generic")
_ARMV8_2 = Processor("armv8.2-a", AARCH64, _V8_2, "cortex-a55", "cortex-a76", ("-march=armv8.2-a",), "generic+v8_2a")
_DOTPROD = Processor(
    "armv8.2-a+dotprod",
    AARCH64,
    _V8_2 | {"dotprod"},
    "cortex-a55",
    "cortex-a76",
    ("-march=armv8.2-a+dotprod",),
    "generic+v8_2a+dotprod",
)
_I8MM = Processor(
    "armv8.2-a+dotprod+i8mm",
    AARCH64,
    _V8_2 | {"dotprod", "i8mm"},
    "neoverse-n2",
    "max",
    ("-march=armv8.2-a+dotprod+i8mm",),
    "generic+v8_2a+dotprod+i8mm",
)
_CORES = (
    _core32("cortex-a5", _V7_WITH_FMA, "cortex-a7", "cortex-a7", "neon-vfpv4", 0xC05),
    _core32("cortex-a7", _V7_WITH_DIVISION, "cortex-a7", "cortex-a7", "neon-vfpv4", 0xC07),
    _core32("cortex-a8", _V7, "cortex-a7", "cortex-a8", "neon", 0xC08),
    _core32("cortex-a9", _V7, "cortex-a9", "cortex-a9", "neon", 0xC09),
    _core32("cortex-a15", _V7_WITH_DIVISION, "cortex-a9", "cortex-a15", "neon-vfpv4", 0xC0F),
    _core32("cortex-a17", _V7_WITH_DIVISION, "cortex-a9", "cortex-a15", "neon-vfpv4", 0xC0E),
    _core64("cortex-a35", _V8, "cortex-a53", "cortex-a35", 0xD04),
    _core64("cortex-a53", _V8, "cortex-a53", "cortex-a53", 0xD03),
    _core64("cortex-a57", _V8, "cortex-a72", "cortex-a57", 0xD07),
    _core64("cortex-a72", _V8, "cortex-a72", "cortex-a72", 0xD08),
    _core64("cortex-a73", _V8, "cortex-a72", "cortex-a72", 0xD09),
    _core64("cortex-a55", _V8_2_DOT, "cortex-a55", "cortex-a76", 0xD05),
    _core64("cortex-a75", _V8_2_DOT, "neoverse-n1", "cortex-a76", 0xD0A),
    _core64("cortex-a76", _V8_2_DOT, "neoverse-n1", "cortex-a76", 0xD0B),
    _core64("cortex-a77", _V8_2_DOT, "neoverse-n1", "cortex-a76", 0xD0D),
    _core64("cortex-a78", _V8_2_DOT, "neoverse-n1", "cortex-a76", 0xD41),
    _core64("neoverse-n1", _V8_2_DOT, "neoverse-n1", "neoverse-n1", 0xD0C),
    _core_with_i8mm("cortex-a510", "cortex-a55", 0xD46),
    _core_with_i8mm("cortex-a710", "neoverse-n2", 0xD47),
    _core_with_i8mm("neoverse-n2", "neoverse-n2", 0xD49),
    _core_with_i8mm("neoverse-v1", "neoverse-n2", 0xD40),
)
# Best last within each of the two states.
_ARCHITECTURES = (_ARMV7, _ARMV8, _ARMV8_2, _DOTPROD, _I8MM)
_PROCESSORS = {processor.name: processor for processor in (*_ARCHITECTURES, *_CORES)}

NAMES = tuple(name for name in _PROCESSORS if name != "armv8.2-a")

_MIB = 1024 * 1024
BOARDS = (
    Board("rpi2", "cortex-a7", 1024 * _MIB, 0),
    Board("rpi3", "cortex-a53", 1024 * _MIB, 0),
    Board("rpi4", "cortex-a72", 1024 * _MIB, 0),
    Board("rpi5", "cortex-a76", 2048 * _MIB, 0),
    Board("rpi-zero2", "cortex-a53", 512 * _MIB, 0),
    Board("beaglebone", "cortex-a8", 512 * _MIB, 0),
    Board("imx8m", "cortex-a53", 1024 * _MIB, 0),
)

_BASE = re.compile(r"(armv[78]|cortex-a\d|neoverse-)")
_ADDABLE = {"armv7-a": ("neon",), "armv8-a": (), "armv8.2-a": ("dotprod", "i8mm")}
_KERNELS_USE = ("neon", "dotprod", "i8mm")


def parse(name: str) -> Processor | None:
    """The processor called `name`; None where it is not a name of this family.

    Raises UnsupportedError: an architecture or core without kernels, an unknown feature, or one that it cannot have.
    """
    base, *added = name.split("+")
    if not _BASE.match(base):
        return None
    if base in _ADDABLE:
        return _architecture(name, base, added)
    if base not in _PROCESSORS:
        known = [*_ADDABLE, *(core.name for core in _CORES)]
        raise UnsupportedError(
            f"there is no Arm processor '{base}' here.{did_you_mean(base, known)} Those with kernels are "
            f"{', '.join(known)}; for others, name the architecture."
        )
    processor = _PROCESSORS[base]
    for feature in added:
        if feature not in processor.features:
            _refuse(name, feature, _KERNELS_USE, "; a core's features stand with its name")
    return processor


def _architecture(name: str, base: str, added: list[str]) -> Processor:
    for feature in added:
        if base == "armv8-a" and feature in _ADDABLE["armv8.2-a"]:
            raise UnsupportedError(
                f"target '{name}': '{feature}' came with Armv8.2; say armv8.2-a+{feature}, or name the core"
            )
        if feature not in _ADDABLE[base]:
            _refuse(name, feature, _ADDABLE[base] or _ADDABLE["armv8.2-a"])
    if base == "armv7-a":
        if not added:
            raise UnsupportedError("target 'armv7-a': the kernels need NEON; say armv7-a+neon, or 'portable'")
        return _ARMV7
    if base == "armv8-a":
        return _ARMV8
    return _I8MM if "i8mm" in added else _DOTPROD if added else _ARMV8_2  # no processor has i8mm without dotprod


def _refuse(name: str, feature: str, known: tuple[str, ...], reason: str = "") -> None:
    what = "has not the feature" if feature in known else "names the unknown feature"
    hint = "" if feature in known else did_you_mean(feature, known)
    raise UnsupportedError(
        f"target '{name}' {what} '{feature}'.{hint} Features that kernels use are {', '.join(_KERNELS_USE)}{reason}."
    )


# The machine at hand --------------------------------------------------------------------------------------------------

_CPUINFO_SPELLING = {
    "fp": ("fp-armv8",),
    "asimd": ("neon",),
    "crc32": ("crc",),
    "atomics": ("lse",),
    "asimdhp": ("fullfp16",),
    "asimdrdm": ("rdm",),
    "asimddp": ("dotprod",),
    "asimdfhm": ("fp16fml",),
    "vfp": ("vfp2",),
    "vfpv3": ("vfp3",),
    "vfpv4": ("vfp4",),
    "idiva": ("hwdiv-arm",),
    "idivt": ("hwdiv",),
}


def execution_state() -> str | None:
    """AARCH32 or AARCH64 where this process is one of Arm's, else None."""
    if not re.match(r"(aarch64|arm64|armv[78])", platform.machine()):
        return None
    return AARCH64 if struct.calcsize("P") == 8 else AARCH32


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo"), state: str | None = None) -> frozenset[str]:
    """What this machine's processors all have, in LLVM's spelling; nothing where they are not Arm's.

    state: of the programs that are asked about; that of this process where it is not given.
    """
    state = state or execution_state()
    if state is None or not cpuinfo.is_file():
        return frozenset()
    lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("Features")]
    each = [frozenset(line.partition(":")[2].split()) for line in lines]
    words = frozenset.intersection(*each) if each else frozenset()
    found = {name for word in words for name in _CPUINFO_SPELLING.get(word, (word,))}
    if state == AARCH32 and "fp-armv8" in found:  # the words of a 64-bit kernel, beside a 32-bit program
        found |= _V7_WITH_DIVISION
    return frozenset(found)


def native_processor(cpuinfo: Path = Path("/proc/cpuinfo"), state: str | None = None) -> Processor | None:
    """The processor of this machine: its core where all are one that is known, else the best architecture it has."""
    state = state or execution_state()
    features = processor_features(cpuinfo, state)
    if not features:
        return None
    parts = {int(part, 16) for part in re.findall(r"^CPU part\s*:\s*(0x[0-9a-f]+)", cpuinfo.read_text(), re.MULTILINE)}
    fitting = [each for each in _PROCESSORS.values() if each.state == state and each.features <= features]
    core = next((each for each in fitting if parts == {each.part}), None)
    return core or next((each for each in reversed(_ARCHITECTURES) if each in fitting), None)
