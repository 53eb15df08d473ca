"""Write the trained digit classifiers as ONNX, node by node, with a name that says where each node stands.

The graph is written with `onnx.helper` rather than traced, so that the file depends on the weights alone and not on the
version of an exporter.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from digits_networks import DigitsCnn, DigitsMlp, DigitsResnet, ResidualBlock

OPSET = 17
IR_VERSION = 8  # the IR version that came with opset 17


class GraphWriter:
    """Collects nodes and initializers; each method adds one node and returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[TensorProto] = []

    def _constant(self, name: str, tensor: Tensor) -> str:
        self._initializers.append(numpy_helper.from_array(tensor.detach().numpy(), name))
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, list(inputs), [f"{name}_output"], name=name, **attributes))
        return f"{name}_output"

    def conv(self, name: str, x: str, conv: nn.Conv2d) -> str:
        """Conv without a bias: each one here is followed by a batch normalization."""
        weight = self._constant(f"{name}.weight", conv.weight)
        pad_h, pad_w = (int(pad) for pad in conv.padding)
        return self.node(
            "Conv",
            name,
            x,
            weight,
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=[pad_h, pad_w, pad_h, pad_w],
        )

    def batch_norm(self, name: str, x: str, norm: nn.BatchNorm2d) -> str:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return self.node(
            "BatchNormalization",
            name,
            x,
            self._constant(f"{name}.weight", norm.weight),
            self._constant(f"{name}.bias", norm.bias),
            self._constant(f"{name}.running_mean", norm.running_mean),
            self._constant(f"{name}.running_var", norm.running_var),
            epsilon=norm.eps,
        )

    def linear(self, name: str, x: str, linear: nn.Linear) -> str:
        weight = self._constant(f"{name}.weight", linear.weight)
        bias = self._constant(f"{name}.bias", linear.bias)
        return self.node("Gemm", name, x, weight, bias, transB=1)

    def residual_block(self, name: str, x: str, block: ResidualBlock) -> str:
        y = self.node(
            "Relu",
            f"{name}/relu1",
            self.batch_norm(f"{name}/norm1", self.conv(f"{name}/conv1", x, block.conv1), block.norm1),
        )
        y = self.batch_norm(f"{name}/norm2", self.conv(f"{name}/conv2", y, block.conv2), block.norm2)
        match list(block.shortcut or ()):
            case [nn.Conv2d() as conv, nn.BatchNorm2d() as norm]:
                x = self.batch_norm(f"{name}/shortcut/norm", self.conv(f"{name}/shortcut/conv", x, conv), norm)
        return self.node("Relu", f"{name}/relu2", self.node("Add", f"{name}/add", y, x))

    def model(self, name: str, logits: str) -> onnx.ModelProto:
        """The checked model `name`: input [1,1,8,8] float32 to logits [1,10] float32."""
        self._nodes[-1].output[0] = "logits"
        if logits != f"{self._nodes[-1].name}_output":
            raise ValueError(f"model {name!r} ends in {logits!r}, which is not the output of the last node written")
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
            self._initializers,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="subbyte models/train_digits.py",
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def mlp_to_onnx(network: DigitsMlp) -> onnx.ModelProto:
    """Flatten, then three Gemm with a Relu between them."""
    graph = GraphWriter()
    x = graph.node("Flatten", "/flatten", "input", axis=1)
    x = graph.node("Relu", "/hidden1/relu", graph.linear("/hidden1", x, network.hidden1))
    x = graph.node("Relu", "/hidden2/relu", graph.linear("/hidden2", x, network.hidden2))
    return graph.model("digits_mlp", graph.linear("/classifier", x, network.classifier))


def cnn_to_onnx(network: DigitsCnn) -> onnx.ModelProto:
    """Three convolutions, their batch normalizations as they were trained, and max pools."""
    graph = GraphWriter()
    x, last = "input", 3
    for index in range(1, last + 1):
        conv, norm = getattr(network, f"conv{index}"), getattr(network, f"norm{index}")
        x = graph.batch_norm(f"/norm{index}", graph.conv(f"/conv{index}", x, conv), norm)
        x = graph.node("Relu", f"/relu{index}", x)
        if index < last:
            x = graph.node("MaxPool", f"/pool{index}", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.node("Flatten", "/flatten", x, axis=1)
    return graph.model("digits_cnn", graph.linear("/classifier", x, network.classifier))


def resnet_to_onnx(network: DigitsResnet) -> onnx.ModelProto:
    """The residual network with its batch normalizations as they were trained, not folded."""
    graph = GraphWriter()
    x = graph.batch_norm("/stem/norm", graph.conv("/stem/conv", "input", network.stem), network.stem_norm)
    x = graph.node("Relu", "/stem/relu", x)
    x = graph.residual_block("/block1", x, network.block1)
    x = graph.residual_block("/block2", x, network.block2)
    x = graph.residual_block("/block3", x, network.block3)
    x = graph.node("Flatten", "/flatten", graph.node("GlobalAveragePool", "/pool", x), axis=1)
    return graph.model("digits_resnet", graph.linear("/classifier", x, network.classifier))
