"""From a float ONNX model to the float graph that is quantized: read, checked, reparameterized."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.pass_manager import Pass, Step, run_passes
from subbyte.compiler.pipeline import find_pass
from subbyte.compiler.quantize.recipe import Recipe
from subbyte.compiler.quantize.weights import weight_grid
from subbyte.passes.rotate_features import rotate_features_by
from subbyte.passes.scale_salient_weights import scale_salient_weights_for
from subbyte.passes.unify_normalization_scales import unify_normalization_scales_for

if TYPE_CHECKING:
    from onnx import ModelProto

    Model = str | os.PathLike[str] | bytes | ModelProto


def import_float(model: Model, dims: Mapping[str, int] | None = None) -> Graph:
    """The graph of a float model, its open leading dimensions bound to 1.

    Raises: ModelError, UnsupportedError: as the importer; UnsupportedError also where the model is quantized already,
        or has no layer to quantize.
    """
    graph = import_model(model, dims=dict(dims or {}), batch=1)
    for node in graph.operations():
        if isinstance(node, (ops.QuantizeLinear, ops.DequantizeLinear)) or any(t.quant is not None for t in node.types):
            raise UnsupportedError(
                f"the model is quantized already: {node.label} makes or reads codes. `subbyte compile` takes it as it "
                "is; to quantize it anew, start from the float model."
            )
    if not layers(graph):
        raise UnsupportedError(
            "the model has no convolution or matrix product with constant float32 weights, so there is nothing to "
            "quantize."
        )
    return graph


def preparing_passes(recipe: Recipe) -> tuple[Pass, ...]:
    """What is done to the float network before anything is rounded; none changes its function but by float rounding."""
    names = [
        "fold_constants",
        "recognize_normalization",
        "move_scales",
        "fold_affine",
        "fold_batch_norm",
        "remove_dead_nodes",
    ]
    if recipe.merge:
        names += ["merge_branches", "merge_products"]
    found = [find_pass(name) for name in names]
    if recipe.smooth != "none":
        found.append(_smoothing(recipe))
    if recipe.equalize:  # the clip of a ReLU6 would hold the channels together
        found += [find_pass("split_clips"), find_pass("equalize_layers")]
    return (*found, find_pass("remove_dead_nodes"))


def _smoothing(recipe: Recipe) -> Pass:
    """The pass that `recipe.smooth` names, for the recipe's widths and seed."""
    match recipe.smooth:
        case "scale_salient_weights":
            return scale_salient_weights_for(weight_grid(recipe, recipe.weight_bits))
        case "unify_normalization_scales":
            return unify_normalization_scales_for(recipe.activation_bits)
        case "rotate_features":
            return rotate_features_by(recipe.seed)
    return find_pass(recipe.smooth)


def prepared(graph: Graph, recipe: Recipe, data: Data | None, on_step: Callable[[Step], None] | None = None) -> Graph:
    """`graph` after the passes of the recipe."""
    return run_passes(graph, preparing_passes(recipe), data=data, on_step=on_step)
