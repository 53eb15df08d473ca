"""Rotate feature spaces by Hadamard matrices, which spread outliers over all features: QuaRot's rotations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.pass_manager import Pass, Requested, graph_pass
from subbyte.passes.features.flow import Flow, flows, input_axis
from subbyte.passes.features.parameters import Parameters
from subbyte.passes.fold_normalization_scale import can_fold, fold_into_readers
from subbyte.passes.rotation.hadamard import has_hadamard, randomized_hadamard
from subbyte.passes.rotation.stream import Stream, streams

REASON = "the float function is kept to 1e-5 of its largest output; what rounding to codes costs changes"
Doubles = NDArray[np.float64]


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))
def rotate_features(graph: Graph) -> Graph:
    """x W -> (x Q) (Q^T W): the residual stream around normalizations, and linear pairs of layers, Q with seed 0.

    Q is a Hadamard matrix with random signs over sqrt(its order); a space whose width has none is left alone. All of it
    goes into weights, biases and constants.

    * A stream is rotated where all that writes to it are layers and constants, and all that reads it are layers, beside
      sums, movement of whole features and normalizations. Their scales and biases go into their readers; and since a
      LayerNormalization is an RMSNormalization of a row without its mean, which the writers then leave out, it becomes
      one. A stream that is given from outside, is an output, or is read otherwise, is left alone.
    * A linear pair is a layer whose features reach other layers with nothing but sums with constants, movement, and
      weighted sums between, as the values of attention do, head by head.

    Source: Ashkboos et al. 2024, QuaRot, sections 3 and 4; SliceGPT, 3.1 and 3.2, for the means; Liu et al. 2024,
    SpinQuant, R1 and R2.
    """
    return _rotated(graph, 0)


def rotate_features_by(seed: int) -> Pass:
    """`rotate_features` with the random signs of another seed."""

    def rotate(graph: Graph) -> Graph:
        return _rotated(graph, seed)

    rotate.__name__, rotate.__doc__ = "rotate_features", rotate_features_by.__doc__
    return graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))(rotate)


def _rotated(graph: Graph, seed: int) -> Graph:
    every: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    found = flows(graph)
    parameters = Parameters(graph)
    by_source = {flow.source: flow for flow in found if isinstance(flow.source, Normalization)}
    plain = {node for node in graph.nodes() if isinstance(node, Normalization) and node.scale is None}
    bare = plain | {source for source, flow in by_source.items() if can_fold(flow, source, parameters)}
    for number, stream in enumerate(streams(graph, every, bare)):
        if not stream.why_not and has_hadamard(stream.width):
            for node in stream.normalizations:
                if node.scale is not None:
                    fold_into_readers(by_source[node], node, parameters)
            _rotate_stream(stream, randomized_hadamard(stream.width, [seed, number]), parameters)
    for number, flow in enumerate(found):
        if isinstance(flow.source, Layer):
            rotate_pairs(flow, flow.source, [seed, len(bare) + number], parameters)
    return parameters.finish()


# The stream -----------------------------------------------------------------------------------------------------------


def _rotate_stream(stream: Stream, rotation: Doubles, parameters: Parameters) -> None:
    written = rotation
    if any(isinstance(node, LayerNormalization) for node in stream.normalizations):
        written = rotation - rotation.mean(axis=0)  # (I - 1 1^T / n) Q: without the mean of the row
        for normalization in stream.normalizations:
            parameters.change_kind(normalization, RMSNormalization)
    for layer in stream.writers:
        matrix = parameters.matrix(layer)
        parameters.set_matrix(layer, (written.T @ matrix[0])[np.newaxis])
        bias = parameters.bias(layer)
        if bias is not None:
            parameters.set_bias(layer, np.broadcast_to(bias.reshape(-1), matrix.shape[1]) @ written)
    for (node, constant), axis in stream.constants.items():
        held = constant.constant
        assert held is not None, "a stream lists constants only"
        wide = np.broadcast_to(held, (*held.shape[:axis], stream.width, *held.shape[axis + 1 :]))
        turned = np.moveaxis(np.moveaxis(wide.astype(np.float64), axis, -1) @ written, -1, axis)
        parameters.replace_operand(node, constant, turned)
    for layer in stream.readers:
        _turn_columns(layer, np.arange(stream.width), rotation, parameters)


def _turn_columns(layer: Layer, channels: NDArray[np.int64], rotation: Doubles, parameters: Parameters) -> None:
    """W -> W Q for the input channels `channels` of a layer, in this order, at each position of its kernel."""
    matrix = parameters.matrix(layer)
    kernels = matrix.reshape(matrix.shape[1], layer.x.type.shape[input_axis(layer)], -1).copy()
    kernels[:, channels] = np.einsum("ock,cd->odk", kernels[:, channels], rotation)
    parameters.set_matrix(layer, kernels.reshape(matrix.shape))


# Pairs ----------------------------------------------------------------------------------------------------------------


def rotate_pairs(flow: Flow, source: Layer, seed: list[int], parameters: Parameters) -> None:
    """Mix the features of each block by a rotation of its own, and take it back in the readers."""
    for block in np.unique(flow.blocks[flow.blocks >= 0]):
        members = np.flatnonzero(flow.blocks == block)
        if members.size == 1 or not has_hadamard(members.size) or source.groups > 1:
            continue
        rotation = randomized_hadamard(members.size, [*seed, int(block)])
        matrix = parameters.matrix(source).copy()
        matrix[0, members] = rotation.T @ matrix[0, members]
        parameters.set_matrix(source, matrix)
        bias = parameters.bias(source)
        if bias is not None:
            row = np.broadcast_to(bias, np.broadcast_shapes(bias.shape, matrix.shape[1:2])).copy()
            row[..., members] = row[..., members] @ rotation
            parameters.set_bias(source, row)
        for addend in flow.addends:
            parameters.turn_addend(addend, members, rotation)
        for reader in flow.readers:
            places = np.argsort(reader.features, kind="stable")
            places = places[np.isin(reader.features[places], members)]
            if places.size:
                _turn_columns(reader.layer, places, rotation, parameters)
