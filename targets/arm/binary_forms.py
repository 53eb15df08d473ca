"""Forms of N6 for two tensors of bytes by NEON, each equal to N6 for every pair of codes.

NEON of 32 bits takes subnormal numbers for zero: there a form is accepted only where no operand and no intermediate
result is one, for any pair of codes, so that its arithmetic is IEEE's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from subbyte.compiler.ir.qops import QMul, QSub
from subbyte.targets.common.binary_forms import (
    Codes,
    Floats,
    Grids,
    fused_multiply_add,
    gives,
    neighbours,
    product_constant,
    quant_of,
    reals,
    reciprocal_factor,
)

_SMALLEST = float(np.finfo(np.float32).smallest_normal)
_SCALED_PROOF = "the scales divided beforehand, equal to N6 for all pairs of codes"


@dataclass(frozen=True)
class Form:
    """How a binary operation is computed: the kernel of kernels/arm_binary.h, its numbers, and why that is N6."""

    kernel: str  # scaled, product or reals
    a_scale: float
    b_scale: float
    y_scale: float
    divides: bool
    proof: str


def _are_normal(*numbers: Floats | np.float32) -> bool:
    """Whether every number is 0 or a normal one."""
    return all(bool(((one == 0) | (np.abs(one) >= _SMALLEST)).all()) for one in map(np.asarray, numbers))


def _scaled(grids: Grids, a: Codes, b: Codes, y: Codes, fused: bool) -> Form | None:
    """A * a_scale + B * b_scale with coefficients near the exact ones; `fused`: A's product is not rounded."""
    sign = -1.0 if grids.operation is QSub else 1.0
    s_a, s_b, s_y = (quant_of(of_type).scalar()[0] for of_type in (grids.a, grids.b, grids.y))
    left, right = (one.astype(np.float32) for one in grids.centred(a, b))
    for a_scale in neighbours(np.float32(s_a / s_y), 4):
        for b_scale in neighbours(np.float32(sign * s_b / s_y), 4):
            other = right * b_scale
            if fused:
                steps = fused_multiply_add(left, a_scale, other)
            else:
                one = left * a_scale
                steps = one + other
                if not _are_normal(a_scale, b_scale, one, other, steps):
                    return None
            if steps is not None and gives(steps, grids.y, y):
                return Form("scaled", float(a_scale), float(b_scale), 1.0, False, _SCALED_PROOF)
    return None


@lru_cache(maxsize=256)
def form_of(grids: Grids, aarch64: bool) -> Form | None:
    """The fastest form that is equal to N6 for all pairs of codes; with 64 bits, N6 itself where none is, else None."""
    a, b, y = grids.all_pairs()
    s_a, s_b, s_y = (quant_of(of_type).scalar()[0] for of_type in (grids.a, grids.b, grids.y))
    if grids.operation is not QMul:
        if (scaled := _scaled(grids, a, b, y, fused=aarch64)) is not None:
            return scaled
    elif (constant := product_constant(grids, a, b, y)) is not None and (aarch64 or abs(constant) >= _SMALLEST):
        return Form("product", 1.0, 1.0, float(constant), False, "one product, equal to N6 for all pairs of codes")
    exact = reals(grids, a, b)
    factor = reciprocal_factor(grids, a, b, y)
    if factor is not None and (aarch64 or _are_normal(np.float32(s_a), np.float32(s_b), factor, exact, exact * factor)):
        return Form(
            "reals", s_a, s_b, float(factor), False, "a product for N6's division, equal for all pairs of codes"
        )
    return Form("reals", s_a, s_b, s_y, True, "N6 in float32") if aarch64 else None
