"""Targets: one folder each with facts, kernel table and C headers, found by entry points of `subbyte.targets`."""
