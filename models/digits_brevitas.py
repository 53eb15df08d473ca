"""The two digit classifiers with Brevitas' layers, in each of the precisions that `train_digits_lowbit.py` trains.

The image is quantized to 5 bits, which hold its pixels' counts of 0 to 16 exactly. All weights have the precision's
bits, the first and the last layer's too, and so has what goes from layer to layer, but for two tensors of the residual
network that have 4 bits in every precision: what a residual addition adds, and the average that its classifier reads.
Biases and batch normalizations are float: the compiler has to take them into its requantizations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from brevitas import nn as quantized
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import ScalingImplType, StatsOp
from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    RoundTo8bit,
    Uint8ActPerTensorFloat,
)
from torch import Tensor, nn

SUM_BITS = 4  # signed, of both operands of a residual addition: one scale for the two
AVERAGE_BITS = 4


class PixelCounts(Uint8ActPerTensorFloat):  # type: ignore[misc]  # Brevitas ships no types
    """Unsigned, 5 bits, scale 1/16: the images' own steps."""

    bit_width = 5
    scaling_impl_type = ScalingImplType.CONST
    min_val = 0.0
    max_val = 31 / 16


class TernaryWeights(Int8WeightPerChannelFloat):  # type: ignore[misc]
    """{-1, 0, +1} times the mean of |w| of each output channel.  Source: Ma et al. 2024, BitNet b1.58, eq. 1 to 3."""

    bit_width = 2
    narrow_range = True
    scaling_stats_op = StatsOp.AVE


class IntWeights(Int8WeightPerChannelFloat):  # type: ignore[misc]
    """-2^(b-1) to 2^(b-1) - 1, all codes of b bits; one scale for each output channel, from its largest |w|."""

    narrow_range = False


@dataclass(frozen=True)
class Precision:
    """The quantizers of all weights and of the activations between layers; `name` is what the files are called by."""

    name: str
    weights: type[ExtendedInjector]
    activations: type[ExtendedInjector]

    @property
    def is_binary(self) -> bool:
        return self.activations is SignedBinaryActPerTensorConst

    def activation(self) -> nn.Module:
        """The sign of x, or Relu(x) in a few bits."""
        if self.is_binary:
            return cast(nn.Module, quantized.QuantIdentity(self.activations))
        return cast(nn.Module, quantized.QuantReLU(self.activations, return_quant_tensor=True))

    def linear(self, features_in: int, features_out: int, *, bias: bool) -> nn.Module:
        return cast(nn.Module, quantized.QuantLinear(features_in, features_out, bias, weight_quant=self.weights))

    def conv(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
        """A convolution without bias, padded such that stride 1 keeps the size."""
        layer: Any = quantized.QuantConv2d(
            channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False, weight_quant=self.weights
        )
        return cast(nn.Module, layer)

    def average(self, size: int) -> nn.Module:
        """The mean of size x size codes in 4 bits; of unsigned codes it is their sum, shifted and rounded (a Trunc)."""
        if self.is_binary:
            codes = quantized.QuantIdentity(Int8ActPerTensorFloat, bit_width=AVERAGE_BITS)
            return nn.Sequential(nn.AvgPool2d(size), codes)
        return cast(nn.Module, quantized.TruncAvgPool2d(size, trunc_quant=RoundTo8bit, bit_width=AVERAGE_BITS))


PRECISIONS = (
    Precision("w1a1", SignedBinaryWeightPerTensorConst, SignedBinaryActPerTensorConst),
    Precision("ternary", TernaryWeights, Uint8ActPerTensorFloat.let(bit_width=2)),
    Precision("w2a2", IntWeights.let(bit_width=2), Uint8ActPerTensorFloat.let(bit_width=2)),
    Precision("w3a3", IntWeights.let(bit_width=3), Uint8ActPerTensorFloat.let(bit_width=3)),
    Precision("w4a4", IntWeights.let(bit_width=4), Uint8ActPerTensorFloat.let(bit_width=4)),
)


class LowbitMlp(nn.Module):
    """logits[N,10] of x[N,1,8,8]: dense layers 64 -> 96 -> 48 -> 10, the hidden ones with batch normalization."""

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self.pixels = quantized.QuantIdentity(PixelCounts)
        self.hidden1 = precision.linear(64, 96, bias=False)
        self.norm1 = nn.BatchNorm1d(96)
        self.activation1 = precision.activation()
        self.hidden2 = precision.linear(96, 48, bias=False)
        self.norm2 = nn.BatchNorm1d(48)
        self.activation2 = precision.activation()
        self.classifier = precision.linear(48, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pixels(x.flatten(1))
        x = self.activation1(self.norm1(self.hidden1(x)))
        x = self.activation2(self.norm2(self.hidden2(x)))
        return cast(Tensor, self.classifier(x))


class LowbitBlock(nn.Module):
    """a(q(BN(Conv3x3(a(BN(Conv3x3(x)))))) + q(s(x))): `digits_networks.ResidualBlock` with one q for both branches."""

    def __init__(self, precision: Precision, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = precision.conv(channels_in, channels_out, 3, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.activation1 = precision.activation()
        self.conv2 = precision.conv(channels_out, channels_out, 3)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                precision.conv(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out)
            )
        self.branches = quantized.QuantIdentity(Int8ActPerTensorFloat, bit_width=SUM_BITS)
        self.activation2 = precision.activation()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.activation1(self.norm1(self.conv1(x)))))
        return cast(Tensor, self.activation2(self.branches(y) + self.branches(self.shortcut(x))))


class LowbitResnet(nn.Module):
    """logits[N,10] of x[N,1,8,8]: as `digits_networks.DigitsResnet`, 3x3 convolutions and three residual blocks."""

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self.pixels = quantized.QuantIdentity(PixelCounts)
        self.stem = precision.conv(1, 16, 3)
        self.stem_norm = nn.BatchNorm2d(16)
        self.stem_activation = precision.activation()
        self.block1 = LowbitBlock(precision, 16, 16, stride=1)
        self.block2 = LowbitBlock(precision, 16, 32, stride=2)
        self.block3 = LowbitBlock(precision, 32, 32, stride=1)
        self.average = precision.average(4)
        self.classifier = precision.linear(32, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_activation(self.stem_norm(self.stem(self.pixels(x))))
        x = self.average(self.block3(self.block2(self.block1(x))))
        return cast(Tensor, self.classifier(x.flatten(1)))
