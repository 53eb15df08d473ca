"""Pools and reductions over whole frames as layers."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.pool_steps import pool_staircase
from subbyte.compiler.numerics.step_choice import choose_step_form
from subbyte.targets.hls.layers import Frame, MaxPooling, SumPooling, Window
from subbyte.targets.hls.network.builder import Builder
from subbyte.targets.hls.network.frames import image_geometry, rows_geometry
from subbyte.targets.hls.network.sums import window_of
from subbyte.targets.hls.streams import Element

Pool = ops.MaxPool | qops.QAveragePool


def add_max_pool(builder: Builder, op: ops.MaxPool) -> None:
    x = builder.image(op, op.x)
    window = _window(op, x.element.low)  # the lowest code never wins against one of the frame, and each window has one
    name = builder.name("maxpool")
    y = builder.result(f"{name}_out", op.out, x.element, image_geometry(op.type.shape))
    builder.add(MaxPooling, name, (x,), (y,), _unless_whole(window, x.height, x.width), sources=op.sources)


def add_global_max(builder: Builder, op: ops.ReduceMax) -> None:
    x = builder.image(op, op.x)
    name = builder.name("maxpool")
    y = builder.result(f"{name}_out", op.out, x.element, rows_geometry((1, x.channels)), np.arange(x.channels))
    builder.add(MaxPooling, name, (x,), (y,), None, sources=op.sources)


def add_average_pool(builder: Builder, op: qops.QAveragePool) -> None:
    x = builder.image(op, op.x)
    zero_point = 0 if op.x.type.quant is None else op.x.type.quant.scalar()[1]
    window = _window(op, zero_point)
    if any(window.pads):
        x = builder.mapped(x, x.element.with_code(zero_point))
    name = builder.name("averagepool")
    y = builder.result(f"{name}_out", op.out, Element.of(op.type), image_geometry(op.type.shape))
    _add_sums(builder, op, name, x, y, _unless_whole(window, x.height, x.width), window.taps, zero_point)


def add_reduction(builder: Builder, op: qops.QReduce) -> None:
    x = builder.image(op, op.x)
    zero_point = 0 if op.x.type.quant is None else op.x.type.quant.scalar()[1]
    name = builder.name("mean" if isinstance(op, qops.QReduceMean) else "sum")
    y = builder.result(
        f"{name}_out", op.out, Element.of(op.type), rows_geometry((1, x.channels)), np.arange(x.channels)
    )
    _add_sums(builder, op, name, x, y, None, x.height * x.width, zero_point)


def _add_sums(
    builder: Builder,
    op: qops.QAveragePool | qops.QReduce,
    name: str,
    x: Frame,
    y: Frame,
    window: Window | None,
    taps: int,
    zero_point: int,
) -> None:
    """The sum of `taps` codes less their zero points, and steps that make codes of it."""
    low, high = x.element.low, x.element.high
    bias = -zero_point * taps
    steps = choose_step_form(pool_staircase(op, taps * low + bias, taps * high + bias))
    sums = Element(taps * min(low, 0) + min(bias, 0), taps * max(high, 0) + max(bias, 0))
    builder.add(SumPooling, name, (x,), (y,), window, bias, sums, steps, sources=op.sources)


def _window(op: Pool, pad_code: int) -> Window:
    """With pads behind as far as the last window reaches, which ceil_mode may extend and strides may shorten."""
    rank = len(op.kernel)
    behind = tuple(
        max((windows - 1) * stride + (kernel - 1) * dilation + 1 - begin - extent, 0)
        for extent, windows, stride, kernel, dilation, begin in zip(
            op.x.type.shape[2:],
            op.type.shape[2:],
            op.strides,
            op.kernel,
            op.dilations,
            op.pads[:rank],
            strict=True,
        )
    )
    return window_of(op.kernel, op.strides, op.dilations, (*op.pads[:rank], *behind), pad_code)


def _unless_whole(window: Window, height: int, width: int) -> Window | None:
    """None where there is one window, and it is the frame."""
    whole = window.kernel == (height, width) and not any(window.pads) and window.dilations == (1, 1)
    return None if whole else window
