"""Round the weights of attention to powers of the square root of two: RepQuant's quantizer of softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from subbyte.compiler.calibration.observers import Reservoir
from subbyte.compiler.dtype import FLOAT32, UINT8
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.pass_manager import Pass, Requested, graph_pass
from subbyte.passes.logarithms.codes import MOST_BITS, on_grid, write_logarithm

if TYPE_CHECKING:
    from subbyte.compiler.calibration.data import Data

REASON = "the weights of attention are rounded to powers of the square root of two"
KEPT = 64  # samples that the scale is chosen on
PERCENTILES = (99.9, 99.99, 99.999, 100.0)
_SCALE = 1 / 255  # of the codes of softmax, whose results are 0 to 1


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))
def quantize_softmax(graph: Graph, data: Data) -> Graph:
    """MatMul(Softmax(x), v) -> MatMul(f(Softmax(x)), v), f(a) = 2^-ceil(q / 2) * (sqrt(2) where q is odd) * scale.

    q = rne(-2 log2(a / scale)), 0 to 15; what is less becomes 0. The scale is that percentile of a whose f has the
    least squared error. Softmax has codes of 8 bits first, 1 / 255 apart, so that f is a table of integers for the
    compiler; `split_logarithms_by_parity` makes the product one of integers. Only where all that reads the softmax are
    products with other activations; where quantizers stand behind it already, its codes are those that they make.
    Source: Li et al. 2023, RepQ-ViT, section 3.3.
    """
    return _quantized(graph, data, MOST_BITS, coded=True)


def quantize_softmax_by(bits: int, *, coded: bool = True) -> Pass:
    """`quantize_softmax` with codes q of 1 to 4 bits; `coded`: false where softmax is to stay float before them.

    Raises NumericsError: other bits.
    """
    if not 1 <= bits <= MOST_BITS:
        raise NumericsError(f"logarithms of {bits} bits were asked for; their powers fit 8 bits with 1 to {MOST_BITS}")

    def quantize(graph: Graph, data: Data) -> Graph:
        return _quantized(graph, data, bits, coded)

    quantize.__name__, quantize.__doc__ = "quantize_softmax", quantize_softmax_by.__doc__
    return graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))(quantize)


def _quantized(graph: Graph, data: Data, bits: int, coded: bool) -> Graph:
    users = graph.users()
    shown = {output.value for output in graph.outputs}

    def only_reader(value: Value, kind: type[Node]) -> Node | None:
        (reader, *others) = users.get(value, [None])
        return reader if isinstance(reader, kind) and not others and value not in shown else None

    places: dict[Value, Value] = {}  # what is rounded, and the softmax that it shows
    for node in graph.nodes():
        if isinstance(node, ops.Softmax):
            codes = only_reader(node.out, ops.QuantizeLinear)
            reals = None if codes is None else only_reader(codes.out, ops.DequantizeLinear)
            place = node.out if reals is None else reals.out
            if place not in shown and _weighs(place, users.get(place, [])):
                places[place] = node.out
    if not places:
        return graph
    kept = {value: Reservoir(KEPT, extent=value.type.shape[0]) for value in places.values()}
    data.observe(graph, kept)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        rewriter.replace(node, current)
        softmax = places.get(node.out) if len(node.types) == 1 else None
        if softmax is not None:
            x = _coded(current.out) if coded and softmax == node.out else current.out
            scale = best_scale(kept[softmax].samples, bits)
            rewriter.replace(node, write_logarithm(x, scale, bits, softmax.node.sources))
    return rewriter.finish()


def _coded(x: Value) -> Value:
    """x as codes of 8 bits over 0 to 1, and back."""
    quant = QuantParams(np.asarray(_SCALE, np.float32), np.zeros((), np.int64), UINT8.min, UINT8.max)
    codes = ops.QuantizeLinear(x, UINT8, quant, sources=x.node.sources)
    return ops.DequantizeLinear(codes.out, FLOAT32, sources=x.node.sources).out


def _weighs(value: Value, readers: list[Node]) -> bool:
    """Whether all that reads a value multiplies other activations from the left by it."""
    return (
        bool(readers)
        and value.type.dtype == FLOAT32
        and all(
            isinstance(reader, ops.MatMul) and reader.a == value and reader.b != value and reader.b.constant is None
            for reader in readers
        )
    )


def best_scale(seen: np.typing.NDArray[np.float32], bits: int) -> float:
    """The percentile of what was seen on whose grid it has the least squared error; 1 where all of it is 0."""
    scales = [float(np.float32(found)) for found in np.percentile(seen, PERCENTILES) if found > 0]
    errors = [np.square(on_grid(seen, scale, bits) - seen).sum() for scale in scales]
    return scales[int(np.argmin(errors))] if scales else 1.0
