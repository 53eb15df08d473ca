"""The topologies: ResNet, MobileNet, VGG, a tiny YOLO, MiniLM, and MLPerf Tiny's dense autoencoder in shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.topologies.builder import Builder

_RESIDUAL = 0.4  # the deviation that a residual branch adds: small, as in trained networks


@dataclass(frozen=True)
class Topology:
    """write(builder, resolution) makes the network.

    resolution: of an image; the length of a sequence; the rows of a matrix.
    """

    write: Callable[[Builder, int], None]
    resolution: int


def image(builder: Builder, size: int) -> str:
    """A smooth random picture of about N(0, 1), quantized to 8 bits."""
    picture = np.zeros((1, 3, size, size))
    for cells in (4, 8, 16, 32):
        coarse = builder.random.normal(size=(3, cells + 1, cells + 1))
        at = np.linspace(0, cells, size, endpoint=False)
        low, share = at.astype(int), at % 1
        rows = coarse[:, low] * (1 - share)[:, None] + coarse[:, low + 1] * share[:, None]
        picture[0] += rows[:, :, low] * (1 - share) + rows[:, :, low + 1] * share
    picture = (picture - picture.mean()) / picture.std()
    return builder.quantized(builder.input("input", picture.astype(np.float32)), 8)


def resnet(builder: Builder, size: int, *, blocks: tuple[int, ...], bottleneck: bool) -> None:
    """Source: He et al., Deep Residual Learning for Image Recognition, table 1."""
    x = builder.conv(image(builder, size), 64, 7, stride=2, bits=8)
    x = builder.quantized(builder.max_pool(x, 3, 2, (1, 1, 1, 1)))
    for stage, count in enumerate(blocks):
        width = 64 << stage
        outputs = 4 * width if bottleneck else width
        for block in range(count):
            stride = 2 if stage and not block else 1
            y = builder.conv(x, width, 1) if bottleneck else x
            y = builder.conv(y, width, 3, stride=stride)
            y = builder.conv(y, outputs, 1 if bottleneck else 3, activation=None, gain=_RESIDUAL)
            if not block and (stride > 1 or builder.values[x].shape[1] != outputs):
                x = builder.conv(x, outputs, 1, stride=stride, activation=None)
            x = builder.add(y, x, "Relu")
    builder.classifier(x)


def mobilenet_v1(builder: Builder, size: int) -> None:
    """Source: Howard et al., MobileNets, table 1."""
    x = builder.conv(image(builder, size), 32, 3, stride=2, bits=8)
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for outputs, stride in plan:
        channels = builder.values[x].shape[1]
        x = builder.conv(x, channels, 3, stride=stride, group=channels)
        x = builder.conv(x, outputs, 1)
    builder.classifier(x)


def mobilenet_v2(builder: Builder, size: int) -> None:
    """Source: Sandler et al., MobileNetV2, table 2: expansion, outputs, repetitions, stride."""
    x = builder.conv(image(builder, size), 32, 3, stride=2, activation="Relu6", bits=8)
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outputs, count, first_stride in plan:
        for block in range(count):
            inputs, stride = builder.values[x].shape[1], first_stride if not block else 1
            residual = stride == 1 and inputs == outputs
            y = builder.conv(x, inputs * expansion, 1, activation="Relu6") if expansion > 1 else x
            wide = builder.values[y].shape[1]
            y = builder.conv(y, wide, 3, stride=stride, group=wide, activation="Relu6")
            y = builder.conv(y, outputs, 1, activation=None, gain=_RESIDUAL if residual else 1)
            x = builder.add(y, x) if residual else y
    builder.classifier(builder.conv(x, 1280, 1, activation="Relu6"))


def vgg16(builder: Builder, size: int) -> None:
    """Simonyan and Zisserman's configuration D, its three dense layers replaced by a global pool and one."""
    x = image(builder, size)
    bits: int | None = 8
    for count, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            x, bits = builder.conv(x, channels, 3, bits=bits), None
        x = builder.max_pool(x, 2, 2)
    builder.classifier(x)


def tiny_yolo(builder: Builder, size: int) -> None:
    """Tiny YOLOv3's two heads.  Source: Redmon and Farhadi, YOLOv3; yolov3-tiny.cfg."""
    leaky = partial(builder.conv, activation="LeakyRelu")
    x = skip = image(builder, size)
    for stage in range(5):
        skip = leaky(x, 16 << stage, 3, bits=None if stage else 8)
        x = builder.max_pool(skip, 2, 2)
    x = leaky(x, 512, 3)
    x = leaky(leaky(x, 1024, 3), 256, 1)
    builder.output(builder.conv(leaky(x, 512, 3), 255, 1, activation=None, bits=8, quantize=False))
    scales = builder.constant(np.array([1, 1, 2, 2], np.float32))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    up = builder.node("Resize", [leaky(x, 128, 1), "", scales], **nearest)
    x = builder.quantized(builder.node("Concat", [up, skip], axis=1))
    builder.output(builder.conv(leaky(x, 256, 3), 255, 1, activation=None, bits=8, quantize=False))


def mini_lm(builder: Builder, length: int, *, layers: int = 6, width: int = 384, heads: int = 12) -> None:
    """Encoder layers of all-MiniLM-L6 between an embedding and a mean.  Source: Wang et al., MiniLM."""
    vocabulary = 2000
    tokens = builder.input("tokens", builder.random.integers(0, vocabulary, (1, length)))
    table = builder.weights(builder.random.normal(0, 1, (1, vocabulary * width)).astype(np.float32), 8)
    rows = builder.node("Reshape", [table, builder.constant(np.array([vocabulary, width]))])
    places = builder.constant(builder.random.normal(0, 0.5, (1, length, width)).astype(np.float32))
    x = _normalized(builder, builder.node("Add", [builder.node("Gather", [rows, tokens], axis=0), places]))
    for _ in range(layers):
        x = _normalized(builder, builder.node("Add", [_attention(builder, x, heads), x]))
        y = builder.quantized(builder.node("Gelu", [builder.quantized(builder.dense(x, 4 * width), 8)]), 8)
        x = _normalized(builder, builder.node("Add", [builder.quantized(builder.dense(y, width), 8), x]))
    builder.output(builder.node("ReduceMean", [x, builder.constant(np.array([1]))], keepdims=0))


def _attention(builder: Builder, x: str, heads: int) -> str:
    _, length, width = builder.values[x].shape
    depth = width // heads
    shape = builder.constant(np.array([1, length, heads, depth]))

    def projected(permutation: list[int]) -> str:
        split = builder.node("Reshape", [builder.quantized(builder.dense(x, width), 8), shape])
        return builder.node("Transpose", [split], perm=permutation)

    queries, keys, values = projected([0, 2, 1, 3]), projected([0, 2, 3, 1]), projected([0, 2, 1, 3])
    scores = builder.node("MatMul", [queries, keys])
    scores = builder.node("Mul", [scores, builder.constant(np.float32(1 / math.sqrt(depth)))])
    shares = builder.quantized(builder.node("Softmax", [builder.quantized(scores, 8)], axis=-1), 8)
    mixed = builder.quantized(builder.node("MatMul", [shares, values]), 8)
    joined = builder.node("Transpose", [mixed], perm=[0, 2, 1, 3])
    joined = builder.node("Reshape", [joined, builder.constant(np.array([1, length, width]))])
    return builder.quantized(builder.dense(joined, width), 8)


def _normalized(builder: Builder, x: str) -> str:
    width = builder.values[x].shape[-1]
    gain, shift = builder.random.uniform(0.7, 1.3, width), builder.random.normal(0, 0.1, width)
    named = [builder.constant(np.asarray(part, np.float32)) for part in (gain, shift)]
    return builder.quantized(builder.node("LayerNormalization", [x, *named], axis=-1, epsilon=1e-5), 8)


def autoencoder(builder: Builder, width: int) -> None:
    """640-128x4-8-128x4-640, the shape of MLPerf Tiny's anomaly detector; `width` is that of its input."""
    x = builder.quantized(builder.input("input", builder.random.normal(size=(1, width)).astype(np.float32)), 8)
    for outputs in (*[128] * 4, 8, *[128] * 4):
        x = builder.quantized(builder.node("Relu", [builder.dense(x, outputs)]))
    builder.output(builder.dense(x, width, bits=8))


TOPOLOGIES = {
    "resnet18": Topology(partial(resnet, blocks=(2, 2, 2, 2), bottleneck=False), 224),
    "resnet50": Topology(partial(resnet, blocks=(3, 4, 6, 3), bottleneck=True), 224),
    "mobilenet_v1": Topology(mobilenet_v1, 224),
    "mobilenet_v2": Topology(mobilenet_v2, 224),
    "vgg16": Topology(vgg16, 224),
    "tiny_yolo": Topology(tiny_yolo, 416),
    "mini_lm": Topology(mini_lm, 128),
    "autoencoder": Topology(autoencoder, 640),
}
