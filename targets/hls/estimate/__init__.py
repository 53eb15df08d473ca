"""Resources, cycles and latency of a design by stated formulas: an estimate, before any synthesis."""

from subbyte.targets.hls.estimate.design import Estimate, estimate

__all__ = ["Estimate", "estimate"]
