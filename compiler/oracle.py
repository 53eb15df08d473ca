"""onnxruntime as a second opinion: whole models, and each node fed with its own inner tensors."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.compare import Comparison, compare
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.oracle_qonnx import DOMAINS, in_standard_operators

if TYPE_CHECKING:
    import onnx

_NOT_FOR_NUMPY = frozenset(f"tensor({kind}{bits})" for kind in ("int", "uint") for bits in (2, 4))


class OnnxRuntime:
    """A session with graph optimizations off: every node computes what ONNX writes, in float32 where that is float.

    QONNX's operators, which onnxruntime does not know, are written out in ONNX's own (`oracle_qonnx`).

    inner: tensors to be shown beside the outputs; with `fused`, those that are left after fusion.
    fused: run what onnxruntime makes of the model by default: operators fused for speed, some of which round elsewhere
        (docs/semantics.md).
    """

    def __init__(
        self, model: str | os.PathLike[str] | bytes | onnx.ModelProto, inner: Iterable[str] = (), *, fused: bool = False
    ) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise ToolchainError("onnxruntime is not installed; `pip install 'subbyte[verify]'` brings it.")
        proto = read_proto(model)
        if any(node.domain in DOMAINS for node in proto.graph.node):
            in_standard_operators(proto)
        if fused:
            proto = _fused(proto)
            left = {name for node in proto.graph.node for name in node.output}
            inner = [name for name in inner if name in left]
        shown = {output.name for output in proto.graph.output}
        self.inner = [name for name in dict.fromkeys(inner) if name not in shown]
        if self.inner:
            _show(proto, self.inner)
        self._session = _session(proto)

    @property
    def shown(self) -> frozenset[str]:
        """The tensors that `run` returns."""
        return frozenset(output.name for output in self._session.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs and inner tensors by name."""
        names = [output.name for output in self._session.get_outputs() if output.type not in _NOT_FOR_NUMPY]
        used = {value.name for value in self._session.get_inputs()}
        results = self._session.run(names, {name: array for name, array in inputs.items() if name in used})
        return dict(zip(names, results, strict=True))


def _session(proto: onnx.ModelProto, fused_to: str | None = None) -> Any:
    """One thread, nothing optimized; or everything, and the result written to the file `fused_to`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if fused_to is None else levels.ORT_ENABLE_ALL
    if fused_to is not None:
        options.optimized_model_filepath = fused_to
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base but Exception
        raise ModelError(f"onnxruntime does not take the model: {error}") from error


def _fused(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model that onnxruntime runs by default, as it writes it down for this processor."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fused.onnx")
        _session(proto, path)
        return read_proto(path)


def read_proto(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model that may be changed."""
    import onnx

    if isinstance(model, bytes):
        return onnx.load_from_string(model)
    if isinstance(model, (str, os.PathLike)):
        return onnx.load(os.fspath(model))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _show(proto: onnx.ModelProto, names: list[str]) -> None:
    """Make inner tensors graph outputs; onnxruntime infers their types, those of its own operators too."""
    import onnx

    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)


def compare_per_node(
    graph: Graph, model: str | os.PathLike[str] | bytes | onnx.ModelProto, samples: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, Comparison]:
    """Each node of a QUANTIZED graph, fed onnxruntime's own tensors, beside onnxruntime's answer: by ONNX tensor name.

    A node is compared when it and everything it reads stand for ONNX tensors; what a pass put between two ONNX tensors
    (a Repack, a table of several operators) is evaluated with it, from the nearest ONNX tensors before.
    Raises ModelError where no node can be compared: nothing would have been checked.
    """
    known = {Value(node, 0): node.name for node in graph.inputs}
    known |= {Value(node, 0): node.tensor for node in graph.operations() if node.tensor and len(node.types) == 1}
    inner = [name for value, name in known.items() if not isinstance(value.node, Input)]
    session = OnnxRuntime(model, inner)
    found: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    for sample in samples:
        theirs = {**sample, **session.run(sample)}
        for value, name in known.items():
            if isinstance(value.node, Input) or name not in theirs:
                continue
            ours = _evaluate_from(value.node, known, theirs)
            reference = theirs[name]
            if ours.shape == reference.shape and ours.dtype == reference.dtype:
                found.setdefault(name, []).append((reference, ours))
    if not found:
        raise ModelError(
            f"no node of '{graph.name}' stands for a tensor of the ONNX model in shape and dtype, so that none can be "
            "compared by itself; compare the outputs instead, without --per-node."
        )
    steps = {name: _float_step(value.node) for value, name in known.items()}
    return {
        name: compare(np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs]), steps[name])
        for name, pairs in found.items()
    }


def _float_step(node: Node) -> float | None:
    quant = node.operands[0].type.quant if node.operands and node.type.dtype.is_float else None
    return quant.scalar()[0] if quant is not None and quant.is_static and quant.is_per_tensor else None


def _evaluate_from(node: Node, known: Mapping[Value, str], theirs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Output 0 of `node`, from the nearest values before it that onnxruntime knows too."""
    done: dict[Value, NDArray[Any]] = {}
    stack = [node]
    while stack:
        current = stack[-1]
        if Value(current, 0) in done:
            stack.pop()
            continue
        missing: list[Node] = []
        for operand in current.operands:
            if operand in done:
                continue
            if isinstance(operand.node, Constant):
                done[operand] = operand.node.value
            elif operand in known and known[operand] in theirs:
                done[operand] = theirs[known[operand]].astype(operand.type.dtype.numpy, copy=False)
            else:
                missing.append(operand.node)
        if missing:
            stack.extend(missing)
            continue
        results = evaluate_node(current, [done[operand] for operand in current.operands])
        done.update((Value(current, index), result) for index, result in enumerate(results))
        stack.pop()
    return done[Value(node, 0)]
