"""What flows between the actors of a design: words of a fixed number of lanes, each lane one code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.types import TensorType

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Element:
    """The codes low..high that a lane carries: two's complement or unsigned in `bits` bits.

    bipolar: the codes are -1 and +1, carried as the bits 0 and 1.
    """

    low: int
    high: int
    bipolar: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high or (self.bipolar and (self.low < -1 or self.high > 1)):
            raise GraphError(f"a lane cannot carry the codes {self.low}..{self.high}")

    @property
    def signed(self) -> bool:
        """Whether the bits are two's complement."""
        return self.low < 0 and not self.bipolar

    @property
    def bits(self) -> int:
        """The fewest bits that hold every code, at least 1."""
        if self.bipolar:
            return 1
        if self.low < 0:
            return max((-self.low - 1).bit_length(), self.high.bit_length()) + 1
        return max(self.high.bit_length(), 1)

    def holds(self, code: int) -> bool:
        """Whether a lane can carry `code`."""
        return code in (-1, 1) if self.bipolar else self.low <= code <= self.high

    def with_code(self, code: int) -> Element:
        """The lane that carries these codes and `code`; -1, 0 and +1 are no longer bipolar."""
        return self if self.holds(code) else Element(min(self.low, code), max(self.high, code))

    @property
    def c_type(self) -> str:
        """The type of the bits in HLS C++."""
        return f"ap_{'int' if self.signed else 'uint'}<{self.bits}>"

    def encode(self, codes: Any) -> Codes:
        """The bits of codes as nonnegative integers below 2**bits (bits at most 63)."""
        values = np.asarray(codes, np.int64)
        if self.bipolar:
            return np.asarray((values > 0).astype(np.int64))
        return np.asarray(values & ((1 << self.bits) - 1))

    def decode(self, bits: Any) -> Codes:
        """The inverse of `encode`."""
        values = np.asarray(bits, np.int64)
        if self.bipolar:
            return np.asarray(2 * values - 1)
        if self.signed:
            return np.asarray(values - ((values >> (self.bits - 1)) << self.bits))
        return values

    @classmethod
    def of(cls, of_type: TensorType) -> Element:
        """What carries the codes of a tensor."""
        low, high = of_type.code_range()
        return cls(low, high, of_type.dtype.kind == "bipolar")


@dataclass(frozen=True)
class StreamType:
    """A frame of height x width pixels, one after the other, rows first; a pixel is `runs` runs of `channels` codes.

    A word has `lanes` codes, the first in its lowest bits. Each run starts with a new word; where `lanes` does not
    divide `channels`, the upper lanes of its last word carry bits 0 and mean nothing. Plain tensors have one run a
    pixel; windows have one for each tap or group of taps.
    """

    element: Element
    height: int
    width: int
    channels: int
    lanes: int
    runs: int = 1

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels, self.lanes, self.runs) < 1 or self.lanes > self.channels:
            raise GraphError(
                f"a stream of {self.height}x{self.width} pixels of {self.runs} x {self.channels} codes in words of "
                f"{self.lanes} does not exist; extents are at least 1, and words no longer than a run"
            )

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def words_per_run(self) -> int:
        return -(-self.channels // self.lanes)

    @property
    def words_per_pixel(self) -> int:
        return self.runs * self.words_per_run

    @property
    def words(self) -> int:
        """Words of one frame."""
        return self.pixels * self.words_per_pixel

    @property
    def elements(self) -> int:
        """Codes of one frame, without what fills words up."""
        return self.pixels * self.runs * self.channels

    @property
    def word_bits(self) -> int:
        return self.lanes * self.element.bits

    @property
    def c_type(self) -> str:
        """The type of a word in HLS C++."""
        return f"ap_uint<{self.word_bits}>"

    def with_lanes(self, lanes: int) -> StreamType:
        """The same codes in words of `lanes`, at most one run."""
        return replace(self, lanes=min(lanes, self.channels))


@dataclass(frozen=True, eq=False)
class Stream:
    """A FIFO channel from one actor, or the bus, to one actor, or the bus.

    name: a C identifier, unique in the design. value: the tensor of the graph that it carries in the order of `order`;
    None for windows and other streams that no tensor equals.
    order: int64 [elements]; code i of a frame is element order[i] of the tensor, row-major; None where value is None.
    """

    name: str
    type: StreamType
    value: Value | None = None
    order: Codes | None = None
