"""What data movement means: elements change places, not values, whether they are floats or codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret_registry import interprets

Array = NDArray[Any]


@interprets(ops.Reshape)
def reshape(node: ops.Reshape, x: Array) -> Array:
    return x.reshape(node.shape)


@interprets(ops.Transpose)
def transpose(node: ops.Transpose, x: Array) -> Array:
    return x.transpose(node.perm)


@interprets(ops.Concat)
def concat(node: ops.Concat, *values: Array) -> Array:
    return np.concatenate(values, axis=node.axis)


@interprets(ops.Split)
def split(node: ops.Split, x: Array) -> tuple[Array, ...]:
    return tuple(np.split(x, np.cumsum(node.sizes[:-1]), axis=node.axis))


@interprets(ops.Slice)
def slice_axes(node: ops.Slice, x: Array) -> Array:
    return x[np.ix_(*node.spans())]


@interprets(ops.Pad)
def pad(node: ops.Pad, x: Array) -> Array:
    """Crop where pads are negative, then add borders."""
    pads = tuple(zip(node.pads[: x.ndim], node.pads[x.ndim :], strict=True))
    kept = x[
        tuple(slice(max(-begin, 0), extent - max(-end, 0)) for (begin, end), extent in zip(pads, x.shape, strict=True))
    ]
    borders = [(max(begin, 0), max(end, 0)) for begin, end in pads]
    match node.mode:
        case "reflect":
            return np.pad(kept, borders, mode="reflect")
        case "edge":
            return np.pad(kept, borders, mode="edge")
        case "wrap":
            return np.pad(kept, borders, mode="wrap")
    return np.pad(kept, borders, mode="constant", constant_values=x.dtype.type(node.value))


@interprets(ops.Gather)
def gather(node: ops.Gather, x: Array, indices: Array) -> Array:
    extent = x.shape[node.axis]
    if indices.size and not -extent <= indices.min() <= indices.max() < extent:
        raise ModelError(
            f"{node.label} was given indices {indices.min()}..{indices.max()} for an axis of {extent}; "
            f"indices are in {-extent}..{extent - 1}"
        )
    return np.take(x, np.where(indices < 0, indices + extent, indices), axis=node.axis)


@interprets(ops.DepthToSpace)
def depth_to_space(node: ops.DepthToSpace, x: Array) -> Array:
    n, c, h, w = x.shape
    b = node.block
    if node.mode == "DCR":
        blocks = x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(node.type.shape)


@interprets(ops.SpaceToDepth)
def space_to_depth(node: ops.SpaceToDepth, x: Array) -> Array:
    n, c, h, w = x.shape
    b = node.block
    return x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(node.type.shape)


@interprets(ops.Repack)
def repack(node: ops.Repack, x: Array) -> Array:
    return x
