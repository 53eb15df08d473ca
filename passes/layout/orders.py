"""Orders of axes in memory: which ones are the same bytes, and what becomes of one under Transpose and Reshape."""

from __future__ import annotations

from collections.abc import Sequence

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.passes.quantization.coded import all_codes

Order = tuple[int, ...]
"""The logical axes from slowest to fastest in memory."""


def row_major(rank: int) -> Order:
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """[N, spatial..., C]; row-major for rank 2 and less."""
    return (0, *range(2, rank), 1) if rank > 2 else row_major(rank)


def layout_of(order: Order) -> Layout | None:
    """The layout of a tensor stored in `order`; None for row-major."""
    return None if order == row_major(len(order)) else Layout(order)


def same_bytes(shape: Sequence[int], a: Order, b: Order) -> bool:
    """Whether a tensor lies in memory alike in both orders: axes of extent 1 may stand anywhere."""
    return a == b or [axis for axis in a if shape[axis] != 1] == [axis for axis in b if shape[axis] != 1]


def restricted(order: Order, rank: int) -> Order:
    """The order of an operand of lower rank that broadcasts (aligned at the end) against a tensor stored in `order`."""
    missing = len(order) - rank
    return tuple(axis - missing for axis in order if axis >= missing)


def without_axes(order: Order, axes: Sequence[int]) -> Order:
    """The order of what is left when `axes` are removed."""
    kept = [axis for axis in range(len(order)) if axis not in axes]
    return tuple(kept.index(axis) for axis in order if axis in kept)


def transposed(order: Order, perm: Sequence[int]) -> Order:
    """The order in which Transpose(perm) of a tensor stored in `order` is the same bytes."""
    return tuple(perm.index(axis) for axis in order)


def reshaped(x: Sequence[int], order: Order, shape: Sequence[int]) -> Order | None:
    """The order in which a tensor of shape x, stored in `order`, is the same bytes under another shape; None: in none.

    Both shapes fall into the shortest runs of axes with equal products. Where every run of x lies together in memory
    and in row-major order, the result has the runs in the same sequence.
    """
    if 0 in x:
        return row_major(len(shape))
    groups = _groups(x, shape)
    group_of = {axis: index for index, (axes, _) in enumerate(groups) for axis in axes}
    stored = [axis for axis in order if x[axis] != 1]
    sequence = list(dict.fromkeys(group_of[axis] for axis in stored))
    if stored != [axis for index in sequence for axis in groups[index][0]]:
        return None
    short = [axis for axis, extent in enumerate(shape) if extent == 1]
    found = (*short, *(axis for index in sequence for axis in groups[index][1]))
    return row_major(len(shape)) if same_bytes(shape, found, row_major(len(shape))) else found


def _groups(x: Sequence[int], y: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The shortest runs of axes of x and y with equal products, in order; axes of extent 1 left out."""
    axes_x, axes_y = ([axis for axis, extent in enumerate(shape) if extent != 1] for shape in (x, y))
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(axes_x) and j < len(axes_y):
        run_x, run_y = [axes_x[i]], [axes_y[j]]
        product_x, product_y = x[axes_x[i]], y[axes_y[j]]
        while product_x != product_y:
            if product_x < product_y:
                i += 1
                run_x.append(axes_x[i])
                product_x *= x[axes_x[i]]
            else:
                j += 1
                run_y.append(axes_y[j])
                product_y *= y[axes_y[j]]
        groups.append((run_x, run_y))
        i, j = i + 1, j + 1
    return groups


def is_view(op: Node) -> bool:
    """Whether the result of `op` is its operand's bytes: what moves nothing, and tables that change no code."""
    if len(op.operands) != 1 or len(op.types) != 1:
        return False
    x, y = op.operands[0].type, op.type
    if not _alike_in_bits(x, y):
        return False
    match op:
        case ops.Transpose(perm=perm):
            return same_bytes(y.shape, transposed(x.order, perm), y.order)
        case ops.Repack():
            return same_bytes(y.shape, x.order, y.order)
        case ops.Reshape():
            order = reshaped(x.shape, x.order, y.shape)
            return order is not None and same_bytes(y.shape, order, y.order)
        case qops.Lookup(table=table, axis=None) if op.dtype == x.dtype:
            return same_bytes(y.shape, x.order, y.order) and bool((table == all_codes(x.dtype)).all())
    return False


def _alike_in_bits(x: TensorType, y: TensorType) -> bool:
    """Whether the codes of both have as many bits in memory, and no row is padded."""
    bits = [None if of_type.layout is None else of_type.layout.bits for of_type in (x, y)]
    lanes = all(of_type.layout is None or of_type.layout.lanes == 1 for of_type in (x, y))
    whole = bits[0] is None or all(of_type.rank and of_type.stored_shape[-1] * bits[0] % 8 == 0 for of_type in (x, y))
    return bits[0] == bits[1] and lanes and bool(whole)
