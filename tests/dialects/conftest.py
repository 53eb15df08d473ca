"""Small models of the dialects, and what the interpreter and the compiled code make of them."""

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

Array = npt.NDArray[Any]


def build_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Array | onnx.TensorProto],
    *,
    opset: int = 13,
    domains: Mapping[str, int] | None = None,
) -> ModelProto:
    """A model of float32 inputs whose output is the first output of the last node. `domains`: version by domain."""
    initializers = [
        value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    for name, tensor in zip(constants, initializers, strict=True):
        tensor.name = name
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [onnx.ValueInfoProto(name=nodes[-1].output[0])],
        initializers,
    )
    versions = {"": opset, **(domains or {})}
    imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def meaning_of(model: ModelProto) -> Graph:
    """The verified graph of stage quantized."""
    graph = quantized(model)
    verify(graph)
    return graph


def values_of(model: ModelProto, feeds: Mapping[str, Array], *, compiled: bool = False) -> Array:
    """What the interpreter makes of the only output; compiled portable code is held against it where asked."""
    (expected,) = evaluate(meaning_of(model), feeds).values()
    if compiled:
        (found,) = subbyte.compile(model, target="portable").run(dict(feeds)).values()
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
    return expected


@pytest.fixture(scope="session")
def make_model() -> Callable[..., ModelProto]:
    return build_model


@pytest.fixture(scope="session")
def meaning() -> Callable[[ModelProto], Graph]:
    return meaning_of


@pytest.fixture(scope="session")
def values() -> Callable[..., Array]:
    return values_of
