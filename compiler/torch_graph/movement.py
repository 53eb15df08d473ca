"""Data movement on PyTorch; axis 0 is as long as that of the operand, not as the model says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from subbyte.compiler.ir import ops, ops_indexing
from subbyte.compiler.torch_graph.registry import first_alone, off_axis, runs

if TYPE_CHECKING:
    from torch import Tensor


def _has_axes(node: ops.Reshape, carried: Sequence[bool]) -> bool:
    """In row-major order samples stay one behind the other, whatever the shape of each."""
    return bool(node.shape)


@runs(ops.Reshape, together=_has_axes)
def reshape(node: ops.Reshape, x: Tensor) -> Tensor:
    inner = math.prod(node.shape[1:])
    if not node.shape or not inner or tuple(x.shape) == node.x.type.shape:
        return x.reshape(node.shape)
    return x.reshape(x.numel() // inner, *node.shape[1:])


def _stays(node: ops.Transpose, carried: Sequence[bool]) -> bool:
    return node.perm[0] == 0


@runs(ops.Transpose, together=_stays)
def transpose(node: ops.Transpose, x: Tensor) -> Tensor:
    return x.permute(node.perm)


@runs(ops.Concat, together=off_axis)
def concat(node: ops.Concat, *values: Tensor) -> Tensor:
    import torch

    return torch.cat(values, node.axis)


@runs(ops.Split, together=off_axis)
def split(node: ops.Split, x: Tensor) -> tuple[Tensor, ...]:
    import torch

    return tuple(torch.tensor_split(x, list(np.cumsum(node.sizes[:-1])), node.axis))


def _keeps_axis_0(node: ops.Slice, carried: Sequence[bool]) -> bool:
    return (node.starts[0], node.ends[0], node.steps[0]) == (0, node.x.type.shape[0], 1)


@runs(ops.Slice, together=_keeps_axis_0)
def slice_axes(node: ops.Slice, x: Tensor) -> Tensor:
    for axis, (span, extent) in enumerate(zip(node.spans(), node.x.type.shape, strict=True)):
        if span != range(extent):
            x = _taken(x, axis, np.array(span, np.int64))
    return x


def _pads_inside(node: ops.Pad, carried: Sequence[bool]) -> bool:
    return node.pads[0] == 0 == node.pads[node.x.type.rank]


@runs(ops.Pad, together=_pads_inside)
def pad(node: ops.Pad, x: Tensor) -> Tensor:
    """Cropped where pads are negative, then bordered."""
    import torch.nn.functional as F

    rank = x.ndim
    pairs = list(zip(node.pads[:rank], node.pads[rank:], strict=True))
    if node.mode == "constant":
        return F.pad(x, [pad for pair in reversed(pairs) for pad in pair], value=node.value)
    for axis, (begin, end) in enumerate(pairs):
        if begin or end:
            extent = x.shape[axis]
            kept = np.arange(max(-begin, 0), extent - max(-end, 0))
            mode: Any = node.mode
            x = _taken(x, axis, np.pad(kept, (max(begin, 0), max(end, 0)), mode=mode))
    return x


def _taken(x: Tensor, axis: int, indices: Any) -> Tensor:
    import torch

    return x.index_select(axis, torch.as_tensor(indices, device=x.device))


@runs(ops.DepthToSpace, together=first_alone)
def depth_to_space(node: ops.DepthToSpace, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    block = node.block
    if node.mode == "DCR":
        split = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        split = x.reshape(n, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    return split.reshape(n, c // block**2, h * block, w * block)


@runs(ops.SpaceToDepth, together=first_alone)
def space_to_depth(node: ops.SpaceToDepth, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    block = node.block
    split = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return split.reshape(n, c * block**2, h // block, w // block)


def _leads(node: ops_indexing.Expand, carried: Sequence[bool]) -> bool:
    found = node.x.type.shape
    return len(found) == len(node.shape) and found[0] == node.shape[0]


@runs(ops_indexing.Expand, together=_leads)
def expand(node: ops_indexing.Expand, x: Tensor) -> Tensor:
    leading = x.shape[0] if _leads(node, (True,)) else node.shape[0]
    return x.expand(leading, *node.shape[1:]) if node.shape else x
