"""Quantization whose scale is computed while the model runs (N9), and sums of products scaled block by block (N10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.numerics.affine import quantize
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.elementary import floats

BLOCK_CODES = 127  # codes of a block of activations: -127..127, zero point 0


@np.errstate(all="ignore")
def dynamic_range(x: Any) -> tuple[np.float32, int]:
    """(scale, zero_point) of the uint8 codes 0..255 that cover x and 0.

    low = min(x, 0), high = max(x, 0), both without NaN; scale = f32(f32(high - low) / 255), 1 where high equals low;
    zero_point = rne(clamp(f32(0 - f32(low / scale)), 0, 255)), 255 where that is NaN.

    So an infinite range has scale inf, and one of a few subnormals has scale 0: both are what ONNX Runtime computes.

    Args: x: float32, any shape.
    Source: design.md N9; ONNX DynamicQuantizeLinear.
    """
    reals = np.asarray(x, np.float32)
    low = np.fmin.reduce(reals, axis=None, initial=np.float32(0))
    high = np.fmax.reduce(reals, axis=None, initial=np.float32(0))
    scale = np.float32(1) if high == low else np.float32(np.float32(high - low) / np.float32(255))
    begin = np.float32(np.float32(0) - np.float32(low / scale))
    return scale, 255 if np.isnan(begin) else int(np.rint(np.clip(begin, 0, 255)))


@np.errstate(all="ignore")
def quantize_blocks(x: Any, block: int) -> tuple[Codes, Floats]:
    """int8 codes of x, each run of `block` elements of the last axis with a scale of its own and zero point 0.

    scale = f32(largest |x| / 127), NaN ignored, and 1 where that is 0; code = clamp(rne(f32(x / scale)), -127, 127),
    -127 for NaN (N2: also where x and the scale are infinite). The last run may be shorter.

    Args: x: float32 [..., K].
    Returns: codes int64 [..., K], scales float32 [..., ceil(K / block)].
    Source: design.md N9 and N10, with the symmetric codes of ONNX Runtime's MatMulNBits, accuracy_level 4.
    """
    reals = np.asarray(x, np.float32)
    starts = np.arange(0, reals.shape[-1], block)
    largest = np.fmax(np.fmax.reduceat(np.abs(reals), starts, axis=-1), np.float32(0))
    scales = floats(largest / np.float32(BLOCK_CODES))
    scales = floats(np.where(scales == 0, np.float32(1), scales))
    spread = np.repeat(scales, block, axis=-1)[..., : reals.shape[-1]]
    return quantize(reals, spread, 0, -BLOCK_CODES, BLOCK_CODES), scales


@np.errstate(all="ignore")
def block_products(a: Any, a_scales: Any, b: Any, b_scales: Any, block: int) -> Floats:
    """y[m, n] = sum over blocks, ascending, of f32(f32(acc) * f32(s_a * s_b)), acc the exact sum of a block of k.

    The first product is the first sum: one block makes no addition. The last block may be shorter.

    Args:
        a: integers [..., M, K] less their zero point; a_scales: float32 [..., M, ceil(K / block)] or [].
        b: integers [K, N] less their zero points; b_scales: float32 [ceil(K / block), N].
    Returns: float32 [..., M, N].
    Source: design.md N10.
    """
    left, right = np.asarray(a, np.int64), np.asarray(b, np.int64)
    blocks = -(-right.shape[0] // block)
    scales = np.broadcast_to(floats(a_scales), (*left.shape[:-1], blocks))
    total = np.zeros((*left.shape[:-1], right.shape[1]), np.float32)
    for i in range(blocks):
        span = slice(i * block, (i + 1) * block)
        sums = floats(left[..., span] @ right[span])
        product = floats(sums * floats(scales[..., i, None] * floats(b_scales)[i]))
        total = product if i == 0 else floats(total + product)
    return total
