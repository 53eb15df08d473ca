"""What resizing means, on floats and on codes."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.interpret_codes import dequantized
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.numerics import resize
from subbyte.compiler.numerics.affine import to_codes

Array = NDArray[Any]


@interprets(ops.ResizeNearest)
def resize_nearest(node: ops.ResizeNearest, x: Array) -> Array:
    return resize.resize_nearest(x, node.sizes, node.scales, node.coordinates, node.rounding)


@interprets(ops.ResizeLinear)
def resize_linear(node: ops.ResizeLinear, x: Array) -> Array:
    return resize.resize_linear(x, node.sizes, node.scales, node.coordinates)


@interprets(qops.QResizeLinear)
def resize_linear_codes(node: qops.QResizeLinear, x: Array) -> Array:
    return to_codes(resize.resize_linear(dequantized(node.x, x), node.sizes, node.scales, node.coordinates), node.quant)
