"""What run-time indices, repetition, and searches and sums along one axis mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT64
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import exact, ops_indexing
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.ir.node import Node

Array = NDArray[Any]


def _counted(node: Node, indices: Array, extents: Any) -> Array:
    """Indices from 0 on, of axes of `extents`; negative ones count from the end."""
    inside = (indices >= -np.asarray(extents)) & (indices < np.asarray(extents))
    if not inside.all():
        raise ModelError(
            f"{node.label} was given the index {indices[~inside].flat[0]} for an axis of "
            f"{np.broadcast_to(extents, indices.shape)[~inside].flat[0]}; indices are in -extent..extent-1"
        )
    counted: Array = np.where(indices < 0, indices + extents, indices).astype(np.int64)
    return counted


@interprets(ops_indexing.Expand)
def expand(node: ops_indexing.Expand, x: Array) -> Array:
    return np.broadcast_to(x, node.shape)


@interprets(ops_indexing.ArgExtreme)
def arg_extreme(node: ops_indexing.ArgExtreme, x: Array) -> Array:
    """NumPy's search gives the first; the last is the first of the reversed axis, but for a NaN."""
    search = np.argmax if node.largest else np.argmin
    found: Array = np.asarray(search(x, axis=node.axis))
    if node.last:
        turned = x.shape[node.axis] - 1 - search(np.flip(x, node.axis), axis=node.axis)
        found = np.where(np.isnan(x).any(axis=node.axis), found, turned) if x.dtype.kind == "f" else turned
    return found.reshape(node.type.shape)


@interprets(ops_indexing.GatherElements)
def gather_elements(node: ops_indexing.GatherElements, x: Array, indices: Array) -> Array:
    return x[_element_index(node, x, indices, node.axis)]


def _element_index(node: Node, x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """For each element of `indices` where it stands in x: its own place, but for `axis`."""
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = _counted(node, indices, x.shape[axis])
    return tuple(np.broadcast_arrays(*places))


@interprets(ops_indexing.GatherND)
def gather_nd(node: ops_indexing.GatherND, x: Array, indices: Array) -> Array:
    batch, depth = node.batch_dims, indices.shape[-1]
    counted = _counted(node, indices, np.array(x.shape[batch : batch + depth]))
    places: tuple[Array, ...] = tuple(np.indices(indices.shape[:batch], sparse=True)) if batch else ()
    rows = indices.ndim - 1 - batch
    leading = tuple(place.reshape(*place.shape, *[1] * rows) for place in places)
    found: Array = x[(*leading, *(counted[..., i] for i in range(depth)))]
    return found


@interprets(ops_indexing.ScatterElements)
def scatter_elements(node: ops_indexing.ScatterElements, x: Array, indices: Array, updates: Array) -> Array:
    places = _element_index(node, x, indices, node.axis)
    return _scattered(x, np.ravel_multi_index(places, x.shape).reshape(-1), updates.reshape(-1, 1), node.reduction)


@interprets(ops_indexing.ScatterND)
def scatter_nd(node: ops_indexing.ScatterND, x: Array, indices: Array, updates: Array) -> Array:
    depth = indices.shape[-1]
    counted = _counted(node, indices, np.array(x.shape[:depth]))
    places = np.ravel_multi_index(tuple(counted[..., i] for i in range(depth)), x.shape[:depth]).reshape(-1)
    return _scattered(x, places, updates.reshape(places.size, -1), node.reduction)


def _scattered(x: Array, places: Array, updates: Array, reduction: str) -> Array:
    """Rows of `updates`, one after the other, into the rows of x that `places` names."""
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    result = x.astype(x.dtype).reshape(-1, updates.shape[1])
    for place, update in zip(places, updates, strict=True):
        old, new = result[place].astype(wide), update.astype(wide)
        match reduction:
            case "add":
                new = old + new
            case "mul":
                new = old * new
            case "max":
                new = np.where((new > old) | (new != new), new, old)
            case "min":
                new = np.where((new < old) | (new != new), new, old)
        result[place] = new.astype(x.dtype)
    return result.reshape(x.shape)


@interprets(ops_indexing.Cumulate)
def cumulate(node: ops_indexing.Cumulate, x: Array) -> Array:
    """One step after the other; float16 is summed in float32 and rounded where it is stored."""
    dtype = node.type.dtype
    wide: Any = np.float64 if dtype == FLOAT64 else np.float32 if dtype.is_float else x.dtype
    steps = np.moveaxis(np.flip(x, node.axis) if node.reverse else x, node.axis, 0)
    total = np.full(steps.shape[1:], 1 if node.product else 0, wide)
    rows = []
    for step in steps:
        grown = total * step.astype(wide) if node.product else total + step.astype(wide)
        rows.append(total if node.exclusive else grown)
        total = grown
    result = np.moveaxis(np.stack(rows), 0, node.axis) if rows else x
    result = np.flip(result, node.axis) if node.reverse else result
    return result if dtype.is_float else exact.wrap(result, dtype)


@interprets(ops_indexing.TopK)
def top_k(node: ops_indexing.TopK, x: Array) -> tuple[Array, Array]:
    """A stable sort puts the first of equal elements first; the largest come from the reversed axis, from its end."""
    if node.largest:
        turned = np.flip(np.argsort(np.flip(x, node.axis), axis=node.axis, kind="stable"), node.axis)
        order = x.shape[node.axis] - 1 - turned
    else:
        order = np.argsort(x, axis=node.axis, kind="stable")
    indices = np.take(order, np.arange(node.k), axis=node.axis)
    return np.take_along_axis(x, indices, axis=node.axis), indices
