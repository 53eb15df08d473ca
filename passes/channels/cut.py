"""A graph without some of its channels: weights, tables and shapes cut, the sums of constants moved to the bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32, INT64
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.arrays import Codes
from subbyte.passes.channels.spaces import Product, is_product

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """Cuts nodes.

    new: what stands for a value in the new graph. kept: which channels of a value stay; None for all, or none of its
    own. extra: for a product, int64 [O], what the channels that it no longer reads add to its sums.
    """

    new: Callable[[Value], Value]
    kept: Callable[[Value], Flags | None]

    def __call__(self, node: Node, axis: int, extra: Codes | None) -> Node:
        """`node` over new operands, without the channels of its results (along `axis`) that are not kept."""
        flags = self.kept(node.out)
        changes = {name: self._operand(content) for name, content in vars(node).items() if not name.startswith("_")}
        changes.update(self._product(node, flags, extra) if is_product(node) else self._others(node, axis, flags))
        if any(self.kept(Value(node, index)) is not None for index in range(len(node.types))):
            changes["tensor"] = ""  # no ONNX tensor has these codes
        return node.replace(**changes)

    def _operand(self, content: Any) -> Any:
        if isinstance(content, Value):
            return self.new(content)
        if isinstance(content, tuple) and content and all(isinstance(item, Value) for item in content):
            return tuple(self.new(item) for item in content)
        return content

    def _others(self, node: Node, axis: int, flags: Flags | None) -> dict[str, Any]:
        """What changes in an operation that works channel by channel."""
        if isinstance(node, ops.Split) and node.axis == axis:
            counts = (self.kept(Value(node, index)) for index in range(len(node.sizes)))
            return {
                "sizes": tuple(size if f is None else int(f.sum()) for size, f in zip(node.sizes, counts, strict=True))
            }
        if flags is None:
            return {}
        count = int(flags.sum())
        match node:
            case qops.QConv():
                return {**_cut_sum(node, flags, None, None), "group": self.new(node.x).type.shape[1]}
            case qops.Lookup(table=table, axis=of_table) if of_table == axis:
                return {"table": np.ascontiguousarray(table[flags])}
            case qops.QBinary(a=a, b=b):
                constants = {name: value for name, value in (("a", a), ("b", b)) if value.constant is not None}
                behind = node.type.rank - axis
                return {name: _cut_constant(v, v.type.rank - behind, flags) for name, v in constants.items()}
            case ops.Reshape(shape=shape):
                return {"shape": _with(shape, axis, count)}
            case ops.Slice(ends=ends):
                return {"ends": _with(ends, axis, count)}
            case ops.ResizeNearest(sizes=sizes) | qops.QResizeLinear(sizes=sizes):
                return {"sizes": _with(sizes, axis, count)}
        return {}

    def _product(self, node: Product, flags: Flags | None, extra: Codes | None) -> dict[str, Any]:
        """What changes in a product: rows and columns of its weights, its bias, its scales."""
        return _cut_sum(node, flags, self.kept(node.a if isinstance(node, qops.QGemm) else node.x), extra)


def _cut_sum(node: Product, made: Flags | None, taken: Flags | None, extra: Codes | None) -> dict[str, Any]:
    gemm = isinstance(node, qops.QGemm)
    changes: dict[str, Any] = {}
    w = node.b if isinstance(node, qops.QGemm) else node.w
    for flags, axis in ((made, int(gemm)), (taken, int(not gemm))):
        if flags is not None:
            w = _cut_constant(w, axis, flags)
    changes["b" if gemm else "w"] = w
    if node.bias is not None or (extra is not None and extra.any()):
        bias = 0 if node.bias is None else _constant(node.bias).value.astype(np.int64)
        total = np.asarray(bias + (0 if extra is None else extra))
        total = total if made is None else total[made]
        fits = INT32.min <= int(total.min()) and int(total.max()) <= INT32.max
        changes["bias"] = Constant.of(total, INT32 if fits else INT64).out
    r = node.requantization
    if made is not None and r is not None:
        changes["requantization"] = r.of_channels(made)
    return changes


def _cut_constant(value: Value, axis: int, flags: Flags) -> Value:
    """The entries of a constant along `axis` that are kept; itself where it is broadcast along the axis."""
    node = _constant(value)
    if axis < 0 or node.type.shape[axis] != len(flags):
        return value
    quant = node.type.quant
    if quant is not None and quant.axis == axis:
        scale, zero_point = quant.static()
        quant = quant.replace(scale=scale[flags], zero_point=zero_point[flags])
    array = np.ascontiguousarray(np.compress(flags, node.value, axis=axis))
    return Constant(array, TensorType(node.type.dtype, array.shape, quant), sources=node.sources).out


def _constant(value: Value) -> Constant:
    if not isinstance(value.node, Constant):
        raise GraphError(f"{value.node.label} is no constant; channels leave constant weights and biases only")
    return value.node


def _with(shape: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return (*shape[:axis], extent, *shape[axis + 1 :])
