"""Small ONNX models for the importer's tests, and the comparison of what they mean here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.stages import verify

Array = npt.NDArray[Any]


def build_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    initializers: Mapping[str, Array] | None = None,
    opset: int = 21,
    **keywords: Any,
) -> ModelProto:
    """A model whose inputs have the types of the arrays in `inputs`; outputs are declared without a type."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, **keywords)


def one_operator(
    op: str,
    operands: Sequence[Array | None],
    opset: int,
    /,
    constants: Sequence[int] = (),
    outputs: int = 1,
    domain: str = "",
    **attributes: Any,
) -> tuple[ModelProto, dict[str, Array]]:
    """A model of one operator, and its inputs: operands x0, x1, ...; those in `constants` are initializers."""
    names = ["" if operand is None else f"x{i}" for i, operand in enumerate(operands)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, "node", domain=domain, **attributes)
    known = {i: operand for i, operand in enumerate(operands) if operand is not None}
    feeds = {f"x{i}": operand for i, operand in known.items() if i not in constants}
    weights = {f"x{i}": operand for i, operand in known.items() if i in constants}
    return build_model([node], feeds, results, weights, opset), feeds


def import_and_verify(model: ModelProto, **keywords: Any) -> Graph:
    graph = import_model(model, **keywords)
    verify(graph)
    return graph


def evaluate_model(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What the interpreter says the imported model computes."""
    return list(evaluate(import_and_verify(model), feeds).values())


def reference(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX's own reference says."""
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, dict(feeds))]


def oracle(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime says with its optimizations off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, dict(feeds))]


def assert_close(found: Sequence[Array], expected: Sequence[Array], tolerance: float) -> None:
    """The same dtypes, shapes and integers; floats up to `tolerance`, relative to the largest."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
        else:
            largest = float(np.max(np.abs(b), initial=1.0, where=np.isfinite(b)))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * largest)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., ModelProto]:
    return build_model


@pytest.fixture(scope="session")
def make_operator() -> Callable[..., tuple[ModelProto, dict[str, Array]]]:
    return one_operator


@pytest.fixture(scope="session")
def imported() -> Callable[..., Graph]:
    """imported(model) is its graph, verified."""
    return import_and_verify


@pytest.fixture(scope="session")
def meaning() -> Callable[..., list[Array]]:
    """meaning(model, feeds) is what the interpreter computes of the imported model."""
    return evaluate_model


@pytest.fixture(scope="session")
def equals_reference() -> Callable[..., None]:
    """equals_reference(op, operands, opset, ...) as one_operator: the import means what onnx.reference computes."""

    def check(op: str, operands: Sequence[Array | None], opset: int, tolerance: float = 2e-6, **keywords: Any) -> None:
        model, feeds = one_operator(op, operands, opset, **keywords)
        assert_close(evaluate_model(model, feeds), reference(model, feeds), tolerance)

    return check


@pytest.fixture(scope="session")
def equals_onnxruntime() -> Callable[..., None]:
    """equals_onnxruntime(op, operands, opset, ...): where onnx.reference does not know an old opset, or is wrong."""

    def check(op: str, operands: Sequence[Array | None], opset: int, tolerance: float = 2e-6, **keywords: Any) -> None:
        model, feeds = one_operator(op, operands, opset, **keywords)
        assert_close(evaluate_model(model, feeds), oracle(model, feeds), tolerance)

    return check
