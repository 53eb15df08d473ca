"""Float networks quantized by a plan, written in every style, and read back: all integer, and the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import subbyte
from subbyte.compiler.explain import explain
from subbyte.compiler.exporter import STYLES, export_model
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.oracle import OnnxRuntime
from subbyte.compiler.pipeline import quantized
from subbyte.passes.insert_quantizers import insert_quantizers
from tests.exporter.plans import Arrays, make_plan, prepared

NETWORKS = ("digits_mlp", "digits_resnet", "kws_float")
BITS = ((8, 8), (4, 8), (2, 4))
CALIBRATED, JUDGED = 4, 3

Network = tuple[Graph, list[Arrays]]
MakeNetwork = Callable[[str], Network]


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest, digits: Path) -> MakeNetwork:
    """network(name) is the float graph and a few of its calibration samples."""

    def found(name: str) -> Network:
        if name == "kws_float":
            folder: Path = request.getfixturevalue("shared_models")
            graph = prepared(folder / "kws_float.onnx", {"batch": 1})
            with np.load(folder / "kws_float_labelled.npz") as archive:
                images = archive["input"][: CALIBRATED + JUDGED] * np.float32(archive["input_scale"])
        else:
            graph = prepared(digits / f"{name}.onnx")
            with np.load(digits / "digits_calibration.npz") as archive:
                images = archive["input"][: CALIBRATED + JUDGED]
        (given,) = graph.inputs
        return graph, [{given.name: image.astype(np.float32).reshape(given.type.shape)} for image in images]

    return found


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_style_is_read_back_as_the_same_integers(name: str, bits: tuple[int, int], network: MakeNetwork) -> None:
    graph, samples = network(name)
    plan = make_plan(graph, samples[:CALIBRATED], *bits)
    for style in STYLES:
        inserted = insert_quantizers(plan, zero_point_first=style == "qonnx")(graph)
        direct, again = quantized(inserted), quantized(import_model(export_model(inserted, style=style)))
        for one in (direct, again):
            account = explain(one)
            assert account.islands == ()
            assert account.integer_macs == account.macs > 0
            assert all(layer.weight_bits in (None, *range(1, bits[0] + 1)) for layer in account.layers)
        assert len(again.operations()) == len(direct.operations())
        for sample in samples[-JUDGED:]:
            meant, found = evaluate(direct, sample), evaluate(again, sample)
            assert all(np.array_equal(found[output], meant[output]) for output in meant), style


@pytest.mark.parametrize("name", NETWORKS)
def test_eight_bits_keep_the_answer(name: str, network: MakeNetwork) -> None:
    graph, samples = network(name)
    inserted = insert_quantizers(make_plan(graph, samples[:CALIBRATED], 8, 8))(graph)
    for sample in samples[-JUDGED:]:
        (real,), (found,) = evaluate(graph, sample).values(), evaluate(quantized(inserted), sample).values()
        assert real.argmax() == found.argmax()
        assert np.abs(real - found).max() < 0.05 * np.abs(real).max()


@pytest.mark.parametrize("target", ["portable", "native"])
def test_compiled_code_equals_the_interpreter(target: str, network: MakeNetwork) -> None:
    graph, samples = network("digits_resnet")
    model = export_model(insert_quantizers(make_plan(graph, samples[:CALIBRATED], 4, 8))(graph))
    module = subbyte.compile(model, target=target)
    for sample in samples:
        (meant,), (found,) = subbyte.evaluate(model, sample).values(), module.run(sample).values()
        assert np.array_equal(meant.view(np.uint32), found.view(np.uint32))


@pytest.mark.parametrize("style", ["qdq", "qcdq"])
@pytest.mark.parametrize("bits", BITS)
def test_onnxruntime_reads_it_alike(bits: tuple[int, int], style: str, network: MakeNetwork) -> None:
    """Its sums are float32's, so a code in the middle between two steps may differ: few logits by a few steps."""
    graph, samples = network("digits_resnet")
    model = export_model(insert_quantizers(make_plan(graph, samples[:CALIBRATED], *bits))(graph), style=style)
    session = OnnxRuntime(model)
    for sample in samples[-JUDGED:]:
        (meant,), (found,) = subbyte.evaluate(model, sample).values(), session.run(sample).values()
        assert np.abs(meant - found).max() <= 0.02 * np.abs(meant).max()
