"""Layers by themselves: a few equal ones in a row, so that the way from float to codes and back hardly counts.

Where steps are looked at one by one, as benchmarks/arm does, one layer is enough: the names that end in "_once".
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.topologies.builder import Builder
from benchmarks.topologies.networks import Topology

LAYERS_IN_A_ROW = 4
_WIDTHS = (256, 1024, 2048)


def convolutions(builder: Builder, size: int, *, channels: int, kernel: int = 3, layers: int = LAYERS_IN_A_ROW) -> None:
    """kernel x kernel with as many channels out as in, and ReLU."""
    x = builder.quantized(builder.input("input", _positive(builder, (1, channels, size, size))))
    for _ in range(layers):
        x = builder.conv(x, channels, kernel)
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
    "conv3x3_256_once": Topology(partial(convolutions, channels=256, layers=1), 14),
    "conv1x1_512_once": Topology(partial(convolutions, channels=512, kernel=1, layers=1), 14),
    **{f"gemm_{width}": Topology(partial(products, width=width), 128) for width in _WIDTHS},
}
