"""QuantizeLinear and DequantizeLinear on PyTorch: codes are floats with whole values, rounding is straight-through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.torch_graph.registry import runs

if TYPE_CHECKING:
    from torch import Tensor

_FAR = 2.0**40  # steps; infinities become finite, and codes this far are outside every range


def _scaled_apart(node: ops.QuantizeLinear | ops.DequantizeLinear, carried: Sequence[bool]) -> bool:
    quant = _quant(node)
    return quant.axis is None or (quant.axis != 0 and quant.block is None)


def _quant(node: ops.QuantizeLinear | ops.DequantizeLinear) -> QuantParams:
    quant = node.quant if isinstance(node, ops.QuantizeLinear) else node.x.type.quant
    if quant is None or not quant.is_static:
        raise UnsupportedError(f"{node.label} has a scale that is computed at run time; torch runs known scales")
    return quant


def _grid(node: Node, quant: QuantParams, x: Tensor, of_type: TensorType) -> tuple[Tensor, Tensor]:
    """Scale and zero point as tensors that broadcast against x."""
    import torch

    parts = []
    for part in quant.static():
        wide = np.asarray(part, np.float64)
        if quant.block is not None:
            wide = spread(wide, of_type.shape, quant.axis, quant.block)
        elif quant.axis is not None:
            wide = wide.reshape([-1 if k == quant.axis else 1 for k in range(of_type.rank)])
        parts.append(torch.tensor(wide, dtype=x.dtype, device=x.device))
    return parts[0], parts[1]


@runs(ops.QuantizeLinear, together=_scaled_apart)
def quantize_linear(node: ops.QuantizeLinear, x: Tensor) -> Tensor:
    """clamp(round(x / scale) + zero_point); the gradient is that of x / scale in the range, 0 outside. NaN stays."""
    quant = _quant(node)
    scale, zero_point = _grid(node, quant, x, node.x.type)
    steps = (x / scale).clamp(-_FAR, _FAR)
    if node.zero_point_first:
        codes = straight_through(steps + zero_point, node.rounding)
    else:
        codes = straight_through(steps, node.rounding) + zero_point
    return codes.clamp(quant.qmin, quant.qmax)


def straight_through(x: Tensor, rounding: str) -> Tensor:
    """round(x) with the gradient of x.  Source: Bengio et al. 2013, arXiv 1308.3432."""
    return x + (_rounded(x.detach(), rounding) - x.detach())


def _rounded(x: Tensor, rounding: str) -> Tensor:
    """numerics/rounding.apply_rounding; ties by the distance to the whole number below, which is exact."""
    magnitude = x.abs()
    whole = magnitude.floor()
    match rounding:
        case "HALF_EVEN":
            return x.round()
        case "FLOOR":
            return x.floor()
        case "CEIL":
            return x.ceil()
        case "UP":
            return magnitude.ceil().copysign(x)
        case "DOWN":
            return x.trunc()
        case "HALF_UP":
            return (whole + (magnitude - whole >= 0.5)).copysign(x)
        case "HALF_DOWN":
            return (whole + (magnitude - whole > 0.5)).copysign(x)
    return (x >= 0).to(x.dtype) * 2 - 1  # BIPOLAR


@runs(ops.DequantizeLinear, together=_scaled_apart)
def dequantize_linear(node: ops.DequantizeLinear, x: Tensor) -> Tensor:
    """scale * (code - zero_point), or scale * levels[code]."""
    import torch

    quant = _quant(node)
    scale, zero_point = _grid(node, quant, x, node.x.type)
    if quant.levels is not None:
        levels = torch.tensor(quant.levels, dtype=x.dtype, device=x.device)
        return levels[x.detach().long()] * scale
    return (x - zero_point) * scale
