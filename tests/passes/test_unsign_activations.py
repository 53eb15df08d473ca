"""Signed activations of every width become unsigned, and unsigned weights signed, without a change of any number."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Stage
from subbyte.compiler.ir.node import Constant
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.target import find_target
from subbyte.passes.unsign_activations import unsign_activations
from tests.passes.builders import codes_input, graph_of, largest_step, only, quant, random_inputs

GENERATOR = np.random.default_rng(2)


@pytest.mark.parametrize("bits", range(1, 9))
def test_activations_become_unsigned_and_weights_signed(bits: int) -> None:
    signed, unsigned = DType("int", bits), DType("uint", bits)
    x = codes_input("x", (1, 3, 5, 5), 0.1, 0, signed)
    w = Constant.of(GENERATOR.integers(0, 1 << bits, (4, 3, 3, 3)), unsigned, quant=quant(0.1, 1, unsigned)).out
    r = Requantization(np.float32(2.0**-bits), None, signed.min, signed.min, signed.max)
    conv = qops.QConv(
        x, w, None, r, signed, quant(0.3, signed.min, signed), (1, 1), (1, 1, 1, 1), (1, 1), 1, tensor="conv"
    )
    table = GENERATOR.integers(signed.min, signed.max + 1, 1 << bits).astype(signed.numpy)
    looked_up = qops.Lookup(conv.out, table, signed, quant(0.2, 0, signed)).out
    moved = ops.Transpose(looked_up, (0, 2, 3, 1)).out
    graph = graph_of(moved, stage=Stage.QUANTIZED)
    after = unsign_activations(graph, find_target("x86-64-v3"))
    made = only(after, qops.QConv)
    assert (made.x.type.dtype, made.w.type.dtype, made.dtype) == (unsigned, signed, unsigned)
    assert made.tensor == ""
    assert only(after, qops.Lookup).dtype == unsigned
    assert after.outputs[0].value.type == graph.outputs[0].value.type
    for _ in range(4):
        assert largest_step(graph, after, random_inputs(graph, GENERATOR)) == 0
