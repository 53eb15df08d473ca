"""Put QuantizeLinear and DequantizeLinear into a float graph, as a plan says."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.layers import Layer, layers, value_names
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.plan import ActivationGrid, Plan, QuantizedWeights
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.pass_manager import Pass, Requested
from subbyte.passes.precision.chains import computed, is_move, is_relu
from subbyte.passes.quantization.sums import LARGEST_BIAS, channelwise


def insert_quantizers(plan: Plan, *, zero_point_first: bool = False) -> Pass:
    """The pass that quantizes weights, activations and biases of a float graph as `plan` says.

    An activation x becomes DequantizeLinear(QuantizeLinear(x)) for all its readers, and for an output that shows it.
    Weights become DequantizeLinear(codes). Biases of such layers become DequantizeLinear(int32 codes) on the scale
    s_x * s_w where both are known, per channel where s_w is; a bias of a MatMul is the constant of the Add behind it.
    A bias one of whose codes would be 2^30 or more stays float, and is added after the multiplication (N4).

    zero_point_first: round(x / scale + zero_point), as QONNX rounds; ONNX adds the zero point after rounding.
    Errors of the pass: GraphError: the plan names what the graph does not have, or weights of another shape.
    """

    def insert(graph: Graph) -> Graph:
        return _Insertion(graph, plan, zero_point_first).run()

    insert.__doc__ = insert_quantizers.__doc__
    reason = "weights and activations move to the grids of the plan"
    return Pass("insert_quantizers", insert, Stage.IMPORTED, Stage.IMPORTED, Requested(reason))


class _Insertion:
    """The new graph in the making: _new says what stands for each old value."""

    def __init__(self, graph: Graph, plan: Plan, zero_point_first: bool) -> None:
        self.graph = graph
        self.zero_point_first = zero_point_first
        self.names = value_names(graph)
        self.layers: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
        self.weights: dict[Node, QuantizedWeights] = {
            layer.node: plan.weights[layer.name] for layer in self.layers.values() if layer.name in plan.weights
        }
        self.grids = {value: plan.activations[name] for value, name in self.names.items() if name in plan.activations}
        self._new: dict[Value, Value] = {}
        _need_known("layer", plan.weights, (layer.name for layer in self.layers.values()), graph)
        _need_known("activation", plan.activations, self.names.values(), graph)

    def run(self) -> Graph:
        for node in self.graph.nodes():
            current: Node = node.map_operands(self._of)
            if node in self.weights:
                current = self._layer(self.layers[node], current, self.weights[node])
            elif isinstance(node, ops.Add):
                current = self._bias_behind(node, current)
            for index in range(len(node.types)):
                old, new = Value(node, index), Value(current, index)
                self._new[old] = self._quantized(old, new) if old in self.grids else new
        outputs = (Output(output.name, self._of(output.value)) for output in self.graph.outputs)
        return self.graph.with_outputs(outputs)

    def _of(self, value: Value) -> Value:
        return self._new.get(value, value)

    def _quantized(self, old: Value, new: Value) -> Value:
        name, grid = self.names[old], self.grids[old]
        if new.type.dtype != FLOAT32:
            raise GraphError(f"the plan quantizes the activation '{name}', which is {new.type}; float32 is needed.")
        return _dequantized(self._codes(name, new, grid), name)

    def _codes(self, name: str, x: Value, grid: ActivationGrid) -> Value:
        bipolar = grid.dtype.kind == "bipolar"
        return ops.QuantizeLinear(
            x,
            grid.dtype,
            grid.quant,
            "BIPOLAR" if bipolar else "HALF_EVEN",
            self.zero_point_first and bool(grid.quant.scalar()[1]),
            sources=(f"{name}_QuantizeLinear",),
            tensor=f"{name}_quantized",
        ).out

    # Layers -----------------------------------------------------------------------------------------------------------

    def _layer(self, layer: Layer, current: Node, weights: QuantizedWeights) -> Node:
        """`current`, the node of `layer` over its new operands, with quantized weights, and bias where it can be."""
        if weights.codes.shape != layer.weights.shape:
            raise GraphError(
                f"the plan has weights of shape {list(weights.codes.shape)} for the layer '{layer.name}', whose "
                f"weights have shape {list(layer.weights.shape)}; the shapes are equal."
            )
        name = layer.w.node.tensor or f"{layer.name}.weight"
        codes = Constant(weights.codes, weights.type, sources=layer.w.node.sources, tensor=f"{name}_quantized").out
        w = _dequantized(codes, name)
        if isinstance(current, (ops.Gemm, ops.MatMul)):
            changed: Node = current.replace(b=w)
        else:
            assert isinstance(current, (ops.Conv, ops.ConvTranspose))  # what layers() finds
            changed = current.replace(w=w)
        if layer.bias is None:
            return changed
        plain = not isinstance(current, ops.Gemm) or current.alpha == current.beta == 1.0
        bias = self._bias(layer, weights, layer.bias, f"{layer.name}.bias") if plain else None
        if bias is None:
            return changed
        return changed.replace(c=bias) if isinstance(changed, ops.Gemm) else changed.replace(b=bias)

    def _bias_behind(self, old: ops.Add, current: Node) -> Node:
        """Add(product of a layer, constant) with the constant quantized as its bias."""
        for x, constant, role in ((old.a, old.b, "b"), (old.b, old.a, "a")):
            weights = self.weights.get(x.node)
            if weights is None or x in self.grids or old.type.shape != x.type.shape:
                continue
            layer = self.layers[x.node]
            if layer.bias is None and isinstance(layer.node, ops.MatMul):
                bias = self._bias(layer, weights, constant, f"{layer.name}.bias")
                if bias is not None:
                    return current.replace(**{role: bias})
        return current

    def _bias(self, layer: Layer, weights: QuantizedWeights, bias: Value, name: str) -> Value | None:
        """The bias as int32 codes on s_x * s_w, dequantized; None where it stays float."""
        held, s_x = bias.constant, _scale_behind(self._of(layer.x))
        s_w = _scale_of_outputs(layer, weights)
        if held is None or held.dtype != np.float32 or s_x is None or s_w is None:
            return None
        shape, is_matrix = layer.node.type.shape, isinstance(layer.node, (ops.Gemm, ops.MatMul))
        channels = shape[-1] if is_matrix else shape[1]
        of_channels = channelwise(held, shape, len(shape) - 1) if is_matrix else channelwise(held, (channels,), 0)
        if of_channels is None:
            return None
        with np.errstate(under="ignore", over="ignore"):
            scale = np.asarray(s_x * s_w, np.float32)
        if not (np.isfinite(scale) & (scale > 0)).all():
            return None
        steps = np.rint(of_channels.astype(np.float64) / scale.astype(np.float64))
        if not (np.abs(steps) < LARGEST_BIAS).all():
            return None
        codes = np.broadcast_to(steps, (channels,)).astype(np.int32)
        zero_point = np.zeros(scale.shape, np.int64)
        quant = QuantParams(scale, zero_point, INT32.min, INT32.max, 0 if scale.ndim else None)
        tensor = bias.node.tensor or name
        of_type = TensorType(INT32, codes.shape, quant)
        constant = Constant(codes, of_type, sources=bias.node.sources, tensor=f"{tensor}_quantized")
        return _dequantized(constant.out, tensor)


def _dequantized(codes: Value, name: str) -> Value:
    return ops.DequantizeLinear(codes, FLOAT32, sources=(f"{name}_DequantizeLinear",), tensor=f"{name}_dequantized").out


def _scale_behind(value: Value) -> np.float32 | None:
    """The scale of the codes that `value` is made of by data movement, order and Relu; None where there is not one."""
    found: set[np.float32] = set()
    waiting, seen = [value], {value}
    while waiting:
        node = waiting.pop().node
        match node:
            case ops.DequantizeLinear(x=codes) if codes.type.quant is not None and codes.type.quant.is_static:
                if not codes.type.quant.is_per_tensor:
                    return None
                found.add(np.float32(codes.type.quant.scalar()[0]))
            case _ if is_move(node) or is_relu(node):
                fresh = [operand for operand in computed(node) if operand not in seen]
                seen.update(fresh)
                waiting += fresh
            case _:
                return None
    return found.pop() if len(found) == 1 else None


def _scale_of_outputs(layer: Layer, weights: QuantizedWeights) -> NDArray[np.float32] | None:
    """The scale of the weights, [] or one for each output channel; None where it is neither."""
    quant = weights.quant
    if quant.block is not None or quant.levels is not None:
        return None
    apart = quant.axis == layer.output_axis and not (isinstance(layer.node, ops.ConvTranspose) and layer.groups > 1)
    return quant.static()[0] if quant.is_per_tensor or apart else None


def _need_known(what: str, named: Iterable[str], known: Iterable[str], graph: Graph) -> None:
    names = set(known)
    unknown = [name for name in named if name not in names]
    if unknown:
        listed = ", ".join(f"'{name}'" for name in unknown[:3]) + (f" and {len(unknown) - 3} more" * (len(unknown) > 3))
        raise GraphError(
            f"the plan has the {what} {listed}, which the graph '{graph.name}' does not have. A plan is for the graph "
            "that it was made of; passes that rename its nodes come before."
        )
