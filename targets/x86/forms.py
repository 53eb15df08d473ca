"""Forms of N6 for two tensors of bytes by AVX2 and AVX-512, each equal to N6 for every pair of codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from subbyte.compiler.ir.qops import QAdd, QBinary, QMul, QSub
from subbyte.targets.common.binary_forms import (
    Grids,
    fused_multiply_add,
    gives,
    neighbours,
    product_constant,
    quant_of,
    reciprocal_factor,
)

ADD, SUBTRACT, MULTIPLY, LINEAR, PRODUCT = range(5)  # as in kernels/x86_binary.h
_OPERATIONS: dict[type[QBinary], int] = {QAdd: ADD, QSub: SUBTRACT, QMul: MULTIPLY}


@dataclass(frozen=True)
class Form:
    """How a binary operation is computed: the fields of the struct subbyte_x86_binary, and why that is N6."""

    form: int
    a_scale: float
    b_scale: float
    y_scale: float
    constant: float
    reciprocal: bool
    proof: str


def _linear(grids: Grids, a: Any, b: Any, y: Any) -> Form | None:
    """fma(a_scale, a, fma(b_scale, b, constant)) with coefficients near the exact ones."""
    sign = -1.0 if grids.operation is QSub else 1.0
    (s_a, z_a), (s_b, z_b), (s_y, _) = (quant_of(of_type).scalar() for of_type in (grids.a, grids.b, grids.y))
    for a_scale in neighbours(np.float32(s_a / s_y), 1):
        for b_scale in neighbours(np.float32(sign * s_b / s_y), 1):
            for constant in neighbours(np.float32(-z_a * (s_a / s_y) - sign * z_b * (s_b / s_y)), 4):
                inner = fused_multiply_add(b, b_scale, constant)
                steps = None if inner is None else fused_multiply_add(a, a_scale, inner)
                if steps is not None and gives(steps, grids.y, y):
                    values = (float(a_scale), float(b_scale), 1.0, float(constant))
                    return Form(LINEAR, *values, False, "two fused multiply-adds, equal to N6 for all pairs of codes")
    return None


@lru_cache(maxsize=256)
def form_of(grids: Grids) -> Form:
    """The fastest form that is equal to N6 for all pairs of codes; N6 itself, with its division, where none is."""
    a, b, y = grids.all_pairs()
    if grids.operation is not QMul:
        if (linear := _linear(grids, a, b, y)) is not None:
            return linear
    elif (constant := product_constant(grids, a, b, y)) is not None:
        proof = "one product, equal to N6 for all pairs of codes"
        return Form(PRODUCT, 1.0, 1.0, 1.0, float(constant), False, proof)
    s_a, s_b, s_y = (quant_of(of_type).scalar()[0] for of_type in (grids.a, grids.b, grids.y))
    if (factor := reciprocal_factor(grids, a, b, y)) is not None:
        proof = "a product for N6's division, equal for all pairs of codes"
        return Form(_OPERATIONS[grids.operation], s_a, s_b, float(factor), 0.0, True, proof)
    return Form(_OPERATIONS[grids.operation], s_a, s_b, s_y, 0.0, False, "N6 in float32")
