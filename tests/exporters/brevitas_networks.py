"""Three small networks of Brevitas' layers, with random but seeded weights and calibrated activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    RoundTo8bit,
    Uint8ActPerTensorFloat,
)
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """Brevitas' quantizers and bit widths, as its layers take them.

    signed, unsigned: of activations, unsigned ones behind Relu. bias: None leaves biases in float.
    """

    weight_bits: int = 8
    bits: int = 8
    weight: Any = Int8WeightPerTensorFloat
    signed: Any = Int8ActPerTensorFloat
    unsigned: Any = Uint8ActPerTensorFloat
    bias: Any = None
    per_channel: bool = False

    def wide(self) -> Recipe:
        """For the first and the last layer, which low-bit networks keep wider."""
        return replace(self, weight_bits=max(self.weight_bits, 4), bits=max(self.bits, 4))

    def _weights(self) -> dict[str, Any]:
        options: dict[str, Any] = {"weight_quant": self.weight, "weight_bit_width": self.weight_bits}
        if self.per_channel:
            options["weight_scaling_per_output_channel"] = True
        return options

    def conv(self, inputs: int, outputs: int, kernel: int, **options: Any) -> nn.Module:
        return qnn.QuantConv2d(
            inputs, outputs, kernel, padding=kernel // 2, bias_quant=self.bias, **self._weights(), **options
        )

    def linear(self, inputs: int, outputs: int, *, bias: bool = True) -> nn.Module:
        return qnn.QuantLinear(inputs, outputs, bias, bias_quant=self.bias, **self._weights())

    def identity(self) -> nn.Module:
        return qnn.QuantIdentity(self.signed, bit_width=self.bits, return_quant_tensor=True)

    def relu(self) -> nn.Module:
        return qnn.QuantReLU(self.unsigned, bit_width=self.bits, return_quant_tensor=True)


def real(x: Any) -> Tensor:
    """The reals of a tensor; while scales are calibrated and while the dynamo exporter traces, it has nothing else."""
    return x.value if isinstance(x, QuantTensor) else x


class Convolutional(nn.Module):
    """Conv, BatchNorm, Relu, depthwise, a residual add, concatenation, max pool, truncating average pool, linear."""

    shape = (1, 3, 12, 12)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.input = recipe.wide().identity()
        self.stem = recipe.wide().conv(3, 8, 3, stride=2)
        self.stem_norm = nn.BatchNorm2d(8)
        self.stem_relu = recipe.relu()
        self.depthwise = recipe.conv(8, 8, 3, groups=8, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(8)
        self.depthwise_relu = recipe.relu()
        self.pointwise = recipe.conv(8, 8, 1)
        self.inner = recipe.identity()
        self.add = qnn.QuantEltwiseAdd(recipe.signed, recipe.signed, bit_width=recipe.bits)
        self.join = recipe.identity()
        self.pool = nn.MaxPool2d(2)
        self.relu = recipe.relu()
        self.average = qnn.TruncAvgPool2d(3, trunc_quant=RoundTo8bit, bit_width=max(recipe.bits, 2))
        self.dense = recipe.wide().linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        first = self.stem_relu(self.stem_norm(self.stem(self.input(x))))
        inner = self.inner(self.pointwise(self.depthwise_relu(self.depthwise_norm(self.depthwise(first)))))
        added = self.add(inner, first)
        joined = torch.cat([real(self.join(added)), real(self.join(inner))], 1)
        largest = self.relu(self.pool(joined))
        return real(self.dense(self.average(largest).flatten(1)))


class Perceptron(nn.Module):
    """Linear, BatchNorm, Relu, and a linear layer without bias."""

    shape = (3, 24)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        wide = recipe.wide()
        self.layers = nn.Sequential(
            wide.identity(),
            wide.linear(24, 32),
            nn.BatchNorm1d(32),
            recipe.relu(),
            recipe.linear(32, 32, bias=False),
            nn.BatchNorm1d(32),
            recipe.identity(),
            wide.linear(32, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        return real(self.layers(x))


class Attention(nn.Module):
    """An encoder block by hand: LayerNorm, QKV, two heads, Softmax, GELU, residual adds."""

    shape = (1, 6, 16)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.width, self.heads = 16, 2
        self.input = recipe.identity()
        self.norm1 = nn.LayerNorm(self.width)
        self.normal1 = recipe.identity()
        self.qkv = recipe.linear(self.width, 3 * self.width)
        self.q, self.k, self.v = recipe.identity(), recipe.identity(), recipe.identity()
        self.scores = recipe.identity()
        self.shares = qnn.QuantIdentity(recipe.unsigned, bit_width=recipe.bits, return_quant_tensor=True)
        self.mixed = recipe.identity()
        self.projection = recipe.linear(self.width, self.width)
        self.add1 = qnn.QuantEltwiseAdd(recipe.signed, recipe.signed, bit_width=recipe.bits)
        self.norm2 = nn.LayerNorm(self.width)
        self.normal2 = recipe.identity()
        self.up = recipe.linear(self.width, 2 * self.width)
        self.up_codes = recipe.identity()
        self.gelu = nn.GELU()
        self.bent = recipe.identity()
        self.down = recipe.linear(2 * self.width, self.width)
        self.add2 = qnn.QuantEltwiseAdd(recipe.signed, recipe.signed, bit_width=recipe.bits)

    def split(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        return x.reshape(batch, tokens, self.heads, self.width // self.heads).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        q, k, v = real(self.qkv(self.normal1(self.norm1(real(x))))).chunk(3, dim=-1)
        q, k, v = (self.split(real(part(y))) for part, y in ((self.q, q), (self.k, k), (self.v, v)))
        scores = self.scores(q @ k.transpose(-2, -1) * (self.width // self.heads) ** -0.5)
        mixed = self.mixed(real(self.shares(real(scores).softmax(dim=-1))) @ v)
        joined = mixed.transpose(1, 2).reshape(x.shape)
        x = self.add1(self.projection(joined), x)
        bent = self.bent(self.gelu(real(self.up_codes(self.up(self.normal2(self.norm2(real(x))))))))
        return real(self.add2(self.down(bent), x))


def calibrated(kind: type[Any], recipe: Recipe) -> nn.Module:
    """The network with seeded weights and normalizations, and activation scales from a few batches of normal data."""
    torch.manual_seed(7)
    network: nn.Module = kind(recipe)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
        network.eval()
        with calibration_mode(network):
            for _ in range(4):
                network(torch.randn(kind.shape))
        network(torch.randn(kind.shape))  # fills the caches that quantized biases read
    return network
