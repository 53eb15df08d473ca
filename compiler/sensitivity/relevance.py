"""Layer-wise relevance propagation: which weights the network's answers come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import ops, ops_indexing
from subbyte.compiler.ir.layers import Layer, is_layer
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.compiler.sensitivity.additive import added
from subbyte.compiler.sensitivity.backward import random_signs
from subbyte.compiler.sensitivity.network import Network, rounding_error
from subbyte.compiler.sensitivity.reading import Kind
from subbyte.compiler.sensitivity.types import Sensitivities
from subbyte.compiler.torch_graph.execute import run_node

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
RULES = ("epsilon", "alpha_beta")
_TINY = 1e-9

MOVEMENT = (
    *(ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Pad, ops.Gather, ops.DepthToSpace),
    *(ops.SpaceToDepth, ops.ResizeNearest, ops.MaxPool, ops.ReduceMax, ops.ReduceMin, ops_indexing.Expand),
    ops_indexing.GatherElements,
)
"""Elements move, or one of several is chosen: relevance moves back with them."""
UNCHANGED = (ops.Unary, ops.Softmax, ops.LogSoftmax, ops.PRelu, Normalization, ops.Cast)
"""Element by element, up to a factor for each row: relevance stays where it is."""


def relevance(
    network: Network,
    *,
    seed: int = 0,
    rule: str = "epsilon",
    epsilon: float = 1e-6,
    alpha: float = 2.0,
    draws: int = 16,
) -> Sensitivities:
    """1/2 mean_n sum_k (dw_k sum_p a_p s_p)^2: how much relevance rounding displaces, squared, weights independent.

    A weight w carries the relevance a w s to where its product is summed: a what it multiplies, s = R / z the relevance
    of the sum by its size. Rounding by dw displaces a dw s of it. p runs over the positions of the weight's products.
    What the layer reads counts likewise, element by element: its relevance by its size, times its rounding error.
    draws: squares of each sample's sums come from sums over all samples with random signs, so often (as in fisher.py).
    Relevance begins as the largest logit (real outputs: as themselves), and is propagated from sums to terms by

    rule "epsilon": R_j = sum_k a_j w_jk R_k / (z_k + epsilon * rms(z) * sign(z_k)); for networks of ReLU and epsilon 0
        this is gradient times input. A larger epsilon absorbs relevance of small sums, for clearer pictures of it; as
        a forecast of what rounding costs it is worse (docs/mixed-precision.md).
    rule "alpha_beta": terms above and below 0 apart, alpha of the relevance to the former, alpha - 1 taken from the
        latter; `epsilon` rule for sums that are no layers.

    Functions and normalizations pass relevance on as it is, products of two computed values halve it, data movement
    moves it.
    Source: Bach et al. 2015, eq. 58 and 60; Montavon et al. 2019 for the rules; Becking et al. 2022 (ECQx) for
    quantization by relevance.
    """
    if rule not in RULES:
        raise ModelError(f"there is no rule '{rule}' for relevance; there are {', '.join(RULES)}")
    if epsilon < 0 or alpha < 1:
        raise ModelError(f"epsilon is {epsilon} and alpha {alpha}; epsilon is 0 or more, alpha 1 or more")
    if draws < 1:
        raise ModelError(f"{draws} draws were asked for; one or more are needed")
    found = _Displaced(network, _Rule(rule, epsilon, alpha), seed, draws)

    def of_weights(layer: Layer, bits: int) -> float:
        return 0.5 * float((found.weights[layer.name] * network.weight_change(layer, bits) ** 2).sum())

    def of_inputs(layer: Layer, bits: int) -> float:
        return 0.5 * found.inputs[layer.name][bits]

    return Sensitivities({layer.name: added(network, layer, of_weights, of_inputs) for layer in network.layers})


@dataclass(frozen=True)
class _Rule:
    name: str
    epsilon: float
    alpha: float


@dataclass(frozen=True)
class _Step:
    """A node with its operands and outputs for several samples, and the relevance of the outputs."""

    node: Node
    operands: list[Tensor]
    carried: list[bool]
    samples: int
    outputs: tuple[Tensor, ...]
    relevance: tuple[Tensor, ...]

    def back(self, operands: Sequence[Tensor], cotangents: Sequence[Tensor], by: Sequence[int]) -> list[Tensor]:
        """Gradients of sum(cotangent * output) by operands number `by`, at other operands of the same shapes."""
        import torch

        leaves = [x.detach().requires_grad_(True) if i in by else x.detach() for i, x in enumerate(operands)]
        outputs = run_node(self.node, leaves, self.carried, self.samples)
        wanted = [leaves[i] for i in by]
        found: Sequence[Tensor | None] = torch.autograd.grad(outputs, wanted, list(cotangents), allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)]


class _Displaced:
    """weights: by layer, mean_n (sum_p a s)^2 for each weight. inputs: by layer and bits, mean_n sum (c dx)^2."""

    def __init__(self, network: Network, rule: _Rule, seed: int, draws: int) -> None:
        self.network, self.rule, self.draws = network, rule, draws
        self._random = np.random.default_rng(seed)
        self.weights = {layer.name: np.zeros(layer.weights.shape) for layer in network.layers}
        self._grids = {layer.name: network.grids_of(layer) for layer in network.layers}
        self.inputs = {name: dict.fromkeys(grids, 0.0) for name, grids in self._grids.items()}
        graph, taps = network.tapped
        self._names: dict[Node, str] = {tap.node: name for name, tap in taps.items()}
        self._order = [node for node in graph.nodes() if not isinstance(node, (Input, Constant))]
        for which, chunk in network.chunks():
            self._propagate(chunk, which.stop - which.start)
            network.show(which.stop, network.count)
        self.weights = {name: total / (network.count * draws) for name, total in self.weights.items()}
        self.inputs = {name: {b: v / network.count for b, v in of.items()} for name, of in self.inputs.items()}

    def _propagate(self, chunk: dict[str, Array], samples: int) -> None:
        import torch

        runner = self.network.on_torch()
        everything = [Value(node, i) for node in runner.graph.nodes() for i in range(len(node.types))]
        with torch.no_grad():
            values = runner.run({name: torch.tensor(a) for name, a in chunk.items()}, shown=everything)
        relevance: dict[Value, Tensor] = {}
        for output, reading in zip(runner.graph.outputs, self.network.readings, strict=True):
            value = output.value
            while reading.kind in (Kind.PROBABILITIES, Kind.LOG_PROBABILITIES) and isinstance(
                value.node, (ops.Softmax, ops.LogSoftmax)
            ):
                value = value.node.x  # the logits
            begin = values[value]
            if reading.kind is not Kind.REAL:
                best = begin.argmax(reading.axis, keepdim=True)
                begin = torch.zeros_like(begin).scatter(reading.axis, best, begin.gather(reading.axis, best))
            relevance[value] = relevance[value] + begin if value in relevance else begin
        for node in reversed(self._order):
            outputs = [Value(node, i) for i in range(len(node.types))]
            if not any(value in relevance for value in outputs):
                continue
            operands = [values[operand] for operand in node.operands]
            carried = [
                samples > 1 and tuple(x.shape) != operand.type.shape
                for x, operand in zip(operands, node.operands, strict=True)
            ]
            step = _Step(
                node,
                operands,
                carried,
                samples,
                tuple(values[value] for value in outputs),
                tuple(relevance.pop(value, torch.zeros_like(values[value])) for value in outputs),
            )
            for operand, part in self._parts(step):
                relevance[operand] = relevance[operand] + part if operand in relevance else part

    def _parts(self, step: _Step) -> list[tuple[Value, Tensor]]:
        """What each computed operand of a node gets of its relevance."""
        node = step.node
        computed = [i for i, operand in enumerate(node.operands) if operand.constant is None]
        floats = [i for i in computed if step.operands[i].is_floating_point()]
        if not floats:
            return []
        if is_layer(node):
            size = self._by_size(step)
            self._count(step, size)
            return [(node.operands[0], step.operands[0] * size)]
        if isinstance(node, MOVEMENT):
            parts = step.back(step.operands, step.relevance, floats)
        elif isinstance(node, UNCHANGED):
            parts, floats = [step.relevance[0]], floats[:1]
        else:
            (z,) = step.outputs
            gradients = step.back(step.operands, [step.relevance[0] / _stabilized(z, self.rule.epsilon)], floats)
            share = 0.5 if isinstance(node, (ops.Mul, ops.MatMul)) and len(floats) == 2 else 1.0
            parts = [share * step.operands[i] * g for i, g in zip(floats, gradients, strict=True)]
        return [(node.operands[i], part) for i, part in zip(floats, parts, strict=True)]

    def _by_size(self, step: _Step) -> Tensor:
        """The relevance of what a layer reads, divided by it."""
        if self.rule.name == "epsilon":
            (size,) = step.back(step.operands, [self._sums(step)[0]], [0])
            return size
        x, w, *_ = step.operands
        above, below = self._sums(step)
        alpha, beta = self.rule.alpha, self.rule.alpha - 1
        by_sign = []
        for high, low in ((w.clamp(min=0), w.clamp(max=0)), (w.clamp(max=0), w.clamp(min=0))):
            (to_high,) = step.back([x, high, *step.operands[2:]], [above], [0])
            (to_low,) = step.back([x, low, *step.operands[2:]], [below], [0])
            by_sign.append(alpha * to_high - beta * to_low)
        return by_sign[0].where(x >= 0, by_sign[1])

    def _sums(self, step: _Step) -> tuple[Tensor, ...]:
        """R / z: of all terms, or of those above and those below 0."""
        (r,) = step.relevance
        if self.rule.name == "epsilon":
            return (r / _stabilized(step.outputs[0], self.rule.epsilon),)
        x, w, *_ = step.operands
        sums = []
        for first, second in ((w.clamp(min=0), w.clamp(max=0)), (w.clamp(max=0), w.clamp(min=0))):
            z = self._product(step, x.clamp(min=0), first) + self._product(step, x.clamp(max=0), second)
            sums.append((r / z).where(z.abs() > _TINY * z.abs().max().clamp(min=_TINY), r * 0))
        return tuple(sums)

    def _product(self, step: _Step, x: Tensor, w: Tensor) -> Tensor:
        """The layer without its bias."""
        bias = [b * 0 for b in step.operands[2:]]
        return run_node(step.node, [x, w, *bias], step.carried, step.samples)[0]

    def _count(self, step: _Step, size: Tensor) -> None:
        """Add what the layer's weights and inputs carry."""
        name = self._names.get(step.node)
        if name is None:
            return
        for _ in range(self.draws):
            self.weights[name] += self._by_weight(step).double().numpy() ** 2
        x = step.operands[0]
        for bits, grid in self._grids[name].items():
            error = rounding_error(x.numpy(), grid)
            self.inputs[name][bits] += float((size.double().numpy() ** 2 * error**2).sum())

    def _by_weight(self, step: _Step) -> Tensor:
        """sum_n +-1 sum_p a s for each weight, random signs for the samples."""
        import torch

        x, w, *rest = step.operands
        parts = self._sums(step)
        signs = torch.tensor(random_signs(self._random, (step.samples,)))
        each = signs.repeat_interleave(parts[0].shape[0] // step.samples).reshape(-1, *[1] * (parts[0].ndim - 1))
        if self.rule.name == "epsilon":
            (found,) = step.back(step.operands, [each * parts[0]], [1])
            return found
        high, low = x.clamp(min=0), x.clamp(max=0)
        alpha, beta = self.rule.alpha, self.rule.alpha - 1
        by_sign = []
        for with_w, against_w in ((high, low), (low, high)):
            (above,) = step.back([with_w, w, *rest], [each * parts[0]], [1])
            (below,) = step.back([against_w, w, *rest], [each * parts[1]], [1])
            by_sign.append(alpha * above - beta * below)
        return by_sign[0].where(w >= 0, by_sign[1])


def _stabilized(z: Tensor, epsilon: float) -> Tensor:
    """z moved away from 0."""
    away = epsilon * z.pow(2).mean().sqrt() + _TINY
    return z + away.where(z >= 0, -away)
