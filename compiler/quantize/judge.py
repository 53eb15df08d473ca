"""How far the answers of a quantized network are from those of the float network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.executor import Executor
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.ops import LogSoftmax, Softmax

_SMALLEST = 1e-30


def answers(graph: Graph, samples: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Each output for all samples, [samples, ...], before a softmax: the logits say more.

    graph: of stage imported, float or with quantizers. samples: by input, one more axis in front.
    """
    values = [
        output.value.node.x if isinstance(output.value.node, (Softmax, LogSoftmax)) else output.value
        for output in graph.outputs
    ]
    executor = Executor(graph, values)
    found: list[list[NDArray[Any]]] = [[] for _ in values]
    for index in range(len(next(iter(samples.values())))):
        results = executor.run({name: array[index] for name, array in samples.items()})
        for one, result in zip(found, results, strict=True):
            one.append(np.asarray(result))
    return [np.stack(one) for one in found]


def distance(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """The sum over outputs of how far they are apart, as `learn` has it.

    [samples, 1, classes], two classes and more: the mean Kullback-Leibler divergence of softmax(found) from
    softmax(expected), in nats; others: |found - expected|^2 / |expected|^2.
    """
    return float(sum(_apart(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(expected, found, strict=True)))


def _apart(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    if expected.ndim == 3 and expected.shape[2] > 1:
        a, b = _log_softmax(expected), _log_softmax(found)
        return float(np.mean(np.sum(np.exp(a) * (a - b), axis=2)))
    return float(np.sum((found - expected) ** 2) / max(float(np.sum(expected**2)), _SMALLEST))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)))
