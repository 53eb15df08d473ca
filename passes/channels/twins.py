"""Channels that are always equal: the same weights, bias and scales over the same data, and what is made of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.numerics.arrays import Codes
from subbyte.passes.channels.spaces import Spaces, is_product

Twins = dict[Value, Codes]


def twins(graph: Graph, spaces: Spaces) -> Twins:
    """For each value whose channels are known to `spaces`: for each channel, the first one that is always equal to it.

    Source: value numbering, channel by channel.
    """
    found: Twins = {}
    for node in graph.nodes():
        for index in range(len(node.types)):
            value = Value(node, index)
            if value in spaces.channels:
                found[value] = _firsts(_keys(node, index, spaces, found))
    return found


def _firsts(keys: Sequence[Hashable]) -> Codes:
    """For each key the place where it stands first."""
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(key, place) for place, key in enumerate(keys)], np.int64)


def _keys(node: Node, index: int, spaces: Spaces, found: Twins) -> list[Hashable]:
    """For each channel of output `index` something that is equal for equal channels."""
    channels = spaces.channels[Value(node, index)]
    count = len(channels.labels)
    if is_product(node):
        return list(_parameters(node, count))
    match node:
        case qops.QConv(x=x):
            return list(zip(_parameters(node, count), np.repeat(found[x], count // len(found[x])), strict=True))
        case qops.QBinary(a=a, b=b):
            behind = node.type.rank - channels.axis
            parts = [_entries(value, value.type.rank - behind, count, found) for value in (a, b)]
            return list(zip(*parts, strict=True))
        case ops.Concat(values=values, axis=axis) if axis == channels.axis:
            firsts = [found.get(value, np.arange(value.type.shape[axis])) for value in values]
            return [(k, int(first)) for k, part in enumerate(firsts) for first in part]
        case ops.Concat(values=values):
            return list(zip(*(found[value].tolist() for value in values), strict=True))
        case ops.Reshape(x=x):
            run = count // len(found[x])
            return [(int(first), place) for first in found[x] for place in range(run)]
        case ops.Split(x=x, axis=axis, sizes=sizes) if axis == channels.axis:
            begin = sum(sizes[:index])
            return list(found[x][begin : begin + count].tolist())
        case qops.Lookup(x=x, table=table, axis=axis) if axis is not None and axis == channels.axis:
            return [(row.tobytes(), int(first)) for row, first in zip(table, found[x], strict=True)]
    return list(found[node.operands[0]].tolist())


def _parameters(node: qops.QConv | qops.QGemm, count: int) -> list[Hashable]:
    """The weights, bias and scales of each output channel."""
    weights = node.b if isinstance(node, qops.QGemm) else node.w
    array = np.asarray(weights.constant)
    rows = np.ascontiguousarray(array.T if isinstance(node, qops.QGemm) else array).reshape(count, -1)
    columns: list[NDArray[np.generic]] = [] if node.bias is None else [np.asarray(node.bias.constant)]
    if node.requantization is not None:
        r = node.requantization
        columns += [v for v in (r.multiplier, r.shift) if v is not None]
        if r.table is not None and r.table.ndim == 2:
            columns.append(np.array([row.tobytes() for row in r.table]))
    if weights.type.quant is not None:
        columns.append(weights.type.quant.static()[1])
    spread = [np.broadcast_to(column, (count,)) for column in columns]
    return [(rows[k].tobytes(), *(column[k].tobytes() for column in spread)) for k in range(count)]


def _entries(value: Value, axis: int, count: int, found: Twins) -> list[Hashable]:
    """What an operand of an elementwise operation holds in each channel; 0 where it is broadcast along them."""
    if axis < 0 or value.type.shape[axis] == 1:
        return [0] * count
    if value.constant is not None:
        return [np.take(value.constant, k, axis=axis).tobytes() for k in range(count)]
    return list(found[value].tolist())
