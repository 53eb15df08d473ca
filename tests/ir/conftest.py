"""What the tests of the IR share: variables to build nodes from, and ONNX's reference implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import QuantParams, TensorType

Array = NDArray[Any]
OPSET = 21


def make_variable(
    shape: tuple[int, ...], dtype: str = "float32", quant: QuantParams | None = None, name: str = "x"
) -> Value:
    return Input(name, TensorType(DType.parse(dtype), shape, quant)).out


def make_grid(scale: float = 0.1, zero_point: int = 0, qmin: int = -128, qmax: int = 127) -> QuantParams:
    return QuantParams(np.float32(scale), np.int64(zero_point), qmin, qmax)


def evaluate_onnx(
    operator: str, operands: Sequence[Array | None], *, outputs: int = 1, domain: str = "", **attributes: Any
) -> list[Array]:
    names = ["" if operand is None else f"i{k}" for k, operand in enumerate(operands)]
    results = [f"o{k}" for k in range(outputs)]
    given = {name: operand for name, operand in zip(names, operands, strict=True) if operand is not None}
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in given.items()
    ]
    shown = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in results]
    node = onnx.helper.make_node(operator, names, results, domain=domain, **attributes)
    graph = onnx.helper.make_graph([node], "reference", inputs, shown)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(domain, OPSET)], ir_version=10)
    return list(ReferenceEvaluator(model).run(None, given))


@pytest.fixture(scope="session")
def variable() -> Callable[..., Value]:
    """variable(shape, dtype, quant, name): an input to build nodes from."""
    return make_variable


@pytest.fixture(scope="session")
def grid() -> Callable[..., QuantParams]:
    """grid(scale, zero_point, qmin, qmax): the quantization of a whole tensor."""
    return make_grid


@pytest.fixture(scope="session")
def onnx_reference() -> Callable[..., list[Array]]:
    """onnx_reference(operator, operands, outputs=1, **attributes): what ONNX's reference implementation computes."""
    return evaluate_onnx


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240)
