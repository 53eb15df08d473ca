"""What must hold of sums of products before C++ is printed: accumulators that hold them, words that tools take."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.targets.hls.actors import DepthwiseVector, MatrixVector
from subbyte.targets.hls.streams import Element

MOST_WORD_BITS = 1024
"""The widest ap_uint that every vendor release takes without AP_INT_MAX_W."""


def finished_sums(actor: MatrixVector | DepthwiseVector) -> Element:
    """The sums that `steps` gets, of any codes of x; those on the way to them are in `sums` too and may wrap around.

    Raises: GraphError: some are not in `sums`.
    """
    x = actor.x.type.element
    weights = actor.weights.reshape(actor.weights.shape[0], -1)
    low = int((np.minimum(weights * x.low, weights * x.high).sum(axis=1) + actor.bias).min())
    high = int((np.maximum(weights * x.low, weights * x.high).sum(axis=1) + actor.bias).max())
    if low < actor.sums.low or high > actor.sums.high:
        raise GraphError(
            f"actor '{actor.name}' has sums {low}..{high}, and its accumulators are for {actor.sums.low}.."
            f"{actor.sums.high}; they come from the same weights, bias and codes"
        )
    return Element(low, high)


def check_word(actor: MatrixVector | DepthwiseVector, weight_bits: int) -> None:
    """Raises UnsupportedError where a word of weights is longer than HLS tools take."""
    lanes = actor.x.type.lanes
    if lanes * weight_bits > MOST_WORD_BITS:
        raise UnsupportedError(
            f"actor '{actor.name}' reads {lanes} weights of {weight_bits} bits at once, and HLS tools take words of up "
            f"to {MOST_WORD_BITS} bits; fold it to at most {max(MOST_WORD_BITS // weight_bits, 1)} lanes"
        )
