"""Float functions of rows of codes, normalizations and softmax: their integer forms of a stated distance."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.ir.qops_functions import QLayerNormalization, QNormalization, QRMSNormalization, QWideSoftmax
from subbyte.compiler.ir.rewrite import union_sources
from subbyte.compiler.numerics.arrays import Floats
from subbyte.compiler.numerics.integer_softmax import exponential_tables
from subbyte.passes.quantization.coded import TABLE_BITS
from subbyte.passes.quantization.demands import Demand, clamp_bounds
from subbyte.passes.quantization.known import constants_of
from subbyte.passes.quantization.wide_functions import WIDEST

_NORMALIZATIONS: dict[type[Node], type[QNormalization]] = {
    LayerNormalization: QLayerNormalization,
    RMSNormalization: QRMSNormalization,
}


def row_function(node: ops.QuantizeLinear) -> Node | None:
    """The integer form of a normalization or softmax, the clamps between it and `node` in its range of codes.

    None where `node` quantizes no such function of codes of at most 16 bits, with one scale and constant parameters.
    Raises: GraphError: the numbers do not fit the integer form, or its distance would be more than one step.
    """
    demand, value = Demand.of(node), node.x
    between: list[Node] = []
    while demand.is_plain and (clamp := clamp_bounds(value.node)) is not None:
        between.insert(0, value.node)
        value, low, high = clamp
        demand = demand.clamped(low, high)
    function = value.node
    codes = _codes(function.operands[0]) if function.operands else None
    if codes is None or not demand.is_plain:
        return None
    sources = union_sources(function, *between, node)
    match function:
        case Normalization(axis=axis, epsilon=epsilon):
            scale, bias = (None if v is None else _floats(v) for v in (function.scale, function.bias))
            if (scale is None) != (function.scale is None) or (bias is None) != (function.bias is None):
                return None
            kind = _NORMALIZATIONS[type(function)]
            return kind(
                codes, scale, bias, axis, epsilon, demand.dtype, demand.quant, sources=sources, tensor=node.tensor
            )
        case ops.Softmax(axis=axis) if codes.type.dtype.bits > TABLE_BITS:
            assert codes.type.quant is not None, "codes with a scale"
            tables = exponential_tables(codes.type.quant.scalar()[0])
            return QWideSoftmax(codes, tables, demand.dtype, demand.quant, axis, sources=sources, tensor=node.tensor)
    return None


def _codes(value: Value) -> Value | None:
    """The codes of at most 16 bits, of one scale, that `value` dequantizes."""
    if not isinstance(value.node, ops.DequantizeLinear) or value.type.dtype != FLOAT32:
        return None
    codes = value.node.x
    quant, dtype = codes.type.quant, codes.type.dtype
    one_scale = quant is not None and quant.is_static and quant.is_per_tensor and quant.levels is None
    narrow = dtype.kind in ("int", "uint") and dtype.bits <= WIDEST
    return codes if one_scale and narrow and codes.constant is None else None


def _floats(value: Value) -> Floats | None:
    """A constant row of float32, written as floats or as codes with a scale."""
    if value.constant is not None:
        return value.constant
    if isinstance(value.node, ops.DequantizeLinear) and value.node.x.constant is not None:
        return constants_of(value.node)[0].constant
    return None
