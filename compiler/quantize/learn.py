"""Learned rounding: the weights, scales and biases of a whole network, so that it answers as the float network does.

All weights w, scales s and biases b are learned together by gradients through the fake-quantized network; the gradient
of rounding is that of its operand (straight-through).  No labels are used: the float network is the teacher.

    minimize  sum over outputs of D(teacher, student) + mean over inner tensors of |student - teacher|^2 / |teacher|^2

D is the Kullback-Leibler divergence of softmax(y) for [N, classes] outputs, the same relative squared error for others.
Each step draws a batch of samples, half of them mixed in pairs (lambda x_i + (1 - lambda) x_j), so that few samples go
a long way.  Adam with a cosine rate; a step moves a weight by about `RATE` times the root mean square of its layer.
What was learned is kept where it lowers the loss over the samples as they are, else the start.

Source: learned step sizes (Esser et al. 2020, LSQ); rounding with the whole network in the loop (Nagel et al. 2020,
AdaRound; Hubara et al. 2021, AdaQuant); the float network as teacher (Mishra and Marr 2018); mixing (Zhang et al.
2018).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ToolchainError, UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers, value_names
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops import Gemm, LogSoftmax, Softmax
from subbyte.compiler.ir.plan import ActivationGrid, Plan, QuantizedWeights
from subbyte.compiler.torch_graph import TorchGraph

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = Mapping[Value, Tensor]

BATCH = 64
JUDGED = 512
RATE = 1e-2
SCALE_RATE = 2e-3
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Learned:
    """What learning gives: a plan with other codes and scales, and other biases by layer.

    losses: of the batches on the way. before, after: over the samples, of the start and of the result.
    """

    plan: Plan
    biases: Mapping[str, NDArray[np.float32]]
    losses: tuple[float, ...]
    before: float
    after: float


def learn(
    graph: Graph,
    plan: Plan,
    samples: Mapping[str, NDArray[Any]],
    *,
    steps: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Learn codes, scales and biases from where `plan` stands.

    Args:
        graph: the float network, normalizations folded; every layer in `plan.weights` is learned.
        samples: by input, [count, ...] float32, the leading axis in place of the graph's batch.
        progress: called with the steps done and all of them.
    Raises: ToolchainError: torch is not installed. UnsupportedError: weights in blocks or codebooks, or an operation
        that is not learned through.
    """
    if importlib.util.find_spec("torch") is None:
        raise ToolchainError("learned rounding needs torch, which is not installed; `pip install torch` brings it.")
    import torch

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = _Network(graph, plan)
    given = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in samples.items()}
    optimizer = torch.optim.Adam(network.groups(given))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses: list[float] = []
    before = network.judged(given)
    for step in range(steps):
        batch = _drawn(given, generator)
        loss = network.loss(batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if progress is not None:
            progress(step + 1, steps)
    after = network.judged(given)
    if not after < before:
        return Learned(plan, {}, tuple(losses), before, before)
    return Learned(network.plan(), network.biases(), tuple(losses), before, after)


class _Network:
    """The float network and its fake-quantized twin, which shares everything but what is learned."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self._run = TorchGraph(graph).run
        values = {name: value for value, name in value_names(graph).items()}
        by_name = {layer.name: layer for layer in layers(graph)}
        self._weights = {name: _Weights(by_name[name], weights) for name, weights in plan.weights.items()}
        self._activations = {values[name]: _Activation(grid) for name, grid in plan.activations.items()}
        self._biases = {name: w.layer.bias for name, w in self._weights.items()}
        self._outputs = tuple(_before_softmax(output.value) for output in graph.outputs)
        self._inner = tuple(value for value in self._activations if value not in self._outputs)
        self._learned_biases: dict[Value, Tensor] = {}

    def groups(self, samples: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """What Adam learns, each part at the rate that its magnitude asks for."""
        import torch

        sums = {name: Value(w.layer.node, 0) for name, w in self._weights.items()}
        with torch.no_grad():
            seen = self._run({name: x[:BATCH] for name, x in samples.items()}, shown=tuple(sums.values()))
        groups: list[dict[str, Any]] = []
        for name, weights in self._weights.items():
            groups.append({"params": [weights.w], "lr": RATE * _root_mean_square(weights.w)})
            groups.append({"params": [weights.log_scale], "lr": SCALE_RATE})
            bias = self._biases[name]
            if bias is not None and bias.constant is not None and bias not in self._learned_biases:
                learned = torch.from_numpy(np.array(bias.constant, np.float32)).requires_grad_()
                self._learned_biases[bias] = learned
                groups.append({"params": [learned], "lr": RATE * _root_mean_square(seen[sums[name]])})
        groups += [{"params": [a.log_scale], "lr": SCALE_RATE} for a in self._activations.values() if a.is_learned]
        return groups

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        import torch

        shown = (*self._outputs, *self._inner)
        with torch.no_grad():
            teacher = self._run(batch, shown=shown)
        parameters = {w.layer.w: w.values() for w in self._weights.values()} | self._learned_biases
        student = self._run(batch, parameters=parameters, replace=self._activations, shown=shown)
        loss = torch.stack([_distance(student[value], teacher[value]) for value in self._outputs]).sum()
        if self._inner:
            loss = loss + torch.stack([_relative_error(student[v], teacher[v]) for v in self._inner]).mean()
        return loss

    def judged(self, samples: Mapping[str, Tensor]) -> float:
        """The mean loss over the first JUDGED samples, not mixed."""
        import torch

        count = min(JUDGED, len(next(iter(samples.values()))))
        total = 0.0
        with torch.no_grad():
            for first in range(0, count, BATCH):
                part = {name: x[first : min(first + BATCH, count)] for name, x in samples.items()}
                total += float(self.loss(part)) * len(next(iter(part.values())))
        return total / count

    def plan(self) -> Plan:
        names = value_names(self._graph)
        return Plan(
            {name: weights.rounded() for name, weights in self._weights.items()},
            {names[value]: activation.grid() for value, activation in self._activations.items()},
        )

    def biases(self) -> dict[str, NDArray[np.float32]]:
        learned = {value: bias.detach().numpy() for value, bias in self._learned_biases.items()}
        found = {name: learned[bias] for name, bias in self._biases.items() if bias in learned}
        return {name: bias * _beta(self._weights[name].layer) for name, bias in found.items()}


class _Weights:
    """The weights of a layer and the logarithms of their scales, learned."""

    def __init__(self, layer: Layer, start: QuantizedWeights) -> None:
        import torch

        quant = start.quant
        if quant.levels is not None or quant.block is not None:
            raise UnsupportedError(
                f"the weights of '{layer.name}' are in {'a codebook' if quant.levels is not None else 'blocks'}; "
                "learned rounding takes scales per tensor or per channel. Choose another rounding."
            )
        self.layer, self._start = layer, start
        scale, zero_point = quant.static()
        shape = [1] * start.codes.ndim
        if quant.axis is not None:
            shape[quant.axis] = -1
        self.w = torch.from_numpy(np.array(layer.weights, np.float32)).requires_grad_()
        self.log_scale = torch.from_numpy(np.log(scale).reshape(shape)).requires_grad_()
        self._zero_point = torch.from_numpy(zero_point.reshape(shape).astype(np.float32))

    def values(self) -> Tensor:
        """What the layer multiplies by: differentiable in weights and scales."""
        scale = self.log_scale.exp()
        return (self._codes(self.w / scale) - self._zero_point) * scale

    def _codes(self, steps: Tensor) -> Tensor:
        quant = self._start.quant
        if self._start.dtype.kind == "bipolar":
            near = steps.clamp(-1, 1)
            return near + (_signs(steps) - near).detach()
        near = (steps + self._zero_point).clamp(quant.qmin, quant.qmax)
        return near + (near.round() - near).detach()

    def rounded(self) -> QuantizedWeights:
        """The codes and scales as they are learned."""
        quant = self._start.quant
        scale = self.log_scale.detach().exp()
        codes = self._codes(self.w.detach() / scale).numpy()
        scales = scale.numpy().reshape(quant.static()[0].shape)
        return QuantizedWeights(codes.astype(np.int64), self._start.dtype, quant.replace(scale=scales))


class _Activation:
    """Fake quantization of a tensor; its scale is learned where there are few codes."""

    def __init__(self, grid: ActivationGrid) -> None:
        import torch

        scale, self._zero_point = grid.quant.scalar()
        self._grid = grid
        self.is_learned = grid.dtype.bits < 8 and grid.quant.qmax - grid.quant.qmin < 128
        self.log_scale = torch.tensor(float(np.log(scale)), requires_grad=self.is_learned)
        self._scale = torch.tensor(scale)

    def _step(self) -> Tensor:
        return self.log_scale.exp() if self.is_learned else self._scale

    def __call__(self, x: Tensor) -> Tensor:
        scale, quant = self._step(), self._grid.quant
        if self._grid.dtype.kind == "bipolar":
            near = (x / scale).clamp(-1, 1)
            return (near + (_signs(x) - near).detach()) * scale
        near = (x / scale + self._zero_point).clamp(quant.qmin, quant.qmax)
        return (near + (near.round() - near).detach() - self._zero_point) * scale

    def grid(self) -> ActivationGrid:
        """The grid as it is learned."""
        scale = self._step().detach().numpy()
        return ActivationGrid(self._grid.dtype, self._grid.quant.replace(scale=scale))


def _beta(layer: Layer) -> np.float32:
    """What a Gemm multiplies its bias by; `Layer.with_parameters` adds biases as they are."""
    return np.float32(layer.node.beta if isinstance(layer.node, Gemm) else 1)


def _before_softmax(output: Value) -> Value:
    """The logits, where the output is their softmax: what the divergence is taken of."""
    node = output.node
    return node.x if isinstance(node, (Softmax, LogSoftmax)) else output


def _signs(x: Tensor) -> Tensor:
    import torch

    return torch.where(x >= 0, 1.0, -1.0)


def _drawn(samples: Mapping[str, Tensor], generator: Any) -> dict[str, Tensor]:
    """A batch, half of it mixed in pairs; all inputs of a sample are mixed alike."""
    import torch

    count = len(next(iter(samples.values())))
    chosen = torch.randint(0, count, (min(BATCH, max(count, 2)),), generator=generator)
    partner = chosen[torch.randperm(len(chosen), generator=generator)]
    share = torch.rand(len(chosen), generator=generator)
    share = torch.where(torch.rand(len(chosen), generator=generator) < 0.5, share, torch.ones(()))
    return {name: _mixed(x[chosen], x[partner], share) for name, x in samples.items()}


def _mixed(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    along = share.reshape(-1, *[1] * (a.dim() - 1))
    return along * a + (1 - along) * b


def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    import torch

    if teacher.dim() != 2 or teacher.shape[1] < 2:
        return _relative_error(student, teacher)
    log = torch.nn.functional.log_softmax
    return torch.nn.functional.kl_div(log(student, 1), log(teacher, 1), log_target=True, reduction="batchmean")


def _relative_error(student: Tensor, teacher: Tensor) -> Tensor:
    return ((student - teacher) ** 2).mean() / ((teacher**2).mean() + _SMALLEST)


def _root_mean_square(x: Tensor) -> float:
    return max(math.sqrt(float((x.detach() ** 2).mean())), _SMALLEST)
