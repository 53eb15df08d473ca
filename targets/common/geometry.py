"""Where the elements of stored tensors are: strides, extents around an axis, axes merged into fewer and longer ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.types import TensorType

LARGEST = 2**30  # elements of a tensor; leaves int32 room for one tile beyond the end


def tensor_types(op: Node) -> tuple[TensorType, ...]:
    """The types of all operands, then of all results."""
    return (*(operand.type for operand in op.operands), *op.types)


def is_plain(of_type: TensorType) -> bool:
    """One container per element, no padding, few enough elements for int32: what the scalar kernels read and write."""
    layout = of_type.layout
    return (layout is None or (layout.bits is None and layout.lanes == 1)) and of_type.elements <= LARGEST


def is_packed(of_type: TensorType) -> bool:
    """Codes of 1, 2 or 4 bits that share bytes, each row in whole bytes: element i is at bit i * bits."""
    layout = of_type.layout
    if layout is None or layout.bits not in (1, 2, 4) or layout.lanes != 1 or of_type.elements > LARGEST:
        return False
    narrow = of_type.dtype.kind in ("int", "uint", "ternary") and of_type.dtype.bits <= layout.bits
    return narrow and of_type.rank > 0 and of_type.stored_shape[-1] * layout.bits % 8 == 0


def stored_bits(of_type: TensorType) -> int:
    """Bits of a code in memory: 1, 2 or 4 where codes share bytes, else 8."""
    return 8 if of_type.layout is None or of_type.layout.bits is None else of_type.layout.bits


def all_plain_or_packed(op: Node) -> bool:
    """As `all_plain`, but the first operand and the result may be packed."""
    first = op.operands[0].type
    others = [value.type for value in op.operands[1:]]
    may_be = all(is_plain(of_type) or is_packed(of_type) for of_type in (first, *op.types))
    return may_be and all(map(is_plain, others)) and all(of_type.elements > 0 for of_type in op.types)


def all_plain_or_shared(op: Node) -> bool:
    """Whether every operand and result is plain, or unsigned codes that share bytes, and no result is empty."""

    def is_stored(of_type: TensorType) -> bool:
        return is_plain(of_type) or (is_packed(of_type) and of_type.dtype.kind == "uint")

    return all(map(is_stored, tensor_types(op))) and all(of_type.elements > 0 for of_type in op.types)


def all_plain(op: Node) -> bool:
    """Whether every operand and result is plain, and no result is empty."""
    return all(map(is_plain, tensor_types(op))) and all(of_type.elements > 0 for of_type in op.types)


def stored_strides(of_type: TensorType) -> tuple[int, ...]:
    """Elements between neighbours along each logical axis, as the tensor is stored."""
    strides = [0] * of_type.rank
    step = 1
    for axis in reversed(of_type.order):
        strides[axis] = step
        step *= of_type.shape[axis]
    return tuple(strides)


def same_bytes(of_type: TensorType, order: Sequence[int]) -> bool:
    """Whether the tensor lies in memory as it would in `order`: axes of extent 1 may stand anywhere."""

    def long_axes(axes: Sequence[int]) -> list[int]:
        return [axis for axis in axes if of_type.shape[axis] != 1]

    return (is_plain(of_type) or is_packed(of_type)) and long_axes(of_type.order) == long_axes(order)


def is_row_major(of_type: TensorType) -> bool:
    return same_bytes(of_type, range(of_type.rank))


def is_channels_last(of_type: TensorType) -> bool:
    """[N, spatial..., C] in memory."""
    return of_type.rank >= 2 and same_bytes(of_type, (0, *range(2, of_type.rank), 1))


def same_order(a: TensorType, b: TensorType) -> bool:
    """Whether element i in memory is the same element of both: equal shapes, stored alike."""
    return a.shape == b.shape and (is_plain(a) or is_packed(a)) and same_bytes(b, a.order)


def around(of_type: TensorType, axis: int) -> tuple[int, int, int]:
    """(outer, extent, inner): elements stored before, along and after the logical `axis`."""
    position = of_type.order.index(axis)
    stored = of_type.stored_shape
    return math.prod(stored[:position]), stored[position], math.prod(stored[position + 1 :])


@dataclass(frozen=True)
class Loops:
    """Nested loops, slowest first: extents, and for each tensor its strides in elements."""

    extents: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


def merge(extents: Sequence[int], strides: Sequence[Sequence[int]]) -> Loops:
    """The same loops without extents of 1, neighbours joined where every tensor allows it; at least one loop."""
    axes: list[tuple[int, tuple[int, ...]]] = []
    for extent, steps in zip(extents, zip(*strides, strict=True), strict=True):
        if extent == 1:
            continue
        if axes and all(outer == extent * inner for outer, inner in zip(axes[-1][1], steps, strict=True)):
            axes[-1] = (axes[-1][0] * extent, steps)
        else:
            axes.append((extent, steps))
    axes = axes or [(1, (0,) * len(strides))]
    return Loops(tuple(a[0] for a in axes), tuple(zip(*(a[1] for a in axes), strict=True)))


def padded(values: Sequence[int], length: int, fill: int = 0) -> tuple[int, ...]:
    """`values` preceded by `fill` up to `length`: what a struct with a fixed number of axes holds."""
    if len(values) > length:
        raise GraphError(f"{len(values)} loops are left after merging; the kernel has room for {length}")
    return (fill,) * (length - len(values)) + tuple(values)


def broadcast_strides(of_type: TensorType, rank: int) -> tuple[int, ...]:
    """Strides of an operand along the axes of a result of `rank`, by NumPy's broadcasting: 0 where it is repeated."""
    own = stored_strides(of_type)
    missing = rank - of_type.rank
    return (0,) * missing + tuple(0 if extent == 1 else s for extent, s in zip(of_type.shape, own, strict=True))


def elementwise_loops(result: TensorType, operands: Sequence[TensorType]) -> Loops:
    """Loops over `result` in the order in which it is stored; the strides are those of the operands."""
    order = result.order
    strides = [broadcast_strides(operand, result.rank) for operand in operands]
    return merge([result.shape[axis] for axis in order], [[s[axis] for axis in order] for s in strides])


def pieces(total: int, size: int) -> int:
    """How many pieces of at most `size` make up `total`; at least one."""
    return max(1, -(-total // size))
