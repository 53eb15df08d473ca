"""What a folding is chosen for: frames a second, or the time that one frame takes."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.errors import ModelError


@dataclass(frozen=True)
class Goal:
    """At most one of both: fps: frames a second; latency: seconds from a frame's first word in to its last word out.

    Neither: as many frames a second as fit.
    """

    clock_mhz: float
    fps: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        if not all(value is None or 0 < value < float("inf") for value in (self.clock_mhz, self.fps, self.latency)):
            raise ModelError(f"a goal is positive; found {self.fps} frames/s, {self.latency} s at {self.clock_mhz} MHz")
        if self.fps is not None and self.latency is not None:
            raise ModelError("a folding has one goal: give frames a second or a latency, not both")
        if self.frame_cycles == 0 or self.latency_cycles == 0:
            raise ModelError(f"the goal leaves less than one cycle a frame at {self.clock_mhz} MHz; lower it")

    @property
    def frame_cycles(self) -> int | None:
        """The most cycles between two frames; None where they do not matter."""
        return None if self.fps is None else int(self.clock_mhz * 1e6 / self.fps + 1e-6)

    @property
    def latency_cycles(self) -> int | None:
        return None if self.latency is None else int(self.clock_mhz * 1e6 * self.latency + 1e-6)
