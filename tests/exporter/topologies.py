"""Small float networks of every shape that quantization meets, as ONNX text with random weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import ModelProto

INVERTED_RESIDUALS = """g (float[1,8,12,12] x) => (float[1,5] y) {
  expanded = Conv (x, w1, b1)  low = Constant <value_float=0.0> ()  high = Constant <value_float=6.0> ()
  er = Clip (expanded, low, high)
  depthwise = Conv <pads=[1,1,1,1], group=16> (er, w2, b2)  dr = Clip (depthwise, low, high)
  p = Conv (dr, w3, b3)  a = Add (x, p)
  e2 = Conv (a, w4, b4)  h2 = HardSwish (e2)  p2 = Conv (h2, w5, b5)  a2 = Add (a, p2)
  c = Conv (a2, w6)  g = GlobalAveragePool (c)  f = Flatten (g)  y = Gemm <transB=1> (f, w7, b7)
}"""
INCEPTION = """g (float[1,6,16,16] x) => (float[1,4,16,16] y) {
  c1 = Conv (x, w1, b1)  a = Relu (c1)
  b = Conv <pads=[1,1,1,1]> (x, w2)  br = LeakyRelu <alpha=0.1> (b)
  m = MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (x)  c3 = Conv (m, w3)  mr = Relu (c3)
  v = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1]> (x)
  joined = Concat <axis=1> (a, br, mr, v)
  c4 = Conv <strides=[2,2]> (joined, w4)  s = Relu (c4)
  scales = Constant <value_floats=[1.0,1.0,2.0,2.0]> ()
  up = Resize <mode="linear"> (s, , scales)  near = Resize <mode="nearest"> (s, , scales)
  both = Concat <axis=1> (up, near)
  pads = Constant <value_ints=[0,0,1,1,0,0,1,1]> ()  padded = Pad (both, pads)
  mean = GlobalAveragePool (padded)  gate = Conv (mean, w5)  gs = Sigmoid (gate)  gated = Mul (padded, gs)
  y = Conv (gated, w6)
}"""
ATTENTION = """g (float[1,9,16] x) => (float[1,9,16] y) {
  ln = LayerNormalization <axis=-1> (x, g1, h1)
  q0 = MatMul (ln, w1)  q = Add (q0, b1)  k0 = MatMul (ln, w2)  k = Add (b2, k0)  v0 = MatMul (ln, w3)  v = Add (v0, b3)
  heads = Constant <value_ints=[1,9,4,4]> ()
  qr = Reshape (q, heads)  qt = Transpose <perm=[0,2,1,3]> (qr)
  kr = Reshape (k, heads)  kt = Transpose <perm=[0,2,3,1]> (kr)
  vr = Reshape (v, heads)  vt = Transpose <perm=[0,2,1,3]> (vr)
  qk = MatMul (qt, kt)  half = Constant <value_float=0.5> ()  scores = Mul (qk, half)  p = Softmax <axis=-1> (scores)
  o = MatMul (p, vt)  ot = Transpose <perm=[0,2,1,3]> (o)
  flat = Constant <value_ints=[1,9,16]> ()  orow = Reshape (ot, flat)
  pr = MatMul (orow, w4)  pb = Add (pr, b4)  a = Add (x, pb)
  l2 = LayerNormalization <axis=-1> (a, g2, h2)
  f = MatMul (l2, w5)  fb = Add (f, b5)
  root = Constant <value_float=1.41421356> ()  one = Constant <value_float=1.0> ()
  d = Div (fb, root)  e = Erf (d)  e1 = Add (e, one)  m = Mul (fb, e1)  gelu = Mul (m, half)
  f2 = MatMul (gelu, w6)  f2b = Add (f2, b6)  z = Add (a, f2b)
  y = MatMul (z, w7)
}"""
NORMALIZED = """g (float[1,6,8,8] x) => (float[1,4,8,8] y) {
  n1 = BatchNormalization (x, s1, t1, m1, v1)  r1 = Relu (n1)  c1 = Conv (r1, w1)
  pool = MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (c1)
  n2 = BatchNormalization (pool, s2, t2, m2, v2)  r2 = Relu (n2)
  joined = Concat <axis=1> (x, r2)
  n3 = BatchNormalization (joined, s3, t3, m3, v3)  r3 = Relu (n3)
  y = Conv (r3, w2)
}"""

# What each is made of: text, shapes of the weights, the points, the groups among them.
TOPOLOGIES: dict[str, tuple[str, Mapping[str, tuple[int, ...]], str, tuple[str, ...]]] = {
    "inverted residuals": (
        INVERTED_RESIDUALS,
        {"w1": (16, 8, 1, 1), "b1": (16,), "w2": (16, 1, 3, 3), "b2": (16,), "w3": (8, 16, 1, 1), "b3": (8,),
         "w4": (16, 8, 1, 1), "b4": (16,), "w5": (8, 16, 1, 1), "b5": (8,), "w6": (12, 8, 1, 1), "w7": (5, 12),
         "b7": (5,)},
        "x er dr p a e2 h2 p2 a2 c g",
        (),
    ),
    "inception": (
        INCEPTION,
        {"w1": (4, 6, 1, 1), "b1": (4,), "w2": (4, 6, 3, 3), "w3": (4, 6, 1, 1), "w4": (8, 18, 2, 2),
         "w5": (16, 16, 1, 1), "w6": (4, 16, 3, 3)},
        "x a b br mr v s up mean gate gs gated",
        ("a br mr v", "s up"),
    ),
    "attention": (
        ATTENTION,
        {"g1": (16,), "h1": (16,), "g2": (16,), "h2": (16,), **{f"w{i}": (16, 16) for i in (1, 2, 3, 4, 7)},
         **{f"b{i}": (16,) for i in (1, 2, 3, 4, 6)}, "w5": (16, 32), "b5": (32,), "w6": (32, 16)},
        "x ln q k v scores p o pb a l2 fb gelu f2b z",
        (),
    ),
    "normalized": (
        NORMALIZED,
        {**{f"{kind}{i}": (12 if i == 3 else 6,) for kind in "stmv" for i in (1, 2, 3)}, "w1": (6, 6, 1, 1),
         "w2": (4, 12, 1, 1)},
        "x r1 c1 r2 r3",
        ("x r2",),
    ),
}  # fmt: skip


def network(name: str, seed: int = 1) -> ModelProto:
    """The network with random weights, of a size that keeps activations near 1; variances are positive."""
    text, shapes, _, _ = TOPOLOGIES[name]
    random = np.random.default_rng(seed)
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
    for tensor, shape in shapes.items():
        values = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else random.random(shape)
        positive = values + 0.5 if tensor[0] in "vg" else values
        model.graph.initializer.append(onnx.numpy_helper.from_array(positive.astype(np.float32), tensor))
    return model
