"""Keep weights that lie on a few levels as indices of a few bits: codes of a narrow type, or places in a table."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import BIPOLAR, TERNARY, DType
from subbyte.compiler.ir.accumulators import SumOfProducts
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import to_integers
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.pass_manager import graph_pass

MOST_LEVELS = 16
_SAMPLE = 4096
_LEAST_SAVING = 64  # bytes: constants begin at multiples of 64
_NARROW = (BIPOLAR, DType("int", 1), TERNARY, *(DType("int", bits) for bits in (2, 3, 4)))


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def recognize_codebooks(graph: Graph) -> Graph:
    """Weights of at most 16 different values -> codes of int4 or less, or indices into a table of these values.

    The values are the integers of N1, code - zero_point, so ternary weights {-37, 0, 37}, powers of two and their sums,
    and any table of integers are found whatever wrote them. Exact: the integers stay, so every sum stays. A factor that
    they have in common is not moved into the scale: M of N4 would be another float32, and its products would round
    elsewhere.
    """
    rewriter = Rewriter(graph)
    found: dict[Value, Value] = {}
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        if isinstance(current, SumOfProducts):
            name = "b" if isinstance(current, QGemm) else "w"
            weights: Value = getattr(current, name)
            if isinstance(weights.node, Constant):
                if weights not in found:
                    found[weights] = _on_levels(weights) or weights
                if found[weights] != weights:
                    current = current.replace(**{name: found[weights]})
        rewriter.replace(node, current)
    return rewriter.finish()


def _on_levels(weights: Value) -> Value | None:
    """The same integers in fewer bits; None where they have too many values, or nothing is saved."""
    integers = _few_integers(weights)
    if integers is None:
        return None
    held, quant, node = weights.type, weights.type.quant, weights.node
    levels = np.unique(integers)
    bits = max((levels.size - 1).bit_length(), 1)
    narrow = next((dtype for dtype in _NARROW if _holds(dtype, levels)), None)
    if narrow is not None and narrow.bits <= bits:
        codes, dtype, table = integers, narrow, 0
        if quant is not None:
            zeros = np.zeros(np.shape(quant.static()[1]), np.int64)
            quant = quant.replace(zero_point=zeros, qmin=dtype.min, qmax=dtype.max)
    else:
        codes, dtype, table = np.searchsorted(levels, integers), DType("uint", bits), levels.size
        scale = np.ones((), np.float32) if quant is None else quant.static()[0]
        axis = None if quant is None else quant.axis
        zeros = np.zeros(np.shape(scale), np.int64)
        quant = QuantParams(scale, zeros, 0, levels.size - 1, axis, levels=tuple(map(float, levels)))
    saved = held.elements * (held.dtype.bits - dtype.bits) // 8 - table
    if saved < _LEAST_SAVING:
        return None
    value = np.ascontiguousarray(codes.astype(dtype.numpy))
    of_type = TensorType(dtype, held.shape, quant, held.layout)
    return Constant(value, of_type, sources=node.sources, tensor=node.tensor).out


def _few_integers(weights: Value) -> Codes | None:
    """The integers that constant weights stand for, where they have at most 16 values; else None."""
    quant, codes = weights.type.quant, weights.constant
    if codes is None or not codes.size or not weights.type.dtype.is_integer:
        return None
    if quant is not None and (not quant.is_static or quant.block is not None or quant.levels is not None):
        return None
    one_zero_point = quant is None or quant.is_per_tensor
    if one_zero_point and np.unique(codes.reshape(-1)[:_SAMPLE]).size > MOST_LEVELS:
        return None
    integers = codes.astype(np.int64) if quant is None else to_integers(codes, quant)
    return integers if np.unique(integers).size <= MOST_LEVELS else None


def _holds(dtype: DType, levels: Codes) -> bool:
    within = dtype.min <= int(levels[0]) and int(levels[-1]) <= dtype.max
    return within and not (dtype == BIPOLAR and 0 in levels)
