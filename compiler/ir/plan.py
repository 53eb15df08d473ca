"""What a network is to be quantized to: codes of the weights by layer, grids of the activations by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.types import QuantParams, TensorType


@dataclass(frozen=True)
class ActivationGrid:
    """The codes that an activation becomes, and what they mean: one scale for the tensor, known while compiling.

    dtype: of the codes; bipolar codes are +1 where the value is >= 0, else -1.
    """

    dtype: DType
    quant: QuantParams

    def __post_init__(self) -> None:
        self.quant.scalar()  # raises where there is not one scale
        TensorType(self.dtype, (), self.quant)  # raises where the range does not fit the dtype
        if self.quant.levels is not None:
            raise GraphError("an activation is quantized to a codebook; codes with a scale and zero point are needed")


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    """Weights as codes: an array of the shape of the float weights, held in the container of `dtype`.

    quant: per tensor, along an axis of the weights, or in blocks along one; qmin and qmax may be narrower than dtype.
    """

    codes: NDArray[Any]
    dtype: DType
    quant: QuantParams

    def __post_init__(self) -> None:
        codes = np.array(self.codes, dtype=self.dtype.numpy, order="C")
        if not np.array_equal(codes, self.codes):
            raise GraphError(f"the codes of weights are no {self.dtype}: some change when they are held as such")
        codes.setflags(write=False)
        object.__setattr__(self, "codes", codes)
        stray = self.type.stray_code(codes)
        if stray is not None:
            low, high = self.type.code_range()
            raise GraphError(f"the code {stray} is among the weights, whose codes lie in {low}..{high}")
        self.quant.static()

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.codes.shape, self.quant)

    def values(self) -> NDArray[np.float64]:
        """What the codes mean, in the weights' own shape: scale * (code - zero_point), or scale * levels[code]."""
        scale, zero_point = (self._per_weight(table) for table in self.quant.static())
        if self.quant.levels is not None:
            return np.asarray(np.array(self.quant.levels)[self.codes] * scale)
        return np.asarray((self.codes.astype(np.float64) - zero_point) * scale)

    def _per_weight(self, table: NDArray[Any]) -> NDArray[Any]:
        """Scales or zero points so that they broadcast to the weights."""
        axis, block = self.quant.axis, self.quant.block
        if axis is None:
            return table
        if block is None:
            return table.reshape([-1 if i == axis else 1 for i in range(self.codes.ndim)])
        return np.repeat(table, block, axis=axis).take(range(self.codes.shape[axis]), axis=axis)


def _by_name(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


@dataclass(frozen=True, eq=False)
class Plan:
    """Weights by `Layer.name` and activations by their name in `value_names`; what is not named stays in float.

    Passes that keep the provenance of nodes keep these names (ir/layers.py).
    """

    weights: Mapping[str, QuantizedWeights] = field(default_factory=dict)
    activations: Mapping[str, ActivationGrid] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _by_name(self.weights))
        object.__setattr__(self, "activations", _by_name(self.activations))
