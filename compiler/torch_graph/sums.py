"""Sums of products on PyTorch: convolutions, matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node
from subbyte.compiler.torch_graph.registry import broadcast, first_alone, runs
from subbyte.compiler.torch_graph.windows import padded

if TYPE_CHECKING:
    from torch import Tensor


def by_rank(node: Node, functions: Sequence[Any], rank: int) -> Any:
    """The function for 1, 2 or 3 spatial axes.  Raises: UnsupportedError: there are others."""
    if not 1 <= rank <= len(functions):
        raise UnsupportedError(f"{node.label} has {rank} spatial axes; torch runs it with 1 to {len(functions)}")
    return functions[rank - 1]


@runs(ops.Conv, together=first_alone)
def conv(node: ops.Conv, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    import torch.nn.functional as F

    rank = len(node.strides)
    function = by_rank(node, (F.conv1d, F.conv2d, F.conv3d), rank)
    begins, ends = node.pads[:rank], node.pads[rank:]
    inside: Any = 0
    if begins == ends and min(begins) >= 0:
        inside = begins
    else:
        x = padded(x, begins, ends, 0.0)
    result: Tensor = function(x, w, b, node.strides, inside, node.dilations, node.group)
    return result


@runs(ops.ConvTranspose, together=first_alone)
def conv_transpose(node: ops.ConvTranspose, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """All that the kernel reaches, then cropped by pads; what output_padding adds beyond holds the bias alone."""
    import torch.nn.functional as F

    rank = len(node.strides)
    function = by_rank(node, (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), rank)
    whole = function(x, w, None, node.strides, 0, 0, node.group, node.dilations)
    ends = [extra - end for extra, end in zip(node.output_padding, node.pads[rank:], strict=True)]
    result = padded(whole, [-begin for begin in node.pads[:rank]], ends, 0.0)
    return result if b is None else result + b.reshape(-1, *[1] * rank)


def _rows_apart(node: ops.MatMul, carried: Sequence[bool]) -> bool:
    """Samples lie along the rows of a matrix product, or along an axis before the matrices."""
    if node.type.rank > 2:
        return broadcast(node, carried)
    return carried[0] and not carried[1]


@runs(ops.MatMul, together=_rows_apart)
def matmul(node: ops.MatMul, a: Tensor, b: Tensor) -> Tensor:
    return a @ b


def _gemm_rows_apart(node: ops.Gemm, carried: Sequence[bool]) -> bool:
    c = node.c
    repeated = c is None or c.type.rank < 2 or c.type.shape[0] == 1
    return carried[0] and not any(carried[1:]) and not node.transpose_a and repeated


@runs(ops.Gemm, together=_gemm_rows_apart)
def gemm(node: ops.Gemm, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    product = (a.mT if node.transpose_a else a) @ (b.mT if node.transpose_b else b)
    if node.alpha != 1:
        product = node.alpha * product
    if c is None:
        return product
    return product + (c if node.beta == 1 else node.beta * c)
