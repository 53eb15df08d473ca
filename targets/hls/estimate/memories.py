"""Memories: which kind holds so many words of so many bits, and what of a part that takes.

    ROM in LUTs     width * ceil(depth / 64), and a quarter of that for the selection above 256 words
    RAM in LUTs     4 * ceil(width / 6) * ceil(depth / 32) up to 32 words, 4 * ceil(width / 3) * ceil(depth / 64) above
    BRAM18          the least over the aspect ratios d x w of ceil(depth / d) * ceil(width / w)
    URAM            ceil(depth / 4096) * ceil(width / 72)
    FIFO            a shift register of ceil(depth / 32) * width LUTs up to 1024 bits, a RAM above

Source: UG474, UG473 (7 series), UG573, UG574 (UltraScale); the formulas of FINN's estimates for BRAM18 and URAM.
URAM of UltraScale+ cannot be initialized, so it holds no weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from subbyte.targets.hls.estimate import coefficients as c
from subbyte.targets.hls.resources import NONE, Resources

ASPECTS = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))


class Style(Enum):
    """Where a memory is: WIRES: it has one word, a constant. The values are those of the pragma BIND_STORAGE."""

    WIRES = "wires"
    REGISTERS = "registers"
    SHIFT_REGISTERS = "srl"
    LUTS = "lutram"
    BLOCKS = "bram"
    ULTRA = "uram"


@dataclass(frozen=True)
class Memory:
    """`count` memories of `depth` words of `width` bits. purpose: a word for the report."""

    purpose: str
    count: int
    depth: int
    width: int
    style: Style
    resources: Resources

    def as_dict(self) -> dict[str, object]:
        return {
            "purpose": self.purpose,
            "count": self.count,
            "depth": self.depth,
            "width": self.width,
            "style": self.style.value,
        }


def ceiling(a: int, b: int) -> int:
    return -(-a // b)


@cache
def blocks(depth: int, width: int) -> int:
    """Blocks of 18 kbit: all of one aspect ratio, the one that takes the fewest."""
    return min(ceiling(depth, words) * ceiling(width, bits) for words, bits in ASPECTS)


def ultra_blocks(depth: int, width: int) -> int:
    """Blocks of 288 kbit, 4096 x 72."""
    return ceiling(depth, 4096) * ceiling(width, 72)


def rom_luts(depth: int, width: int) -> int:
    """LUTs of a ROM; one word is wires."""
    if depth == 1:
        return 0
    selection = ceiling(ceiling(depth, 256) * width, 4) if depth > 256 else 0
    return width * ceiling(depth, c.ROM_WORDS_PER_LUT) + selection


def ram_luts(depth: int, width: int) -> int:
    """LUTs of a RAM with one port to write and one to read."""
    if depth <= 32:
        return 4 * ceiling(width, 6)
    selection = ceiling(ceiling(depth, 256) * width, 4) if depth > 256 else 0
    return 4 * ceiling(width, 3) * ceiling(depth, 64) + selection


@cache
def rom(purpose: str, count: int, depth: int, width: int, registered: bool = True) -> Memory:
    """`count` constant tables, in LUTs or blocks, whichever is the smaller share of an xc7z020.

    registered: whether a register keeps the word that LUTs give; without one it is used in the same cycle.
    """
    if depth == 1 or width == 0:
        return Memory(purpose, count, depth, width, Style.WIRES, NONE)
    luts, in_blocks = rom_luts(depth, width), blocks(depth, width)
    if luts <= c.LUT_PER_BLOCK * in_blocks:
        ffs = width if registered else 0
        return Memory(purpose, count, depth, width, Style.LUTS, Resources(lut=luts, ff=ffs) * count)
    return Memory(purpose, count, depth, width, Style.BLOCKS, Resources(bram18=in_blocks) * count)


@cache
def ram(purpose: str, count: int, depth: int, width: int, ultra: bool = False) -> Memory:
    """`count` memories that are written and read in one cycle. ultra: in URAM where most of a block would be used."""
    if depth == 1:
        return Memory(purpose, count, depth, width, Style.REGISTERS, Resources(ff=width) * count)
    if ultra and 2 * depth * width >= ultra_blocks(depth, width) * 4096 * 72:
        return Memory(purpose, count, depth, width, Style.ULTRA, Resources(uram=ultra_blocks(depth, width)) * count)
    luts, in_blocks = ram_luts(depth, width), blocks(depth, width)
    if luts <= c.LUT_PER_BLOCK * in_blocks:
        return Memory(purpose, count, depth, width, Style.LUTS, Resources(lut=luts, ff=width) * count)
    return Memory(purpose, count, depth, width, Style.BLOCKS, Resources(bram18=in_blocks) * count)


@cache
def fifo(depth: int, width: int, ultra: bool = False) -> Memory:
    """The FIFO of one stream, with its flags and pointers."""
    pointers = Resources(
        lut=c.FIFO_LUT + int(c.LUT_PER_POINTER_BIT * 2 * depth.bit_length()), ff=c.FIFO_FF + 2 * depth.bit_length()
    )
    if depth <= 2:
        held = Memory("fifo", 1, depth, width, Style.REGISTERS, Resources(lut=ceiling(width, 2), ff=depth * width))
    elif depth <= c.SHIFT_REGISTER_WORDS or depth * width <= c.SHIFT_REGISTER_MOST_BITS:
        luts = ceiling(depth, c.SHIFT_REGISTER_WORDS) * width
        held = Memory("fifo", 1, depth, width, Style.SHIFT_REGISTERS, Resources(lut=luts, ff=width))
    else:
        held = ram("fifo", 1, depth, width, ultra)
    return Memory("fifo", 1, depth, width, held.style, held.resources + pointers)
