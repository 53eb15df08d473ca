"""Integer forms of N6's operations on two narrow operands (N5): for hardware that has no floats."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.step_forms import StepForm


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
