"""What the Arm kernels for exact sums of products have in common: kernels/arm_conv.h and arm_finish.h.

A kernel for sums multiplies signed bytes. Codes of the input that are signed, or at most 127, are such bytes; codes
0..255 become so as their window is copied, less 128, which the bias makes up for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import result_range_of
from subbyte.compiler.numerics.thresholds import staircase
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    ResultPointer,
    Special,
    TargetFacts,
    as_array,
)
from subbyte.targets.arm.rows import in_order
from subbyte.targets.arm.tiles import WINDOW_BYTES, Window, choose_tiles
from subbyte.targets.common.c_types import is_signed_byte, is_unsigned_byte
from subbyte.targets.common.constants import constant_of, has_one_zero_point, operand, zero_point
from subbyte.targets.common.geometry import stored_bits
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import (
    Geometry,
    SumOfProducts,
    data_of,
    geometry,
    is_sum_of_products,
    per_output,
    weights_of,
)
from subbyte.targets.common.tiles import Tiles, ceil_div, padded_to, scratch_bytes

_FLIP = 128
# Bytes of weights a cycle, from the second cache level and from beyond it, by whether the pipeline is in order.
_FROM_LEVEL_2 = {True: 4.0, False: 16.0}
_FROM_BEYOND = {True: 2.0, False: 4.0}


@dataclass(frozen=True)
class Cut:
    """A convolution, and how it is cut into register tiles of `pixels` by `panel` outputs, and those into tiles.

    last_panel: outputs that are summed where no whole panel is left, 0 where all are whole; free_bytes: scratch behind
    the window, for the kernel's own use; in_window: the input is copied, with `beyond` zeros behind it.
    """

    geometry: Geometry
    pixels: int
    panel: int
    last_panel: int
    tiles: Tiles
    in_window: bool
    beyond: int
    free_bytes: int = 0

    @property
    def panels(self) -> int:
        return ceil_div(self.geometry.outputs, self.panel)

    @property
    def scratch_bytes(self) -> int:
        """Of a thread: the largest window, and what stands behind it."""
        return self.tiles.scratch_bytes + self.free_bytes


def accepts_sums(op: SumOfProducts, *, raw: bool, beyond_bytes: bool = False) -> bool:
    """Constant weights of signed bytes, less zero points or from a codebook; bytes with one zero point as the input.

    Group 1, sums in 32 bits: with `raw` the sums themselves, else codes of a byte by N4. How the tensors are stored,
    `row` of rows.py says. With `beyond_bytes`, weights less zero points may be -255..254, else they are bytes too.
    """
    data = data_of(op).type
    if not is_sum_of_products(op, raw=raw) or not has_one_zero_point(data):
        return False
    if not (is_signed_byte(data.dtype) or is_unsigned_byte(data.dtype)):
        return False
    if not raw and not (is_signed_byte(op.dtype) or is_unsigned_byte(op.dtype)):
        return False
    if not data.dtype.min <= zero_point(data) <= data.dtype.max:
        return False
    least, most = weight_range(op)
    return has_byte_weights(op) or (beyond_bytes and least >= -255 and most <= 254)


@remembered
def weight_range(op: SumOfProducts) -> tuple[int, int]:
    """The least and the largest weight, less its zero point."""
    weights = weights_of(op)
    return int(weights.min(initial=0)), int(weights.max(initial=0))


def has_byte_weights(op: SumOfProducts) -> bool:
    """Whether weights less their zero points are -128..127."""
    least, most = weight_range(op)
    return least >= -128 and most <= 127


def flips(op: SumOfProducts) -> bool:
    """Whether the codes of the input reach beyond 127, so that the window holds them less 128."""
    data = data_of(op).type
    return not data.dtype.is_signed and max(data.code_range()[1], zero_point(data)) > 127


def input_range(op: SumOfProducts) -> tuple[int, int]:
    """The least and the largest byte that is multiplied: codes, less 128 where they are flipped, and padding."""
    data = data_of(op).type
    low, high = data.code_range()
    zero, less = zero_point(data), _FLIP if flips(op) else 0
    return min(low, zero) - less, max(high, zero) - less


def cut_into(
    op: SumOfProducts,
    pixels: int,
    panel: int,
    last_panel: int | None = None,
    *,
    reads: int,
    always_window: bool = False,
    free_bytes: int = 0,
    window_bytes: int = WINDOW_BYTES,
    row_tiles: int | None = None,
    column_tiles: int | None = None,
    panel_tiles: int | None = None,
) -> Cut:
    """`op` in register tiles of `pixels` by `panel` outputs, of which the last has `last_panel`.

    Args:
        last_panel: outputs that are summed where no whole panel is left; None: as many as a whole one has.
        reads: codes that the inner loop reads at a time along a run; a run that is no multiple needs the window.
        always_window: the kernel reads nothing in place.
        row_tiles, column_tiles, panel_tiles: as knobs ask, else they are chosen.
    """
    g = geometry(op)
    runs, products = g.runs
    in_window = (
        always_window or stored_bits(data_of(op).type) < 8 or flips(op) or not g.stays_inside or products % reads != 0
    )
    beyond = reads if in_window else 0
    window = Window(g.strides, g.reach, g.channels, beyond) if in_window else None
    panels = ceil_div(g.outputs, panel)
    weight_bytes = g.outputs * runs * products
    tiles = choose_tiles(g.results, g.outputs * runs * products, pixels, window, panels, weight_bytes, window_bytes)
    rows, columns = row_tiles or tiles.rows, column_tiles or tiles.columns
    scratch = scratch_bytes(g.results, pixels, rows, columns, window)
    tiles = Tiles(rows, columns, scratch, panel_tiles or tiles.panels)
    last = 0 if g.outputs % panel == 0 else last_panel or panel
    return Cut(g, pixels, panel, last, tiles, in_window, beyond, free_bytes)


def fits_tiles(cut: Cut) -> bool:
    """Whether no piece of what was asked for is empty."""
    g, tiles = cut.geometry, cut.tiles
    return tiles.rows <= g.results[0] and tiles.columns * cut.pixels <= g.results[1] and tiles.panels <= cut.panels


def widest(cut: Cut) -> int:
    """Columns of the widest area, of the result."""
    g = cut.geometry
    whole = ceil_div(g.results[1] // cut.pixels, cut.tiles.columns) * cut.pixels
    return min(whole + g.results[1] % cut.pixels, g.results[1])


def pitch(cut: Cut) -> int:
    """Bytes from a row of the window, or of the input where that is read in place, to the next."""
    g = cut.geometry
    if not cut.in_window:
        return g.extents[1] * g.channels
    return ((widest(cut) - 1) * g.strides[1] + g.reach[1]) * g.channels


def places(cut: Cut, group: int) -> NDArray[np.int64]:
    """[groups]: where each group of codes begins in a window, from its first byte on; no run shares its groups."""
    g = cut.geometry
    runs, products = g.runs
    taps = 1 if g.dilations[1] == 1 else g.kernel[1]
    run = np.arange(runs)
    first = run // taps * g.dilations[0] * pitch(cut) + run % taps * g.dilations[1] * g.channels
    starts: NDArray[np.int64] = (first[:, None] + np.arange(0, products, group)).reshape(-1)
    return starts


def conv_struct(op: SumOfProducts, cut: Cut) -> ConstantStruct:
    """The struct subbyte_arm_conv of kernels/arm_conv.h."""
    g, r, flip = cut.geometry, op.requantization, flips(op)
    return ConstantStruct(
        "subbyte_arm_conv",
        (
            ("height", g.extents[0]),
            ("width", g.extents[1]),
            ("channels", g.channels),
            ("out_height", g.results[0]),
            ("out_width", g.results[1]),
            ("outputs", g.outputs),
            ("kernel_height", g.kernel[0]),
            ("kernel_width", g.kernel[1]),
            ("stride_height", g.strides[0]),
            ("stride_width", g.strides[1]),
            ("dilation_height", g.dilations[0]),
            ("dilation_width", g.dilations[1]),
            ("pad_top", g.begins[0]),
            ("pad_left", g.begins[1]),
            ("row_tiles", cut.tiles.rows),
            ("column_tiles", cut.tiles.columns),
            ("panel_tiles", cut.tiles.panels),
            ("pixels", cut.pixels),
            ("panel", cut.panel),
            ("last_panel", cut.last_panel),
            ("window", int(cut.in_window)),
            ("beyond", cut.beyond),
            ("flip", _FLIP if flip else 0),
            ("x_zero", zero_point(data_of(op).type) - (_FLIP if flip else 0)),
            ("x_bits", stored_bits(data_of(op).type)),
            ("y_zero", 0 if r is None else r.zero_point),
            ("qmin", 0 if r is None else r.qmin),
            ("qmax", 0 if r is None else r.qmax),
            ("y_bits", 8 if r is None else stored_bits(op.type)),
        ),
    )


def bias_of_bytes(op: SumOfProducts, weights: NDArray[np.int64]) -> NDArray[np.int32]:
    """[outputs]: the bias less what the zero point adds to sums of the bytes that are multiplied, modulo 2^32.

    weights: [outputs, ...]. Sums are exact modulo 2^32 on their way, and fit int32 in the end.
    """
    zero = zero_point(data_of(op).type) - (_FLIP if flips(op) else 0)
    bias = np.zeros(len(weights), np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)
    folded: NDArray[np.int64] = bias - zero * weights.reshape(len(weights), -1).sum(axis=1)
    return folded.astype(np.int32)


def results_arrays(op: SumOfProducts, cut: Cut, weights: NDArray[np.int64]) -> tuple[Argument, ...]:
    """bias, multiplier and shift, or the bias alone where results are the sums: of struct subbyte_arm_results."""
    bias = ConstantArray("bias", as_array(padded_to(bias_of_bytes(op, weights), 0, cut.panel), np.int32))
    r, outputs = op.requantization, cut.geometry.outputs
    if r is None:
        return (bias,)
    shift = Integer(0) if r.shift is None else per_output("shift", r.shift, outputs, cut.panel)
    return bias, per_output("multiplier", r.multiplier, outputs, cut.panel), shift


def sign_biases(op: SumOfProducts) -> NDArray[np.int32] | None:
    """[outputs]: what to add to sums of bytes for N4 to be qmax where that is at least 0, and qmin below (N5).

    None where N4 has other results for a reachable sum, or falls, or a sum less its threshold may be beyond 32 bits.
    """
    r, weights = op.requantization, weights_of(op)
    if r is None:
        return None
    low, high = (np.broadcast_to(np.asarray(end, np.int64), (len(weights),)) for end in result_range_of(op))
    try:
        found = staircase(r, low, high, 1)
    except NumericsError:  # sums without a bound
        return None
    if found is None or not np.isin(found.codes, (r.qmin, r.qmax)).all():
        return None
    reached = found.codes == r.qmax
    if (reached[:, :-1] > reached[:, 1:]).any():
        return None
    above = found.steps[:, 0] if found.count else found.high + 1
    thresholds = np.broadcast_to(np.where(reached[:, 0], found.low, above), low.shape)
    limits = np.iinfo(np.int32)
    if (low - thresholds < limits.min).any() or (high - thresholds > limits.max).any():
        return None
    folded: NDArray[np.int64] = bias_of_bytes(op, weights).astype(np.int64) - thresholds
    return folded.astype(np.int32)  # modulo 2^32, as sums are on their way


def sums_call(
    symbol: str,
    op: SumOfProducts,
    cut: Cut,
    weights: tuple[Argument, ...],
    more: tuple[Argument, ...] = (),
    signs: NDArray[np.int32] | None = None,
) -> Call:
    """symbol(x, weights..., bias[, multiplier, shift], y, geometry, more..., begin, end, scratch).

    signs: `sign_biases`, where the kernel takes them instead.
    """
    if signs is None:
        results = results_arrays(op, cut, weights_of(op))
        proof = "" if op.requantization is None else "N4 in float32"
    else:
        results = (ConstantArray("bias", as_array(padded_to(signs, 0, cut.panel), np.int32)), Integer(0), Integer(0))
        proof = "N5: one threshold, found and proved over all sums"
    return Call(
        symbol,
        (
            operand(op, data_of(op)),
            *weights,
            *results,
            ResultPointer(),
            conv_struct(op, cut),
            *more,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=cut.geometry.images * cut.tiles.rows * cut.tiles.columns * cut.tiles.panels,
        scratch_bytes=cut.scratch_bytes,
        proof=proof,
    )


def with_weights(cycles: float, cut: Cut, weight_bytes: float, facts: TargetFacts) -> float:
    """`cycles` of sums whose weights lie in the first cache level; with the time that they take to come there.

    Every area asks for all weights. Pipelines that are not in order multiply meanwhile.
    """
    if weight_bytes <= facts.l1_bytes / 2:
        return cycles
    ordered = in_order(facts)
    rate = (_FROM_BEYOND if weight_bytes > facts.l2_bytes else _FROM_LEVEL_2)[ordered]
    coming = cut.geometry.images * cut.tiles.rows * cut.tiles.columns * weight_bytes / rate
    return cycles + coming if ordered else max(cycles, coming)
