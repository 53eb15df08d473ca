"""Transformers in the small: models of a few operators, what they mean, and what the compiled code makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

import subbyte
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.target import find_target

Array = npt.NDArray[Any]

LEVELS = ("portable", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+avx512vnni+avx512vbmi")


def build_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array | onnx.TensorProto],
    outputs: Sequence[str] = (),
    *,
    opset: int = 21,
) -> ModelProto:
    """A model whose inputs have the types of the arrays in `inputs`. outputs: where empty, those of the last node."""
    initializers = [
        value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    for name, tensor in zip(constants, initializers, strict=True):
        tensor.name = name
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs or nodes[-1].output],
        initializers,
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def meaning_of(model: ModelProto) -> Graph:
    """The verified graph of stage quantized."""
    graph = quantized(model)
    verify(graph)
    return graph


def bits(array: Array) -> Array:
    """Floats as their bits, so that -0.0 is not 0.0; NaN as one number, because which NaN is not defined."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), np.uint64(1 << 63), array.view(f"u{array.dtype.itemsize}").astype(np.uint64))


def values_of(model: ModelProto, feeds: Mapping[str, Array], *, compiled: bool = True) -> list[Array]:
    """What the interpreter makes of the outputs; compiled portable code is held against it bit for bit."""
    expected = evaluate(meaning_of(model), feeds)
    if compiled:
        found = subbyte.compile(model, target="portable").run(dict(feeds))
        for name, array in expected.items():
            np.testing.assert_array_equal(bits(found[name]), bits(array))
    return list(expected.values())


@pytest.fixture(scope="session")
def make_model() -> Callable[..., ModelProto]:
    return build_model


@pytest.fixture(scope="session")
def meaning() -> Callable[[ModelProto], Graph]:
    return meaning_of


@pytest.fixture(scope="session")
def values() -> Callable[..., list[Array]]:
    return values_of


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, optional_capability: Callable[[str, str], None]) -> str:
    """Each level of the processors that the tests know; skips the test where this processor does not run it."""
    name = str(request.param)
    if not find_target(name).runs_here:
        optional_capability("instruction set", f"this processor cannot run {name}")
    return name
