"""When processes run and how deep their FIFOs are: `simulate`, `choose_depths`."""

from __future__ import annotations

from subbyte.targets.hls.schedule.depths import Depth, Depths, choose_depths, depths_of
from subbyte.targets.hls.schedule.simulate import Blocked, Simulation, Waits, simulate

__all__ = ["Blocked", "Depth", "Depths", "Simulation", "Waits", "choose_depths", "depths_of", "simulate"]
