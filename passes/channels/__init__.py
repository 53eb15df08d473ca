"""Channels through a graph: which must go together, which are still needed, and graphs without the others."""
