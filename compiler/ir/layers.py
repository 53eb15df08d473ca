"""The layers of a float network: convolutions and matrix products with constant weights, as matrices and rows.

A layer computes, for each group g, rows[g] @ matrix[g].T + bias: what rounding, equalization and sensitivities work on,
whatever the operator.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops import Conv, ConvTranspose, Gemm, MatMul

Array = NDArray[Any]
WeightedNode = Conv | ConvTranspose | Gemm | MatMul


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product whose weights are a float32 constant.

    name: unique in its graph, kept by passes that keep the node's sources.
    """

    name: str
    node: WeightedNode

    @property
    def x(self) -> Value:
        """The activations that it multiplies."""
        return self.node.a if isinstance(self.node, (Gemm, MatMul)) else self.node.x

    @property
    def w(self) -> Value:
        """The weights as the operand of the node."""
        return self.node.b if isinstance(self.node, (Gemm, MatMul)) else self.node.w

    @property
    def bias(self) -> Value | None:
        """What is added to each output, where the node itself adds something."""
        match self.node:
            case Conv(b=b) | ConvTranspose(b=b) | Gemm(c=b):
                return b
        return None

    @property
    def weights(self) -> Array:
        """The weights, float32, of the shape that the operator wants."""
        weights = self.w.constant
        assert weights is not None  # what makes it a layer
        return weights

    @property
    def groups(self) -> int:
        return self.node.group if isinstance(self.node, (Conv, ConvTranspose)) else 1

    @property
    def output_axis(self) -> int:
        """The axis of the weights along which outputs lie: where a scale for each output channel belongs.

        Of a ConvTranspose in groups this axis holds the outputs of one group.
        """
        match self.node:
            case Conv():
                return 0
            case Gemm(transpose_b=True):
                return 0
        return 1

    @property
    def outputs(self) -> int:
        """Output channels, of all groups."""
        matrix = self.matrix()
        return int(matrix.shape[0] * matrix.shape[1])

    def matrix(self, weights: Array | None = None) -> Array:
        """[groups, outputs / groups, K] of `weights`, an array of the weights' shape; the layer's own if None.

        K runs over (input channel in the group, kernel position), as `rows` does. The kernel of a ConvTranspose is
        turned around, since it slides over the stretched input.
        """
        w = self.weights if weights is None else weights
        match self.node:
            case Conv(group=group):
                return w.reshape(group, w.shape[0] // group, -1)
            case ConvTranspose(group=group):
                turned = np.flip(w, axis=tuple(range(2, w.ndim)))
                split = turned.reshape(group, w.shape[0] // group, *w.shape[1:])  # [g, C / g, O / g, kernel...]
                return np.asarray(np.swapaxes(split, 1, 2).reshape(group, w.shape[1], -1))
            case Gemm(transpose_b=True):
                return w[np.newaxis]
        return w.T[np.newaxis]

    def from_matrix(self, matrix: Array) -> Array:
        """The inverse of `matrix`: an array of the weights' shape."""
        w = self.weights
        match self.node:
            case Conv() | Gemm(transpose_b=True):
                return matrix.reshape(w.shape)
            case ConvTranspose(group=group):
                split = matrix.reshape(group, w.shape[1], w.shape[0] // group, *w.shape[2:])
                turned = np.swapaxes(split, 1, 2).reshape(w.shape)
                return np.flip(turned, axis=tuple(range(2, w.ndim)))
        return np.asarray(matrix[0].T)

    def rows(self, x: Array) -> Array:
        """[groups, rows, K]: what the matrix multiplies, one row for each position of an output; x as the operand."""
        match self.node:
            case Conv() as conv:
                return _windows(x, conv.w.type.shape[2:], conv.strides, conv.pads, conv.dilations, conv.group)
            case ConvTranspose() as conv:
                return _stretched_windows(x, conv)
            case Gemm(transpose_a=True):
                return x.T[np.newaxis]
        return x.reshape(1, -1, x.shape[-1])

    def with_parameters(self, weights: Array | None = None, bias: Array | None = None) -> WeightedNode:
        """The node with other weights, or another bias [outputs]; a MatMul of matrices with a bias becomes a Gemm.

        The caller must know that nobody else is meant by the constants: they are replaced in this node alone.
        """
        w = self.w if weights is None else _constant(weights, self.w.node)
        node = self.node
        match node:
            case Conv(b=b) | ConvTranspose(b=b):
                return node.replace(w=w, b=b if bias is None else _constant(bias, None if b is None else b.node))
            case Gemm(c=c):
                if bias is None:
                    return node.replace(b=w)
                return node.replace(b=w, c=_constant(bias, None if c is None else c.node), beta=1.0)
        if bias is None:
            return node.replace(b=w)
        if node.type.rank != 2:
            raise ValueError(f"{node.label} has outputs of rank {node.type.rank}; a bias belongs to an Add behind it")
        names: dict[str, Any] = {"sources": node.sources, "tensor": node.tensor}
        return Gemm(node.a, w, _constant(bias, None), 1.0, 1.0, False, False, **names)


def layers(graph: Graph) -> tuple[Layer, ...]:
    """All layers of `graph`, in its order."""
    found = [node for node in graph.nodes() if is_layer(node)]
    return tuple(Layer(name, node) for name, node in zip(_unique(found), found, strict=True))  # type: ignore[arg-type]


def is_layer(node: Node) -> bool:
    """Whether `node` multiplies activations by constant float32 weights, once for each output."""
    match node:
        case Conv(w=w) | ConvTranspose(w=w):
            x = node.x
        case Gemm(a=x, b=w) | MatMul(a=x, b=w):
            if w.type.rank != 2:
                return False
        case _:
            return False
    return w.constant is not None and w.type.dtype == FLOAT32 and x.constant is None


def value_names(graph: Graph) -> dict[Value, str]:
    """A unique name for everything that is computed or given: the ONNX tensor's where it is known.

    The names of a graph do not change while passes keep the provenance of its nodes.
    """
    values = [Value(n, i) for n in graph.nodes() if not isinstance(n, Constant) for i in range(len(n.types))]
    wanted = [_wanted_name(value) for value in values]
    return dict(zip(values, _distinct(wanted), strict=True))


def _wanted_name(value: Value) -> str:
    node = value.node
    if isinstance(node, Input):
        return node.name
    name = node.tensor or " + ".join(node.sources) or type(node).__name__
    return f"{name}:{value.index}" if value.index else name


def _unique(nodes: Sequence[Node]) -> list[str]:
    return _distinct([" + ".join(node.sources) or node.tensor or type(node).__name__ for node in nodes])


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, those that come again with #2, #3 ... behind them."""
    seen: Counter[str] = Counter()
    taken = set(names)
    result = []
    for name in names:
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        while seen[name] > 1 and unique in taken:
            seen[name] += 1
            unique = f"{name}#{seen[name]}"
        result.append(unique)
    return result


def _constant(values: Array, like: Node | None) -> Value:
    sources = like.sources if like is not None else ()
    return Constant.of(np.ascontiguousarray(values, np.float32), FLOAT32, sources=sources).out


def _windows(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Array:
    """[groups, N * positions, C / groups * kernel] of x [N, C, spatial...]."""
    rank = len(kernel)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, extents, axis=tuple(range(2, 2 + rank)))
    taken = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    windows = views[taken]  # [N, C, positions..., kernel...]
    count, channels = windows.shape[:2]
    positions = math.prod(windows.shape[2 : 2 + rank])
    split = windows.reshape(count, groups, channels // groups, positions, math.prod(kernel))
    return split.transpose(1, 0, 3, 2, 4).reshape(groups, count * positions, -1)


def _stretched_windows(x: Array, node: ConvTranspose) -> Array:
    """The rows of a ConvTranspose: windows of the input with strides - 1 zeros between its elements."""
    spatial, kernel = x.shape[2:], node.w.type.shape[2:]
    rank = len(kernel)
    stretched = np.zeros(
        (*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(spatial, node.strides, strict=True))), x.dtype
    )
    stretched[(slice(None), slice(None), *(slice(None, None, s) for s in node.strides))] = x
    reach = [(k - 1) * d for k, d in zip(kernel, node.dilations, strict=True)]
    begins = [r - p for r, p in zip(reach, node.pads[:rank], strict=True)]
    outputs = node.type.shape[2:]
    ends = [o + r - b - n for o, r, b, n in zip(outputs, reach, begins, stretched.shape[2:], strict=True)]
    if min(*begins, *ends) < 0:  # pads beyond the kernel crop the input
        crop = tuple(
            slice(max(0, -b), n - max(0, -e)) for b, e, n in zip(begins, ends, stretched.shape[2:], strict=True)
        )
        stretched = stretched[(slice(None), slice(None), *crop)]
    pads = [*(max(0, b) for b in begins), *(max(0, e) for e in ends)]
    return _windows(stretched, kernel, [1] * rank, pads, node.dilations, node.group)
