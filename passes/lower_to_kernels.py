"""Choose a kernel for every operation: the only place where that is done."""

from __future__ import annotations

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import EXACT, graph_pass
from subbyte.compiler.target import Kernel, Target

_LISTED = 20


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.LOWERED, exactness=EXACT)
def lower_to_kernels(graph: Graph, target: Target) -> Graph:
    """Every operation becomes a call of the cheapest kernel that accepts it, or a view where no byte moves.

    Raises UnsupportedError with all operations that no kernel of the target or of `portable` accepts, in one list.
    """
    rewriter = Rewriter(graph)
    missing: list[str] = []
    for node in graph.nodes():
        if isinstance(node, (Input, Constant)):
            continue
        current = rewriter.rebuilt(node)
        if is_view(current):
            rewriter.replace(node, View(current, sources=current.sources, tensor=current.tensor, layout=current.layout))
            continue
        kernel = choose_kernel(current, target)
        if kernel is None:
            missing.append(f"{current.label} of {', '.join(str(value.type) for value in current.operands)}")
            continue
        call = KernelCall(
            current,
            kernel.symbol,
            target.name,
            sources=current.sources,
            tensor=current.tensor,
            layout=current.layout,
        )
        rewriter.replace(node, call)
    if missing:
        more = f", and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise UnsupportedError(
            f"target '{target.name}' has no kernel for {'; '.join(missing[:_LISTED])}{more}. "
            "`subbyte list kernels --json` shows what there is."
        )
    return rewriter.finish(Stage.LOWERED)


def choose_kernel(node: Node, target: Target) -> Kernel | None:
    """The cheapest kernel that accepts `node`; of equals, the first in the table, where `portable` comes last."""
    accepting = [kernel for kernel in target.kernels_for(type(node)) if kernel.accepts(node)]
    return min(accepting, key=lambda kernel: kernel.cost(node, target.facts), default=None)


def is_view(node: Node) -> bool:
    """Whether the result of a Reshape, Transpose or Repack is its operand's very bytes."""
    if not isinstance(node, (ops.Reshape, ops.Transpose, ops.Repack)):
        return False
    x, y = node.x.type, node.type
    if isinstance(node, ops.Reshape):
        return _long(x.shape, x.order) == sorted(_long(x.shape, x.order)) and y.layout is None
    came_from = node.perm if isinstance(node, ops.Transpose) else range(x.rank)
    return [came_from[axis] for axis in _long(y.shape, y.order)] == _long(x.shape, x.order)


def _long(shape: tuple[int, ...], order: tuple[int, ...]) -> list[int]:
    """The axes as stored, those of extent 1 left out: they may stand anywhere."""
    return [axis for axis in order if shape[axis] != 1]


def fallbacks(graph: Graph, target: Target) -> list[str]:
    """What kernels of another family (`portable`) do in a lowered graph, for want of one of the target's own."""
    calls = [node for node in graph.operations() if isinstance(node, KernelCall)]
    return [
        f"{call.op.label} ({call.kernel})"
        for call in calls
        if target.kernel(type(call.op), call.kernel).family != target.family
    ]
