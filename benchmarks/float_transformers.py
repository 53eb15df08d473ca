"""Float transformers built by script, with outlying channels as in trained ones: a DeiT, and a decoder with RMSNorm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.float_networks import Builder, Network, pictures
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization

Array = NDArray[Any]
_OUTLIERS = (0.02, 20.0)  # the share of channels that are so many times as large
_EPSILON = 1e-6


def deit(*, width: int = 96, heads: int = 3, blocks: int = 3, size: int = 32, patch: int = 8) -> Network:
    """Patches by a convolution, a class token, positions, blocks of attention and GELU behind LayerNorms, a head.

    Two channels in a hundred, the same in all blocks, are 20 times as large behind each LayerNorm, and a few are in
    the residual stream; shifts are as uneven as scales.
    Source: Touvron et al. 2021, DeiT; the outliers: Li et al. 2023, RepQ-ViT, figure 3.
    """
    random = np.random.default_rng(3)
    b = Builder("deit", pictures(random, 16, size), seed=4)
    judging = pictures(random, 16, size)
    count = b.input.type.shape[0]
    x = _tokens(b, b.input, width, patch)
    token = b.constant(b.random.normal(0, 0.5, (count, 1, width)) * np.ones((count, 1, 1)))
    x = b.add(ops.Concat((token, x), 1))
    x = b.add(ops.Add(x, b.constant(b.random.normal(0, 0.3, (1, *x.type.shape[1:])))))
    uneven = _outlying(b, width)
    for _ in range(blocks):
        x = b.add(ops.Add(x, _attention(b, _normalized(b, x, LayerNormalization, uneven), heads)))
        y = _linear(b, _normalized(b, x, LayerNormalization, uneven), 4 * width)
        x = b.add(ops.Add(x, _linear(b, b.add(ops.Unary(y, "Gelu")), width, 0.4, uneven**0.5)))
    x = _normalized(b, x, LayerNormalization, uneven)
    first = b.add(ops.Gather(x, Constant.of(np.int64(0)).out, 1))
    return b.network(_linear(b, first, 100), judging)


def decoder(*, width: int = 64, heads: int = 4, blocks: int = 2, size: int = 32, patch: int = 8) -> Network:
    """Blocks of attention and a gated product behind RMSNorms, without biases, on patches: a small LLaMA in shape.

    Source: Touvron et al. 2023, LLaMA, section 2.2; the outliers: Xiao et al. 2023, SmoothQuant, figure 4.
    """
    random = np.random.default_rng(5)
    b = Builder("decoder", pictures(random, 16, size), seed=6)
    judging = pictures(random, 16, size)
    x = _tokens(b, b.input, width, patch)
    uneven = _outlying(b, width)
    for _ in range(blocks):
        read = _normalized(b, x, RMSNormalization, uneven)
        parts = [_linear(b, read, width, biased=False) for _ in range(3)]
        x = b.add(ops.Add(x, _attended(b, parts, heads, biased=False)))
        read = _normalized(b, x, RMSNormalization, uneven)
        gate, up = (_linear(b, read, 2 * width, biased=False) for _ in range(2))
        gated = b.add(ops.Mul(gate, b.add(ops.Unary(gate, "Sigmoid"))))
        y = _linear(b, b.add(ops.Mul(gated, up)), width, 0.4, uneven**0.5, biased=False)
        x = b.add(ops.Add(x, y))
    mean = b.add(ops.ReduceMean(_normalized(b, x, RMSNormalization, uneven), (1,), False))
    return b.network(_linear(b, mean, 100, biased=False), judging)


TRANSFORMERS: dict[str, Callable[[], Network]] = {"deit": deit, "decoder": decoder}


def _tokens(b: Builder, x: Value, width: int, patch: int) -> Value:
    """[N, tokens, width]: one convolution of a patch each."""
    channels = x.type.shape[1]
    weights = b.random.normal(0, (channels * patch**2) ** -0.5, (width, channels, patch, patch))
    bias = b.random.normal(0, 0.1, width)
    y = b.add(ops.Conv(x, b.constant(weights), b.constant(bias), (patch,) * 2, (0,) * 4, (1, 1), 1))
    n, _, *places = y.type.shape
    return b.add(ops.Transpose(b.add(ops.Reshape(y, (n, width, math.prod(places)))), (0, 2, 1)))


def _outlying(b: Builder, width: int) -> Array:
    """How large each channel is: about 1, and a few of them far more."""
    share, factor = _OUTLIERS
    uneven = np.exp(b.random.normal(0, 0.4, width))
    uneven[b.random.choice(width, math.ceil(share * width), replace=False)] *= factor
    return np.asarray(uneven)


def _normalized(b: Builder, x: Value, kind: type[Normalization], uneven: Array) -> Value:
    gamma = b.constant(uneven * np.exp(b.random.normal(0, 0.2, len(uneven))))
    beta = b.constant(uneven * b.random.normal(0, 0.5, len(uneven))) if kind is LayerNormalization else None
    return b.add(kind(x, gamma, beta, x.type.rank - 1, _EPSILON))


def _linear(
    b: Builder, x: Value, outputs: int, gain: float = 1.0, uneven: Array | float = 1.0, *, biased: bool = True
) -> Value:
    """x [..., inputs] times weights that make up for half of how uneven x is, and a bias; `uneven`: of the outputs."""
    deviation = b.arrays[x].reshape(-1, x.type.shape[-1]).std(axis=0) + 1e-3
    weights = b.random.normal(0, len(deviation) ** -0.5, (len(deviation), outputs))
    weights /= np.sqrt(deviation * deviation.mean())[:, np.newaxis]
    y = b.add(ops.MatMul(x, b.constant(weights * gain * uneven))) if x.type.rank > 2 else x
    bias = b.constant(b.random.normal(0, 0.1, outputs) * gain * uneven)
    if x.type.rank == 2:
        return b.add(ops.Gemm(x, b.constant(weights * gain), bias, 1.0, 1.0, False, False))
    return b.add(ops.Add(y, bias)) if biased else y


def _attention(b: Builder, x: Value, heads: int) -> Value:
    """One product makes queries, keys and values, as timm writes it."""
    n, tokens, width = x.type.shape
    joint = b.add(ops.Reshape(_linear(b, x, 3 * width), (n, tokens, 3, width)))
    parts = [
        b.add(ops.Gather(b.add(ops.Transpose(joint, (2, 0, 1, 3))), Constant.of(np.int64(i)).out, 0)) for i in range(3)
    ]
    return _attended(b, parts, heads)


def _attended(b: Builder, parts: list[Value], heads: int, *, biased: bool = True) -> Value:
    n, tokens, width = parts[0].type.shape
    depth = width // heads

    def split(x: Value, permutation: tuple[int, ...]) -> Value:
        return b.add(ops.Transpose(b.add(ops.Reshape(x, (n, tokens, heads, depth))), permutation))

    queries, keys, values = (
        split(part, permutation)
        for part, permutation in zip(parts, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True)
    )
    scores = b.add(ops.MatMul(queries, keys))
    sharp = 2.0 / float(b.arrays[scores].std())
    shares = b.add(ops.Softmax(b.add(ops.Mul(scores, b.constant(sharp))), 3))
    mixed = b.add(ops.Transpose(b.add(ops.MatMul(shares, values)), (0, 2, 1, 3)))
    return _linear(b, b.add(ops.Reshape(mixed, (n, tokens, width))), width, 0.4, biased=biased)
