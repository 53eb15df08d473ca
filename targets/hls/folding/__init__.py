"""How many lanes each layer works on at once: chosen to meet a goal within a budget, or read from the user's file."""

from subbyte.targets.hls.folding.choose import FoldingResult, Measured, choose_folding
from subbyte.targets.hls.folding.goal import Goal

__all__ = ["FoldingResult", "Goal", "Measured", "choose_folding"]
