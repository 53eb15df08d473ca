"""Tensors as frames of pixels: the geometry that operations want, and the order in which elements arrive.

A frame's `order` says which element of the tensor, row-major, each code of the stream is. Reshape and Transpose of a
tensor leave its stream alone and change that order only: they cost nothing. A Repack, which asks for another order in
memory, says nothing about streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node
from subbyte.targets.hls.streams import Codes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """height x width pixels of `channels` codes."""

    height: int
    width: int
    channels: int


def image_geometry(shape: Shape) -> Geometry:
    """[1, C, spatial...] as pixels of C channels; the batch of an operation over windows is 1 by `support`."""
    height, width = (1, *shape[2:])[-2:]
    return Geometry(height, width, shape[1])


def image_order(shape: Shape) -> Codes:
    """The elements of [1, C, spatial...], pixel by pixel."""
    channels = shape[1]
    return np.ascontiguousarray(np.arange(np.prod(shape, dtype=np.int64)).reshape(channels, -1).T).reshape(-1)


def rows_geometry(shape: Shape) -> Geometry:
    """[..., M, K] as a row of pixels of K channels: what matrix products work on."""
    channels = shape[-1] if shape else 1
    return Geometry(1, int(np.prod(shape, dtype=np.int64)) // channels, channels)


def rows_order(shape: Shape) -> Codes:
    """The elements of [..., M, K], row-major."""
    return np.arange(np.prod(shape, dtype=np.int64))


def through_view(op: Node, order: Codes) -> Codes:
    """The order of a view's result whose operand arrives in `order`."""
    match op:
        case ops.Reshape() | ops.Repack():
            return order
        case ops.Transpose(x=x, perm=perm):
            moved = np.arange(x.type.elements).reshape(x.type.shape).transpose(perm).reshape(-1)
            return np.asarray(np.argsort(moved)[order])
    raise UnsupportedError(f"{op.label} is no view of a stream")


def before_view(op: Node, order: Codes) -> Codes:
    """The order in which a view's operand arrives, so that the result arrives in `order`: inverse of `through_view`."""
    match op:
        case ops.Reshape() | ops.Repack():
            return order
        case ops.Transpose(x=x, perm=perm):
            return np.asarray(np.arange(x.type.elements).reshape(x.type.shape).transpose(perm).reshape(-1)[order])
    raise UnsupportedError(f"{op.label} is no view of a stream")
