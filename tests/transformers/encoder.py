"""A small encoder layer in ONNX as exporters write it: embeddings, self-attention with a mask, two layers behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """Extents of the layer: `batch` rows of `tokens` out of `words`, `width` = heads * a head's, hidden, classes."""

    batch: int = 2
    tokens: int = 12
    words: int = 50
    width: int = 16
    heads: int = 2
    hidden: int = 32
    classes: int = 5


@dataclass
class _Writer:
    """Nodes and constants in the order in which they are written; `random` draws the weights."""

    random: np.random.Generator
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def constant(self, name: str, array: Any) -> str:
        self.constants[name] = np.asarray(array)
        return name

    def weight(self, name: str, *shape: int) -> str:
        spread = 1.0 / np.sqrt(shape[0]) if len(shape) > 1 else 0.1
        return self.constant(name, self.random.normal(0, spread, shape).astype(np.float32))

    def emit(self, op: str, *inputs: str, name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [name], f"/{name}", **attributes))
        return name

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        product = self.emit("MatMul", x, self.weight(f"{name}.weight", inputs, outputs), name=f"{name}_product")
        return self.emit("Add", product, self.weight(f"{name}.bias", outputs), name=name)

    def normalized(self, x: str, name: str, width: int) -> str:
        scale = self.constant(f"{name}.scale", self.random.uniform(0.5, 1.5, width).astype(np.float32))
        return self.emit("LayerNormalization", x, scale, self.weight(f"{name}.shift", width), name=name, axis=-1)

    def gelu(self, x: str, form: str) -> str:
        """Gelu as one operator ("Gelu"), by Erf, or by Tanh."""
        if form == "Gelu":
            return self.emit("Gelu", x, name="gelu")
        half, one = self.constant("half", np.float32(0.5)), self.constant("one", np.float32(1))
        if form == "Erf":
            scaled = self.emit("Div", x, self.constant("root_two", np.float32(np.sqrt(2))), name="gelu_scaled")
            bent = self.emit("Erf", scaled, name="gelu_erf")
        else:
            cube = self.emit("Pow", x, self.constant("three", np.float32(3)), name="gelu_cube")
            small = self.emit("Mul", cube, self.constant("cubic", np.float32(0.044715)), name="gelu_small")
            inner = self.emit("Add", x, small, name="gelu_inner")
            steep = self.constant("steep", np.float32(np.sqrt(2 / np.pi)))
            bent = self.emit("Tanh", self.emit("Mul", inner, steep, name="gelu_steep"), name="gelu_tanh")
        above = self.emit("Add", bent, one, name="gelu_above")
        return self.emit("Mul", self.emit("Mul", x, above, name="gelu_product"), half, name="gelu")


def encoder(shape: Shape | None = None, *, mask: str = "Add", gelu: str = "Erf", seed: int = 0) -> ModelProto:
    """ids, keep (int64 [batch, tokens], 1 where a token counts) -> logits [batch, classes].

    mask: "Add" adds -10000 to the scores of tokens that do not count, "Where" puts the smallest float32 there.
    gelu: "Gelu", "Erf" or "Tanh".
    """
    s = shape or Shape()
    w, head = _Writer(np.random.default_rng(seed)), s.width // s.heads
    words = w.emit("Gather", w.weight("words", s.words, s.width), "ids", name="word", axis=0)
    x = w.emit("Add", words, w.weight("places", 1, s.tokens, s.width), name="embedded")
    x = w.normalized(x, "norm_0", s.width)
    split = w.constant("split", np.array([0, 0, s.heads, head], np.int64))
    parts = {}
    for name, order in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        rows = w.emit("Reshape", w.linear(x, name, s.width, s.width), split, name=f"{name}_split")
        parts[name] = w.emit("Transpose", rows, name=f"{name}_heads", perm=order)
    products = w.emit("MatMul", parts["q"], parts["k"], name="products")
    scores = w.emit("Div", products, w.constant("root", np.float32(np.sqrt(head))), name="scores")
    masked = _masked(w, scores, mask)
    chances = w.emit("Softmax", masked, name="chances", axis=-1)
    mixed = w.emit("Transpose", w.emit("MatMul", chances, parts["v"], name="mixed"), name="rows", perm=(0, 2, 1, 3))
    joined = w.emit("Reshape", mixed, w.constant("join", np.array([0, 0, s.width], np.int64)), name="joined")
    x = w.normalized(w.emit("Add", w.linear(joined, "out", s.width, s.width), x, name="sum_1"), "norm_1", s.width)
    hidden = w.gelu(w.linear(x, "first", s.width, s.hidden), gelu)
    x = w.normalized(w.emit("Add", w.linear(hidden, "second", s.hidden, s.width), x, name="sum_2"), "norm_2", s.width)
    first = w.emit("Gather", x, w.constant("first_token", np.int64(0)), name="first_row", axis=1)
    w.linear(first, "logits", s.width, s.classes)
    graph = helper.make_graph(
        w.nodes,
        "encoder",
        [helper.make_tensor_value_info(n, onnx.TensorProto.INT64, (s.batch, s.tokens)) for n in ("ids", "keep")],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, (s.batch, s.classes))],
        [numpy_helper.from_array(array, name) for name, array in w.constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _masked(w: _Writer, scores: str, mask: str) -> str:
    axes = w.constant("mask_axes", np.array([1, 2], np.int64))
    keep = w.emit("Unsqueeze", "keep", axes, name="keep_rows")  # [batch, 1, 1, tokens]
    if mask == "Where":
        off = w.emit("Equal", keep, w.constant("zero", np.int64(0)), name="off")
        return w.emit("Where", off, w.constant("lowest", np.finfo(np.float32).min), scores, name="masked")
    real = w.emit("Cast", keep, name="keep_real", to=onnx.TensorProto.FLOAT)
    off = w.emit("Sub", w.constant("all", np.float32(1)), real, name="off")
    return w.emit(
        "Add", scores, w.emit("Mul", off, w.constant("far", np.float32(-10000)), name="far_off"), name="masked"
    )


def samples(count: int, shape: Shape | None = None, seed: int = 1) -> list[dict[str, Array]]:
    """Random words in every row; the first tokens count, four of them or more."""
    s, random = shape or Shape(), np.random.default_rng(seed)
    found = []
    for _ in range(count):
        lengths = random.integers(4, s.tokens + 1, (s.batch, 1))
        keep = (np.arange(s.tokens) < lengths).astype(np.int64)
        found.append({"ids": random.integers(0, s.words, (s.batch, s.tokens)), "keep": keep})
    return found
