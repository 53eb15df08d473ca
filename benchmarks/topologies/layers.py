"""Layers by themselves: a few equal ones in a row, so that the way from float to codes and back hardly counts."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.topologies.builder import Builder
from benchmarks.topologies.networks import Topology

LAYERS_IN_A_ROW = 4
_WIDTHS = (256, 1024, 2048)


def convolutions(builder: Builder, size: int, *, channels: int) -> None:
    """3x3 with as many channels out as in, and ReLU."""
    x = builder.quantized(builder.input("input", _positive(builder, (1, channels, size, size))))
    for _ in range(LAYERS_IN_A_ROW):
        x = builder.conv(x, channels, 3)
    builder.output(x)


def products(builder: Builder, rows: int, *, width: int) -> None:
    """[rows, width] times [width, width], and ReLU."""
    x = builder.quantized(builder.input("input", _positive(builder, (rows, width))))
    for _ in range(LAYERS_IN_A_ROW):
        x = builder.quantized(builder.node("Relu", [builder.dense(x, width)]))
    builder.output(x)


def _positive(builder: Builder, shape: tuple[int, ...]) -> NDArray[Any]:
    """About half of them 0, as behind a ReLU."""
    return np.maximum(builder.random.normal(size=shape), 0).astype(np.float32)


LAYERS = {
    "conv3x3_256": Topology(partial(convolutions, channels=256), 14),
    **{f"gemm_{width}": Topology(partial(products, width=width), 128) for width in _WIDTHS},
}
