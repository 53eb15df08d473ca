"""A quantized graph beside its float simulation, region by region: each fed with the simulation's own codes.

The simulation is the imported graph, which computes with floats between its quantizations. Both round, in places of
their own, so that a code may differ where the real number lies near the step between two codes, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node, evaluate_values
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import quantize
from subbyte.compiler.numerics.rounding import Rounding

Array = NDArray[Any]
ROUNDING_ERROR = 2.0**-17
"""Of a region, relative to the largest sum of magnitudes in the simulation before the quantization: 128 roundings."""

_LINEAR = (
    ops.Conv, ops.ConvTranspose, ops.MatMul, ops.Gemm, ops.Add, ops.Sub, ops.Mul, ops.AveragePool, ops.ReduceMean,
    ops.ReduceSum, ops.ResizeLinear,
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """Codes that no rounding of the simulation explains."""

    name: str
    found: Array
    low: Array
    high: Array

    def __str__(self) -> str:
        wrong = (self.found < self.low) | (self.found > self.high)
        place = tuple(int(k[0]) for k in np.nonzero(wrong))
        return (
            f"'{self.name}': {np.count_nonzero(wrong)} of {wrong.size} codes lie outside; at {place} "
            f"{self.found[place]} is not in {self.low[place]}..{self.high[place]}"
        )


def labelled(graph: Graph) -> Graph:
    """The same graph, what QuantizeLinear and Clamp make called `codes 0`, `codes 1`...: names that passes keep."""
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes()):
        new = rewriter.rebuilt(node)
        if isinstance(new, (ops.QuantizeLinear, qops.Clamp)):
            new = replace(new, tensor=f"codes {index}")
        rewriter.replace(node, new)
    return rewriter.finish()


def _by_label(graph: Graph) -> dict[str, Value]:
    return {node.tensor: Value(node, 0) for node in graph.operations() if node.tensor.startswith("codes ")}


def _alike(a: TensorType, b: TensorType) -> bool:
    grids = a.quant is not None and b.quant is not None and a.quant.same_grid(b.quant)
    return grids and (a.dtype, a.shape) == (b.dtype, b.shape)


def differences(simulation: Graph, folded: Graph, inputs: Mapping[str, Array]) -> tuple[int, list[Difference]]:
    """(how many tensors of codes were compared, those that differ by more than rounding).

    simulation: labelled; folded: made of it.
    """
    reals = evaluate_values(simulation, inputs)
    ranges = _ranges(simulation, reals)
    theirs, ours = _by_label(simulation), _by_label(folded)
    ranged = {name: value for name, value in ours.items() if theirs[name] in ranges}
    both = {name: value for name, value in ranged.items() if _alike(theirs[name].type, value.type)}
    known = {value: reals[theirs[name]] for name, value in both.items()}
    known |= {Value(node, 0): inputs[node.name] for node in folded.inputs}
    found = []
    for name, value in both.items():
        codes = _evaluate_from(value, known)
        low, high = ranges[theirs[name]]
        if ((codes < low) | (codes > high)).any():
            label = ", ".join(value.node.sources) or name
            found.append(Difference(label, codes, low, high))
    return len(both), found


def _ranges(graph: Graph, reals: Mapping[Value, Array]) -> dict[Value, tuple[Array, Array]]:
    """The codes that rounding may make of each quantization, and of what clamps these."""
    found: dict[Value, tuple[Array, Array]] = {}
    magnitudes: dict[Value, float] = {}
    for node in graph.nodes():
        for index in range(len(node.types)):
            magnitudes[Value(node, index)] = _magnitude(node, index, reals, magnitudes)
        if isinstance(node, ops.QuantizeLinear):
            error = np.float64(ROUNDING_ERROR) * magnitudes[node.x]
            found[node.out] = (_quantized(node, reals[node.x], -error), _quantized(node, reals[node.x], error))
        elif isinstance(node, qops.Clamp) and node.x in found:
            low, high = (evaluate_node(node, [codes])[0] for codes in found[node.x])
            found[node.out] = (low, high)
    return found


def _magnitude(node: Node, index: int, reals: Mapping[Value, Array], known: Mapping[Value, float]) -> float:
    """The largest sum of magnitudes on the way to a value, since the last codes."""
    if isinstance(node, (Input, Constant, ops.DequantizeLinear, ops.QuantizeLinear)):
        return _largest(reals[Value(node, index)])
    before = max((known.get(operand, 0.0) for operand in node.operands), default=0.0)
    if isinstance(node, _LINEAR):
        operands = [np.asarray(np.abs(reals[operand])) for operand in node.operands]
        if all(operand.dtype.kind == "f" for operand in operands):
            plus = ops.Add(node.a, node.b) if isinstance(node, ops.Sub) else node
            return max(before, _largest(evaluate_node(plus, operands)[index]))
    return max(before, _largest(reals[Value(node, index)]))


def _largest(array: Array) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0)) if array.dtype.kind == "f" else 0.0


def _quantized(node: ops.QuantizeLinear, x: Array, error: float) -> Array:
    scale, zero_point = node.quant.static()
    if node.quant.axis is not None:
        shape = [-1 if k == node.quant.axis else 1 for k in range(x.ndim)]
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    moved = (x.astype(np.float64) + error).astype(np.float32)
    codes = quantize(
        moved, scale, zero_point, node.quant.qmin, node.quant.qmax, rounding=Rounding[node.rounding],
        zero_point_first=node.zero_point_first,
    )  # fmt: skip
    return codes.astype(node.dtype.numpy)


def _evaluate_from(value: Value, known: Mapping[Value, Array]) -> Array:
    """What the node of `value` computes from the nearest known values before it."""
    done: dict[Value, Array] = {}
    stack = [value.node]
    while stack:
        node = stack[-1]
        for operand in node.operands:
            if operand not in done and operand in known:
                done[operand] = known[operand]
            elif operand not in done and isinstance(operand.node, Constant):
                done[operand] = operand.node.value
        missing = [operand.node for operand in node.operands if operand not in done]
        if missing:
            stack.extend(missing)
            continue
        assert not isinstance(node, Input), "inputs are known"
        results = evaluate_node(node, [done[operand] for operand in node.operands])
        done.update((Value(node, index), result) for index, result in enumerate(results))
        stack.pop()
    return done[value]
