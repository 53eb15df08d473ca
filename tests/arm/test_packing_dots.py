"""Weights in the order and the bits in which the kernels for dot products and for few rows read them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.target import ConstantArray
from subbyte.targets.arm.kernels_dots import SDOT, SMMLA, Form, Instruction
from subbyte.targets.arm.kernels_few_rows import Digits
from subbyte.targets.arm.packing_dots import Order, levels_of, pack_weights, stored_bits

LEVELS = {8: None, 4: (-9, -1, 0, 2, 7, 90), 2: (-128, 0, 127), 1: (-5, 0)}


def _expanded(stored: ConstantArray, tables: ConstantArray, bits: int) -> NDArray[np.int64]:
    """[vectors, 16], as subbyte_arm_expand of kernels/arm_stored_weights.h makes them."""
    shared = 4 // bits
    bytes_of = stored.data.reshape(-1, 16).astype(np.int64)
    vectors = [
        tables.data.astype(np.int64)[j % shared][bytes_of & 15 if j < shared else bytes_of >> 4]
        for j in range(2 * shared)
    ]
    return np.stack(vectors, axis=1).reshape(-1, 16)


@pytest.mark.parametrize("bits", [8, 4, 2, 1])
@pytest.mark.parametrize("instruction", [SDOT, SMMLA])
def test_packed_weights_are_vectors_of_outputs_by_products(instruction: Instruction, bits: int) -> None:
    random, listed = np.random.default_rng(7), LEVELS[bits]
    values = np.arange(-128, 128) if listed is None else np.array(listed)
    weights = random.choice(values, (20, 3, 21))
    order: Order = Form(instruction, bits).order
    levels = None if listed is None else levels_of(weights, instruction.order.group)
    stored, tables = pack_weights(weights, order, 16, 16, levels)
    assert isinstance(stored, ConstantArray)
    if levels is None:
        vectors = stored.data.view(np.int8).reshape(-1, 16).astype(np.int64)
    else:
        assert isinstance(tables, ConstantArray)
        vectors = _expanded(stored, tables, bits)
    groups = -(-21 // order.padded) * order.padded // order.group
    split = vectors.reshape(2, 3, groups, 16 // order.outputs, order.outputs, order.group)
    back = split.transpose(0, 3, 4, 1, 2, 5).reshape(32, 3, groups * order.group)
    read = -(-21 // order.group) * order.group  # the rest of a padded run is never multiplied
    assert (back[:20, :, :21] == weights).all()
    assert not back[:20, :, 21:read].any()


def test_levels_count_the_zero_that_pads_runs() -> None:
    weights = np.where(np.arange(2 * 18).reshape(2, 1, 18) % 2, 1, -1)
    assert stored_bits(levels_of(weights, 2).size) == 1
    assert stored_bits(levels_of(weights, 4).size) == 2


def test_vectors_that_leave_bytes_half_filled_are_refused() -> None:
    weights = np.ones((2, 1, 8), np.int64)
    with pytest.raises(GraphError, match="share no bytes"):
        pack_weights(weights, SMMLA.order, 2, 2, np.array([0, 1]))


@pytest.mark.parametrize(("lowest", "step", "bits"), [(-8, 1, 4), (-2, 1, 2), (-1, 2, 1), (-37, 37, 2)])
def test_digits_and_offsets_give_the_weights_back(lowest: int, step: int, bits: int) -> None:
    digits = Digits(lowest, step, bits)
    weights = lowest + step * np.random.default_rng(3).integers(0, 1 << bits, (11, 32))
    packed = digits.pack(weights).reshape(2, 2, bits, 16).astype(np.int64)
    offsets = digits.offsets(16)
    for output in range(11):
        panel, within = divmod(output, 8)
        at, place = divmod(within, digits.sharing)
        apart = packed[panel, :, at].reshape(-1) >> place * bits & (1 << bits) - 1
        if place == digits.sharing - 1:  # in two's complement
            apart = (apart ^ 1 << bits - 1) - (1 << bits - 1)
        assert (step * apart + offsets[output] == weights[output]).all()
