"""Types of the IR: what a tensor holds (dtype, shape), what its codes mean (QuantParams), how it is stored (Layout)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError

if TYPE_CHECKING:
    from subbyte.compiler.ir.node import Value


def _frozen(array: Any, dtype: Any) -> NDArray[Any]:
    """A read-only copy, so that nobody can change a type through the array it was built from."""
    copy = np.array(array, dtype=dtype)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class QuantParams:
    """What integer codes stand for: real = scale * (code - zero_point).  Source: design.md N1.

    scale: float32, > 0; [] per tensor, [C] along `axis`, or the tensor's rank where `block` is given. A Value when the
        scale is computed at run time (design.md N9). Those of blocks may be negative or zero: exporters give a block
        the sign that puts its largest weight on the lowest code, and 0 where all its weights are 0.
    zero_point: int64, of the shape of scale; a Value when computed at run time.
    qmin, qmax: the codes in use, at most the range of the dtype (QCDQ clips, narrow ranges, fused activations).
    levels: the real values of a codebook, real = scale * levels[code]; None for affine codes.
    """

    scale: NDArray[np.float32] | Value
    zero_point: NDArray[np.int64] | Value
    qmin: int
    qmax: int
    axis: int | None = None
    block: int | None = None
    levels: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.qmin > self.qmax:
            raise GraphError(f"the code range is empty: qmin {self.qmin} is above qmax {self.qmax}")
        if not self.is_static:
            return
        object.__setattr__(self, "scale", _frozen(self.scale, np.float32))
        object.__setattr__(self, "zero_point", _frozen(self.zero_point, np.int64))
        scale, zero_point = self.static()
        if not (np.isfinite(scale) & (scale > (0 if self.block is None else -np.inf))).all():
            raise GraphError(
                "a quantization scale is zero, negative, infinite or NaN; scales are finite and above zero"
                if self.block is None
                else "a quantization scale is infinite or NaN; those of blocks are finite"
            )
        if zero_point.shape != scale.shape:
            raise GraphError(
                f"scale has shape {scale.shape} but zero_point has shape {zero_point.shape}; they are equal"
            )
        if (self.axis is None) != (scale.ndim == 0):
            raise GraphError(
                f"scale has shape {scale.shape} with axis {self.axis}: per tensor is [] with no axis, "
                "per axis is [C] with an axis"
            )

    @property
    def is_static(self) -> bool:
        """True when scale and zero point are known while compiling."""
        return isinstance(self.scale, (np.ndarray, np.generic, float, int)) and isinstance(
            self.zero_point, (np.ndarray, np.generic, int)
        )

    def static(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(scale, zero_point) as arrays; an error where they are run-time values."""
        if not isinstance(self.scale, np.ndarray) or not isinstance(self.zero_point, np.ndarray):
            raise GraphError("the scale is a run-time value here; a scale known while compiling is needed")
        return self.scale, self.zero_point

    @property
    def is_per_tensor(self) -> bool:
        return self.axis is None

    def scalar(self) -> tuple[float, int]:
        """(scale, zero_point) of a per-tensor quantization; an error for any other."""
        scale, zero_point = self.static()
        if scale.ndim:
            raise GraphError(f"the scale has shape {scale.shape}; one scale for the whole tensor is needed")
        return float(scale), int(zero_point)

    def replace(self, **changes: Any) -> QuantParams:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def _key(self) -> tuple[Any, ...]:
        grid: tuple[Any, ...] = (self.scale, self.zero_point)
        if self.is_static:
            scale, zero_point = self.static()
            grid = (scale.shape, scale.tobytes(), zero_point.tobytes())
        return (*grid, self.axis, self.block, self.levels)

    def same_grid(self, other: QuantParams) -> bool:
        """Equal up to qmin and qmax: a code means the same real number in both."""
        return self._key() == other._key()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuantParams) and (self.qmin, self.qmax, *self._key()) == (
            other.qmin,
            other.qmax,
            *other._key(),
        )

    def __hash__(self) -> int:
        return hash((self.qmin, self.qmax, *self._key()))


@dataclass(frozen=True)
class Layout:
    """How a tensor is stored.

    order: the logical axes from slowest to fastest; (0, 2, 3, 1) stores NCHW channels-last.
    bits: bits per element as stored; None is the container of the dtype.
    lanes: the innermost extent is padded to a multiple of this; pad_code: what the padding holds.
    """

    order: tuple[int, ...]
    bits: int | None = None
    lanes: int = 1
    pad_code: int = 0

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(len(self.order))):
            raise GraphError(f"layout order {self.order} is not a permutation of its axes")

    @property
    def is_row_major(self) -> bool:
        return self.order == tuple(range(len(self.order))) and self.bits is None and self.lanes == 1


@dataclass(frozen=True)
class TensorType:
    """dtype, static shape, meaning of the codes (None: the values themselves), storage (None: row-major)."""

    dtype: DType
    shape: tuple[int, ...]
    quant: QuantParams | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        if any(extent < 0 for extent in self.shape):
            raise GraphError(f"shape {self.shape} has a negative extent")
        if self.layout is not None and len(self.layout.order) != len(self.shape):
            raise GraphError(f"layout {self.layout.order} does not fit shape {self.shape}")
        if self.layout is not None and self.layout.is_row_major:
            object.__setattr__(self, "layout", None)
        quant = self.quant
        if quant is None:
            return
        if not self.dtype.is_integer:
            raise GraphError(f"{self.dtype} cannot carry quantization parameters; integer codes can")
        if quant.qmin < self.dtype.min or quant.qmax > self.dtype.max:
            raise GraphError(f"codes {quant.qmin}..{quant.qmax} do not fit {self.dtype}")
        if quant.axis is not None and not 0 <= quant.axis < len(self.shape):
            raise GraphError(f"quantization axis {quant.axis} does not exist in shape {self.shape}")
        if quant.axis is not None and quant.block is None and quant.is_static:
            extent = quant.static()[0].shape[0]
            if extent != self.shape[quant.axis]:
                raise GraphError(
                    f"{extent} scales along axis {quant.axis} of shape {self.shape}: one for each is needed"
                )

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def order(self) -> tuple[int, ...]:
        """The logical axes from slowest to fastest in memory."""
        return self.layout.order if self.layout is not None else tuple(range(self.rank))

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The extents in the order in which they are stored."""
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def bytes(self) -> int:
        """Bytes in memory, one container per element (packed layouts: as packed, rows padded to `lanes`)."""
        if self.layout is None or (self.layout.bits is None and self.layout.lanes == 1):
            return self.elements * self.dtype.numpy.itemsize
        stored = self.stored_shape
        inner = -(-(stored[-1] if stored else 1) // self.layout.lanes) * self.layout.lanes
        bits = self.layout.bits or self.dtype.container_bits
        return math.prod(stored[:-1]) * (-(-inner * bits // 8))

    def code_range(self) -> tuple[int, int]:
        """The smallest and largest code that can occur."""
        return (self.quant.qmin, self.quant.qmax) if self.quant is not None else (self.dtype.min, self.dtype.max)

    def stray_code(self, codes: NDArray[Any]) -> int | None:
        """A code among `codes` that this type does not allow; None where there is none. Floats and bools allow all."""
        if not self.dtype.is_integer or codes.size == 0:
            return None
        low, high = self.code_range()
        if (low, high) != (np.iinfo(codes.dtype).min, np.iinfo(codes.dtype).max):
            for code in (int(codes.min()), int(codes.max())):
                if not low <= code <= high:
                    return code
        return 0 if self.dtype.kind == "bipolar" and (codes == 0).any() else None

    def with_layout(self, layout: Layout | None) -> TensorType:
        return TensorType(self.dtype, self.shape, self.quant, layout)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
