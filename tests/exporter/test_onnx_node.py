"""Every ONNX node test that is read is written again, and read back as the same operations."""

from __future__ import annotations

from collections import Counter

import pytest

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.exporter import export_model
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from tests.onnx_node.cases import NodeCase, all_cases
from tests.onnx_node.not_supported import entry_for
from tests.onnx_node.test_onnx_node import same_bits

READ = [name for name, case in all_cases().items() if entry_for(case) is None]

# What has no form: sums of codes that no DequantizeLinear reads, run-time scales, a Resize with one scale for two axes.
WITHOUT_FORM = {
    "test_convinteger_with_padding": "QConv",
    "test_convinteger_without_padding": "QConv",
    "test_matmulinteger": "QGemm",
    "test_dynamicquantizelinear": "DynamicRange",
    "test_dynamicquantizelinear_max_adjusted": "DynamicRange",
    "test_dynamicquantizelinear_min_adjusted": "DynamicRange",
    "test_resize_downsample_sizes_nearest_not_smaller": "ResizeNearest",
}


def graph_of(case: NodeCase) -> Graph:
    return import_model(case.model(), dims=case.dims(case.given()))


@pytest.mark.parametrize("name", [name for name in READ if name not in WITHOUT_FORM])
def test_what_is_read_is_written_and_read_again(name: str) -> None:
    case = all_cases()[name]
    graph = graph_of(case)
    again = import_model(export_model(graph))
    assert Counter(map(type, again.operations())) == Counter(map(type, graph.operations()))
    given = case.given()
    inputs = {node.name: given[node.name].astype(node.type.dtype.numpy) for node in graph.inputs}
    meant, found = evaluate(graph, inputs), evaluate(again, inputs)
    assert list(meant) == list(found)
    assert [output for output in meant if not same_bits(meant[output], found[output])] == []


@pytest.mark.parametrize("name", WITHOUT_FORM)
def test_what_has_no_form_is_named(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^{WITHOUT_FORM[name]}"):
        export_model(graph_of(all_cases()[name]))
