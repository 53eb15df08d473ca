"""Raw fake quantization, as training code exports it, becomes QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.fake_quantize.chain import Chain, chain_to, monotone_step, rounding_step
from subbyte.passes.fake_quantize.grid import Grid, grid_of
from subbyte.passes.fake_quantize.weights import quantized_weights, weights_of

_MAX_REREAD_BITS = 16  # of codes that a table gives another scale


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(
        steps=1, reason="x * (1 / s) becomes x / s, so a number next to a step between two codes may get the other"
    ),
)
def recognize_fake_quantize(graph: Graph) -> Graph:
    """after(Round(before(x))) -> DequantizeLinear(QuantizeLinear(x)); float weights on a grid -> codes, dequantized.

    `before` and `after` are any non-decreasing float operations with constants: division by a scale, multiplication by
    its inverse, zero points, Clip and Relu on either side (LSQ, DoReFa, PACT and their kin), and straight-through
    estimators. No patterns: both are step functions of one float, so comparing all their steps (`grid`) proves that the
    codes are equal for every number; where an inverse scale was multiplied, steps may be one or two floats apart. NaN
    becomes a code, as in every QuantizeLinear. Weights are recognised by value, whatever made them: signs, ternary, any
    grid of 8 bits. What is not shown to be a quantization stays as it is.
    """
    found = _recognized(graph)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        if node in found:
            rewriter.replace(node, _quantized(node, *found[node], rewriter))
        else:
            rewriter.replace(node, _with_codes(rewriter.rebuilt(node)))
    return rewriter.finish()


def _recognized(graph: Graph) -> dict[Node, tuple[Chain, Grid]]:
    """The last operation of every chain that is a quantization: of the longest chain, or of a shorter one within it.

    A chain ends where something reads it that does not continue it.
    """
    users = graph.users()
    ends = {output.value for output in graph.outputs}
    found: dict[Node, tuple[Chain, Grid]] = {}
    for node in reversed(graph.nodes()):
        if len(node.types) != 1 or node.type.dtype != FLOAT32:
            continue
        value = node.out
        if value not in ends and all(_continues(user, value) for user in users.get(value, ())):
            continue
        chain = chain_to(value)
        if chain is None or chain.x.constant is not None:
            continue
        grid = grid_of(chain)
        if grid is not None and (grid[1].quant is grid[1].read or grid[1].dtype.bits <= _MAX_REREAD_BITS):
            found[node] = grid
            ends.add(grid[0].x)  # which may be the end of another one
        elif chain.after:
            ends.add(chain.after[-1].x)
    return found


def _continues(user: Node, value: Value) -> bool:
    """Whether `user` is the next operation of a chain through `value`."""
    if len(user.types) != 1:
        return False
    step = monotone_step(user.out)
    if step is not None:
        return step.x == value
    rounding = rounding_step(user.out)
    return rounding is not None and rounding[0].x == value


def _quantized(node: Node, chain: Chain, grid: Grid, rewriter: Rewriter) -> Node:
    sources = tuple(dict.fromkeys(source for part in chain.nodes for source in part.sources))
    x = rewriter[chain.x]
    codes = ops.QuantizeLinear(x, grid.dtype, grid.quant, grid.rounding, grid.zero_point_first, sources=sources).out
    if grid.read != grid.quant:
        codes = qops.Lookup(codes, _identity(grid), grid.dtype, grid.read, sources=sources).out
    return ops.DequantizeLinear(codes, FLOAT32, sources=sources, tensor=node.tensor)


def _identity(grid: Grid) -> NDArray[Any]:
    """Each code as itself; those that the quantization does not make, as its nearest one."""
    codes = np.arange(grid.dtype.min, grid.dtype.max + 1)
    return np.clip(codes, grid.read.qmin, grid.read.qmax).astype(grid.dtype.numpy)


def _with_codes(node: Node) -> Node:
    """A convolution or matrix product over the codes of its weights, where these are float constants on a grid."""
    weights = weights_of(node)
    codes = None if weights is None else quantized_weights(*weights)
    if weights is None or codes is None:
        return node
    return node.map_operands(lambda operand: codes if operand == weights[0] else operand)
