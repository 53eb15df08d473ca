"""Sums of products: matrix times vector and depthwise filters, by multipliers, XNOR, additions or shifts."""
