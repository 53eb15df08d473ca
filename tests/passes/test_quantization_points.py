"""Where quantizers belong: nowhere more than is needed, and nowhere less, so that no arithmetic stays float."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from subbyte.compiler.explain import explain
from subbyte.compiler.exporter import export_model
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.pipeline import quantized
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.precision.points import quantization_points, shared_grids
from tests.exporter.plans import make_plan, noise, prepared
from tests.exporter.topologies import TOPOLOGIES, network

FLOAT_BY_DESIGN = {"LayerNormalization"}  # unless integers alone are asked for


def points_of(graph: Graph, *, outputs: bool = False) -> str:
    names = value_names(graph)
    return " ".join(names[value] for value in quantization_points(graph, outputs=outputs))


def written(body: str, inputs: str = "float[1,4,6,6] x", outputs: str = "float[1,4,6,6] y") -> Graph:
    """A graph of ONNX text; w is a 1x1 convolution of 4 channels, c a number for each, v one of a matrix."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    random = np.random.default_rng(0)
    for name, shape in {"w": (4, 4, 1, 1), "c": (1, 4, 1, 1), "v": (4, 4), "one": (1,)}.items():
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(random.random(shape).astype(np.float32) + 0.5, name)
        )
    return prepared(model)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_points_and_groups_of_a_network(name: str) -> None:
    graph = prepared(network(name))
    names = value_names(graph)
    groups = tuple(" ".join(names[value] for value in group) for group in shared_grids(graph))
    assert (set(points_of(graph).split()), groups) == (set(TOPOLOGIES[name][2].split()), TOPOLOGIES[name][3])


@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (3, 6)])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_no_arithmetic_is_left_in_float(name: str, bits: tuple[int, int]) -> None:
    graph = prepared(network(name))
    samples = noise(graph, 3)
    inserted = insert_quantizers(make_plan(graph, samples, *bits))(graph)
    account = explain(quantized(inserted))
    assert account.integer_macs == account.macs > 0
    assert {type(island.node).__name__ for island in account.islands} <= FLOAT_BY_DESIGN
    (real,), (found,) = evaluate(graph, samples[1]).values(), evaluate(quantized(inserted), samples[1]).values()
    assert np.linalg.norm(real - found) < 2.0 ** (4 - min(bits)) * np.linalg.norm(real)
    again = import_model(export_model(inserted))
    (read,) = evaluate(quantized(again), samples[1]).values()
    assert np.array_equal(found, read)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Conv (x, w)", "x"),
        ("a = Conv (x, w) y = Relu (a)", "x"),
        ("a = Conv (x, w) r = Relu (a) y = Conv (r, w)", "x r"),
        ("a = Conv (x, w) b = Mul (a, c) d = Add (c, b) r = Relu (d) y = Conv (r, w)", "x r"),
        ("a = Conv (x, w) b = Div (c, a) y = Conv (b, w)", "x a b"),  # 1 / x is no step of a requantization
        ("a = Conv (x, w) m = MaxPool <kernel_shape=[1,1]> (a) r = Relu (m) y = Conv (r, w)", "x r"),
        ("a = Conv (x, w) m = MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (a) y = Conv (m, w)", "x a"),
        ("a = Conv (x, w) r = Relu (a) b = Conv (r, w) y = Add (a, b)", "x a"),  # a has two readers
        ("a = Conv (x, w) r = Relu (a) b = Conv (r, w) d = Add (a, b) y = Conv (d, w)", "x a b d"),
        ("s = Sigmoid (x) y = Conv (s, w)", "x s"),
        ("s = Sigmoid (x) m = Mul (x, s) y = Conv (m, w)", "x m"),  # one table of x
        ("s = Sigmoid (x) m = Mul (x, s) a = Conv (m, w) b = Conv (s, w) y = Add (a, b)", "x s m"),
        ("a = Add (x, x) y = Conv (a, w)", "x a"),
        ("n = Neg (x) m = Max (x, n) y = Conv (m, w)", "x m"),
        ("y = Softmax (x)", ""),  # nothing to multiply
        ("a = Conv (x, w) y = Sigmoid (a)", "x"),  # behind the last product
        ("a = Conv (x, w) s = Sigmoid (a) y = Conv (s, w)", "x a s"),
        ("i = Cast <to=6> (x) f = Cast <to=1> (i) y = Conv (f, w)", "f"),
        ("r = Relu (x) y = Conv (r, w)", "x"),
        ("a = CumSum (x, k) y = Conv (a, w)", "a"),
    ],
)
def test_points_of_small_graphs(body: str, expected: str) -> None:
    k = "k = Constant <value_int=1> () " if "CumSum" in body else ""
    assert points_of(written(k + body)) == expected


def test_outputs_are_points_where_they_are_asked_for() -> None:
    graph = written("a = Conv (x, w) s = Sigmoid (a) y = Add (a, s)")
    assert points_of(graph) == "x"
    assert points_of(graph, outputs=True) == "x a y"
    samples = noise(graph, 2)
    plan = make_plan(graph, samples, 8, 8, outputs=True)
    account = explain(quantized(insert_quantizers(plan)(graph)))
    assert account.islands == ()


def test_products_of_activations_have_two_points() -> None:
    graph = written("b = Transpose <perm=[0,1,3,2]> (x) r = Relu (b) s = Sigmoid (x) y = MatMul (r, s)")
    assert points_of(graph) == "x s"


def test_a_choice_between_a_tensor_and_a_constant_has_one_grid_behind_it() -> None:
    graph = written("j = Where (t, x, one) y = Conv (j, w)", "float[1,4,6,6] x, bool[1,4,6,6] t")
    assert (points_of(graph), shared_grids(graph)) == ("j", ())


def test_a_choice_between_tensors_moves_codes_of_one_grid() -> None:
    graph = written("s = Sigmoid (x) j = Where (t, x, s) y = Conv (j, w)", "float[1,4,6,6] x, bool[1,4,6,6] t")
    names = value_names(graph)
    assert [[names[value] for value in group] for group in shared_grids(graph)] == [["x", "s"]]


def test_groups_that_meet_are_one() -> None:
    """a and b lie on one grid, b and d on one: so do all three."""
    body = (
        "a = Sigmoid (x) b = Tanh (x) d = Exp (x) i = Concat <axis=2> (a, b) j = Concat <axis=2> (b, d) "
        "p = Conv (i, w) q = Conv (j, w) y = Add (p, q)"
    )
    graph = written(body, outputs="float[1,4,12,6] y")
    names = value_names(graph)
    assert [{names[value] for value in group} for group in shared_grids(graph)] == [{"a", "b", "d"}]
