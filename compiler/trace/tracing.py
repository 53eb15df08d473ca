"""The trace itself: region by region, from the engine's own tensors, each code that differs beside its exact value."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops import QuantizeLinear
from subbyte.compiler.oracle import OnnxRuntime, read_proto
from subbyte.compiler.pipeline import Options, quantized
from subbyte.compiler.trace import normalization, rules, unary  # noqa: F401  (each registers its enclosures)
from subbyte.compiler.trace.differences import (
    Region,
    Steps,
    TensorTrace,
    certain_codes,
    compared,
    identical,
    output_trace,
    steps_of,
)
from subbyte.compiler.trace.enclosure import Enclosure, Operand, enclose, need_float32, operand_of
from subbyte.compiler.trace.executors import Executor, Simulation
from subbyte.compiler.trace.points import Cut, Point, cut_at, find_points
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.recognize_fake_quantize import recognize_fake_quantize

if TYPE_CHECKING:
    import onnx

    Model = str | os.PathLike[str] | bytes | onnx.ModelProto

Array = NDArray[Any]


def trace(
    model: Model,
    samples: Iterable[Mapping[str, Array]],
    executor: Executor | str = "onnxruntime",
    options: Options | None = None,
) -> list[TensorTrace]:
    """Each quantized tensor of `model`, in topological order, then its outputs: ours beside those of `executor`.

    The imported graph is cut at every tensor of codes that the ONNX model names. Each region between the cuts is
    computed three times from the executor's own tensors at its border, so that no difference adds to another: by the
    passes and the interpreter (what compiled code equals), by the executor, and exactly, with a bound on what float32
    may make of it (`enclosure`). A code that differs must have the rounding's step within that bound.

    Args:
        model: as `quantized` takes it; a graph is not, since an executor needs the ONNX model.
        samples: arrays by input name, one mapping a sample, of the graph's shapes.
        executor: "onnxruntime" (its optimizations off; QONNX's operators written out for it), "fused" (onnxruntime as
            it runs by default), "simulation" (the imported float graph in our interpreter), or an engine of your own.
    Returns: one entry a tensor. A trace without fault has no `untraced` and no `stray` numbers.
    Raises: ModelError: nothing could be compared; the executor's reals are no codes. UnsupportedError, ToolchainError.
    """
    tracer = Tracer(model, executor, options)
    if not tracer.points:
        raise ModelError("no tensor of the model holds codes that the engine shows, so that there is nothing to trace.")
    found: dict[str, TensorTrace] = {}
    for sample in samples:
        for one in tracer.sample(sample, tracer.engine.run(sample)):
            found[one.tensor] = found[one.tensor].plus(one) if one.tensor in found else one
    return list(found.values())


class Tracer:
    """A model, cut for tracing; `sample` traces one sample."""

    def __init__(self, model: Model, executor: Executor | str = "onnxruntime", options: Options | None = None) -> None:
        options = options or Options()
        proto = read_proto(model)
        imported = import_model(model, dims=dict(options.dims))
        self.graph: Graph = recognize_fake_quantize(fold_constants(imported))
        dynamic = (node.output for node in proto.graph.node if node.op_type == "DynamicQuantizeLinear")
        points = find_points(self.graph, {codes: (scale, zero_point) for codes, scale, zero_point in dynamic})
        sums = {
            node.out: node.tensor
            for node in self.graph.operations()
            if len(node.types) == 1 and node.type.dtype.is_integer and node.type.quant is None
        }
        self.engine = executor if not isinstance(executor, str) else self._named(executor, proto, points, sums)
        self.points: list[Point] = [point for point in points if point.tensor in self.engine.shown]
        self._sums = {value: tensor for value, tensor in sums.items() if tensor in self.engine.shown}
        self.cut: Cut = cut_at(self.graph, self.points)
        self.folded: Graph = quantized(self.cut.graph, options)

    def _named(self, name: str, proto: onnx.ModelProto, points: list[Point], sums: Mapping[Value, str]) -> Executor:
        """The engine called `name`, made to show the tensors of `points` and `sums`."""
        tensors = dict.fromkeys([*(point.tensor for point in points), *sums.values()])
        if name == "simulation":
            named = {node.tensor: Value(node, 0) for node in self.graph.operations()}
            named |= {point.tensor: point.value for point in points if not point.is_dequantized}
            return Simulation(self.graph, {tensor: named[tensor] for tensor in tensors if tensor})
        if name not in ("onnxruntime", "fused"):
            raise ModelError(
                f"there is no engine '{name}' to trace; there are 'onnxruntime', 'fused' and 'simulation'."
            )
        made = {output for node in proto.graph.node for output in node.output}
        return OnnxRuntime(proto, [tensor for tensor in tensors if tensor in made], fused=name == "fused")

    def joined(self) -> Graph:
        """The folded regions put together again: it computes what the folded model does, if cutting changes nothing."""
        return self.cut.joined(self.folded, len(self.graph.outputs))

    def ours(self, sample: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, Array]:
        """What our integer operations make of the engine's tensors: each region by the name of its point, and outputs.

        theirs: what the engine shows.
        """
        own = {node.name: sample[node.name] for node in self.graph.inputs}
        given = {name: point.of(theirs) for name, point in zip(self.cut.names, self.points, strict=True)}
        return evaluate(self.folded, {**own, **given})

    def sample(self, sample: Mapping[str, Array], theirs: Mapping[str, Array]) -> Iterator[TensorTrace]:
        """Each tensor of one sample: ours beside `theirs`, what the engine has for it."""
        ours = self.ours(sample, theirs)
        for region in self.regions(sample, theirs):
            if region.point is not None:
                yield compared(region.point, ours[region.name], region.point.of(theirs), region.exact)
            elif isinstance(region.exact, np.ndarray):
                yield identical(region.name, region.exact, theirs[region.name])
            else:
                yield output_trace(region.name, ours[region.name], theirs[region.name], region.exact)

    def regions(self, sample: Mapping[str, Array], theirs: Mapping[str, Array]) -> Iterator[Region]:
        """What each region computes exactly from the engine's tensors, in topological order; the outputs at the end."""
        at = {point.value: (name, point) for name, point in zip(self.cut.names, self.points, strict=True)}
        rounded_by = {point.made_by for point in self.points}
        shown = {output.name: output.value for output in self.graph.outputs}
        known: dict[Value, Operand] = {}
        why: dict[Value, str] = {}
        behind: dict[Node, Steps | Enclosure | str] = {}
        users = {value: len(nodes) for value, nodes in self.graph.users().items()}
        for node in self.graph.nodes():
            if isinstance(node, Constant):
                continue
            if isinstance(node, Input):
                array = sample[node.name]
                known[node.out] = Enclosure.exact(array) if node.type.dtype.is_float else array
                continue
            unknown = next((why[o] for o in node.operands if o in why), None)
            if node in rounded_by:
                behind[node] = unknown or self._rounded(node, known)
            elif unknown is None:
                unknown = self._compute(node, known)
            for index in range(len(node.types)):
                value = Value(node, index)
                if value in at:
                    name, point = at[value]
                    yield Region(name, point, behind[point.made_by])
                    found = point.of(theirs)
                    known[value] = Enclosure.exact(found) if value.type.dtype.is_float else found
                elif value not in known:
                    why[value] = unknown or f"{node.label} makes codes that the engine does not show"
                elif value in self._sums:
                    yield Region(self._sums[value], None, np.asarray(known[value]))
            for operand in node.operands:
                users[operand] -= 1
                if not users[operand] and operand not in shown.values():
                    known.pop(operand, None)
        traced = {point.tensor for point in self.points} | set(self._sums.values())
        for output, value in shown.items():
            if output not in traced:
                yield Region(output, None, why[value] if value in why else known[value])

    def _rounded(self, node: Node, known: dict[Value, Operand]) -> Steps | Enclosure | str:
        """What `node` rounds; the reason where it is not known."""
        try:
            need_float32(node)
        except UnsupportedError as error:
            return str(error)
        return steps_of(node, [operand_of(operand, known) for operand in node.operands])

    def _compute(self, node: Node, known: dict[Value, Operand]) -> str | None:
        """Enter the results of `node`; the reason where it has no enclosure."""
        operands = [operand_of(operand, known) for operand in node.operands]
        try:
            if all(t.dtype.is_float for t in node.types):
                results: tuple[Operand, ...] = enclose(node, operands)
            elif any(isinstance(operand, Enclosure) for operand in operands):
                codes = certain_codes(node, operands) if isinstance(node, QuantizeLinear) else None
                if codes is None:
                    return f"{node.label} makes integers of floats, which has no bound"
                results = (codes,)
            else:
                results = evaluate_node(node, [np.asarray(operand) for operand in operands])
        except UnsupportedError as error:
            return str(error)
        known.update((Value(node, index), result) for index, result in enumerate(results))
        return None
