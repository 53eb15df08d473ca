"""Pools, reductions and resizing on PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.numerics.resize import linear_taps, nearest_indices
from subbyte.compiler.torch_graph.registry import first_alone, runs

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Pool = ops.MaxPool | ops.AveragePool


def padded(x: Tensor, begins: Sequence[int], ends: Sequence[int], value: float) -> Tensor:
    """x with borders of `value` on its last axes, cropped where they are negative."""
    import torch.nn.functional as F

    pads = [pad for pair in zip(reversed(begins), reversed(ends), strict=True) for pad in pair]
    return F.pad(x, pads, value=value) if any(pads) else x


def _need_three(node: Pool) -> int:
    rank = len(node.kernel)
    if not 1 <= rank <= 3:
        raise UnsupportedError(f"{node.label} has windows over {rank} axes; torch runs it with 1 to 3")
    return rank


def _filled(node: Pool, x: Tensor, value: float) -> Tensor:
    """x padded so that the windows of the result, and no others, lie inside."""
    rank = len(node.kernel)
    begins = node.pads[:rank]
    ends = [
        (count - 1) * stride + (kernel - 1) * dilation + 1 - extent - begin
        for count, stride, kernel, dilation, extent, begin in zip(
            node.type.shape[2:], node.strides, node.kernel, node.dilations, x.shape[2:], begins, strict=True
        )
    ]
    return padded(x, begins, ends, value)


@runs(ops.MaxPool, together=first_alone)
def max_pool(node: ops.MaxPool, x: Tensor) -> Tensor:
    import torch.nn.functional as F

    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[_need_three(node) - 1]
    result: Tensor = function(_filled(node, x, -math.inf), node.kernel, node.strides, 0, node.dilations)
    return result


@runs(ops.AveragePool, together=first_alone)
def average_pool(node: ops.AveragePool, x: Tensor) -> Tensor:
    """The sums of the windows, divided by how many positions of x (and its pads, where they count) each holds."""
    rank = _need_three(node)
    ones = x.new_ones((1, 1, *x.shape[2:]))
    if node.count_include_pad:
        ones = padded(ones, node.pads[:rank], node.pads[rank:], 1.0)
        counted = _summed(node, ones, padded_already=True)
    else:
        counted = _summed(node, ones)
    return _summed(node, x) / counted


def _summed(node: ops.AveragePool, x: Tensor, padded_already: bool = False) -> Tensor:
    """The sum of each window, as a convolution of each channel with ones."""
    import torch.nn.functional as F

    rank = len(node.kernel)
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    if padded_already:
        extents = [
            (count - 1) * stride + (kernel - 1) * dilation + 1
            for count, stride, kernel, dilation in zip(
                node.type.shape[2:], node.strides, node.kernel, node.dilations, strict=True
            )
        ]
        x = padded(x, [0] * rank, [want - have for want, have in zip(extents, x.shape[2:], strict=True)], 0.0)
    else:
        x = _filled(node, x, 0.0)
    alone = x.flatten(0, 1).unsqueeze(1)
    sums: Tensor = function(alone, x.new_ones((1, 1, *node.kernel)), None, node.strides, 0, node.dilations)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def _inner_axes(node: ops.Reduce, carried: Sequence[bool]) -> bool:
    return 0 not in node.axes


@runs(ops.ReduceSum, together=_inner_axes)
def reduce_sum(node: ops.ReduceSum, x: Tensor) -> Tensor:
    return x.sum(node.axes, node.keepdims).to(x.dtype) if node.axes else x


@runs(ops.ReduceMean, together=_inner_axes)
def reduce_mean(node: ops.ReduceMean, x: Tensor) -> Tensor:
    if not node.axes:
        return x
    if x.is_floating_point():
        return x.mean(node.axes, node.keepdims)
    count = math.prod(x.shape[axis] for axis in node.axes)
    return x.sum(node.axes, node.keepdims).div(count, rounding_mode="trunc").to(x.dtype)


@runs(ops.ReduceProd, together=_inner_axes)
def reduce_product(node: ops.ReduceProd, x: Tensor) -> Tensor:
    for axis in reversed(node.axes):
        x = x.prod(axis, keepdim=node.keepdims).to(x.dtype)
    return x


@runs(ops.ReduceMax, together=_inner_axes)
def reduce_max(node: ops.ReduceMax, x: Tensor) -> Tensor:
    return x.amax(node.axes, node.keepdims) if node.axes else x


@runs(ops.ReduceMin, together=_inner_axes)
def reduce_min(node: ops.ReduceMin, x: Tensor) -> Tensor:
    return x.amin(node.axes, node.keepdims) if node.axes else x


def _copies_samples(node: ops.ResizeNearest | ops.ResizeLinear, carried: Sequence[bool]) -> bool:
    return (node.sizes[0], node.scales[0]) == (node.x.type.shape[0], 1.0)


@runs(ops.ResizeNearest, together=_copies_samples)
def resize_nearest(node: ops.ResizeNearest, x: Tensor) -> Tensor:
    for axis, (extent, scale) in enumerate(zip(node.sizes, node.scales, strict=True)):
        have = node.x.type.shape[axis]
        if (extent, scale) != (have, 1.0):
            x = x.index_select(axis, _on(x, nearest_indices(node.coordinates, node.rounding, extent, have, scale)))
    return x


@runs(ops.ResizeLinear, together=_copies_samples)
def resize_linear(node: ops.ResizeLinear, x: Tensor) -> Tensor:
    for axis, (extent, scale) in enumerate(zip(node.sizes, node.scales, strict=True)):
        have = node.x.type.shape[axis]
        if (extent, scale) == (have, 1.0):
            continue
        lower, upper, weight = linear_taps(node.coordinates, extent, have, scale)
        weights = _on(x, weight).to(x.dtype).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
        x = (1 - weights) * x.index_select(axis, _on(x, lower)) + weights * x.index_select(axis, _on(x, upper))
    return x


def _on(x: Tensor, array: Any) -> torch.Tensor:
    import torch

    return torch.as_tensor(array, device=x.device)
