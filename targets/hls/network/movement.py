"""Data movement as layers; Reshape and Transpose are none: they change the order in which a frame is read."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.numerics.resize import nearest_indices
from subbyte.targets.hls.layers import Concatenation, Frame, Padding, Resizing, Separation, Window
from subbyte.targets.hls.network.builder import Builder
from subbyte.targets.hls.network.frames import Geometry, image_geometry, image_order, through_view
from subbyte.targets.hls.streams import Codes, Element


def add_view(builder: Builder, op: ops.Reshape | ops.Transpose | ops.Repack) -> None:
    frame = builder.frame(op.x)
    order = through_view(op, frame.order)
    geometry = Geometry(frame.height, frame.width, frame.channels)
    builder.result(frame.name, op.out, frame.element, geometry, order)


def add_concatenation(builder: Builder, op: ops.Concat) -> None:
    element = Element.of(op.type)
    parts = [builder.mapped(_by_channel(builder, op, value), element) for value in op.values]
    name = builder.name("concat")
    geometry = Geometry(parts[0].height, parts[0].width, sum(part.channels for part in parts))
    starts = np.cumsum([0, *(value.type.shape[op.axis] for value in op.values)])
    at = zip(parts, starts.tolist(), strict=False)
    orders = [_moved(part.order, part.value, op.type.shape, op.axis, start) for part, start in at]
    order = np.concatenate([o.reshape(geometry.height * geometry.width, -1) for o in orders], axis=1).reshape(-1)
    y = builder.result(f"{name}_out", op.out, element, geometry, order)
    builder.add(Concatenation, name, tuple(parts), (y,), sources=op.sources)


def add_separation(builder: Builder, op: ops.Split) -> None:
    x = _by_channel(builder, op, op.x)
    name = builder.name("separate")
    frames = []
    for index, size in enumerate(op.sizes):
        value = Value(op, index)
        geometry = Geometry(x.height, x.width, size)
        order = image_order(value.type.shape) if value.type.rank > 2 else np.arange(value.type.elements)
        frames.append(builder.result(f"{name}_out{index}", value, x.element, geometry, order))
    builder.add(Separation, name, (x,), tuple(frames), sources=op.sources)


def add_resize(builder: Builder, op: ops.ResizeNearest) -> None:
    x = builder.image(op, op.x)
    shape = op.x.type.shape
    indices = [
        tuple(nearest_indices(op.coordinates, op.rounding, op.sizes[i], shape[i], op.scales[i]).tolist())
        for i in range(2, len(shape))
    ]
    rows, columns = indices if len(indices) == 2 else ((0,), *indices)
    name = builder.name("resize")
    y = builder.result(f"{name}_out", op.out, x.element, image_geometry(op.type.shape))
    builder.add(Resizing, name, (x,), (y,), rows, columns, sources=op.sources)


def add_padding(builder: Builder, op: ops.Pad) -> None:
    x = builder.mapped(builder.image(op, op.x), Element.of(op.type))
    rank = op.x.type.rank
    begins, ends = op.pads[2:rank], op.pads[rank + 2 :]
    top, left = begins if len(begins) == 2 else (0, *begins)
    bottom, right = ends if len(ends) == 2 else (0, *ends)
    name = builder.name("pad")
    y = builder.result(f"{name}_out", op.out, x.element, image_geometry(op.type.shape))
    window = Window((1, 1), (1, 1), (1, 1), (top, left, bottom, right), int(op.value))
    builder.add(Padding, name, (x,), (y,), window, sources=op.sources)


def _by_channel(builder: Builder, op: Node, value: Value) -> Frame:
    """`value` as frames whose pixels hold what axis 1 (images) or the last axis (vectors) runs over, in its order."""
    if value.type.rank > 2:
        return builder.image(op, value)
    frame = builder.rows(value)
    if not np.array_equal(frame.order, np.arange(value.type.elements)):
        raise UnsupportedError(
            f"{op.label}: {value.type} was flattened pixel by pixel on its way, so that its elements arrive in another "
            "order than they are joined or separated in; join or separate before the flattening"
        )
    return frame


def _moved(order: Codes, value: Value, shape: tuple[int, ...], axis: int, start: int) -> Codes:
    """Where the elements of an operand lie in the result of a Concat."""
    index = list(np.unravel_index(order, value.type.shape))
    index[axis] = index[axis] + start
    return np.asarray(np.ravel_multi_index(tuple(index), shape), np.int64)
