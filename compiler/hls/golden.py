"""What the interpreter says that every stream of a design carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_values
from subbyte.compiler.ir.node import Value
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.project.golden import Golden
from subbyte.targets.hls.streams import Codes, Stream

Arrays = Mapping[str, NDArray[Any]]


def golden_of(graph: Graph, design: Design, samples: Sequence[Arrays]) -> Golden:
    """The frames of every stream of `design` that a tensor of `graph` equals, for samples of the graph's inputs.

    A sample is evaluated when it is asked for, one at a time.
    """
    shown = {stream.value for stream in design.streams if stream.value is not None}

    @lru_cache(maxsize=1)
    def values(sample: int) -> dict[Value, NDArray[Any]]:
        return evaluate_values(graph, samples[sample], keep=shown)

    def frames(stream: Stream) -> Callable[[int], Codes]:
        return lambda sample: frame_of_tensor(stream, values(sample)[_value(stream)])

    return Golden(len(samples), {s.name: frames(s) for s in design.streams if s.value is not None})


def _value(stream: Stream) -> Value:
    assert stream.value is not None, "only streams of tensors are asked for"
    return stream.value


def frame_of_tensor(stream: Stream, tensor: NDArray[Any]) -> Codes:
    """A tensor as the stream carries it: int64 [pixels, 1, channels]."""
    codes = np.asarray(tensor, np.int64).reshape(-1)[stream.order]
    return np.asarray(codes.reshape(stream.type.pixels, 1, stream.type.channels))
