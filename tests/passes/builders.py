"""Short ways to write quantized models for tests: graphs of QuantizeLinear, DequantizeLinear and float operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT8, INT32, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType

Array = NDArray[Any]


def quant(scale: Any, zero_point: Any = 0, dtype: DType = INT8, axis: int | None = None) -> QuantParams:
    """The whole range of `dtype`; one zero point serves all scales."""
    scales = np.asarray(scale, np.float32)
    return QuantParams(scales, np.broadcast_to(np.int64(zero_point), scales.shape), dtype.min, dtype.max, axis)


def codes_input(name: str, shape: tuple[int, ...], scale: Any, zero_point: Any = 0, dtype: DType = INT8) -> Value:
    """A graph input of codes."""
    return Input(name, TensorType(dtype, shape, quant(scale, zero_point, dtype))).out


def dequantize(codes: Value) -> Value:
    return ops.DequantizeLinear(codes, FLOAT32).out


def real_input(name: str, shape: tuple[int, ...], scale: Any, zero_point: Any = 0, dtype: DType = INT8) -> Value:
    """A graph input of codes, dequantized."""
    return dequantize(codes_input(name, shape, scale, zero_point, dtype))


def weights(values: Any, scale: Any, zero_point: Any = 0, dtype: DType = INT8, axis: int | None = None) -> Value:
    """Constant codes, dequantized."""
    return dequantize(Constant.of(values, dtype, quant=quant(scale, zero_point, dtype, axis)).out)


def bias(values: Any, scale: Any, axis: int | None = None) -> Value:
    """int32 codes, dequantized."""
    return weights(values, scale, 0, INT32, axis)


def floats(values: Any) -> Value:
    return Constant.of(np.asarray(values, np.float32), FLOAT32).out


def quantize(x: Value, scale: Any, zero_point: Any = 0, dtype: DType = INT8, axis: int | None = None) -> Value:
    name = f"quantize {x.node.label}"
    return ops.QuantizeLinear(x, dtype, quant(scale, zero_point, dtype, axis), sources=(name,), tensor=name).out


def conv(x: Value, w: Value, b: Value | None = None, *, group: int = 1, pad: int = 0, stride: int = 1) -> Value:
    rank = x.type.rank - 2
    return ops.Conv(
        x, w, b, (stride,) * rank, (pad,) * (2 * rank), (1,) * rank, group, sources=("conv",), tensor="conv"
    ).out


def unary(x: Value, function: str, *parameters: float) -> Value:
    return ops.Unary(x, function, tuple(parameters), sources=(function.lower(),), tensor=function.lower()).out


def graph_of(*values: Value, stage: Stage = Stage.IMPORTED, **named: Value) -> Graph:
    """The graph of these outputs; its inputs are those that they reach."""
    outputs = {**{f"y{i}" if i else "y": value for i, value in enumerate(values)}, **named}
    inputs: dict[Node, None] = {}
    stack = [value.node for value in outputs.values()]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if isinstance(node, Input):
            inputs[node] = None
        fresh = {operand.node for operand in node.operands} - seen
        seen |= fresh
        stack.extend(fresh)
    ordered = tuple(sorted((n for n in inputs if isinstance(n, Input)), key=lambda node: node.name))
    return Graph("test", ordered, tuple(Output(name, value) for name, value in outputs.items()), stage)


def random_inputs(graph: Graph, generator: np.random.Generator) -> dict[str, Array]:
    """Codes over their whole range; floats of ordinary size, with ties, infinities and NaN among them."""
    arrays: dict[str, Array] = {}
    for node in graph.inputs:
        shape, dtype = node.type.shape, node.type.dtype
        if dtype.is_float:
            values = generator.normal(0, 4, shape).astype(np.float32)
            special = generator.choice(np.float32([0.5, -1.5, 2.5, np.inf, -np.inf, np.nan]), shape)
            arrays[node.name] = np.where(generator.random(shape) < 0.1, special, values)
        else:
            low, high = node.type.code_range()
            arrays[node.name] = generator.integers(low, high + 1, shape).astype(dtype.numpy)
    return arrays


def largest_step(a: Graph, b: Graph, inputs: Mapping[str, Array]) -> float:
    """How far the outputs of two graphs are apart, in units of their integers or floats."""
    before, after = evaluate(a, inputs), evaluate(b, inputs)
    assert before.keys() == after.keys()
    assert all(before[name].dtype == after[name].dtype for name in before)
    largest = 0.0
    for name, one in before.items():
        other = after[name]
        differs = (one != other) & ~((one != one) & (other != other))
        largest = max(largest, float(np.abs(one[differs].astype(np.float64) - other[differs]).max(initial=0)))
    return largest


def operations(graph: Graph) -> list[str]:
    """The names of the operations of a graph, in order."""
    return [type(node).__name__ for node in graph.operations()]


def only(graph: Graph, kind: type[Node]) -> Any:
    """The only operation of a type."""
    (found,) = (node for node in graph.operations() if isinstance(node, kind))
    return found
