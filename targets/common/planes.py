"""Planes that become pixels: [images][channels][pixels] -> [images][pixels][channels], and back."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import ConstantStruct
from subbyte.targets.common.geometry import merge, pieces

_TILE_BYTES = 16384  # of a tile: some microseconds of work


@dataclass(frozen=True)
class Planes:
    """images of `channels` planes of `pixels` elements, to be stored pixel by pixel."""

    images: int
    channels: int
    pixels: int

    @property
    def turned(self) -> Planes:
        """What takes pixels to planes: a pixel is a plane then."""
        return Planes(self.images, self.pixels, self.channels)

    def struct(self, name: str, block: int) -> tuple[ConstantStruct, int]:
        """(images, channels, pixels, tiles) as struct `name`, and the number of tiles, cut between `block` pixels."""
        tiles = min(pieces(self.channels * self.pixels, _TILE_BYTES), pieces(self.pixels, block))
        fields = (("images", self.images), ("channels", self.channels), ("pixels", self.pixels), ("tiles", tiles))
        return ConstantStruct(name, fields), self.images * tiles


def planes(x: TensorType, along: tuple[int, ...], y: TensorType) -> Planes | None:
    """The planes of x that are the pixels of y, whose axes step through x by `along`; None where it is another copy."""
    loops = merge([y.shape[axis] for axis in y.order], [[along[axis] for axis in y.order]])
    extents, strides = loops.extents, loops.strides[0]
    if len(extents) == 2:
        extents, strides = (1, *extents), (x.elements, *strides)
    if len(extents) != 3:
        return None
    images, pixels, channels = extents
    if strides != (channels * pixels, 1, pixels) or x.elements != images * channels * pixels:
        return None
    return Planes(images, channels, pixels)
