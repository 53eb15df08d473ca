"""Float islands: the arithmetic that a quantized graph still does in float32, and why each node of it does."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops, qops_blocks, qops_dynamic
from subbyte.compiler.ir.accumulators import SumOfProducts
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.passes.quantization.coded import TABLE_BITS
from subbyte.passes.quantization.demands import MOVES, Demand
from subbyte.passes.quantization.few_floats import as_indices
from subbyte.passes.quantization.products import NARROW_BITS
from subbyte.passes.quantization.row_functions import row_function

_BORDER = (
    ops.QuantizeLinear, ops.DequantizeLinear, ops.Repack, qops.Lookup, qops.QBinary,
    qops_dynamic.DynamicRange, qops_dynamic.DynamicQuantize, qops_blocks.QuantizeBlocks, qops_blocks.QBlockGemm,
)  # fmt: skip
_PRODUCTS = (ops.Conv, ops.ConvTranspose, ops.MatMul, ops.Gemm)
_NARROW_ARITHMETIC = (
    ops.Add, ops.Sub, ops.Mul, ops.Div, ops.AveragePool, ops.ReduceMean, ops.ReduceSum, ops.ResizeLinear, ops.Softmax,
)  # fmt: skip


@dataclass(frozen=True)
class Island:
    """A float operation of a quantized graph, why it is one, and its multiply-accumulates."""

    node: Node
    reason: str
    macs: int


def float_islands(graph: Graph) -> list[Island]:
    """Every operation that computes with floats. Quantizing, dequantizing, tables and data movement do not compute."""
    readers = graph.users()
    shown = {output.value: output.name for output in graph.outputs}
    return [
        Island(node, _reason(node, readers, shown), multiply_accumulates(node))
        for node in graph.operations()
        if any(v.type.dtype.is_float for v in (*node.operands, *(Value(node, i) for i in range(len(node.types)))))
        and not isinstance(node, (*_BORDER, *MOVES))
    ]


def _reason(node: Node, readers: dict[Value, list[Node]], shown: dict[Value, str]) -> str:
    of_type = next((t.dtype for t in node.types if t.dtype.is_float and t.dtype != FLOAT32), None)
    if of_type is not None:
        return f"it computes in {of_type}; integer forms are made of float32 operations"
    for value in node.operands:
        reason = _of_operand(node, value)
        if reason:
            return reason
    if (
        isinstance(node, ops.Unary)
        and (wide := _codes(node.operands[0])) is not None
        and wide.type.dtype.bits > TABLE_BITS
    ):
        return f"it is a function of {wide.type.dtype} codes; functions of at most {TABLE_BITS} bits become tables"
    if isinstance(node, ops.Softmax) and (wide := _codes(node.x)) is not None and wide.type.dtype.bits > TABLE_BITS:
        return f"it is a softmax of {wide.type.dtype} codes; one of at most {TABLE_BITS} bits becomes integer"
    if isinstance(node, Normalization):
        return _of_normalization(node, readers, shown)
    if isinstance(node, ops.Cast) and isinstance(node.x.node, SumOfProducts):
        return f"it makes real numbers of the sum of {node.x.node.label}, whose scale is a factor of its own"
    if isinstance(node, _PRODUCTS):
        return "its bias is computed at run time, or differs within an output channel"
    if isinstance(node, _NARROW_ARITHMETIC):
        return _of_result(node, readers, shown)
    return f"{type(node).__name__} has no integer form"


def _of_normalization(node: Normalization, readers: dict[Value, list[Node]], shown: dict[Value, str]) -> str:
    """Why a normalization of codes is float: its result, its numbers or parameters, or that nobody asked for less."""
    found = readers.get(node.out, [])
    unlike = [
        reader for reader in found if not isinstance(reader, ops.QuantizeLinear) or not Demand.of(reader).is_plain
    ]
    if unlike or not found:
        return _of_result(node, {node.out: unlike}, shown)
    if node.out in shown:
        return f"its result is the float output '{shown[node.out]}'"
    try:
        integer = next((row_function(reader) for reader in found if isinstance(reader, ops.QuantizeLinear)), None)
    except GraphError as error:
        return f"its numbers do not fit integers: {error}"
    if integer is None:
        return "its scale or bias is computed at run time"
    return f"it is a {type(node).__name__} of codes, which is integer only where integers alone are asked for"


def _codes(value: Value) -> Value | None:
    """The codes that `value` dequantizes."""
    return value.node.x if isinstance(value.node, ops.DequantizeLinear) else None


def _of_operand(node: Node, value: Value) -> str:
    """Why this operand keeps the node in float; "" where it does not."""
    producer, codes = value.node, _codes(value)
    if not value.type.dtype.is_float:
        return ""
    if isinstance(producer, Constant):
        weights = isinstance(node, _PRODUCTS) and value in node.operands[:2]
        return _of_float_weights(value) if weights else ""
    if isinstance(producer, Input):
        return f"its operand is the float input '{producer.name}', which the model does not quantize"
    if isinstance(producer, qops_dynamic.DynamicRange):
        return f"the scale of its operand is computed at run time, by {producer.label}"
    if isinstance(producer, qops.Lookup):
        return f"its operand is the result of {producer.label}, which the model does not quantize"
    if codes is None:
        while isinstance(producer, MOVES):
            producer = next(v.node for v in producer.operands if v.type.dtype.is_float)
        if isinstance(producer, ops.DequantizeLinear):
            return _of_codes(node, producer.x)
        return f"its operand is the result of the float operation {producer.label}"
    return _of_codes(node, codes)


def _of_float_weights(value: Value) -> str:
    indices = as_indices(value)
    if indices is None or indices.type.quant is None or indices.type.quant.levels is None:
        return "its weights are floats; the model does not quantize them"
    return f"its weights have {len(indices.type.quant.levels)} values, which lie on no common grid of 8 bits"


def _of_codes(node: Node, codes: Value) -> str:
    quant, dtype = codes.type.quant, codes.type.dtype
    if quant is None or not quant.is_static:
        return "the scale of its operand is computed at run time"
    if dtype.bits > NARROW_BITS:
        if codes.constant is not None:
            return ""
        return f"its operand is the sum of {codes.node.label}, which the model does not quantize first"
    if quant.block is not None:
        return f"its operand has one scale for each {quant.block} codes of a row"
    if quant.levels is not None:
        return "its operand is a codebook, not an affine quantization"
    if quant.axis is not None:
        if codes.constant is None:
            return f"its operand has a scale for each entry of axis {quant.axis}; activations need one scale per tensor"
        if isinstance(node, _PRODUCTS):
            return f"its weights have scales along axis {quant.axis}, which is not that of the output channels"
    elif codes.constant is None and isinstance(node, (ops.Conv, ops.ConvTranspose)) and codes == _codes(node.w):
        return "its weights are computed at run time"
    return ""


def _of_result(node: Node, readers: dict[Value, list[Node]], shown: dict[Value, str]) -> str:
    for reader in readers.get(Value(node, 0), []):
        if isinstance(reader, ops.QuantizeLinear) and not Demand.of(reader).is_plain:
            return f"{reader.label} quantizes its result {_unusual(reader)}"
        return f"its result is read by {reader.label} before it is quantized"
    name = shown.get(Value(node, 0))
    return f"its result is the float output '{name}'" if name is not None else "the model does not quantize its result"


def _unusual(reader: ops.QuantizeLinear) -> str:
    """How a quantization that is not N2 with one scale differs from it."""
    if reader.rounding != "HALF_EVEN":
        return f"with the rounding {reader.rounding}; integer forms round half to even"
    if reader.quant.is_static and reader.quant.is_per_tensor:
        return "with the zero point added before the rounding; integer forms add it after"
    return "per axis; integer forms have one scale for the tensor"
