"""How sums become results: the arrays and the struct of kernels/epilogue.h, for N4 in float32 or by thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.dtype import INT16, INT32
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.target import ConstantArray, ConstantStruct, Integer, as_array
from subbyte.targets.common.c_types import storage_code

FLOAT_PROOF = "N4 in float32"
_NULL = Integer(0)
_ALWAYS, _NEVER = INT32.min, INT32.max


@dataclass(frozen=True, eq=False)
class Epilogue:
    """The arrays, the null pointer where there is none; the codes before `results`; how it is shown equal to N4."""

    multiplier: ConstantArray | Integer = _NULL
    shift: ConstantArray | Integer = _NULL
    steps: ConstantArray | Integer = _NULL
    results: ConstantArray | Integer = _NULL
    zero_point: int = 0
    qmin: int = 0
    qmax: int = 0
    per_channel: bool = False
    proof: str = ""

    def struct(self, of_type: TensorType) -> ConstantStruct:
        """The struct subbyte_epilogue for a result of `of_type`."""
        steps, results = (a.data if isinstance(a, ConstantArray) else None for a in (self.steps, self.results))
        return ConstantStruct(
            "subbyte_epilogue",
            (
                ("type", storage_code(of_type)),
                ("per_channel", int(self.per_channel)),
                ("zero_point", self.zero_point),
                ("qmin", self.qmin),
                ("qmax", self.qmax),
                ("count", 0 if steps is None else steps.shape[0]),
                ("rows", 0 if steps is None else steps.shape[1]),
                ("short_steps", int(steps is not None and steps.dtype == np.int16)),
                ("entries", 0 if results is None else results.shape[-1]),
                ("results_per_channel", int(results is not None and results.shape[0] > 1)),
            ),
        )


def can_finish(r: Requantization | None) -> bool:
    """Whether `epilogue` knows it: results of a table stand in 16 bits."""
    if r is None or r.table is None:
        return True
    low, high = r.results()
    return INT16.min <= low and high <= INT16.max


def epilogue(r: Requantization | None) -> Epilogue:
    """By thresholds where the requantization has them and they fit int32, else in float32."""
    if r is None:
        return Epilogue()
    stairs = r.staircase
    if stairs is not None and INT32.min <= int(stairs.low.min()) and int(stairs.high.max()) < INT32.max:
        return _by_thresholds(stairs, "N4" if r.table is None else "N4 and its table")
    multiplier, shift = r.multiplier, r.shift
    if shift is not None:
        multiplier, shift = np.broadcast_arrays(multiplier, shift)
    return Epilogue(
        ConstantArray("multiplier", as_array(multiplier, np.float32)),
        _NULL if shift is None else ConstantArray("shift", as_array(shift, np.float32)),
        _NULL,
        _NULL if r.table is None else ConstantArray("table", as_array(np.atleast_2d(r.table), np.int16)),
        r.zero_point,
        r.qmin,
        r.qmax,
        multiplier.ndim > 0,
        FLOAT_PROOF if r.table is None else f"{FLOAT_PROOF}, then a table",
    )


def _by_thresholds(stairs: Staircase, equal_to: str) -> Epilogue:
    """Where no row descends the code is counted from the lowest one up; else it is looked up by the number of steps."""
    low, high = int(stairs.codes.min()), int(stairs.codes.max())
    steps, codes = stairs.steps, stairs.codes
    if (codes[:, 1:] >= codes[:, :-1]).all() and high - low <= max(stairs.count, 1):
        steps = np.stack([_to_reach(np.arange(low + 1, high + 1), *row) for row in zip(steps, codes, strict=True)])
        results, lowest = None, low
    else:
        steps = np.where(steps > stairs.high[:, None], _NEVER, steps)
        results, lowest = (codes[:1] if (codes == codes[0]).all() else codes), 0
    if steps.shape[1] == 0:  # constants
        steps = np.full((stairs.rows, 1), _NEVER)
    short = INT16.min <= int(stairs.low.min()) and int(stairs.high.max()) < INT16.max
    dtype = INT16 if short else INT32
    steps = np.clip(steps.T, dtype.min, dtype.max)  # always and never are also the ends of int16
    return Epilogue(
        steps=ConstantArray("thresholds", as_array(steps, dtype.numpy), "step_by_step"),
        results=_NULL if results is None else ConstantArray("table", as_array(results, np.int16)),
        qmin=lowest,
        qmax=high if results is None else stairs.count,
        per_channel=stairs.rows > 1,
        proof=f"thresholds, equal to {equal_to} for sums in {int(stairs.low.min())}..{int(stairs.high.max())}",
    )


def _to_reach(wanted: Codes, steps: Codes, codes: Codes) -> Codes:
    """The step at which a row that does not descend comes to each code of `wanted`, or beyond it."""
    places = np.searchsorted(codes, wanted)
    bounds = np.concatenate([[_ALWAYS], steps, [_NEVER]])
    return np.asarray(bounds[places])
