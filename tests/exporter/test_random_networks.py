"""Random networks: written as they are, and quantized, leaving nothing in float, whatever follows what."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.exporter import STYLES, export_model
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.text import print_graph
from subbyte.compiler.pipeline import quantized
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.quantization.islands import float_islands
from subbyte.passes.remove_dead_nodes import remove_dead_nodes
from tests.exporter.plans import make_plan, noise
from tests.exporter.random_networks import random_network

SEEDS = range(40)


def shown_alone(graph: Graph) -> Graph:
    """Without outputs that are no product: what makes them stays float by design."""
    return graph.with_outputs(graph.outputs[:1])


@pytest.mark.parametrize("seed", SEEDS)
def test_float_networks_are_read_back(seed: int) -> None:
    graph = random_network(seed)
    again = import_model(export_model(graph))
    (sample,) = noise(graph, 1)
    meant, found = evaluate(graph, sample), evaluate(again, sample)
    assert all(np.array_equal(meant[name], found[name]) for name in meant)
    once = import_model(export_model(again), name="g")
    assert print_graph(import_model(export_model(once), name="g")) == print_graph(once)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_left_in_float(seed: int) -> None:
    graph = remove_dead_nodes(fold_batch_norm(shown_alone(random_network(seed))))
    samples = noise(graph, 2, seed)
    plan = make_plan(graph, samples, 8, 8)
    direct = quantized(insert_quantizers(plan)(graph))
    assert float_islands(direct) == []
    assert sum(map(multiply_accumulates, direct.operations())) > 0
    meant, found = evaluate(graph, samples[0])["y"], evaluate(direct, samples[0])["y"]
    assert np.linalg.norm(meant - found) < 0.25 * np.linalg.norm(meant)


@pytest.mark.parametrize("seed", SEEDS[::4])
@pytest.mark.parametrize("style", STYLES)
def test_quantized_networks_are_read_back(seed: int, style: str) -> None:
    graph = remove_dead_nodes(fold_batch_norm(random_network(seed)))
    samples = noise(graph, 2, seed)
    inserted = insert_quantizers(make_plan(graph, samples, 3, 5), zero_point_first=style == "qonnx")(graph)
    meant = evaluate(quantized(inserted), samples[1])
    found = evaluate(quantized(import_model(export_model(inserted, style=style))), samples[1])
    assert all(np.array_equal(meant[name], found[name]) for name in meant)
