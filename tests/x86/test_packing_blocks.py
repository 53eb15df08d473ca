"""Weights in blocks stand where their kernels multiply them, and no sum of 16 bits overflows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from subbyte.targets.common.packing_blocks import (
    LOWEST_ACTIVATION,
    LOWEST_WORD,
    Blocks,
    groups_in_run,
    pack_blocks,
    stored_bits,
)
from subbyte.targets.x86.kernels_blocks import INSTRUCTIONS, Instruction


def lane_of_a_run(groups: int, bits: int, largest_code: int) -> int:
    """The most that a 16-bit lane holds: two products of each plane of every group, at -128 and the largest code.

    Codes of 8 bits are multiplied as two halves, each in lanes of its own.
    """
    total = 0
    for _ in range(groups):
        planes = range(1) if bits == 8 else range(8 // bits)
        for _ in planes:
            total += 2 * LOWEST_ACTIVATION * (min(largest_code, 15) if bits == 8 else largest_code)
    return total


@pytest.mark.parametrize("width", range(1, 9))
def test_a_run_fits_16_bits_and_a_longer_one_does_not(width: int) -> None:
    bits, largest = stored_bits(width), (1 << width) - 1
    run = groups_in_run(bits, largest)
    assert run >= 1
    assert lane_of_a_run(run, bits, largest) >= LOWEST_WORD
    assert lane_of_a_run(run + 1, bits, largest) < LOWEST_WORD


def test_runs_of_two_and_four_bits() -> None:
    products = {bits: groups_in_run(bits, (1 << bits) - 1) * (8 // bits) for bits in (2, 4)}
    assert products == {2: 40, 4: 8}  # of the 42 and 8 that fit: a run is whole groups


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("vectors", [1, 2])
@pytest.mark.parametrize(("depth", "block", "columns"), [(1, 1, 1), (40, 20, 9), (70, 32, 23), (64, 64, 16)])
def test_records_hold_scales_codes_zero_points_and_terms(
    bits: int, vectors: int, depth: int, block: int, columns: int
) -> None:
    lanes, random, blocks = 8, np.random.default_rng(columns), -(-depth // block)
    codes = random.integers(0, 1 << bits, (depth, columns))
    scales = random.normal(size=(blocks, columns)).astype(np.float32)
    zeros, terms = random.integers(0, 1 << bits, scales.shape), random.integers(-1000, 1000, scales.shape)
    packed = pack_blocks(Blocks(codes, scales, zeros, terms, bits, block), lanes, vectors)
    at, planes = 0, 8 // bits
    groups = -(-block // (4 * planes))

    def taken(count: int, dtype: type) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        nonlocal at
        size = count * np.dtype(dtype).itemsize
        at += size
        return packed[at - size : at].view(dtype)

    def expected(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], i: int, here: range) -> list[float]:
        return [values[i, n] if n < columns else 0 for n in here]

    for first in range(0, columns, lanes * vectors):
        here = range(first, min(first + lanes * vectors, -(-columns // lanes) * lanes))
        for i in range(blocks):
            assert taken(len(here), np.float32).tolist() == expected(scales, i, here)
            for group in range(groups):
                for n, j in product(here, range(4)):
                    (byte,) = taken(1, np.uint8)
                    for plane in range(planes):
                        k = (group * planes + plane) * 4 + j
                        inside = k < block and i * block + k < depth and n < columns
                        assert byte >> plane * bits & (1 << bits) - 1 == (codes[i * block + k, n] if inside else 0)
            assert taken(len(here), np.uint8).tolist() == expected(zeros, i, here)
            at += -len(here) % (4 * lanes)
            assert taken(len(here), np.int32).tolist() == expected(terms, i, here)
    assert at == packed.size


@pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda instruction: instruction.name)
def test_tiles_fit_the_sums_of_the_header(instruction: Instruction) -> None:
    halves = 2 if instruction.words else 1
    assert instruction.most_rows * instruction.vectors[True] * halves <= 32
    planes = 1 if instruction.words else 4
    assert instruction.vectors[False] * planes <= 32
    assert max(instruction.vectors) <= 4
