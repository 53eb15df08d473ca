"""Windows of convolutions and pools, one kernel position at a time: what the interpreter sums and compares."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.shapes import window_counts

Shape = tuple[int, ...]


def spatial(slices: Iterable[slice]) -> tuple[Any, ...]:
    """The index of a part of the last axes, whole in the ones before."""
    return (..., *slices)


@dataclass(frozen=True)
class Windows:
    """Windows of `kernel` over [N, C, spatial...]: position q of window p is at p * stride - begin + q * dilation."""

    extents: Shape  # spatial, of what the windows move over
    windows: Shape  # how many, on each spatial axis
    kernel: Shape
    strides: Shape
    pads: Shape  # begins, then ends
    dilations: Shape

    def positions(self, x: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """For each kernel position, row-major: what of x stands there, [N, C, windows...]; zeros in the padding."""
        padded = self._padded(x)
        for position in itertools.product(*map(range, self.kernel)):
            steps = zip(position, self.dilations, self.strides, self.windows, strict=True)
            yield padded[spatial(slice(q * d, q * d + s * (n - 1) + 1, s) for q, d, s, n in steps)]

    def inside(self) -> Iterator[NDArray[np.bool_]]:
        """For each kernel position, row-major: which windows have it inside the tensor, [1, 1, windows...]."""
        yield from self.positions(np.ones((1, 1, *self.extents), dtype=np.bool_))

    def counts(self, *, with_pads: bool) -> NDArray[np.int64]:
        """How many positions of each window lie inside the tensor, or inside it and its pads: [windows...]."""
        rank = len(self.kernel)
        total = np.ones((), dtype=np.int64)
        for i in range(rank):
            along = window_counts(
                self.extents[i],
                self.windows[i],
                self.kernel[i],
                self.strides[i],
                self.pads[i],
                self.pads[rank + i],
                self.dilations[i],
                with_pads=with_pads,
            )
            total = total[..., None] * np.array(along, dtype=np.int64)
        return total

    def _padded(self, x: NDArray[Any]) -> NDArray[Any]:
        """x with zeros around it, as far as windows reach."""
        borders = [(0, 0), (0, 0), *self._borders()]
        if not any(before or after for before, after in borders):
            return x
        padded = np.zeros([before + n + after for n, (before, after) in zip(x.shape, borders, strict=True)], x.dtype)
        padded[tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, borders, strict=True))] = x
        return padded

    def _borders(self) -> Iterator[tuple[int, int]]:
        """The padding before each axis, and after it as far as the last window reaches (which ceil_mode may extend)."""
        for i, (extent, count) in enumerate(zip(self.extents, self.windows, strict=True)):
            reach = (count - 1) * self.strides[i] + (self.kernel[i] - 1) * self.dilations[i] + 1
            yield self.pads[i], max(reach - self.pads[i] - extent, 0)
