"""Resources, cycles and latency of a design by stated formulas: an estimate, before any synthesis."""
