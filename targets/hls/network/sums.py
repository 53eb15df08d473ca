"""Convolutions and matrix products as layers: centred weights, biases that hold the zero points, proven sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.accumulators import result_range_of
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.numerics.affine import to_integers
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.step_choice import choose_step_form
from subbyte.compiler.numerics.step_forms import StepForm, Unchanged
from subbyte.compiler.numerics.thresholds import staircase
from subbyte.targets.hls.layers import Concatenation, DepthwiseSums, Frame, Separation, Sums, Window
from subbyte.targets.hls.network.builder import Builder
from subbyte.targets.hls.network.frames import Geometry, image_geometry, image_order, rows_geometry, rows_order
from subbyte.targets.hls.products.choice import choose_product
from subbyte.targets.hls.streams import Codes, Element

MOST_STEPS = 1 << 16
MOST_GROUPS = 16
"""Groups that get a pipeline each; of more groups one pipeline multiplies by the zeros between them too."""


def add_convolution(builder: Builder, op: QConv) -> None:
    x = builder.image(op, op.x)
    weights = _centred(op.w, 0)
    outputs, per_group = weights.shape[:2]
    weights = weights.reshape(outputs, per_group, -1)
    pad_code = _zero_point(op.x)
    window = _window(op, pad_code)
    if any(op.pads):
        x = builder.mapped(x, x.element.with_code(pad_code))
    bias = _bias(op.bias, outputs) - pad_code * weights.sum(axis=(1, 2))
    geometry = image_geometry(op.type.shape)
    y_element, steps = requantization_of(op)
    if op.group == x.channels == outputs and op.group > 1:
        taps = weights[:, 0, :]
        sums = _sums(x.element, taps, bias)
        product, terms = choose_product(x.element, taps, builder.most_terms)
        name = builder.name("depthwise")
        y = builder.result(f"{name}_out", op.out, y_element, geometry)
        builder.add(
            DepthwiseSums, name, (x,), (y,), window, taps, bias, sums, steps, product, terms, sources=op.sources
        )
        return
    by_tap = np.ascontiguousarray(weights.transpose(0, 2, 1))  # [outputs, taps, channels of the group]
    if op.group == 1:
        y = builder.result(f"{builder.name('conv')}_out", op.out, y_element, geometry)
        _add_sums(builder, "conv", x, y, window, by_tap, bias, steps, op.sources)
    elif op.group > MOST_GROUPS:
        y = builder.result(f"{builder.name('conv')}_out", op.out, y_element, geometry)
        _add_sums(builder, "conv", x, y, window, _between_zeros(by_tap, op.group), bias, steps, op.sources)
    else:
        _add_groups(builder, op, x, y_element, window, by_tap, bias, geometry)


def add_matrix_product(builder: Builder, op: QGemm) -> None:
    x = builder.rows(op.a)
    weights = _centred(op.b, op.b.type.rank - 1)
    weights = weights.reshape(-1, weights.shape[-1]).T  # [N, K]
    if x.width == 1:
        weights = weights[:, x.order]
    zero_point = _zero_point(op.a)
    bias = _bias(op.bias, weights.shape[0]) - zero_point * weights.sum(axis=1)
    y_element, steps = requantization_of(op)
    y = builder.result(
        f"{builder.name('gemm')}_out", op.out, y_element, rows_geometry(op.type.shape), rows_order(op.type.shape)
    )
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 0)
    _add_sums(builder, "gemm", x, y, window, weights[:, None, :], bias, steps, op.sources)


def requantization_of(op: QConv | QGemm) -> tuple[Element, StepForm]:
    """What leaves the sums of `op`: its codes, and how they are made of sums; the sums themselves without N4."""
    low, high = result_range_of(op)
    requantization = op.requantization
    if requantization is None:
        return Element(int(low.min()), int(high.max())), Unchanged()
    return Element.of(op.type), _steps(op.label, requantization, low, high)


def _steps(label: str, requantization: Requantization, low: Codes, high: Codes) -> StepForm:
    found = staircase(requantization, low, high, MOST_STEPS)
    if found is None:
        raise UnsupportedError(f"{label}: its result has more than {MOST_STEPS} codes; streams carry up to 16 bits")
    return choose_step_form(found)


def _add_sums(
    builder: Builder,
    kind: str,
    x: Frame,
    y: Frame,
    window: Window,
    weights: Codes,
    bias: Codes,
    steps: StepForm,
    sources: tuple[str, ...],
) -> None:
    flat = weights.reshape(weights.shape[0], -1)
    product, terms = choose_product(x.element, flat, builder.most_terms)
    builder.add(
        Sums,
        builder.name(kind),
        (x,),
        (y,),
        window,
        weights,
        bias,
        _sums(x.element, flat, bias),
        steps,
        product,
        terms,
        sources=sources,
    )


def _add_groups(
    builder: Builder,
    op: QConv,
    x: Frame,
    y_element: Element,
    window: Window,
    weights: Codes,
    bias: Codes,
    geometry: Geometry,
) -> None:
    """A pipeline for each group, between a Separation and a Concatenation."""
    inputs, outputs = x.channels // op.group, weights.shape[0] // op.group
    name = builder.name("separate")
    pixels = x.height * x.width
    order = x.order.reshape(pixels, -1)
    parts = tuple(
        Frame(f"{name}_out{g}", x.element, x.height, x.width, inputs, x.value, columns)
        for g in range(op.group)
        for columns in [np.ascontiguousarray(order[:, g * inputs : (g + 1) * inputs]).reshape(-1)]
    )
    builder.add(Separation, name, (x,), parts, sources=op.sources)
    whole = image_order(op.type.shape).reshape(geometry.height * geometry.width, -1)
    results = []
    low, high = result_range_of(op)
    for g, part in enumerate(parts):
        mine = slice(g * outputs, (g + 1) * outputs)
        steps: StepForm = Unchanged()
        if op.requantization is not None:
            r = op.requantization
            of_group = replace(r.of_channels(np.arange(*mine.indices(weights.shape[0]))), staircase=None)
            ends = [np.broadcast_to(end, (weights.shape[0],))[mine] for end in (low, high)]
            steps = _steps(op.label, of_group, *ends)
        y = Frame(
            f"{builder.name('conv')}_out",
            y_element,
            geometry.height,
            geometry.width,
            outputs,
            builder.shown(op.out),
            np.ascontiguousarray(whole[:, mine]).reshape(-1),
        )
        _add_sums(builder, "conv", part, y, window, weights[mine], bias[mine], steps, op.sources)
        results.append(y)
    joined = builder.name("concat")
    builder.add(
        Concatenation,
        joined,
        tuple(results),
        (builder.result(f"{joined}_out", op.out, y_element, geometry),),
        sources=op.sources,
    )


def _between_zeros(weights: Codes, group: int) -> Codes:
    """[outputs, taps, channels of the group] -> [outputs, taps, channels], 0 for those of other groups."""
    outputs, taps, inputs = weights.shape
    dense = np.zeros((outputs, taps, group, inputs), np.int64)
    rows = np.arange(outputs)
    dense[rows, :, rows // (outputs // group)] = weights
    return dense.reshape(outputs, taps, group * inputs)


def _centred(value: Value, axis: int) -> Codes:
    """Weights as the integers that stand for them: codes less their zero points, or a codebook's levels."""
    codes, quant = value.constant, value.type.quant
    if codes is None:
        raise UnsupportedError(f"weights {value.type} are no constant")
    if quant is None:
        return np.asarray(codes, np.int64)
    if quant.levels is not None:
        return np.asarray(to_integers(codes, quant), np.int64)
    zero_point = quant.static()[1]
    if zero_point.ndim:
        zero_point = zero_point.reshape([-1 if i == axis else 1 for i in range(codes.ndim)])
    return np.asarray(codes.astype(np.int64) - zero_point)


def _zero_point(value: Value) -> int:
    quant = value.type.quant
    return 0 if quant is None else quant.scalar()[1]


def _bias(value: Value | None, outputs: int) -> Codes:
    if value is None or value.constant is None:
        return np.zeros(outputs, np.int64)
    return np.asarray(value.constant, np.int64)


def _sums(x: Element, weights: Codes, bias: Codes) -> Element:
    """Bounds of every sum of any of the products of an output, with its bias and without."""
    ends = np.stack([weights * x.low, weights * x.high])
    low = np.minimum(ends.min(axis=0), 0).sum(axis=1) + np.minimum(bias, 0)
    high = np.maximum(ends.max(axis=0), 0).sum(axis=1) + np.maximum(bias, 0)
    return Element(int(low.min()), int(high.max()))


def _window(op: QConv, pad_code: int) -> Window:
    return window_of(op.w.type.shape[2:], op.strides, op.dilations, op.pads, pad_code)


def window_of(
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    pad_code: int,
) -> Window:
    """A window of one or two spatial axes in two."""
    half = len(kernel)
    (top, left), (bottom, right) = _in_two(pads[:half], 0), _in_two(pads[half:], 0)
    return Window(_in_two(kernel, 1), _in_two(strides, 1), _in_two(dilations, 1), (top, left, bottom, right), pad_code)


def _in_two(along: tuple[int, ...], missing: int) -> tuple[int, int]:
    """Rows and columns of one or two numbers."""
    return (along[0], along[1]) if len(along) == 2 else (missing, along[0])
