"""Normalisations written in their parts become one operation with the same numbers, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization

Array = NDArray[Any]
Make = Callable[..., ModelProto]
Meaning = Callable[[ModelProto], Graph]
Values = Callable[..., list[Array]]
RANDOM = np.random.default_rng(3)
SCALE, BIAS = (RANDOM.normal(1, 0.3, 77).astype(np.float32) for _ in range(2))
CONSTANTS = {
    "axes": np.array([-1], np.int64), "two": np.float32(2), "eps": np.float32(1e-5), "one": np.float32(1),
    "scale": SCALE, "bias": BIAS, "wide": SCALE.reshape(1, 1, 77),
    "every": RANDOM.normal(0, 1, (3, 5, 77)).astype("f4"),
}  # fmt: skip


def n(op: str, inputs: str, output: str) -> NodeProto:
    return helper.make_node(op, inputs.split(), [output], output)


MEAN, DIFFERENCE = n("ReduceMean", "x axes", "mean"), n("Sub", "x mean", "d")
POWER, PRODUCT = n("Pow", "d two", "sq"), n("Mul", "d d", "sq")
ROOT = [n("ReduceMean", "sq axes", "var"), n("Add", "var eps", "shifted"), n("Sqrt", "shifted", "root")]
ROWS = [n("Mul", "q scale", "scaled"), n("Add", "scaled bias", "y")]
WHOLE: dict[str, tuple[list[NodeProto], type[Node], bool]] = {
    "PyTorch's": ([MEAN, DIFFERENCE, POWER, *ROOT, n("Div", "d root", "q"), *ROWS], LayerNormalization, True),
    "with a product": ([MEAN, DIFFERENCE, PRODUCT, *ROOT, n("Div", "d root", "q"), *ROWS], LayerNormalization, True),
    "with an inverse": (
        [MEAN, DIFFERENCE, PRODUCT, *ROOT, n("Reciprocal", "root", "i"), n("Mul", "i d", "q"), *ROWS],
        LayerNormalization,
        False,
    ),
    "with a difference written twice": (
        [MEAN, DIFFERENCE, n("Sub", "x mean", "e"), n("Pow", "e two", "sq"), *ROOT, n("Div", "d root", "q"), *ROWS],
        LayerNormalization,
        True,
    ),
    "with operands exchanged": (
        [MEAN, DIFFERENCE, PRODUCT, ROOT[0], n("Add", "eps var", "shifted"), ROOT[2], n("Div", "d root", "q"),
         n("Mul", "wide q", "scaled"), n("Add", "bias scaled", "y")],
        LayerNormalization,
        True,
    ),
    "of squares": (
        [n("Pow", "x two", "sq"), *ROOT, n("Div", "one root", "i"), n("Mul", "x i", "q"), n("Mul", "scale q", "y")],
        RMSNormalization,
        False,
    ),
}  # fmt: skip


def one_by_one(model: ModelProto, feeds: dict[str, Array]) -> Array:
    (found,) = evaluate(import_model(model), feeds).values()
    return found


@pytest.mark.parametrize("form", WHOLE)
def test_is_recognized_with_its_rows_and_its_numbers(
    form: str, make_model: Make, meaning: Meaning, values: Values
) -> None:
    nodes, kind, divides = WHOLE[form]
    x = RANDOM.normal(2, 3, (3, 5, 77)).astype(np.float32)
    x[0, 0], x[0, 1, 0], x[0, 2, 0] = 0.5, np.nan, np.inf
    model = make_model(nodes, {"x": x}, {k: v for k, v in CONSTANTS.items() if any(k in p.input for p in nodes)})
    (node,) = meaning(model).operations()
    assert isinstance(node, Normalization)
    assert (type(node), node.divides, node.scale is not None) == (kind, divides, True)
    (found,) = values(model, {"x": x})
    expected = one_by_one(model, {"x": x})
    same = (found.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(found) & np.isnan(expected))
    assert same.all()


@pytest.mark.parametrize(
    ("nodes", "count"),
    [
        # the quotient is read elsewhere: it stays, and so does the product
        (
            [MEAN, DIFFERENCE, PRODUCT, *ROOT, n("Div", "d root", "q"), n("Mul", "q scale", "s"), n("Add", "s q", "y")],
            3,
        ),
        # a factor for every element is no row
        ([MEAN, DIFFERENCE, PRODUCT, *ROOT, n("Div", "d root", "q"), n("Mul", "q every", "y")], 2),
    ],
    ids=["read twice", "no row"],
)
def test_rows_that_are_none_stay_apart(nodes: list[NodeProto], count: int, make_model: Make, meaning: Meaning) -> None:
    x = RANDOM.normal(2, 3, (3, 5, 77)).astype(np.float32)
    model = make_model(nodes, {"x": x}, {k: v for k, v in CONSTANTS.items() if any(k in p.input for p in nodes)})
    graph = meaning(model)
    assert len(graph.operations()) == count
    (found,) = evaluate(graph, {"x": x}).values()
    np.testing.assert_array_equal(found, one_by_one(model, {"x": x}))


@pytest.mark.parametrize(
    "nodes",
    [
        [MEAN, DIFFERENCE, n("Pow", "x two", "sq"), *ROOT, n("Div", "d root", "y")],  # squares of something else
        [MEAN, DIFFERENCE, PRODUCT, *ROOT, n("Div", "root d", "y")],  # the quotient is the wrong way round
        [MEAN, DIFFERENCE, n("Pow", "d eps", "sq"), *ROOT, n("Div", "d root", "y")],  # no square
    ],
    ids=["other squares", "wrong way round", "no square"],
)
def test_what_only_looks_like_one_stays(nodes: list[NodeProto], make_model: Make, meaning: Meaning) -> None:
    x = RANDOM.normal(2, 3, (3, 5, 77)).astype(np.float32)
    model = make_model(nodes, {"x": x}, {k: v for k, v in CONSTANTS.items() if any(k in p.input for p in nodes)})
    assert not any(isinstance(node, Normalization) for node in meaning(model).operations())
