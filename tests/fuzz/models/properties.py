"""What must hold of every random model. Each function raises AssertionError with what it found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from subbyte.compiler.explain import explain
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.oracle import compare_per_node
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.pipeline import Options, meaning_passes, work_passes
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.recognize_fake_quantize import recognize_fake_quantize
from tests.fuzz.models.compare import need_same
from tests.fuzz.models.random_model import RandomModel
from tests.fuzz.models.simulation import differences, labelled

Array = NDArray[Any]
Answers = list[dict[str, Array]]
_REFUSED = re.compile("does not take the model|none can be compared by itself|for which opset .. has no operator")


def check_text(graph: Graph) -> None:
    """A graph reads back from its text."""
    text = print_graph(graph)
    assert print_graph(parse_graph(text)) == text


def check_simulation(model: RandomModel, answers: Answers) -> int:
    """Every code is one that the rounding of the float simulation allows; how many tensors of codes were compared."""
    simulation = labelled(recognize_fake_quantize(fold_constants(import_model(model.proto))))
    graph = run_passes(simulation, meaning_passes(Options()))
    count = 0
    for sample, expected in zip(model.samples, answers, strict=True):
        need_same(expected, evaluate(graph, sample), "of the labelled graph")
        compared, wrong = differences(simulation, graph, sample)
        assert not wrong, "; ".join(map(str, wrong))
        count += compared
    return count


def check_macs(model: RandomModel, graph: Graph) -> None:
    """Every multiply-accumulate is an integer one where the model leaves nothing float."""
    explanation = explain(graph)
    if not model.floats:
        reasons = [f"{island.node.label}: {island.reason}" for island in explanation.islands if island.macs]
        assert explanation.integer_macs == explanation.macs, reasons


def check_removed_work(graph: Graph, answers: Answers, samples: tuple[Mapping[str, Array], ...]) -> None:
    """What range analysis removes changes no number."""
    reduced = run_passes(graph, work_passes(Options()))
    for sample, expected in zip(samples, answers, strict=True):
        need_same(expected, evaluate(reduced, sample), "without the removed work")


def check_onnxruntime(model: RandomModel) -> None:
    """Each imported node, fed onnxruntime's own tensors, is within a step or float32's rounding of its answer.

    Models that onnxruntime refuses are passed over, and those in which it has nothing to compute; so is its softmax of
    codes, which makes 0 of the share 1.0 (256 in 8 bits) where ONNX's QuantizeLinear saturates.
    """
    wrapping = {node.output[0] for node in model.proto.graph.node if node.op_type == "QLinearSoftmax"}
    try:
        comparisons = compare_per_node(import_model(model.proto), model.proto, model.samples)
    except Exception as error:  # onnxruntime raises classes of its own that share no base but Exception
        if type(error).__module__.startswith("onnxruntime") or _REFUSED.search(str(error)):
            return
        raise
    for name, found in comparisons.items():
        if name in wrapping:
            continue
        if found.max_steps is not None:
            assert found.max_steps <= 1.01, f"'{name}' differs from onnxruntime by {found.max_steps} steps"
        else:
            assert found.max_abs <= 1e-2, f"'{name}' differs from onnxruntime by {found.max_abs}"
