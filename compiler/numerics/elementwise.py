"""Arithmetic between narrow tensors (N6): the ONNX graph op by op in float32, each operation rounded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from subbyte.compiler.numerics.affine import Quantization, to_codes, to_real
from subbyte.compiler.numerics.arrays import Array, Floats


def add(
    a: Any, a_params: Quantization | None, b: Any, b_params: Quantization | None, out: Quantization | None
) -> Array:
    """N2(f32(f32(s_a * A) + f32(s_b * B))) with A = q_a - z_a, B = q_b - z_b.

    Args:
        a, b: codes, or float32 reals where their params are None; shapes broadcast.
        out: None leaves the result in float32.
    Returns: int64 codes, or float32 where out is None.
    Source: design.md N6; ONNX DequantizeLinear, Add, QuantizeLinear.
    """
    return _binary(np.add, a, a_params, b, b_params, out)


def subtract(
    a: Any, a_params: Quantization | None, b: Any, b_params: Quantization | None, out: Quantization | None
) -> Array:
    """N2(f32(f32(s_a * A) - f32(s_b * B))); arguments as in `add`."""
    return _binary(np.subtract, a, a_params, b, b_params, out)


def multiply(
    a: Any, a_params: Quantization | None, b: Any, b_params: Quantization | None, out: Quantization | None
) -> Array:
    """N2(f32(f32(s_a * A) * f32(s_b * B))); arguments as in `add`."""
    return _binary(np.multiply, a, a_params, b, b_params, out)


def divide(
    a: Any, a_params: Quantization | None, b: Any, b_params: Quantization | None, out: Quantization | None
) -> Array:
    """N2(f32(f32(s_a * A) / f32(s_b * B))); x / 0 saturates by its sign and 0 / 0 is qmin; arguments as in `add`."""
    return _binary(np.divide, a, a_params, b, b_params, out)


def average(total: Any, count: Any, scale: Any, out: Quantization | None) -> Array:
    """The mean of codes: N2(f32(f32(f32(sum A) * s_x) / n)); average pooling and ReduceMean.

    Args:
        total: integers, the exact sum of q - z over each window.
        count: how many elements each window counts, at least 1, broadcast against total (count_include_pad, ceil_mode).
        scale: float32, of the input, broadcast against total.
        out: None leaves the result in float32.
    Returns: int64 codes, or float32 where out is None.
    Source: design.md N6.
    """
    with np.errstate(over="ignore", under="ignore"):
        return _store(_scaled(total, scale) / np.asarray(count, np.float32), out)


def reduce_sum(total: Any, scale: Any, out: Quantization | None) -> Array:
    """The sum of codes: N2(f32(f32(sum A) * s_x)); arguments as in `average`."""
    return _store(_scaled(total, scale), out)


def _scaled(total: Any, scale: Any) -> Floats:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.asarray(total, np.int64).astype(np.float32) * np.asarray(scale, np.float32), np.float32)


def _binary(
    operation: Callable[[Floats, Floats], Floats],
    a: Any,
    a_params: Quantization | None,
    b: Any,
    b_params: Quantization | None,
    out: Quantization | None,
) -> Array:
    left, right = (
        np.asarray(values, np.float32) if params is None else to_real(values, params)
        for values, params in ((a, a_params), (b, b_params))
    )
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        return _store(operation(left, right), out)


def _store(real: Any, out: Quantization | None) -> Array:
    return np.asarray(real, np.float32) if out is None else to_codes(real, out)
