"""What samples show of the activations that layers read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from subbyte.compiler.calibration.observers import Moments, Observer, SecondMoments, Together
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Node, Value
from subbyte.passes.features.flow import Flow, input_axis

if TYPE_CHECKING:
    from subbyte.compiler.calibration.data import Data

ObserverT = TypeVar("ObserverT", bound=Observer)


def reading_layers(found: Iterable[Flow]) -> tuple[Layer, ...]:
    """The layers that read features, each once."""
    return tuple({reader.layer.node: reader.layer for flow in found for reader in flow.readers}.values())


def input_moments(graph: Graph, data: Data, read: Iterable[Layer]) -> dict[Node, Moments]:
    """Moments of each input channel of the layers, by their nodes."""
    return _observed(graph, data, {layer: Moments(input_axis(layer)) for layer in read})


def input_second_moments(graph: Graph, data: Data, read: Iterable[Layer]) -> dict[Node, SecondMoments]:
    """The mean of x x^T over the rows x of each layer, by their nodes."""
    return _observed(graph, data, {layer: SecondMoments(layer) for layer in read})


def _observed(graph: Graph, data: Data, wanted: dict[Layer, ObserverT]) -> dict[Node, ObserverT]:
    """Each observer with all that its layer's activations were; layers of the same activations have one each."""
    by_value: dict[Value, dict[str, Observer]] = {}
    for layer, observer in wanted.items():
        by_value.setdefault(layer.x, {})[layer.name] = observer
    if by_value:
        data.observe(graph, {value: Together(**observers) for value, observers in by_value.items()})
    return {layer.node: observer for layer, observer in wanted.items()}
