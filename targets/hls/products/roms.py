"""Weights and biases as constant arrays: words of lanes, packed, in the order in which the loops read them."""

from __future__ import annotations

import numpy as np

from subbyte.targets.hls.streams import Codes, Element
from subbyte.targets.hls.texts import hex_literal, wrapped


def padded(values: Codes, axis: int, multiple: int) -> Codes:
    """`values` with zeros at the end of `axis`, up to a multiple of its length."""
    missing = -values.shape[axis] % multiple
    return np.pad(values, [(0, missing if i == axis % values.ndim else 0) for i in range(values.ndim)])


def packed(codes: Codes, bits: int) -> list[int]:
    """Words of lanes of `bits` bits, the first lane in the lowest. codes: int64 [words, lanes], each below 2**bits."""
    return [sum(code << (bits * lane) for lane, code in enumerate(word)) for word in codes.tolist()]


def rom_text(name: str, words: list[int], bits: int) -> str:
    """`static const ap_uint<bits> NAME[DEPTH] = {...};`."""
    return f"static const ap_uint<{bits}> {name}[{len(words)}] = {_braced(_hex(words, bits))};\n"


def roms_text(name: str, roms: list[list[int]], bits: int) -> str:
    """ROMs of one depth, read at once: `static const ap_uint<bits> NAME[ROMS][DEPTH] = {{...}, ...};`."""
    rows = [_hex(words, bits) for words in roms]
    return f"static const ap_uint<{bits}> {name}[{len(rows)}][{len(rows[0])}] = {_braced_rows(rows)};\n"


def bias_text(name: str, bias: Codes, lanes: int, sum_bits: int) -> str:
    """`static const ap_int<BITS> NAME[LANES][FOLDS] = {{...}, ...};`, channel fold * lanes + lane at [lane][fold].

    bias: int64 [channels]; modulo 2**sum_bits, as sums are.
    """
    half = 1 << (sum_bits - 1)
    values = (padded(bias, 0, lanes) + half) % (2 * half) - half
    bits = signed_bits(Element(int(values.min()), int(values.max())))
    rows = [[str(value) for value in of_lane] for of_lane in values.reshape(-1, lanes).T.tolist()]
    return f"static const ap_int<{bits}> {name}[{len(rows)}][{len(rows[0])}] = {_braced_rows(rows)};\n"


def signed_bits(element: Element) -> int:
    """The bits that hold every code of `element` in two's complement."""
    return element.bits + (not element.signed)


def _hex(words: list[int], bits: int) -> list[str]:
    return [hex_literal(word, bits) for word in words]


def _braced(items: list[str], indent: str = "") -> str:
    """The first item follows the brace; lines after it stand under it."""
    return "{" + wrapped(items, f"{indent} ").lstrip() + "}"


def _braced_rows(rows: list[list[str]]) -> str:
    return "{\n    " + ",\n    ".join(_braced(row, "    ") for row in rows) + "}"
