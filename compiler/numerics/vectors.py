"""Conformance vectors: arguments and results of every function of the C twin, for machines that run no Python.

The file is little-endian: "SBVEC001", the number of cases (uint64), then for each case the C function without its
prefix (32 bytes, padded with NUL), the types of its operands and of its result (16 bytes, such as "fiii:i"), the number
of elements (uint64), and the arrays, each padded to 8 bytes. f float32, i int32, u uint32, h uint16, l int64, m uint64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.numerics import elementary, float32
from subbyte.compiler.numerics.affine import dequantize, quantize
from subbyte.compiler.numerics.arrays import Array, Floats
from subbyte.compiler.numerics.elementary import floats
from subbyte.compiler.numerics.elementwise import average
from subbyte.compiler.numerics.fixed_point import emulation, search_half_even
from subbyte.compiler.numerics.integer_normalization import inverse_root
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.numerics.rounding import Rounding, shift_half_even
from subbyte.compiler.numerics.softmax import quantized_softmax, softmax_reciprocal, softmax_table
from subbyte.compiler.numerics.thresholds import thresholds
from subbyte.compiler.numerics.unary import FUNCTIONS, unary

MAGIC = b"SBVEC001"
TYPES = {"float32": "f", "int32": "i", "uint32": "u", "uint16": "h", "int64": "l", "uint64": "m"}
GRIDS = ((0, -128, 127), (77, 0, 255), (-3, -8, 7), (40001, 0, 65535))
PARAMETERS: dict[str, tuple[float, ...]] = {
    "LeakyRelu": (0.1,),
    "Clip": (-1.5, 6.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.3,),
    "Selu": (1.6732632, 1.0507009),
    "Celu": (0.7,),
    "ThresholdedRelu": (1.0,),
}


@dataclass(frozen=True, eq=False)
class Vector:
    """subbyte_FUNCTION of the operands, element by element, gives `expected`; any NaN equals any other."""

    function: str
    operands: tuple[Array, ...]
    expected: Array


def c_name(function: str) -> str:
    """The C function of an ONNX operator: HardSigmoid is hard_sigmoid_f32, Round is rint_f32."""
    snake = "".join("_" + letter.lower() if letter.isupper() else letter for letter in function).lstrip("_")
    return {"round": "rint"}.get(snake, snake) + "_f32"


def conformance_vectors() -> tuple[Vector, ...]:
    """Every case: special values, ties, the steps of N4, and random operands from fixed seeds."""
    return (*_conversions(), *_requantizations(), *_integer_forms(), *_integer_functions(), *_float_functions())


def to_bytes(vectors: tuple[Vector, ...]) -> bytes:
    """The cases as a file, in the format that stands at the head of this page."""
    parts = [MAGIC, len(vectors).to_bytes(8, "little")]
    for vector in vectors:
        arrays = [*vector.operands, vector.expected]
        letters = [TYPES[array.dtype.name] for array in arrays]
        parts.append(vector.function.encode().ljust(32, b"\0"))
        parts.append(f"{''.join(letters[:-1])}:{letters[-1]}".encode().ljust(16, b"\0"))
        parts.append(vector.expected.size.to_bytes(8, "little"))
        for array in arrays:
            data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            parts.append(data + b"\0" * (-len(data) % 8))
    return b"".join(parts)


def _vector(function: str, expected: Any, result: Any, *operands: tuple[Any, Any]) -> Vector:
    """Operands as (values, type), broadcast to the shape of the result and flattened."""
    want = np.asarray(expected).astype(result).reshape(-1)
    flat = [np.broadcast_to(np.asarray(values, dtype), np.shape(expected)).reshape(-1) for values, dtype in operands]
    return Vector(function, tuple(flat), want)


def _reals(seed: int) -> Floats:
    """Special values, every exponent, ordinary numbers, random bits."""
    rng = np.random.default_rng(seed)
    special = floats([0, -0.0, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, -0.5, 1e-45, 88.72283, 88.72284, -103.98, 3e38])
    exponents = (np.arange(1, 255, 3, dtype=np.uint32) << 23).view(np.float32)
    ordinary = np.concatenate([rng.normal(0, spread, 120) for spread in (0.3, 1, 10, 60)]).astype(np.float32)
    anything = rng.integers(0, 2**32, 200, dtype=np.uint32).view(np.float32)
    return np.concatenate([special, exponents, -exponents, ordinary, anything])


def _conversions() -> Iterator[Vector]:
    rng = np.random.default_rng(1)
    i, f = np.int32, np.float32
    codes = np.concatenate([np.arange(-130, 130), rng.integers(-(2**31), 2**31, 200)])
    for scale in floats([0.0371, 1e-38]):
        yield _vector("dequantize", dequantize(codes, scale), f, (codes, i), (scale, f))
    ties = (rng.integers(-600, 600, 400) / 2 * np.float64(0.0371)).astype(np.float32)
    x = np.concatenate([_reals(2), ties, np.nextafter(ties, np.float32(9)), np.nextafter(ties, np.float32(-9))])
    for zero_point, qmin, qmax in GRIDS:
        grid = [(value, i) for value in (zero_point, qmin, qmax)]
        yield _vector("quantize_f32", quantize(x, f(0.0371), zero_point, qmin, qmax), i, (x, f), (f(0.0371), f), *grid)
        for mode in Rounding:
            few = x[mode.value :: 7]
            want = quantize(few, f(0.0371), zero_point, qmin, qmax, rounding=mode, zero_point_first=True)
            yield _vector("quantize_mode_f32", want, i, (few, f), (f(0.0371), f), *grid, (mode.value, i), (1, i))
    halves = np.arange(0, 65536, 37, dtype=np.uint16)
    yield _vector("f16_to_f32", halves.view(np.float16).astype(f), f, (halves, np.uint16))
    finite = x[~np.isnan(x)]
    with np.errstate(over="ignore"):
        yield _vector("f32_to_f16", finite.astype(np.float16).view(np.uint16), np.uint16, (finite, f))
    total = rng.integers(-(2**20), 2**20, 300)
    yield _vector("average", average(total, 49, f(0.0371), None), f, (total, i), (f(0.0371), f), (49, i))
    entries = softmax_table(0.1)
    for scale, zero_point, qmin, qmax in ((1 / 256, 0, 0, 255), (0.0047, -128, -128, 127)):
        q = rng.integers(0, 256, (20, 10))
        q[:5] = q[:5, :1]
        e = entries[q.max(axis=1, keepdims=True) - q]
        m, k = softmax_reciprocal(scale)
        want = quantized_softmax(q, 1, entries, scale, zero_point, qmin, qmax)
        total = e.sum(axis=1, keepdims=True, dtype=np.uint64)
        grid = [(value, i) for value in (k, zero_point, qmin, qmax)]
        yield _vector("softmax_code", want, i, (e, np.uint32), (total, np.uint64), (m, np.uint64), *grid)


def _requantizations() -> Iterator[Vector]:
    rng = np.random.default_rng(3)
    i, f = np.int32, np.float32
    for m in floats([0.5, -0.0123456, 3.7e-5, 2.0**-20, -77.7, 3e38]):
        for zero_point, qmin, qmax in GRIDS[:3]:
            grid = [(value, i) for value in (zero_point, qmin, qmax)]
            for shift in (None, f(-17.3)):
                r = Requantization(np.asarray(m), None if shift is None else np.asarray(shift), zero_point, qmin, qmax)
                steps = thresholds(r, 0, -(2**31) + 4, 2**31 - 4)[::7]
                acc = np.concatenate([steps - 2, steps - 1, steps, steps + 1, rng.integers(-(2**31), 2**31, 20)])
                wide = np.concatenate([acc, rng.integers(-(2**62), 2**62, 20)])
                name, middle = ("requantize", []) if shift is None else ("requantize_shift", [(shift, f)])
                yield _vector(name + "_s32", requantize(acc, r), i, (acc, i), (m, f), *middle, *grid)
                yield _vector(name + "_s64", requantize(wide, r), i, (wide, np.int64), (m, f), *middle, *grid)


def _integer_forms() -> Iterator[Vector]:
    rng = np.random.default_rng(4)
    i = np.int32
    for m in floats([2.0**-12, -(2.0**-9), 0.0123456, -3.7e-5, 1e-20, 3e38]):
        for zero_point, qmin, qmax in GRIDS[:3]:
            grid = [(value, i) for value in (zero_point, qmin, qmax)]
            r = Requantization(np.asarray(m), None, zero_point, qmin, qmax)
            acc = rng.integers(-(2**31), 2**31, 100) >> rng.integers(0, 31, 100)
            mantissa, s = emulation(r, 0)
            want = requantize(acc, r)
            yield _vector("requantize_emulated_s64", want, i, (acc, np.int64), (mantissa, i), (s, i), *grid)
            form = search_half_even(r, 0, -(2**16), 2**16)
            if form is not None:
                near = acc >> 16
                want = requantize(near, r)
                yield _vector("requantize_half_even_s32", want, i, (near, i), (form.m, i), (form.s, i), *grid)


def _integer_functions() -> Iterator[Vector]:
    rng = np.random.default_rng(7)
    i, wide = np.int32, np.int64
    x = np.concatenate([rng.integers(-(2**62), 2**62, 200) >> rng.integers(0, 62, 200), np.arange(-32, 32)])
    for shift in (1, 2, 5, 31, 32, 33, 62):
        yield _vector("shift_rne_s64", shift_half_even(x, shift), wide, (x, wide), (shift, i))
    whole = np.concatenate([rng.integers(1, 2**63, 200) >> rng.integers(0, 62, 200), 2 ** np.arange(63)]).clip(1)
    part = rng.integers(0, 2**32, whole.size)
    squares = np.concatenate([whole, (whole & 0xFFFFFFFF) ** 2]).astype(np.uint64)
    yield _vector("isqrt_u64", [math.isqrt(n) for n in squares.tolist()], np.uint32, (squares, np.uint64))
    roots = np.array([inverse_root(n, p) for n, p in zip(whole.tolist(), part.tolist(), strict=True)], np.uint64)
    of_root = ((whole, np.uint64), (part, np.uint32))
    yield _vector("inverse_of_root", roots[:, 0], np.uint64, *of_root)
    yield _vector("exponent_of_root", roots[:, 1], i, *of_root)
    f, h, zero_point, qmin, qmax = 25, 17, -7, -32768, 32767
    deviation = rng.integers(-(2**31) + 1, 2**31, whole.size) >> rng.integers(0, 30, whole.size)
    gain, offset = rng.integers(-(2**30), 2**30, whole.size), rng.integers(-(2**58), 2**58, whole.size)
    kept = np.abs(deviation) * roots[:, 0].astype(np.float64) * 2.0 ** roots[:, 1] < 2.0 ** (63 - f + 29)
    deviation = np.where(kept, deviation, 0)
    want = []
    for d, (inverse, e), g, o in zip(deviation.tolist(), roots.tolist(), gain.tolist(), offset.tolist(), strict=True):
        normalized = shift_half_even(d * inverse, 63 - e - f)
        want.append(np.clip(shift_half_even(normalized * g + o, f + h) + zero_point, qmin, qmax))
    numbers = [(value, i) for value in (f, h, zero_point, qmin, qmax)]
    operands = ((deviation, wide), *of_root, (gain, i), (offset, wide), *numbers)
    yield _vector("normalized_code_of", want, i, *operands)


def _float_functions() -> Iterator[Vector]:
    f = np.float32
    x = _reals(5)
    y = np.random.default_rng(6).permutation(x)
    y[::5] = floats([2, 3, -1, 0.5, -3, 0, 1e9])[np.arange(y[::5].size) % 7]
    for function in FUNCTIONS:
        parameters = PARAMETERS.get(function, ())
        want = unary(function, x, parameters)
        yield _vector(c_name(function), want, f, (x, f), *[(parameter, f) for parameter in parameters])
    helpers: dict[str, Callable[[Any], Floats]] = {"expm1_f32": float32.expm1, "rsqrt_f32": float32.rsqrt}
    for name, helper in helpers.items():
        yield _vector(name, helper(x), f, (x, f))
    yield _vector("log1p_f32", float32.log1p(np.abs(x)), f, (np.abs(x), f))
    pairs: dict[str, Callable[[Any, Any], Floats]] = {
        "pow_f32": float32.power,
        "min_f32": elementary.minimum,
        "max_f32": elementary.maximum,
    }
    for name, pair in pairs.items():
        yield _vector(name, pair(x, y), f, (x, f), (y, f))
