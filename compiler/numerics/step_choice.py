"""Which integer form a staircase gets: comparisons for few steps, fixed point where it fits, or a search."""

from __future__ import annotations

from dataclasses import dataclass, field

from subbyte.compiler.numerics.fixed_point_choice import FixedPointLimits, fixed_point
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, SearchSteps, StepForm

SHIFTS = FixedPointLimits(exceptions=0, shared_exceptions=0, multiplier_bits=(4,))


@dataclass(frozen=True)
class StepPreferences:
    """compared: the most steps that are compared at once. limits: of what counts as fixed point.

    shifted: from so many steps on, a multiplier of at most 4 bits and no exception cost less than comparisons: scales
    that are powers of two.
    """

    compared: int = 15
    shifted: int = 7
    limits: FixedPointLimits = field(default_factory=FixedPointLimits)


def choose_step_form(staircase: Staircase, preferences: StepPreferences | None = None) -> StepForm:
    """The cheapest form that equals `staircase` for every accumulator that it was proved for."""
    wanted = preferences or StepPreferences()
    if staircase.count <= wanted.compared:
        shifted = fixed_point(staircase, SHIFTS) if staircase.count >= wanted.shifted else None
        return shifted or CompareSteps(staircase)
    return fixed_point(staircase, wanted.limits) or SearchSteps(staircase)
