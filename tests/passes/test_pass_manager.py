"""Passes are run in order, checked, compared, printed and stopped."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError, ModelError, UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.grids import parse_grid
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.knobs import KNOBS, STOP_AFTER, VERIFY_PASSES
from subbyte.compiler.pass_manager import EXACT, Step, Within, graph_pass, run_passes
from subbyte.compiler.pipeline import Options, all_passes, find_pass, lowered, meaning_passes, quantized
from subbyte.compiler.target import find_target
from subbyte.compiler.tuning import TuningRecord
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.remove_dead_nodes import remove_dead_nodes
from tests.passes.builders import conv, dequantize, floats, graph_of, operations, quantize, real_input, unary, weights


@pytest.fixture
def graph() -> Graph:
    x = Input("x", TensorType(FLOAT32, (4,))).out
    return graph_of(unary(x, "Relu"))


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED)
def add_one(graph: Graph) -> Graph:
    """y -> y + 1, which a pass that says it is exact must not do."""
    return graph.with_outputs(Output(o.name, ops.Add(o.value, floats(1.0)).out) for o in graph.outputs)


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Within(steps=1, reason="it adds one"))
def add_one_and_say_so(graph: Graph) -> Graph:
    """The same, declared."""
    return add_one.function(graph)


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.QUANTIZED)
def forget(graph: Graph) -> Graph:
    """Ensures what it does not do."""
    return graph


INPUTS = {"x": np.float32([1, -2, np.nan, 4])}


def test_an_exact_pass_that_changes_a_number_is_named(graph: Graph) -> None:
    run_passes(graph, [fold_constants, add_one])  # nothing is compared
    with pytest.raises(
        GraphError, match=r"'add_one' is exact, but it changed 3 of 4 values of output 'y': .* at \(0,\)"
    ):
        run_passes(graph, [fold_constants, add_one], compare_inputs=INPUTS)


def test_a_declared_distance_is_measured(graph: Graph) -> None:
    steps: list[Step] = []
    run_passes(graph, [fold_constants, add_one_and_say_so], compare_inputs=INPUTS, on_step=steps.append)
    assert [(step.name, step.largest_difference) for step in steps] == [
        ("fold_constants", 0),
        ("add_one_and_say_so", 1),
    ]
    assert (steps[1].nodes_before, steps[1].nodes_after) == (1, 2)
    assert str(add_one_and_say_so.exactness) == "within 1 step: it adds one"
    assert str(EXACT) == "exact"


def test_stages_are_checked(graph: Graph) -> None:
    with pytest.raises(GraphError, match="'forget' left graph 'test' at stage imported; it ensures quantized"):
        run_passes(graph, [forget])
    folded = fold_qdq(graph)
    with pytest.raises(GraphError, match="'fold_qdq' needs a graph of stage imported; graph 'test' is quantized"):
        fold_qdq(folded)
    assert remove_dead_nodes(folded).stage is Stage.QUANTIZED


def test_a_pass_that_asks_the_target_needs_one(graph: Graph) -> None:
    with pytest.raises(GraphError, match="'choose_layout' asks the target, and none was given"):
        run_passes(fold_qdq(graph), [find_pass("choose_layout")])


def test_the_first_passes_alone_are_run(graph: Graph) -> None:
    names: list[str] = []
    passes = meaning_passes(Options())
    run_passes(graph, passes, stop_after=2, on_step=lambda step: names.append(step.name))
    assert names == [one.name for one in passes[:2]]
    assert run_passes(graph, passes, stop_after="fold_qdq").stage is Stage.QUANTIZED
    with pytest.raises(GraphError, match="no pass 'fold_all' to stop after; the passes are fold_constants"):
        run_passes(graph, passes, stop_after="fold_all")


def test_graphs_are_printed_after_the_passes_named(graph: Graph) -> None:
    texts: list[str] = []
    run_passes(graph, meaning_passes(Options()), print_after=["fold_qdq"], write=texts.append)
    assert len(texts) == 1
    assert texts[0].startswith('# after fold_qdq\ngraph "test" quantized')


def test_every_pass_is_found_by_its_name() -> None:
    passes = all_passes()
    assert {"fold_qdq", "fuse_scales", "choose_layout", "lower_to_kernels"} <= {one.name for one in passes}
    assert all(find_pass(one.name) is one and one.summary for one in passes)
    with pytest.raises(UnsupportedError, match=r"no pass 'optimize'; the passes are .*, choose_layout"):
        find_pass("optimize")


def test_knobs_are_read_by_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    assert VERIFY_PASSES.read() is True
    monkeypatch.setenv("SUBBYTE_VERIFY_PASSES", "0")
    monkeypatch.setenv("SUBBYTE_STOP_AFTER", "3")
    assert VERIFY_PASSES.read() is False
    assert STOP_AFTER.read() == 3
    monkeypatch.setenv("SUBBYTE_STOP_AFTER", "three")
    with pytest.raises(ModelError, match="SUBBYTE_STOP_AFTER is 'three'; it is a whole number"):
        STOP_AFTER.read()
    monkeypatch.setenv("SUBBYTE_VERIFY_PASSES", "yes")
    with pytest.raises(ModelError, match="it is 0 or 1"):
        VERIFY_PASSES.read()
    assert all(knob.meaning for knob in KNOBS)
    foreign = {knob.name for knob in KNOBS if not knob.name.startswith("SUBBYTE_")}
    assert foreign == {"XDG_CACHE_HOME"}, "one is the desktop's own name for the folder of caches; all others are ours"


def test_the_pipeline_is_bisected_by_a_knob(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBBYTE_STOP_AFTER", "3")
    assert quantized(graph).stage is Stage.IMPORTED


@pytest.fixture
def network() -> Graph:
    x, w = real_input("x", (1, 4, 6, 6), 0.1, 3), weights(np.ones((4, 4, 3, 3)), 0.02)
    first = dequantize(quantize(unary(conv(x, w, pad=1), "Relu"), 0.2, -128))
    return graph_of(quantize(ops.Add(first, x).out, 0.2))


def test_a_strict_compilation_refuses_portable_kernels(network: Graph) -> None:
    target = find_target("portable")
    assert lowered(network, target, Options(strict=True)).stage is Stage.LOWERED
    none_of_its_own = type(target)("bare", "bare", frozenset(), target.facts, (), "", "", target.kernels)
    assert lowered(network, none_of_its_own).stage is Stage.LOWERED
    with pytest.raises(
        UnsupportedError, match=r"'bare' has no kernel of its own for 4 operations: Repack .* QConv 'conv \+ relu"
    ):
        lowered(network, none_of_its_own, Options(strict=True))


def test_a_quantized_graph_is_taken_as_it_is(network: Graph) -> None:
    graph = quantized(network)
    assert quantized(graph) is graph
    assert operations(graph) == ["QConv", "QAdd"]


def test_options_are_recorded() -> None:
    tuning = (TuningRecord("conv1", "subbyte_conv", (("pixels", 6),)),)
    grids = {"x": parse_grid("fixed<8,3>")}
    assert Options(dims={"n": 2}, io="quantized", tuning=tuning, input_grids=grids).recorded() == {
        "dims": {"n": 2}, "strict": False, "integer_only": False, "io": "quantized", "weights": None,
        "remove_work": True, "activation_bits": None, "tuning": [tuning[0].as_dict()],
        "input_grids": {"x": "int8:0.03125:0"},
    }  # fmt: skip
    assert Options().recorded()["tuning"] == []
