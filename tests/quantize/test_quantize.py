"""compiler/quantize: whole networks, from float model and samples to codes that are compiled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import subbyte
from benchmarks.float_transformers import deit
from subbyte.compiler.assignment.problem import Choice, Infeasible
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.quantize.judge import answers, distance
from subbyte.compiler.quantize.quantize import Goal, Quantized, quantize
from subbyte.compiler.quantize.recipe import NEAREST, RECIPES, Recipe

MODELS = Path(__file__).parents[2] / "models"
NETWORKS = ("digits_mlp", "digits_cnn", "digits_resnet")


@pytest.fixture(scope="module")
def images() -> dict[str, Any]:
    with np.load(MODELS / "digits_calibration.npz") as archive:
        return {name: archive[name] for name in archive.files}


def made(name: str, images: dict[str, Any], recipe: Recipe, goal: Goal | None = None, **options: Any) -> Quantized:
    return quantize(MODELS / f"{name}.onnx", Data({"input": images["input"][:96]}), recipe, goal, **options)


def right(model: onnx.ModelProto, images: dict[str, Any], first: int = 96) -> int:
    """How many of the images that did not calibrate the compiled model classifies as labelled."""
    module = subbyte.compile(model, target="native")
    answers = [int(np.argmax(module.run({"input": image})["logits"])) for image in images["input"][first:]]
    return int(np.sum(np.array(answers) == images["label"][first:]))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bits", [8, 4])
def test_images_that_did_not_calibrate_are_still_right(name: str, bits: int, images: dict[str, Any]) -> None:
    result = made(name, images, Recipe(weight_bits=bits))
    assert right(result.model, images) >= (len(images["label"]) - 96) * 0.97
    assert set(result.choices.values()) == {Choice(bits, 8)}
    assert result.notes == ()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_product_stays_float(name: str, images: dict[str, Any]) -> None:
    graph = quantized(import_model(made(name, images, NEAREST).model.SerializeToString()))
    products = (ops.Conv, ops.Gemm, ops.MatMul)
    assert not [node for node in graph.operations() if isinstance(node, products)]


@pytest.mark.parametrize("style", ["qdq", "qcdq", "qonnx"])
def test_every_style_means_the_same(style: str, images: dict[str, Any]) -> None:
    result = made("digits_cnn", images, NEAREST.replace(weight_bits=3, activation_bits=5), style=style)
    direct, read = quantized(result.graph), quantized(import_model(result.model.SerializeToString()))
    for image in images["input"][:8]:
        expected = evaluate(direct, {"input": image})["logits"]
        np.testing.assert_array_equal(evaluate(read, {"input": image})["logits"], expected)


def test_compiled_code_equals_the_interpreter(images: dict[str, Any]) -> None:
    model = made("digits_resnet", images, Recipe(weight_bits=2, activation_bits=4)).model
    module = subbyte.compile(model, target="native")
    for image in images["input"][:16]:
        expected = subbyte.evaluate(model, {"input": image})["logits"]
        np.testing.assert_array_equal(module.run({"input": image})["logits"], expected)


def test_a_budget_is_met_and_each_layer_has_its_own_bits(images: dict[str, Any]) -> None:
    result = made("digits_resnet", images, Recipe(), Goal({"average_bits": 3.0, "weight_bytes": 14_500}))
    assert result.assigned is not None
    assert result.assigned.assignment.costs["average_bits"] <= 3
    assert result.assigned.assignment.costs["weight_bytes"] <= 14_500
    assert len(set(result.choices.values())) > 1
    losses = [one.loss for one in result.assigned.front]
    assert losses == sorted(losses, reverse=True)
    uniform = result.assigned.uniform[Choice(3, 8)]
    assert result.assigned.assignment.loss <= uniform.loss
    for name, weights in result.plan.weights.items():
        assert weights.dtype.bits <= result.choices[name].weight_bits


def test_activations_are_chosen_too(images: dict[str, Any]) -> None:
    result = made("digits_cnn", images, Recipe(), Goal({"bops": 25e6}, (2, 4, 8), (4, 8)))
    assert {choice.activation_bits for choice in result.choices.values()} <= {4, 8}
    assert result.assigned is not None
    assert result.assigned.assignment.costs["bops"] <= 25e6


def test_first_and_last_layers_are_pinned(images: dict[str, Any]) -> None:
    recipe = Recipe(first_bits=8, last_bits=6, weight_bits=2)
    assert [c.weight_bits for c in made("digits_cnn", images, recipe).choices.values()] == [8, 2, 2, 6]
    found = made("digits_cnn", images, recipe, Goal({"average_bits": 3.5})).choices
    assert [next(iter(found.values())).weight_bits, list(found.values())[-1].weight_bits] == [8, 6]


def test_the_model_says_how_it_was_made(images: dict[str, Any]) -> None:
    recipe = Recipe(seed=3)
    result = made("digits_mlp", images, recipe, Goal({"average_bits": 4.0}))
    said = {entry.key: json.loads(entry.value) for entry in result.model.metadata_props}
    assert Recipe.from_dict(said["subbyte.recipe"]) == recipe
    assert said["subbyte.calibration"] == result.digest
    assert said["subbyte.budgets"] == {"average_bits": 4.0}
    assert said["subbyte.bits"] == {n: [c.weight_bits, c.activation_bits] for n, c in result.choices.items()}
    assert set(said["subbyte.sensitivities"]) == set(result.choices)


@pytest.mark.parametrize("recipe", [NEAREST, Recipe(weight_bits=3), RECIPES["learned"].replace(steps=3, weight_bits=2)])
def test_the_same_samples_and_recipe_give_the_same_bytes(recipe: Recipe, images: dict[str, Any]) -> None:
    one, two = (made("digits_mlp", images, recipe).model.SerializeToString() for _ in range(2))
    assert one == two


def test_learning_helps_where_bits_are_few(images: dict[str, Any]) -> None:
    coarse = Recipe(weight_bits=2, rounding="nearest", correct_biases="none")
    nearest, learned = (
        made("digits_cnn", images, coarse.replace(rounding=r, steps=60)) for r in ("nearest", "learned")
    )
    assert right(learned.model, images) > right(nearest.model, images)


@pytest.mark.parametrize("rounding", ["kmeans", "power_sums", "power_levels"])
def test_codebooks_are_integer_sums_of_few_bits(rounding: str, images: dict[str, Any]) -> None:
    result = made("digits_cnn", images, Recipe(weight_bits=3, rounding=rounding))
    assert right(result.model, images) >= 150
    for weights in result.plan.weights.values():
        assert len(np.unique(weights.codes)) <= 8
    graph = quantized(import_model(result.model.SerializeToString()))
    assert not [node for node in graph.operations() if isinstance(node, (ops.Conv, ops.Gemm, ops.MatMul))]


@pytest.mark.parametrize("how", ["none", "analytic", "empirical", "sequential"])
def test_biases_are_corrected_as_the_recipe_says(how: str, images: dict[str, Any]) -> None:
    coarse = Recipe(weight_bits=3, rounding="nearest", equalize=True, correct_biases=how)
    result = made("digits_resnet", images, coarse)
    expected = answers(result.float_graph, {"input": images["input"][96:]})
    error = distance(expected, answers(result.graph, {"input": images["input"][96:]}))
    uncorrected = made("digits_resnet", images, coarse.replace(correct_biases="none"))
    bound = distance(expected, answers(uncorrected.graph, {"input": images["input"][96:]}))
    assert error == bound if how == "none" else error < 0.95 * bound


SMOOTHING = ("smooth_activations", "scale_salient_weights", "unify_normalization_scales", "rotate_features")


@pytest.mark.parametrize("smooth", SMOOTHING)
def test_a_transformer_loses_less_where_its_channels_are_smoothed(smooth: str) -> None:
    """W8A8 per channel: a few channels of a DeiT are many times larger than the others."""
    network = deit(width=48, heads=2, blocks=1)  # its graph takes all samples at once
    samples, unseen = (
        {name: array[np.newaxis] for name, array in batch.items()} for batch in (network.calibration, network.judging)
    )
    recipes = (NEAREST, NEAREST.replace(smooth=smooth, seed=1))
    plain, smoothed = (quantize(network.graph, Data(samples), recipe) for recipe in recipes)
    expected = answers(network.graph, unseen)
    assert distance(expected, answers(smoothed.graph, unseen)) < 0.5 * distance(expected, answers(plain.graph, unseen))


def test_statistics_that_are_not_there_are_missed(images: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"needs batch normalizations before the layers"):
        made("digits_mlp", images, NEAREST.replace(correct_biases="analytic"))


# Bad input ------------------------------------------------------------------------------------------------------------


def test_a_quantized_model_is_refused(images: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"quantized already: .*`subbyte compile` takes it as it is"):
        made("digits_mlp_int8", images, NEAREST)


def test_a_budget_below_what_is_possible_says_by_how_much(images: dict[str, Any]) -> None:
    with pytest.raises(Infeasible, match="average_bits"):
        made("digits_mlp", images, NEAREST, Goal({"average_bits": 1.5}, (2, 4)))


def test_an_unknown_cost_is_named(images: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="no cost 'joules'; there are weight_bytes"):
        made("digits_mlp", images, NEAREST, Goal({"joules": 1.0}))


@pytest.mark.parametrize(
    ("goal", "sentence"),
    [
        ({"budgets": {}, "sensitivity": "guess"}, "no sensitivity 'guess'; there are kl"),
        ({"budgets": {}, "weight_bits": (4, 9)}, "no width '9'; there are 1, 2"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(goal: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        Goal(**goal)


def test_a_recipe_says_how_many_samples_are_used(images: dict[str, Any]) -> None:
    assert made("digits_mlp", images, NEAREST.replace(samples=24)).samples == 24


def test_samples_that_do_not_fit_are_named(images: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="input"):
        quantize(MODELS / "digits_mlp.onnx", Data({"input": np.zeros((4, 1, 1, 9, 9), np.float32)}))
    broken = images["input"][:4].copy()
    broken[2, 0, 0, 3, 3] = np.nan
    with pytest.raises(ModelError, match="sample 2 holds nan at"):
        quantize(MODELS / "digits_mlp.onnx", Data({"input": broken}))


def test_one_sample_is_taken_with_a_note(images: dict[str, Any]) -> None:
    result = quantize(MODELS / "digits_mlp.onnx", Data({"input": images["input"][:1]}), NEAREST)
    assert result.notes == ("ranges come from 1 sample alone; some hundred are usual",)


def test_a_model_without_layers_is_refused() -> None:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    with pytest.raises(UnsupportedError, match="no convolution or matrix product"):
        quantize(
            onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), Data(np.zeros((2, 4)))
        )
