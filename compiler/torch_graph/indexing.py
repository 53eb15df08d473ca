"""Elements chosen by index, and searches along an axis, on PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from subbyte.compiler.ir import ops, ops_indexing
from subbyte.compiler.torch_graph.registry import off_axis, runs

if TYPE_CHECKING:
    from torch import Tensor


def _gathers_apart(node: ops.Gather, carried: Sequence[bool]) -> bool:
    """From each sample by the same indices, or from one table by the indices of each sample."""
    if carried[0]:
        return not carried[1] and node.axis != 0
    return node.axis == 0


@runs(ops.Gather, together=_gathers_apart)
def gather(node: ops.Gather, x: Tensor, indices: Tensor) -> Tensor:
    flat = _from_the_front(indices, x.shape[node.axis]).reshape(-1)
    taken = x.index_select(node.axis, flat)
    return taken.reshape(*x.shape[: node.axis], *indices.shape, *x.shape[node.axis + 1 :])


@runs(ops_indexing.GatherElements)
def gather_elements(node: ops_indexing.GatherElements, x: Tensor, indices: Tensor) -> Tensor:
    return x.gather(node.axis, _from_the_front(indices, x.shape[node.axis]))


def _from_the_front(indices: Tensor, extent: int) -> Tensor:
    whole = indices.long()
    return whole.where(whole >= 0, whole + extent)


@runs(ops_indexing.Cumulate, together=off_axis)
def cumulate(node: ops_indexing.Cumulate, x: Tensor) -> Tensor:
    import torch

    y = x.flip(node.axis) if node.reverse else x
    if node.exclusive:
        start = torch.full_like(y.narrow(node.axis, 0, 1), 1 if node.product else 0)
        y = torch.cat([start, y.narrow(node.axis, 0, y.shape[node.axis] - 1)], node.axis)
    y = (y.cumprod(node.axis) if node.product else y.cumsum(node.axis)).to(x.dtype)
    return y.flip(node.axis) if node.reverse else y
