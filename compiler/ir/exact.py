"""Exact integer arithmetic of the interpreter: sums of products without overflow, wrap-around where that is meant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import NumericsError

Integers = NDArray[np.int64]

_FLOAT64_EXACT = 2**53  # every integer up to here is a float64, so sums that stay below are exact in any order
_INT64_MAX = 2**63 - 1


def factors(a: Integers, b: Integers, products: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """a and b in a type in which sums of `products` of their products are exact: float64, which is fast, or int64.

    Raises: NumericsError: such a sum may exceed int64.
    """
    bound = products * _largest(a) * _largest(b)
    if bound > _INT64_MAX:
        raise NumericsError(f"a sum of {products} products may reach {bound}, beyond int64; use operands of fewer bits")
    dtype = np.float64 if bound < _FLOAT64_EXACT else np.int64
    return a.astype(dtype), b.astype(dtype)


def matmul(a: Integers, b: Integers) -> Integers:
    """a [..., M, K] @ b [..., K, N], exactly.  Raises NumericsError where a sum may exceed int64."""
    left, right = factors(a, b, a.shape[-1])
    product: Integers = np.matmul(left, right).astype(np.int64)
    return product


def add(a: Integers, b: Integers) -> Integers:
    """a + b, broadcast.  Raises NumericsError where a sum may exceed int64."""
    if _largest(a) + _largest(b) > _INT64_MAX:
        raise NumericsError(f"a sum and its bias, up to {_largest(a)} and {_largest(b)}, may together exceed int64")
    return a + b


def divide(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """a / b toward zero, for b not 0; the one quotient that int64 does not hold, -2^63 / -1, wraps to -2^63."""
    with np.errstate(over="ignore"):
        floor: NDArray[Any] = a // b
        remainder = a - floor * b
    return np.where((remainder != 0) & ((a < 0) != (b < 0)), floor + 1, floor)


def wrap(values: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """Integers modulo 2^bits, in the range and the container of `dtype`."""
    if dtype.bits == dtype.container_bits:
        return values.astype(dtype.numpy)
    low = dtype.min
    return (((values.astype(np.int64) - low) & ((1 << dtype.bits) - 1)) + low).astype(dtype.numpy)


def _largest(values: Integers) -> int:
    return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
