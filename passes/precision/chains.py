"""What fold_qdq makes one integer operation of: a sum of products or narrow arithmetic, and what its end absorbs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.passes.quantization.demands import MOVES, ORDERS, clamp_bounds
from subbyte.passes.quantization.sums import channelwise

PRODUCTS = (ops.Conv, ops.ConvTranspose, ops.MatMul, ops.Gemm)
"""Operations with multiply-accumulates: what quantization is for."""

ELEMENTWISE = (ops.Unary, ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Minimum, ops.Maximum, ops.Pow, ops.PRelu)
"""Functions of single elements: of one tensor of codes they are one table, however many there are."""

_ROWS = (
    ops.Softmax, Normalization, ops.AveragePool, ops.ReduceMean, ops.ReduceSum, ops.ResizeLinear,
    ops.BatchNormalization,
)  # fmt: skip
INTEGER = (*ELEMENTWISE, *_ROWS)
"""Operations without multiply-accumulates that have an integer form between codes."""

_AFFINE = (ops.Add, ops.Sub, ops.Mul, ops.Div)


@dataclass
class Chains:
    """For each operation that makes numbers, the value in whose place its codes stand.

    A sum of products absorbs constants for each of its channels (biases, gains, a BatchNormalization), Relu and Clip;
    other arithmetic absorbs Relu and Clip. Between these may lie what moves elements or orders them, since a
    quantization asked of the end is asked of the beginning. What has another reader, or is shown, ends a chain.

    end: operation -> the last value of its chain. absorbed: the operations of chains but the first of each.
    """

    graph: Graph
    end: dict[Node, Value] = field(default_factory=dict, init=False)
    absorbed: set[Node] = field(default_factory=set, init=False)
    _readers: Mapping[Value, Sequence[Node]] = field(init=False)
    _shown: set[Value] = field(init=False)

    def __post_init__(self) -> None:
        self._readers = self.graph.users()
        self._shown = {output.value for output in self.graph.outputs}
        for node in self.graph.operations():
            if node in self.absorbed or not isinstance(node, (*PRODUCTS, *INTEGER)) or node.type.dtype != FLOAT32:
                continue
            if is_relu(node):
                continue
            chain = self._chain(node)
            self.end[node] = chain[-1]
            self.absorbed.update(value.node for value in chain[1:])

    def _chain(self, node: Node) -> list[Value]:
        """The values from the result of `node` to the end of its chain."""
        chain = [node.out]
        passed: list[Value] = []  # what is moved between, part of the chain only if something follows
        axis = channel_axis(node)
        while True:
            current = passed[-1] if passed else chain[-1]
            reader = self._only_reader(current)
            if reader is None:
                return chain
            clamp = clamp_bounds(reader)
            if clamp is not None and clamp[0] == current:
                axis = None
            elif axis is not None and is_affine_step(reader, current, axis):
                pass
            elif _moves_one(reader):
                axis = None if axis is None else _moved_axis(reader, current, axis)
                passed.append(reader.out)
                continue
            else:
                return chain
            chain += [*passed, reader.out]
            passed = []

    def _only_reader(self, value: Value) -> Node | None:
        """The operation that alone reads `value`; None where it has several readers, or is shown."""
        readers = self._readers.get(value, ())
        if value in self._shown or len(readers) != 1 or len(readers[0].types) != 1:
            return None
        return readers[0] if readers[0].type.dtype == FLOAT32 else None


def is_relu(node: Node) -> bool:
    """Whether `node` limits at 0 only: on codes of any grid that is a limit of the codes."""
    clamp = clamp_bounds(node)
    return clamp is not None and all(bound == 0 or math.isinf(bound) for bound in clamp[1:])


def is_move(node: Node) -> bool:
    """Whether `node` keeps the grid of its operands: it moves elements or orders them, and adds none but zeros."""
    match node:
        case ops.Pad(mode="constant", value=value):
            return value == 0
        case ops.Concat() | Where():
            return all(value.constant is None for value in floats(node))
    return isinstance(node, (*MOVES, *ORDERS))


def floats(node: Node) -> list[Value]:
    """The operands that are floats."""
    return [value for value in node.operands if value.type.dtype.is_float]


def computed(node: Node) -> list[Value]:
    """The operands that are floats of 32 bits and not constants: what may be quantized."""
    return [v for v in node.operands if v.type.dtype == FLOAT32 and not isinstance(v.node, Constant)]


def channel_axis(node: Node) -> int | None:
    """The axis of a product's output channels; None for what is no product."""
    if isinstance(node, (ops.Conv, ops.ConvTranspose)):
        return 1
    return node.type.rank - 1 if isinstance(node, (ops.MatMul, ops.Gemm)) else None


def is_affine_step(node: Node, x: Value, axis: int) -> bool:
    """Whether `node` adds to x, or multiplies it by, constants for each channel along `axis`."""
    if isinstance(node, ops.BatchNormalization):
        known = all(v.constant is not None for v in (node.scale, node.bias, node.mean, node.variance))
        return known and node.x == x and axis == 1
    if not isinstance(node, _AFFINE) or node.type.shape != x.type.shape:
        return False
    other = node.b if node.a == x else node.a
    constant = other.constant
    if constant is None or not np.isfinite(constant).all() or channelwise(constant, x.type.shape, axis) is None:
        return False
    return not isinstance(node, ops.Div) or (node.a == x and bool((constant != 0).all()))


def _moves_one(node: Node) -> bool:
    """Whether `node` moves or orders the elements of one tensor."""
    return is_move(node) and len(floats(node)) == 1


def _moved_axis(node: Node, x: Value, axis: int) -> int | None:
    """The channels' axis behind a Reshape or Transpose; None where they have none of their own any more."""
    match node:
        case ops.Transpose(perm=perm):
            return perm.index(axis)
        case ops.Reshape(shape=shape):
            before, extent = math.prod(x.type.shape[:axis]), x.type.shape[axis]
            axes = [i for i, n in enumerate(shape) if n == extent and math.prod(shape[:i]) == before]
            return axes[-1] if axes else None
    return None
