"""The digit classifiers as torch modules."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class DigitsMlp(nn.Module):
    """logits[N,10] = Gemm(Relu(Gemm(Relu(Gemm(Flatten(x[N,1,8,8])))))), 64 -> 96 -> 48 -> 10."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(64, 96)
        self.hidden2 = nn.Linear(96, 48)
        self.classifier = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.hidden1(x.flatten(1)))
        x = torch.relu(self.hidden2(x))
        return cast(Tensor, self.classifier(x))


class DigitsCnn(nn.Module):
    """logits[N,10] of x[N,1,8,8]: three 3x3 convolutions of 16, 32 and 32 channels, max pools between them, Gemm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(32)
        self.classifier = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm1(self.conv1(x))), 2)
        x = nn.functional.max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2)
        x = torch.relu(self.norm3(self.conv3(x)))
        return cast(Tensor, self.classifier(x.flatten(1)))


class ResidualBlock(nn.Module):
    """Relu(BN(Conv3x3(Relu(BN(Conv3x3(x))))) + s(x)); the shortcut s is x, or BN(Conv1x1(x)) where shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class DigitsResnet(nn.Module):
    """logits[N,10] of x[N,1,8,8]: a 3x3 stem of 16 channels, residual blocks of 16, 32 and 32, global average, Gemm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.block1 = ResidualBlock(16, 16, stride=1)
        self.block2 = ResidualBlock(16, 32, stride=2)
        self.block3 = ResidualBlock(32, 32, stride=1)
        self.classifier = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = self.block3(self.block2(self.block1(x)))
        return cast(Tensor, self.classifier(x.mean((2, 3))))
