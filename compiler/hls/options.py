"""What a user may ask of a project for high-level synthesis, beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from subbyte.compiler.errors import ModelError
from subbyte.targets.hls.expand import BUS_BITS
from subbyte.targets.hls.folding.goal import Goal
from subbyte.targets.hls.folding.read import fields_of
from subbyte.targets.hls.layers import Fold
from subbyte.targets.hls.parts import DEFAULT_PART, Part, find_part

INTERFACES = ("stream", "memory")
GOLDEN_SAMPLES = 4
_BUS_BITS = (32, 64, 128, 256, 512, 1024)
_MOST_TERMS = 8


@dataclass(frozen=True)
class HlsOptions:
    """Which device, how fast, by which ports.

    part: a name of parts.PARTS, package and speed grade included or not. clock_mhz: None for what is usual for it.
    fps, latency: frames a second, or seconds a frame; neither: as fast as fits. budget: of the part, as `budget_of`
    takes it. folds: by layer, for those that are not to be chosen. interface: "stream" (AXI4-Stream with TLAST) or
    "memory" (m_axi and s_axilite). bus_bits: of a beat. most_terms: weights that are sums of so many signed powers of
    two are multiplied by shifts and adds. rtl: SystemVerilog of what has it, too.
    """

    part: str = DEFAULT_PART
    clock_mhz: float | None = None
    fps: float | None = None
    latency: float | None = None
    budget: str | None = None
    folds: Mapping[str, Fold] = field(default_factory=dict)
    interface: str = "stream"
    bus_bits: int = BUS_BITS
    most_terms: int = 1
    rtl: bool = False

    def __post_init__(self) -> None:
        if self.interface not in INTERFACES:
            raise ModelError(f"the interface is '{self.interface}'; {' and '.join(INTERFACES)} are built")
        if self.bus_bits not in _BUS_BITS:
            raise ModelError(f"the bus has {self.bus_bits} bits; {', '.join(map(str, _BUS_BITS))} are built")
        if not 0 <= self.most_terms <= _MOST_TERMS:
            raise ModelError(f"weights of {self.most_terms} powers of two are asked for; 0 to {_MOST_TERMS} are built")

    @property
    def device(self) -> Part:
        return find_part(self.part)

    @property
    def goal(self) -> Goal:
        return Goal(float(self.clock_mhz or self.device.typical_clock_mhz), self.fps, self.latency)

    def recorded(self) -> dict[str, Any]:
        """What the manifest says about how a project was made."""
        return {
            "part": self.part,
            "clock_mhz": self.goal.clock_mhz,
            "fps": self.fps,
            "latency": self.latency,
            "budget": self.budget,
            "folds": {name: fields_of(fold) for name, fold in sorted(self.folds.items())},
            "interface": self.interface,
            "bus_bits": self.bus_bits,
            "most_terms": self.most_terms,
            "rtl": self.rtl,
        }
