"""Actors that work on codes one by one: through tables, in pairs, and the largest of a pixel."""
