"""A random model: layers on random earlier tensors, what they make quantized by the dialect of the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, printer

from tests.fuzz.models.arithmetic import ARITHMETIC
from tests.fuzz.models.choices import Choices
from tests.fuzz.models.codes_layers import CODES_LAYERS, OUTPUT_TYPES
from tests.fuzz.models.dialect import Dialect
from tests.fuzz.models.dynamic import DYNAMIC_LAYERS, Dynamic
from tests.fuzz.models.movement import MOVEMENT
from tests.fuzz.models.products import PRODUCTS
from tests.fuzz.models.qdq import Qcdq, Qdq
from tests.fuzz.models.qonnx import Qonnx
from tests.fuzz.models.raw import Raw
from tests.fuzz.models.scene import MOST_ELEMENTS, Layer, Scene
from tests.fuzz.models.trunc import TRUNCATIONS
from tests.fuzz.models.windows import WINDOWS
from tests.fuzz.models.writer import Tensor, Writer

MADE: dict[str, tuple[Callable[[Choices], Dialect], ...]] = {
    "qdq": (Qdq,),
    "qonnx": (Qonnx,),
    "qcdq": (Qcdq,),
    "raw": (Raw,),
    "qoperator": (Qdq,),
    "dynamic": (Dynamic,),
    "mixed": (Qdq, Qonnx, Qcdq, Raw, Dynamic),
}
"""The dialects by name, and who writes the quantizations of each."""


@dataclass(frozen=True)
class RandomModel:
    """dialect: its name in MADE; floats: why MACs may stay in float; samples: values for its inputs."""

    proto: ModelProto
    dialect: str
    floats: frozenset[str]
    known_to_onnxruntime: bool
    samples: tuple[dict[str, NDArray[Any]], ...]

    def __repr__(self) -> str:
        """What hypothesis prints of a model that fails."""
        return f"{self.dialect}: {printer.to_text(self.proto)}"


@st.composite
def random_models(draw: Callable[[st.SearchStrategy[Any]], Any], dialect: str) -> RandomModel:
    """Models of 3 to 12 layers."""
    c = Choices(draw)
    w = Writer(c.pick((21, 21, 13, 17, 25)))
    dialects = [make(c) for make in MADE[dialect]]
    shape = c.pick(((1, c.number(1, 4), c.number(2, 6), c.number(2, 6)), (c.number(1, 4), c.number(1, 12))))
    tensors = [_quantized(w, c, c.pick(dialects), w.input(shape, 2.0), often=95)]
    for _ in range(c.number(3, 12)):
        x = tensors[-1] if c.happens(70) else c.pick(tensors)
        scene = Scene(w, c, c.pick(dialects), tensors)
        y = _layer(c, dialect)(scene, x)
        if y is None or not 0 < math.prod(y.shape) <= MOST_ELEMENTS:
            continue
        tensors.append(y if y.codes is not None else _quantized(w, c, scene.dialect, y, often=85))
    results = [tensors[-1]]
    if c.happens(30):
        results.append(c.pick(tensors))
    names = list(dict.fromkeys(_shown(c, t) for t in results))
    samples = tuple({"x0": sample(c.random(), shape)} for _ in range(2))
    return RandomModel(w.model(names), dialect, frozenset(w.floats), not w.peculiar and w.opset <= 23, samples)


def _shown(c: Choices, x: Tensor) -> str:
    """The tensor itself as an output, or its codes."""
    return x.codes.name if x.codes is not None and x.codes.dtype in OUTPUT_TYPES and c.happens(30) else x.name


def _layer(c: Choices, dialect: str) -> Layer:
    """A layer for the dialect; its own ones about every other time."""
    own: tuple[Layer, ...] = {"qoperator": CODES_LAYERS, "dynamic": DYNAMIC_LAYERS}.get(dialect, ())
    if dialect == "mixed":
        own = (*CODES_LAYERS, *DYNAMIC_LAYERS)
    if own and c.happens(70 if dialect != "mixed" else 25):
        return c.pick(own)
    if dialect == "qonnx" and c.happens(10):
        return c.pick(TRUNCATIONS)
    return c.pick(PRODUCTS if c.happens(40) else (*ARITHMETIC, *WINDOWS, *MOVEMENT))


def _quantized(w: Writer, c: Choices, dialect: Dialect, x: Tensor, *, often: int) -> Tensor:
    if not c.happens(often):
        w.floats.add("activations that are not quantized")
        return x
    y = dialect.activation(w, c, x)
    if isinstance(dialect, Qdq) and c.happens(15):
        return dialect.again(w, c, y)
    return y


def sample(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Ordinary numbers with many that lie on ties of round scales."""
    values = random.normal(0, 1, shape)
    ties = random.integers(-64, 65, shape) / 32
    return np.where(random.random(shape) < 0.4, ties, values).astype(np.float32)
