"""Compute transposed convolutions as convolutions, where the target's kernels for these are faster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose
from subbyte.compiler.ir.rewrite import rewrite
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def convolve_by_phases(graph: Graph, target: Target) -> Graph:
    """QConvTranspose(x, w) of stride s -> Slice(DepthToSpace(QConv(x, phases of w))), of stride 1.

    Places of the result that are s apart meet the same taps. With t = i * s + q the place of x[i] * w[q], and
    t = j * s + r, the taps of phase r are q = r + s * m, and what they meet is x[j - m]. So each of the s^2 phases is
    a convolution with ceil(k / s) taps along an axis, zeros where there is none; DepthToSpace interleaves them, Slice
    cuts the pads off. Done for 2-D, one group, no dilation, equal strides, and where the three cost less.
    Exact: the same products are summed.
    """

    def faster(node: Node, _: Graph) -> Node | None:
        steps = _steps(node) if isinstance(node, QConvTranspose) else None
        if steps is None:
            return None
        cost, costs = target.cost(node), [target.cost(step) for step in steps]
        cheaper = cost is None or sum(float("inf") if one is None else one for one in costs) < cost
        return steps[-1] if cheaper else None

    return rewrite(graph, faster)


@dataclass(frozen=True)
class _Axis:
    """One spatial axis: phases j = first to last of the result before it is cut, and the taps of a phase."""

    extent: int
    result: int
    kernel: int
    stride: int
    begin: int

    @property
    def taps(self) -> int:
        return -(-self.kernel // self.stride)

    @property
    def first(self) -> int:
        return self.begin // self.stride

    @property
    def last(self) -> int:
        return (self.begin + self.result - 1) // self.stride

    @property
    def pads(self) -> tuple[int, int]:
        """Before and behind x, so that window j - first ends at x[j]."""
        return self.taps - 1 - self.first, self.last - (self.extent - 1)

    def tap(self, phase: int, place: int) -> int:
        """The tap that meets place `place` of the window in a phase; it may be beyond the kernel."""
        return phase + self.stride * (self.taps - 1 - place)


def _steps(node: QConvTranspose) -> tuple[Node, ...] | None:
    """The convolution, the DepthToSpace, and the Slice where anything is cut off; None for what is not covered."""
    w, quant = node.w.constant, node.w.type.quant
    if w is None or node.x.type.rank != 4 or node.group != 1 or set(node.dilations) != {1}:
        return None
    if len(set(node.strides)) != 1 or (node.quant is not None and not node.quant.is_per_tensor):
        return None
    if quant is not None and (quant.levels is not None or quant.block is not None or not quant.is_static):
        return None
    if node.bias is not None and node.bias.constant is None:
        return None
    axes = [
        _Axis(*numbers)
        for numbers in zip(
            node.x.type.shape[2:], node.type.shape[2:], w.shape[2:], node.strides, node.pads[:2], strict=True
        )
    ]
    if min(pad for axis in axes for pad in axis.pads) < 0:
        return None
    phases = _phases(w, quant, axes)
    if node.w.type.stray_code(phases) is not None:  # zeros are no code of the weights
        return None
    return _built(node, phases, axes)


def _phases(w: NDArray[Any], quant: QuantParams | None, axes: list[_Axis]) -> NDArray[Any]:
    """[C, O, kernel...] -> [phases * O, C, taps...]: phases in the order of DepthToSpace, row by row."""
    channels, outputs = w.shape[:2]
    rows, columns = axes
    zero = np.zeros(1, np.int64) if quant is None else quant.static()[1].reshape(-1)
    shape = (rows.stride, columns.stride, outputs, channels, rows.taps, columns.taps)
    phases = np.broadcast_to(zero.reshape(-1, 1, 1, 1), shape).astype(w.dtype)
    for r, s, y, x in np.ndindex(rows.stride, columns.stride, rows.taps, columns.taps):
        ky, kx = rows.tap(r, y), columns.tap(s, x)
        if ky < rows.kernel and kx < columns.kernel:
            phases[r, s, :, :, y, x] = w[:, :, ky, kx].T
    return phases.reshape(-1, *shape[3:])


def _built(node: QConvTranspose, phases: NDArray[Any], axes: list[_Axis]) -> tuple[Node, ...]:
    count = phases.shape[0] // node.type.shape[1]
    w_type, quant = node.w.type, node.w.type.quant
    if quant is not None and quant.axis is not None:
        scale, zero = quant.static()
        quant = quant.replace(scale=np.tile(scale, count), zero_point=np.tile(zero, count), axis=0)
    keep: dict[str, Any] = {"sources": node.sources, "layout": node.layout}
    conv = QConv(
        node.x,
        Constant.of(phases, w_type.dtype, quant=quant).out,
        _repeated(node.bias, count),
        None if node.requantization is None else _of_phases(node.requantization, count),
        node.dtype,
        node.quant,
        (1, 1),
        tuple(axis.pads[side] for side in (0, 1) for axis in axes),
        (1, 1),
        1,
        **keep,
    )
    whole = ops.DepthToSpace(conv.out, node.strides[0], "DCR", **keep)
    starts = tuple(axis.begin - axis.first * axis.stride for axis in axes)
    if whole.type.shape == node.type.shape and not any(starts):
        return conv, whole
    ends = tuple(start + axis.result for start, axis in zip(starts, axes, strict=True))
    cut = ops.Slice(whole.out, (0, 0, *starts), (*node.type.shape[:2], *ends), (1, 1, 1, 1), **keep)
    return conv, whole, cut


def _repeated(bias: Value | None, count: int) -> Value | None:
    if bias is None or bias.constant is None:
        return None
    return Constant.of(np.tile(bias.constant, count), bias.type.dtype, sources=bias.node.sources).out


def _of_phases(r: Requantization, count: int) -> Requantization:
    """The same for the channels of every phase, without a staircase."""
    shift, table = r.shift, r.table
    return replace(
        r,
        multiplier=np.tile(r.multiplier, count) if r.multiplier.ndim else r.multiplier,
        shift=np.tile(shift, count) if shift is not None and shift.ndim else shift,
        table=np.tile(table, (count, 1)) if table is not None and table.ndim == 2 else table,
        staircase=None,
    )
