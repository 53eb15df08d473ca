"""A vision transformer as torch exports it: LayerNorm as an operator and in parts, queries, keys and values from one
product, attention fused and written out. The passes find the same places in each form."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.pipeline import find_pass
from subbyte.passes.features.flow import flows
from subbyte.passes.rotation.stream import streams

WIDTH, HEADS = 24, 2
PICTURE = np.random.default_rng(0).normal(0, 1, (1, 3, 16, 16)).astype(np.float32)


class Attention(nn.Module):
    """As timm writes it."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, width = x.shape
        joint = self.qkv(x).reshape(n, tokens, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = joint.unbind(0)
        if self.fused:
            y = nn.functional.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q * (width // HEADS) ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        projected: torch.Tensor = self.proj(y.transpose(1, 2).reshape(n, tokens, width))
        return projected


class Block(nn.Module):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention(fused)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        added: torch.Tensor = x + self.mlp(self.norm2(x))
        return added


class Transformer(nn.Module):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Parameter(torch.randn(1, 5, WIDTH))
        self.block, self.norm, self.head = Block(fused), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        logits: torch.Tensor = self.head(self.norm(self.block(x))[:, 0])
        return logits


@cache
def exported(opset: int, fused: bool) -> tuple[Graph, NDArray[Any]]:
    """(the graph, what torch computes)."""
    torch.manual_seed(0)
    model = Transformer(fused).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        file = io.BytesIO()
        picture = torch.from_numpy(PICTURE)
        torch.onnx.export(
            model, (picture,), file, opset_version=opset, dynamo=False, input_names=["x"], output_names=["y"]
        )
        expected = model(picture).numpy()
    graph = import_model(file.getvalue())
    names = ("fold_constants", "recognize_normalization")
    return run_passes(graph, [find_pass(name) for name in names]), expected


FORMS = pytest.mark.parametrize(("opset", "fused"), [(13, False), (17, False), (17, True)])


@FORMS
def test_the_places_are_found(opset: int, fused: bool) -> None:
    graph, _ = exported(opset, fused)
    found = flows(graph)
    kinds = ["norm" if isinstance(flow.source, LayerNormalization) else "values" for flow in found]
    assert kinds == ["norm", "values", "norm", "norm"]
    assert all(flow.movable.all() for flow in found if isinstance(flow.source, Normalization))
    values = found[1]
    assert values.open.tolist() == [False] * 2 * WIDTH + [True] * WIDTH
    assert len(np.unique(values.blocks[2 * WIDTH :])) == HEADS
    every: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    (stream,) = streams(graph, every, [node for node in graph.nodes() if isinstance(node, Normalization)])
    assert (stream.why_not, len(stream.writers), len(stream.readers)) == ("", 3, 3)


@FORMS
@pytest.mark.parametrize(
    "name",
    [
        "fold_normalization_scale", "smooth_activations", "scale_salient_weights", "unify_normalization_scales",
        "rotate_features",
    ],
)  # fmt: skip
def test_the_function_is_kept(name: str, opset: int, fused: bool) -> None:
    graph, expected = exported(opset, fused)
    data = Data({"x": PICTURE[np.newaxis]}, executor="interpreter")
    after = run_passes(graph, [find_pass(name)], data=data)
    assert after is not graph
    found = evaluate(after, {"x": PICTURE})["y"]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@FORMS
def test_softmax_is_split(opset: int, fused: bool) -> None:
    graph, _ = exported(opset, fused)
    data = Data({"x": PICTURE[np.newaxis]}, executor="interpreter")
    rounded = run_passes(graph, [find_pass("quantize_softmax")], data=data)
    split = run_passes(rounded, [find_pass("split_logarithms_by_parity")])
    assert len(graph.operations()) < len(rounded.operations()) < len(split.operations())
    before, after = (evaluate(g, {"x": PICTURE})["y"] for g in (rounded, split))
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()
