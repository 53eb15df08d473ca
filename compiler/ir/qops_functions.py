"""Functions of codes in integers where no table of all codes serves: what --integer-only makes of float islands.

Their distance to the real functions is stated and proved: numerics/integer_normalization.py, integer_softmax.py and
piecewise.py. Codes have at most 16 bits, and one scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError, NumericsError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.integer_normalization import (
    MAX_TOLERANCE,
    IntegerNormalization,
    integer_normalization,
)
from subbyte.compiler.numerics.integer_softmax import softmax_tolerance
from subbyte.compiler.numerics.piecewise import SEGMENT_BITS, Pieces
from subbyte.compiler.numerics.softmax import softmax_reciprocal

WIDEST = 16


def _quant_of(x: Value) -> QuantParams:
    """The grid of codes of at most 16 bits that have one."""
    quant = x.type.quant
    affine = quant is not None and quant.is_static and quant.is_per_tensor and quant.levels is None
    if quant is None or not affine or x.type.dtype.kind not in ("int", "uint") or x.type.dtype.bits > WIDEST:
        raise GraphError(f"x is {x.type}; codes of at most {WIDEST} bits with one scale for the tensor are needed")
    return quant


def _result(dtype: DType, quant: QuantParams, x: Value) -> TensorType:
    """Codes of one scale, of the shape of x."""
    if not (quant.is_static and quant.is_per_tensor) or quant.levels is not None:
        raise GraphError("the result needs one scale for the tensor")
    return TensorType(dtype, x.type.shape, quant)


@dataclass(frozen=True, eq=False, repr=False)
class QNormalization(Node):
    """A normalization over `axis` and all axes after it, of codes: numerics/integer_normalization.py.

    gamma, beta: float32 of the shape of a row, x.shape[axis:], or None for ones and zeros; epsilon: float32.
    At most one step from the real normalization.  Source: design.md N8.
    """

    x: Value
    gamma: NDArray[np.float32] | None
    beta: NDArray[np.float32] | None
    axis: int
    epsilon: float
    dtype: DType
    quant: QuantParams

    def infer_type(self) -> TensorType:
        _quant_of(self.x)
        of_x = self.x.type
        if not 0 <= self.axis < of_x.rank or 0 in of_x.shape:
            raise GraphError(f"axis {self.axis} of {of_x} has no rows; an axis of one element or more is needed")
        for name, part in (("gamma", self.gamma), ("beta", self.beta)):
            if part is not None and (part.shape != of_x.shape[self.axis :] or part.dtype != np.float32):
                raise GraphError(
                    f"{name} is {part.dtype}{list(part.shape)}; float32{list(of_x.shape[self.axis :])} is needed"
                )
        result = _result(self.dtype, self.quant, self.x)
        if "_constants" not in self.__dict__:
            self.__dict__["_constants"] = self._fixed_point()
        return result

    @property
    def extent(self) -> int:
        """Elements of a row."""
        return math.prod(self.x.type.shape[self.axis :])

    @property
    def constants(self) -> IntegerNormalization:
        """The integers that it computes with, and its distance to the real normalization."""
        return self.__dict__["_constants"]  # type: ignore[no-any-return]

    def _fixed_point(self) -> IntegerNormalization:
        centred = isinstance(self, QLayerNormalization)
        x = _quant_of(self.x)
        try:
            return integer_normalization(x, self.quant, self.gamma, self.beta, self.epsilon, self.extent, centred)
        except NumericsError as error:
            raise GraphError(str(error)) from error


class QLayerNormalization(QNormalization):
    """quantize((x - mean) / sqrt(variance + epsilon) * gamma + beta)."""


class QRMSNormalization(QNormalization):
    """quantize(x / sqrt(mean of x**2 + epsilon) * gamma + beta)."""


@dataclass(frozen=True, eq=False, repr=False)
class QWideSoftmax(Node):
    """Softmax of codes of up to 16 bits along `axis`: numerics/integer_softmax.py.

    tables: uint32 [2, 256], `exponential_tables` of the scale of x. At most one step from the real softmax.
    Source: design.md N8.
    """

    x: Value
    tables: NDArray[np.uint32]
    dtype: DType
    quant: QuantParams
    axis: int

    def infer_type(self) -> TensorType:
        _quant_of(self.x)
        if not 0 <= self.axis < self.x.type.rank or 0 in self.x.type.shape:
            raise GraphError(f"axis {self.axis} of {self.x.type} has no rows; one element or more is needed")
        if self.tables.shape != (2, 256) or self.tables.dtype != np.uint32 or (self.tables[:, 0] != 1 << 31).any():
            raise GraphError(
                f"the tables are {self.tables.dtype}{list(self.tables.shape)}; uint32[2, 256], "
                "each with 2^31 in front, is needed"
            )
        result = _result(self.dtype, self.quant, self.x)
        try:
            softmax_reciprocal(self.quant.scalar()[0])
        except NumericsError as error:
            raise GraphError(str(error)) from error
        if self.tolerance > MAX_TOLERANCE:
            raise GraphError(
                f"rows of {self.x.type.shape[self.axis]} elements are {self.tolerance:.3g} steps off in integers; "
                f"{MAX_TOLERANCE} are allowed"
            )
        return result

    @property
    def tolerance(self) -> float:
        """How far it may be from the real softmax before it is rounded, in steps of the result."""
        return softmax_tolerance(self.x.type.shape[self.axis], self.quant.scalar()[0])


@dataclass(frozen=True, eq=False, repr=False)
class QPiecewise(Node):
    """A function of codes of 9 to 16 bits as parabolas on segments: numerics/piecewise.py.

    segments: int32 [2^(bits - 8)]; coefficients: int32 [pieces, 3].
    steps, differing: how far it is from the float operations that it stands for, over all codes: at most `steps` steps,
    and not 0 for `differing` of the codes. Counted where it was made.  Source: design.md N8.
    """

    x: Value
    segments: NDArray[np.int32]
    coefficients: NDArray[np.int32]
    dtype: DType
    quant: QuantParams
    steps: int
    differing: int

    def infer_type(self) -> TensorType:
        _quant_of(self.x)
        bits = self.x.type.dtype.bits
        if bits <= SEGMENT_BITS:
            raise GraphError(
                f"x is {self.x.type}; codes of at most {SEGMENT_BITS} bits have a table, which is a Lookup"
            )
        shapes = ((self.segments, (1 << (bits - SEGMENT_BITS),)), (self.coefficients, (len(self.coefficients), 3)))
        for part, shape in shapes:
            if part.shape != shape or part.dtype != np.int32:
                raise GraphError(
                    f"a part of the pieces is {part.dtype}{list(part.shape)}; int32{list(shape)} is needed"
                )
        b = self.segments & 15
        last = (self.segments >> 4) + (1 << (SEGMENT_BITS - np.minimum(b, SEGMENT_BITS)))
        if (b > SEGMENT_BITS).any() or (self.segments < 0).any() or (last > len(self.coefficients)).any():
            raise GraphError(f"the segments name pieces beyond the {len(self.coefficients)} that there are")
        return _result(self.dtype, self.quant, self.x)

    @property
    def pieces(self) -> Pieces:
        return Pieces(self.segments, self.coefficients)
