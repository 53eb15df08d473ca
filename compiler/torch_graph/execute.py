"""Runs a float graph on PyTorch: all samples of a batch at once, with gradients to inputs and parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from subbyte.compiler.errors import GraphError, ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.torch_graph import (  # noqa: F401  (each registers its operations)
    codes,
    elementwise,
    indexing,
    movement,
    normalization,
    sums,
    windows,
)
from subbyte.compiler.torch_graph.registry import operation_of
from subbyte.compiler.torch_graph.tensors import held, need_torch, tensor

if TYPE_CHECKING:
    from torch import Tensor


class TorchGraph:
    """A graph of stage IMPORTED as a function of tensors.

    floats: "float32", or "float64" where differences must be exact to many digits; device: where constants are held.

    Batches: an input may hold n times the samples that the graph was imported with, one behind the other along axis 0.
    Then everything that depends on it does. An operation that mixes elements along axis 0 (a Transpose that moves it,
    a Concat with a class token, heads of attention that were folded into it) is mapped over the samples, so that a
    batch of n equals n runs, whatever the shapes that the model's exporter wrote into it.

    Codes of QuantizeLinear are floats with whole values, and rounding has the gradient of the identity (Bengio et al.
    2013, straight-through); clamping has its own, 0 outside the range.
    """

    def __init__(self, graph: Graph, *, floats: str = "float32", device: str = "cpu") -> None:
        need_torch()
        import torch

        if graph.stage != Stage.IMPORTED:
            raise GraphError(f"graph '{graph.name}' is {graph.stage.value}; torch runs graphs of stage imported")
        if floats not in ("float32", "float64"):
            raise ModelError(f"floats are '{floats}'; 'float32' or 'float64' is needed")
        for node in graph.operations():
            operation_of(node)
        self.graph = graph
        self._like = torch.empty(0, dtype=getattr(torch, floats), device=device)
        self._constants = {
            node.out: tensor(node.value, node.type, self._like) for node in graph.nodes() if isinstance(node, Constant)
        }

    @property
    def constants(self) -> Mapping[Value, Tensor]:
        """The constants as tensors; not to be changed in place."""
        return self._constants

    def run(
        self,
        inputs: Mapping[str, Tensor],
        parameters: Mapping[Value, Tensor] | None = None,
        replace: Mapping[Value, Callable[[Tensor], Tensor]] | None = None,
        shown: Sequence[Value] | None = None,
    ) -> dict[Value, Tensor]:
        """What the values in `shown` are (None: the graph's outputs), [n * extent, ...] where they depend on an input.

        Args:
            inputs: a tensor for each input that is needed, of its shape, or with n times its extent on axis 0, the same
                n for all of these; floats of any width.
            parameters: what stands for constants, of their shapes.
            replace: a function of what was computed for a value; what follows sees its result, and so does `shown`.
        Raises:
            ModelError: an input is missing or does not fit; a parameter stands for no constant of the graph.
            UnsupportedError: a value without axes depends on several samples.
        """
        shown = [output.value for output in self.graph.outputs] if shown is None else list(shown)
        parameters, replace = parameters or {}, replace or {}
        order = self._needed(shown)
        self._check_parameters(parameters)
        samples = self._samples(inputs, order)
        pending = Counter(operand for node in order for operand in node.operands)
        pending.update(shown)
        values: dict[Value, Tensor] = {}
        carrying: set[Value] = set()
        for node in order:
            if isinstance(node, Input):
                results: tuple[Tensor, ...] = (self._given(node, inputs[node.name]),)
                carries = results[0].shape != node.type.shape
            elif isinstance(node, Constant):
                results, carries = (parameters.get(node.out, self._constants[node.out]),), False
            else:
                carried = [operand in carrying for operand in node.operands]
                carries = any(carried)
                found = run_node(node, [values[operand] for operand in node.operands], carried, samples)
                results = tuple(x.to(self._like.dtype) if x.is_floating_point() else x for x in found)
            for index, result in enumerate(results):
                value = Value(node, index)
                if pending[value]:
                    values[value] = replace[value](result) if value in replace else result
                if carries:
                    carrying.add(value)
            for operand in node.operands:
                pending[operand] -= 1
                if not pending[operand]:
                    values.pop(operand, None)
        return {value: values[value] for value in shown}

    def _needed(self, shown: Sequence[Value]) -> list[Node]:
        """The nodes that `shown` depend on, in order."""
        own = set(self.graph.nodes())
        for value in shown:
            if value.node not in own:
                raise ModelError(f"{value.node.label} is asked for, but is no part of graph '{self.graph.name}'")
        needed = {value.node for value in shown}
        for node in reversed(self.graph.nodes()):
            if node in needed:
                needed.update(operand.node for operand in node.operands)
        return [node for node in self.graph.nodes() if node in needed]

    def _check_parameters(self, parameters: Mapping[Value, Tensor]) -> None:
        for value, given in parameters.items():
            if value not in self._constants:
                raise ModelError(f"a parameter is given for {value.node.label}, which is no constant of the graph")
            if tuple(given.shape) != value.type.shape:
                raise ModelError(
                    f"the parameter for {value.node.label} has shape {list(given.shape)}, not {value.type}"
                )

    def _samples(self, inputs: Mapping[str, Tensor], order: Sequence[Node]) -> int:
        """How many times the graph's own batch is given; 1 where every input has its own shape."""
        found: dict[str, int] = {}
        for node in order:
            if not isinstance(node, Input):
                continue
            if node.name not in inputs:
                raise ModelError(f"input '{node.name}' {node.type} of graph '{self.graph.name}' is missing")
            count = _times(tuple(inputs[node.name].shape), node.type)
            if count is None:
                raise ModelError(
                    f"input '{node.name}' has shape {list(inputs[node.name].shape)}; {node.type} is needed, or a "
                    "multiple of its first extent"
                )
            found[node.name] = count
        several = {name: count for name, count in found.items() if count != 1}
        if len(set(several.values())) > 1:
            listed = ", ".join(f"'{name}' {count}" for name, count in several.items())
            raise ModelError(f"the inputs hold different numbers of samples: {listed}; one number is needed")
        return next(iter(several.values()), 1)

    def _given(self, node: Input, given: Tensor) -> Tensor:
        return given.to(device=self._like.device, dtype=held(node.type, self._like.dtype))


def _times(shape: tuple[int, ...], of_type: TensorType) -> int | None:
    """n where `shape` is that of the type with n times its extent on axis 0; None where it is not."""
    if shape == of_type.shape:
        return 1
    if len(shape) != of_type.rank or not shape or shape[1:] != of_type.shape[1:] or not of_type.shape[0]:
        return None
    count, rest = divmod(shape[0], of_type.shape[0])
    return count if count and not rest else None


def run_node(node: Node, operands: list[Tensor], carried: list[bool], samples: int) -> tuple[Tensor, ...]:
    """The outputs of `node`, of several samples where an operand carries them."""
    operation = operation_of(node)
    if not any(carried) or operation.together(node, carried):
        results = operation.function(node, *operands)
    else:
        results = _mapped(node, operands, carried, samples)
    outputs: tuple[Tensor, ...] = results if isinstance(results, tuple) else (results,)
    return outputs


def _mapped(node: Node, operands: list[Tensor], carried: list[bool], samples: int) -> tuple[Tensor, ...]:
    """The function of `node` applied to each sample alone, by torch.vmap."""
    import torch

    if any(not output.shape for output in node.types):
        raise UnsupportedError(
            f"{node.label} makes one number without axes of each sample, which torch cannot keep apart for {samples} "
            "samples; run the samples one by one, or keep an axis of extent 1"
        )
    function = operation_of(node).function
    split = [
        x.reshape(samples, x.shape[0] // samples, *x.shape[1:]) if carries else x
        for x, carries in zip(operands, carried, strict=True)
    ]
    axes = tuple(0 if carries else None for carries in carried)
    results = torch.vmap(lambda *sample: function(node, *sample), in_dims=axes)(*split)
    outputs = results if isinstance(results, tuple) else (results,)
    return tuple(output.flatten(0, 1) for output in outputs)
