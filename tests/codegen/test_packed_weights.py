"""Weights in the bundle take their real bits: the definition of packing, and what bundles and reports count."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.dtype import BIPOLAR, INT32, TERNARY, UINT8, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.pipeline import Options, lowered, target_passes
from subbyte.compiler.target import find_target
from subbyte.passes.recognize_codebooks import recognize_codebooks
from subbyte.targets.common.packing import pack_rows, packing_of, unpack_rows

POWERS = tuple(sign << k for k in range(7) for sign in (-1, 1))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17])
def test_rows_of_codes_come_back(bits: int, n: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (3, n))
    rows = pack_rows(codes, bits)
    assert rows.shape == (3, -(-n * bits // 8))
    assert np.array_equal(unpack_rows(rows, bits, n), codes)


def test_the_first_of_two_codes_is_the_low_nibble() -> None:
    assert pack_rows(np.array([1, 2, 3]), 4).tolist() == [0x21, 0x03]


def test_codes_of_three_bits_cross_bytes() -> None:
    assert pack_rows(np.array([1, 2, 7]), 3).tolist() == [0b11_010_001, 0b1]


def test_a_code_beyond_its_bits_is_refused() -> None:
    with pytest.raises(GraphError, match=r"codes 0\.\.4 do not fit 2 bits"):
        pack_rows(np.array([0, 4]), 2)


@pytest.mark.parametrize(
    ("values", "bits", "table"),
    [
        ((-1, 1), 1, 0),
        ((-1, 0, 1), 2, 0),
        ((-37, 0, 37), 2, 0),
        ((-8, 7), 1, 0),
        (tuple(range(-8, 8)), 4, 0),
        (tuple(range(-16, 16)), 5, 0),
        (tuple(range(-64, 64)), 7, 0),
        ((5,), 1, 0),
        ((-9, 5, 6), 2, 3),
        (POWERS, 4, 14),
    ],
)
def test_integers_take_the_fewest_bits_evenly_spaced_ones_no_table(
    values: tuple[int, ...], bits: int, table: int
) -> None:
    held = np.array(values)
    packing = packing_of(held)
    assert packing is not None
    assert packing.bits == bits
    assert (0 if packing.table is None else packing.table.size) == table
    codes = packing.codes(held)
    assert codes.max(initial=0) < 1 << bits
    back = packing.lowest + packing.step * codes if packing.table is None else packing.table[codes]
    assert np.array_equal(back, held)


@pytest.mark.parametrize("values", [tuple(range(-128, 128)), (-129, 0), (0, 128)])
def test_bytes_and_what_is_wider_are_not_packed(values: tuple[int, ...]) -> None:
    assert packing_of(np.array(values)) is None


def product(dtype: DType, levels: tuple[int, ...] | None = None, depth: int = 65, columns: int = 33) -> Graph:
    """x [2, K] u8 times constant [K, N] of `dtype`, codes over its range, or of `levels` in int8."""
    given = np.arange(dtype.min, dtype.max + 1) if levels is None else np.array(levels)
    given = given[given != 0] if dtype == BIPOLAR else given
    values = np.random.default_rng(5).choice(given, (depth, columns)).astype(dtype.numpy)
    quant = QuantParams(np.float32(0.5), np.int64(0), dtype.min, dtype.max)
    x = Input("x", TensorType(UINT8, (2, depth), QuantParams(np.float32(0.1), np.int64(3), 0, 255)))
    w = Constant(values, TensorType(dtype, values.shape, quant)).out
    return Graph("g", (x,), (Output("y", QGemm(x.out, w, None, None, INT32, None).out),), Stage.QUANTIZED)


def stored(graph: Graph, target: str, weights: str) -> dict[str, Any]:
    """What the manifest says of the constants."""
    goal = find_target(target)
    bundle = make_bundle(build_program(lowered(graph, goal), goal), "g", weights, {}, "0")
    return json.loads(json.dumps(bundle.manifest["weights"]))


@pytest.mark.parametrize("weights", ["inline", "file"])
@pytest.mark.parametrize(
    "dtype", [BIPOLAR, TERNARY, *(DType("int", bits) for bits in range(2, 8)), DType("uint", 1), DType("uint", 3)]
)
def test_portable_bundles_hold_the_real_bits(dtype: DType, weights: str) -> None:
    arrays = stored(product(dtype), "portable", weights)["arrays"]
    (packed,) = [array for array in arrays if array["layout"].startswith("nk")]
    bits = {"bipolar": 1, "ternary": 2}.get(dtype.kind, dtype.bits)
    assert packed["layout"] == f"nk_{bits}bit"
    assert packed["bytes"] == 33 * -(-65 * bits // 8)


def test_portable_bundles_hold_indices_and_their_table() -> None:
    arrays = stored(product(DType("int", 8), (0, *POWERS)), "portable", "inline")["arrays"]
    assert [(a["layout"], a["bytes"]) for a in arrays][:2] == [("nk_table4[15]", 33 * 33), ("row_major", 15)]


@pytest.mark.parametrize("levels", [(-37, 0, 37), POWERS])
def test_bundles_for_machines_with_vectors_stay_as_they_were(levels: tuple[int, ...]) -> None:
    graph, goal = product(DType("int", 8), levels), find_target("x86-64-v3")
    others = [one for one in target_passes(Options()) if one is not recognize_codebooks]
    before = build_program(run_passes(graph, others, goal), goal)
    after = build_program(lowered(graph, goal), goal)
    assert after.steps[0].kernel is before.steps[0].kernel
    bundles = [make_bundle(program, "g", "inline", {}, "0") for program in (before, after)]
    assert bundles[0].manifest["weights"] == bundles[1].manifest["weights"]
    assert bundles[0].files["model.c"] == bundles[1].files["model.c"]


def test_explain_counts_bytes_as_stored() -> None:
    graph, portable = product(DType("int", 8), (0, *POWERS)), find_target("portable")
    (layer,) = explain(graph, lowered(graph, portable), portable).layers
    assert layer.kernel == "subbyte_packed_gemm_s16s8s32"
    assert (layer.weights, layer.weight_bits, layer.bits) == ("table4[15]", 4, "u8 table4[15] -> s32")
    assert layer.weight_bytes == stored(graph, "portable", "inline")["bytes"]
    assert layer.bytes == 2 * 65 + layer.weight_bytes + 2 * 33 * 4


def test_explain_counts_real_bits_where_no_target_is_named() -> None:
    (layer,) = explain(product(DType("int", 8), (0, *POWERS))).layers
    assert (layer.weights, layer.weight_bytes) == ("table4[15]", -(-65 * 33 * 4 // 8) + 15)
    (layer,) = explain(product(DType("int", 3))).layers
    assert (layer.weights, layer.weight_bytes) == ("int3", -(-65 * 33 * 3 // 8))


def test_weights_file_has_the_packed_bytes() -> None:
    goal = find_target("portable")
    bundle = make_bundle(build_program(lowered(product(BIPOLAR), goal), goal), "g", "file", {}, "0")
    held = bundle.manifest["weights"]
    assert len(bundle.files["weights.bin"]) == held["file_bytes"]
    assert held["bytes"] < 65 * 33 // 4
