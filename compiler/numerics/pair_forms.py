"""Integer forms of N6's operations on two narrow operands (N5): for hardware that has no floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.step_forms import StepForm, apply_steps


@dataclass(frozen=True, eq=False)
class PairForm:
    """A function of two codes; a_low, b_low: the smallest codes of each, from which tables are indexed."""

    a_low: int
    b_low: int


@dataclass(frozen=True, eq=False)
class PairTable(PairForm):
    """y = table[a - a_low][b - b_low]: for few bits. table: int64 [codes of a, codes of b]."""

    table: Codes


@dataclass(frozen=True, eq=False)
class PairSteps(PairForm):
    """y = steps(left[a - a_low] op right[b - b_low]), op + or *; left and right: int64 [codes]; steps has one row."""

    left: Codes
    right: Codes
    product: bool
    steps: StepForm


def apply_pair(form: PairForm, a: Any, b: Any) -> Codes:
    """What `form` makes of two arrays of codes, which broadcast against each other."""
    left, right = np.asarray(a, np.int64) - form.a_low, np.asarray(b, np.int64) - form.b_low
    match form:
        case PairTable(table=table):
            return np.asarray(table[left, right], np.int64)
        case PairSteps(left=of_a, right=of_b, product=product, steps=steps):
            joined = of_a[left] * of_b[right] if product else of_a[left] + of_b[right]
            return apply_steps(steps, joined[..., None])[..., 0]
    raise NumericsError(f"a {type(form).__name__} is no form of pairs")
