"""Small float networks whose losses are known in closed form, and samples of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.sensitivity import Network

Array = NDArray[Any]


def constant(values: Any) -> Value:
    return Constant.of(np.asarray(values, np.float32), FLOAT32).out


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def chain(*weights: Any, softmax: bool = False, relu: bool = False, columns: bool = True) -> Graph:
    """x @ W1 @ W2 ... of [1, K]; [1, 1, N] behind it where outputs are no classes (columns=False)."""
    x = Input("x", TensorType(FLOAT32, (1, len(weights[0]))))
    value = x.out
    for index, w in enumerate(weights):
        value = ops.MatMul(value, constant(w), sources=(f"/layer{index + 1}",)).out
        if relu and index + 1 < len(weights):
            value = ops.Unary(value, "Relu").out
    if softmax:
        value = ops.Softmax(value, 1).out
    if not columns:
        value = ops.Reshape(value, (1, 1, value.type.shape[1])).out
    return Graph("chain", (x,), (Output("y", value),))


def training_digits(folder: Path, count: int) -> Array:
    """The first training images, [count, 1, 8, 8]."""
    with np.load(folder / "digits_calibration.npz") as archive:
        return np.asarray(archive["input"][:count, 0])


def digits_network(folder: Path, name: str, choices: Any, samples: int = 48, **options: Any) -> Network:
    """A model of digits with training images."""
    images = training_digits(folder, samples)
    return Network(import_model(folder / f"{name}.onnx"), {"input": images}, choices, **options)
