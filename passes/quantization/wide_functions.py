"""Float functions of codes of 9 to 16 bits: evaluated for every code, then held as parabolas or as a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.qops_functions import QPiecewise
from subbyte.compiler.ir.rewrite import union_sources
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import quantize
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.piecewise import evaluate_pieces, fit
from subbyte.compiler.numerics.rounding import Rounding
from subbyte.passes.quantization.coded import TABLE_BITS, all_codes
from subbyte.passes.quantization.demands import Demand
from subbyte.passes.quantization.known import constants_of

WIDEST = 16
_ELEMENTWISE = (ops.Unary, ops.Binary, ops.PRelu)


def wide_function(node: ops.QuantizeLinear) -> Node | None:
    """What stands for a QuantizeLinear of a float32 function of one tensor of wide codes; None where it is no such.

    The function is evaluated on all codes as the interpreter does it (N8), so a Lookup is exact. QPiecewise is taken
    where it is at most one step from that for every code, and smaller than the table.
    """
    if not node.quant.is_static or not node.quant.is_per_tensor or node.quant.levels is not None:
        return None
    found = _operations(node.x)
    if found is None:
        return None
    codes, operations = found
    real = _evaluated(node.x, codes, operations)
    scale, zero_point = node.quant.static()
    wanted = quantize(
        real, scale, zero_point, node.quant.qmin, node.quant.qmax,
        rounding=Rounding[node.rounding], zero_point_first=node.zero_point_first,
    )  # fmt: skip
    sources = union_sources(*(one for one in operations if not isinstance(one, ops.DequantizeLinear)), node)
    return _piecewise(node, codes, real, wanted, sources) or qops.Lookup(
        codes, wanted.astype(node.dtype.numpy), node.dtype, node.quant, sources=sources, tensor=node.tensor
    )


def _operations(value: Value) -> tuple[Value, list[Node]] | None:
    """(codes, operations in order) of a value that elementwise operations make of one tensor of wide codes."""
    order: dict[Node, None] = {}
    codes: Value | None = None
    stack = [value]
    while stack:
        node = stack[-1].node
        if node in order or _constant(stack[-1]) is not None:
            stack.pop()
            continue
        if isinstance(node, ops.DequantizeLinear):
            quant = node.x.type.quant
            one_scale = quant is not None and quant.is_static and quant.is_per_tensor and quant.levels is None
            wide = node.x.type.dtype.kind in ("int", "uint") and TABLE_BITS < node.x.type.dtype.bits <= WIDEST
            if not (one_scale and wide and node.dtype == FLOAT32) or codes not in (None, node.x):
                return None
            codes = node.x
        elif not isinstance(node, _ELEMENTWISE) or node.type.dtype != FLOAT32 or node.type.shape != value.type.shape:
            return None
        missing = [operand for operand in _reals(node) if operand.node not in order and _constant(operand) is None]
        if missing:
            stack.extend(missing)
            continue
        order[node] = None
        stack.pop()
    return None if codes is None or codes.type.shape != value.type.shape else (codes, list(order))


def _reals(node: Node) -> tuple[Value, ...]:
    return () if isinstance(node, ops.DequantizeLinear) else node.operands


def _constant(value: Value) -> Floats | None:
    """The one float32 that a constant operand holds for the whole tensor, as []; None for others."""
    array = value.constant
    if isinstance(value.node, ops.DequantizeLinear) and value.node.x.constant is not None:
        (array,) = (constant.constant for constant in constants_of(value.node))
    if array is None or array.size != 1 or value.type.dtype != FLOAT32:
        return None
    return array.reshape(())


def _evaluated(value: Value, codes: Value, operations: list[Node]) -> Floats:
    """The float32 value for every code of the dtype; codes that do not occur get the value of the nearest that does."""
    dtype, (low, high) = codes.type.dtype, codes.type.code_range()
    every = np.clip(all_codes(dtype), low, high).astype(dtype.numpy)
    stand_in = {codes: Constant(every, TensorType(dtype, every.shape, codes.type.quant)).out}
    for node in operations:
        for operand in _reals(node):
            constant = _constant(operand)
            if constant is not None:
                stand_in[operand] = Constant.of(constant, FLOAT32).out
        (stand_in[Value(node, 0)],) = constants_of(node.map_operands(stand_in.__getitem__).replace(layout=None))
    found = stand_in[value].constant
    assert found is not None, "an evaluated value is a constant"
    return np.broadcast_to(found, every.shape)


def _piecewise(
    node: ops.QuantizeLinear, codes: Value, real: Floats, wanted: Codes, sources: tuple[str, ...]
) -> Node | None:
    """The function as parabolas, compared with what is wanted for every code; None where a table is better."""
    if not Demand.of(node).is_plain:
        return None
    scale, zero_point = node.quant.scalar()
    low, high = node.quant.qmin - zero_point, node.quant.qmax - zero_point
    steps: NDArray[np.float64] = real.astype(np.float64) / float(np.float32(scale))
    pieces = fit(np.where(np.isnan(steps), low, steps), low, high)
    found = evaluate_pieces(np.arange(real.size), pieces, zero_point, node.quant.qmin, node.quant.qmax)
    difference = np.abs(found - wanted)
    if difference.max() > 1 or pieces.bytes >= real.size * node.dtype.numpy.itemsize:
        return None
    try:
        return QPiecewise(
            codes, pieces.segments, pieces.coefficients, node.dtype, node.quant,
            int(difference.max()), int(np.count_nonzero(difference)), sources=sources, tensor=node.tensor,
        )  # fmt: skip
    except GraphError:
        return None
