"""The graphs that the compiler works on: types, operations, order, rewriting, stages, meaning and text."""
