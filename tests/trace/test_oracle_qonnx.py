"""QONNX's operators in ONNX's own: onnxruntime computes what QONNX's formulas say, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from subbyte.compiler.errors import ModelError
from subbyte.compiler.oracle import OnnxRuntime
from tests.dialects.formulas import quant

REALS = np.concatenate([np.linspace(-40, 40, 641), np.random.default_rng(0).normal(0, 9, 639)]).astype(np.float32)


def quant_model(opset: int, constants: dict[str, Any], **attributes: Any) -> ModelProto:
    """y = Quant(x, s, z, bits); no opset_import for its domain, as some exporters write it."""
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1280]) for name in ("x", "y")]
    node = helper.make_node("Quant", ["x", "s", "z", "bits"], ["y"], domain="onnx.brevitas", name="q", **attributes)
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph([node], "quant", info[:1], info[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [9, 11, 17])
@pytest.mark.parametrize("rounding", ["ROUND", "FLOOR", "CEIL"])
@pytest.mark.parametrize(
    ("bits", "signed", "narrow"), [(1, 1, 0), (1, 0, 0), (3, 1, 1), (4, 0, 1), (8, 1, 0), (16, 0, 0)]
)
def test_onnxruntime_runs_quant(opset: int, rounding: str, bits: int, signed: int, narrow: int) -> None:
    zero = np.float32(0 if signed and bits == 1 else 1)
    constants = {"s": np.float32(0.125), "z": np.int64(zero), "bits": np.float32(bits)}
    model = quant_model(opset, constants, signed=signed, narrow=narrow, rounding_mode=rounding)
    (found,) = OnnxRuntime(model).run({"x": REALS}).values()
    expected = quant(REALS, np.float32(0.125), zero, bits, signed=bool(signed), narrow=bool(narrow), rounding=rounding)
    np.testing.assert_array_equal(found, expected)


def test_other_roundings_are_refused() -> None:
    constants = {"s": np.float32(1), "z": np.float32(0), "bits": np.float32(4)}
    with pytest.raises(ModelError, match="Quant 'q' rounds HALF_UP"):
        OnnxRuntime(quant_model(17, constants, signed=1, narrow=0, rounding_mode="HALF_UP"))


def test_bits_beyond_the_sum_that_rounds_are_refused() -> None:
    """Before opset 11 there is no Round; x + 1.5 * 2^23 - 1.5 * 2^23 rounds up to 2^22."""
    constants = {"s": np.float32(1), "z": np.float32(0), "bits": np.float32(24)}
    with pytest.raises(ModelError, match="opset 9 has no operator"):
        OnnxRuntime(quant_model(9, constants, signed=1, narrow=0, rounding_mode="ROUND"))
