"""Drawings: boxes that do not overlap, arrows that lead down, colours by bits, names that cannot break the document."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.compiler.draw.layout import ROW, layered
from subbyte.compiler.draw.page import to_page
from subbyte.compiler.draw.svg import COLOURS, FLOAT, colours, to_svg
from subbyte.compiler.dtype import FLOAT32, INT4, INT8, INT32, DType
from subbyte.compiler.explain import explain
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.pipeline import lowered
from subbyte.compiler.target import find_target
from subbyte.passes.recognize_codebooks import recognize_codebooks
from tests.passes.builders import codes_input, graph_of, quant
from tests.passes.random_graphs import random_graph

SVG = "{http://www.w3.org/2000/svg}"


def test_a_chain_is_a_column() -> None:
    drawing = layered({"a": 50, "b": 80, "c": 50}, [("a", "b"), ("b", "c")])
    assert [x for x, _ in drawing.centres.values()] == [drawing.width / 2] * 3
    assert [y for _, y in drawing.centres.values()] == [ROW / 2, 3 * ROW / 2, 5 * ROW / 2]


def test_an_edge_that_passes_a_row_leaves_its_boxes_alone() -> None:
    drawing = layered({"a": 50, "b": 80, "c": 50}, [("a", "b"), ("b", "c"), ("a", "c")])
    _, (place, _), _ = drawing.arrows[2]
    assert abs(place - drawing.centres["b"][0]) > 80 / 2


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(1, 15)), max_size=30))
def test_boxes_never_overlap_and_edges_lead_down(pairs: list[tuple[int, int]]) -> None:
    edges = [(a, a + b) for a, b in pairs]
    widths = {k: 20.0 + 7 * (k % 5) for k in range(1 + max((head for _, head in edges), default=0))}
    drawing = layered(widths, edges)  # type: ignore[arg-type]
    for one, other in itertools.combinations(widths, 2):
        (x0, y0), (x1, y1) = drawing.centres[one], drawing.centres[other]
        assert y0 != y1 or abs(x1 - x0) >= (widths[one] + widths[other]) / 2
    for points in drawing.arrows:
        assert all(b[1] - a[1] == ROW for a, b in itertools.pairwise(points))
    for k, (x, y) in drawing.centres.items():
        assert widths[k] / 2 <= x <= drawing.width - widths[k] / 2  # type: ignore[index]
        assert 0 < y < drawing.height


def test_order_avoids_crossings() -> None:
    """Two chains side by side stay side by side, whatever the order in which they are given."""
    drawing = layered(dict.fromkeys("abcd", 50.0), [("a", "d"), ("b", "c")])
    x = {box: place[0] for box, place in drawing.centres.items()}
    assert (x["a"] - x["b"]) * (x["d"] - x["c"]) > 0


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (DType("bipolar", 1), COLOURS[1]),
        (DType("int", 3), COLOURS[4]),
        (INT8, COLOURS[8]),
        (INT32, COLOURS[64]),
        (FLOAT32, FLOAT),
    ],
    ids=str,
)
def test_colours_go_by_bits(dtype: DType, expected: tuple[str, str]) -> None:
    assert colours(dtype) == expected


def small_graph() -> Graph:
    x = codes_input("x <&\"'>", (1, 2, 4, 4), 0.5)
    w = Constant.of(np.full((3, 2, 1, 1), -8), INT4, quant=quant(1.0, 0, INT4)).out
    r = Requantization(np.float32(0.5), None, 0, -128, 127)
    conv = qops.QConv(x, w, None, r, INT8, quant(0.5), (1, 1), (0,) * 4, (1, 1), 1, sources=("conv <&\"'>",)).out
    return graph_of(ops.DequantizeLinear(conv, FLOAT32, sources=("out",)).out, stage=Stage.QUANTIZED)


def test_boxes_have_the_colour_of_their_weights_or_their_result() -> None:
    root = ElementTree.fromstring(to_svg(small_graph()))
    fills = {
        group.findall(f"{SVG}text")[0].text: group.find(f"{SVG}rect").get("fill")  # type: ignore[union-attr]
        for group in root.findall(f"{SVG}g")
    }
    assert fills == {
        "x <&\"'>": COLOURS[8][0],
        "QConv": COLOURS[4][0],
        "DequantizeLinear": FLOAT[0],
        "y": "#ffffff",
    }
    strokes = [path.get("stroke") for path in root.findall(f"{SVG}path")]
    assert strokes == [COLOURS[8][1], COLOURS[8][1], FLOAT[1]]


def test_titles_hold_what_the_layer_costs() -> None:
    text = ElementTree.fromstring(to_svg(small_graph())).find(f".//{SVG}g[2]/{SVG}title")
    assert text is not None
    assert text.text == "conv <&\"'>\n96 MACs\n83 bytes"


@pytest.mark.parametrize("seed", range(20))
def test_every_graph_can_be_drawn(seed: int) -> None:
    graph = random_graph(seed)
    boxes = ElementTree.fromstring(to_svg(graph)).findall(f"{SVG}g")
    inputs = 1
    assert len(boxes) == len(graph.operations()) + len(graph.outputs) + inputs


def test_a_lowered_graph_names_its_kernels() -> None:
    target = find_target("portable")
    assert "subbyte_packed_conv_" in to_svg(lowered(small_graph(), target), target)


def test_the_page_holds_picture_layers_and_islands() -> None:
    x = Input("f", TensorType(FLOAT32, (2,))).out
    graph = graph_of(ops.Add(x, x, sources=("<add>",)).out, stage=Stage.QUANTIZED)
    page = to_page("<net>", to_svg(graph), explain(graph).as_dict())
    for part in ("<svg", "<h1>&lt;net&gt;</h1>", "<td>Add</td><td>&lt;add&gt;</td>", "quantize the input", "</html>"):
        assert part in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_table_has_the_colour_of_its_indices() -> None:
    levels = np.resize(np.array([-64, -9, 0, 5, 77], np.int8), (32, 32))
    w = Constant(levels, TensorType(INT8, levels.shape, quant(0.5))).out
    total = qops.QGemm(codes_input("x", (1, 32), 0.1), w, None, None, INT32, None)
    graph = recognize_codebooks(graph_of(total.out, stage=Stage.QUANTIZED))
    box = ElementTree.fromstring(to_svg(graph)).find(f".//{SVG}g[2]")
    assert box is not None
    assert box.find(f"{SVG}rect").get("fill") == colours(DType("uint", 3))[0]  # type: ignore[union-attr]
    assert "s8 table3[5] -> s32" in "".join(box.itertext())
