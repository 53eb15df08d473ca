"""How many trials the recipe search needs on Quantune's space of 96 recipes; the exhaustive tables are real networks'.

    python -m benchmarks.recipe_search table --output tables.json       # every recipe of every model, a minute
    python -m benchmarks.recipe_search trials --tables tables.json      # the search on these tables, 5 seeds

Recipes are those of Quantune (arXiv 2202.05048, table 2): how many samples calibrate, the scheme of the scales, whether
outliers are clipped, one scale a tensor or a channel, first and last layer in float or not. A recipe's score is how
many samples get the right answer, of samples that calibrate nothing: the keyword network's first 200 labelled inputs
(half calibrate, half score; the other 400, which judge finished models, are not read), the digits networks' training
images (100 calibrate, 500 others score). Activations have 8 bits.
The quantizer here is a plain one, for the tables alone: fake quantization in float32, run by onnxruntime.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.importer import import_model
from subbyte.compiler.quantize.search.cost_model import EarlierStudy, Record
from subbyte.compiler.quantize.search.features import graph_statistics
from subbyte.compiler.quantize.search.space import Space
from subbyte.compiler.quantize.search.study import search

Array = NDArray[Any]
Recipe = Mapping[str, Any]

MODELS = Path(__file__).resolve().parent.parent / "models"
CHOICES: dict[str, tuple[Any, ...]] = {
    "calibration_samples": (1, 10, 100),
    "scheme": ("asymmetric", "symmetric", "symmetric_uint8", "symmetric_power2"),
    "clipping": ("max", "kl"),
    "granularity": ("tensor", "channel"),
    "first_last": ("quantized", "float"),
}
_QUANTIZED_INPUTS = ("Conv", "Gemm", "Add", "AveragePool", "GlobalAveragePool")
_BINS = 2048


@dataclass(frozen=True)
class Subject:
    """A float model, samples that calibrate it [n, ...] and samples with labels that score it."""

    name: str
    path: Path
    calibration: Array
    samples: Array
    labels: Array


def subjects(shared: Path) -> list[Subject]:
    """The keyword network of `shared` and the project's two digits networks."""
    with np.load(shared / "kws_float_labelled.npz") as archive:
        inputs = archive["input"][:200].astype(np.float32) * archive["input_scale"]
        labels = archive["label"][:200]
    found = [Subject("kws", shared / "kws_float.onnx", inputs[:100], inputs[100:], labels[100:])]
    from sklearn.datasets import load_digits  # the split of models/digits_data.py: its training images
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)[:, np.newaxis]
    train, _, classes, _ = train_test_split(
        images, bunch.target, test_size=360, random_state=20240229, stratify=bunch.target
    )
    found += [
        Subject(name, MODELS / f"{name}.onnx", train[:100], train[100:600], classes[100:600])
        for name in ("digits_mlp", "digits_resnet")
    ]
    return found


# A plain quantizer ----------------------------------------------------------------------------------------------------


def exhaustive_table(subject: Subject, weight_bits: int) -> list[int]:
    """[recipes] how many samples each recipe gets right, in the order of the space."""
    model = _folded(subject.path)
    seen = _run(_showing(model, _activations(model)), subject.calibration)
    output = model.graph.output[0].name
    counts = []
    for recipe in Space.of(CHOICES).recipes():
        answers = _run(_quantized(model, recipe, seen, weight_bits), subject.samples)[output]
        counts.append(int((answers.argmax(axis=1) == subject.labels).sum()))
    return counts


def _folded(path: Path) -> onnx.ModelProto:
    """The model with any number of samples as leading dimension, and its BatchNormalizations in the convolutions."""
    import onnxruntime

    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{folder}/folded.onnx"
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _activations(model: onnx.ModelProto) -> list[str]:
    """The tensors that layers, additions and averages read, in order."""
    constants = {constant.name for constant in model.graph.initializer}
    read = (name for node in model.graph.node if node.op_type in _QUANTIZED_INPUTS for name in node.input)
    return [name for name in dict.fromkeys(read) if name not in constants]


def _showing(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    present = {value.name for value in (*shown.graph.input, *shown.graph.output)}
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in present
    )
    return shown


def _run(model: onnx.ModelProto, samples: Array) -> dict[str, Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {session.get_inputs()[0].name: samples}), strict=True))
    return found | {session.get_inputs()[0].name: samples}


def _quantized(model: onnx.ModelProto, recipe: Recipe, seen: Mapping[str, Array], weight_bits: int) -> onnx.ModelProto:
    """The model with weights on their grid, and QuantizeLinear and DequantizeLinear behind each activation."""
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    spared = {layers[0].output[0], layers[-1].output[0]} if recipe["first_last"] == "float" else set()
    constants = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    grids: dict[str, str] = {}
    for node in model.graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        if node.op_type in _QUANTIZED_INPUTS and node.output[0] not in spared:
            for index, name in enumerate(node.input):
                if name in constants:
                    continue
                if name not in grids:
                    grids[name] = f"{name}__quantized"
                    result.graph.node.extend(_grid_nodes(name))
                copied.input[index] = grids[name]
        result.graph.node.append(copied)
    for node in layers:
        if node.output[0] not in spared:
            _round_weights(node, constants, recipe, weight_bits)
    del result.graph.initializer[:]
    result.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    result.graph.initializer.extend(_grid_constants(seen, recipe, grids))
    return result


def _grid_nodes(name: str) -> list[onnx.NodeProto]:
    operands = [f"{name}__scale", f"{name}__zero_point"]
    return [
        helper.make_node("QuantizeLinear", [name, *operands], [f"{name}__codes"]),
        helper.make_node("DequantizeLinear", [f"{name}__codes", *operands], [f"{name}__quantized"]),
    ]


def _grid_constants(seen: Mapping[str, Array], recipe: Recipe, names: Iterable[str]) -> list[TensorProto]:
    constants = []
    for name in names:
        scale, zero_point = activation_grid(seen[name][: recipe["calibration_samples"]], recipe)
        constants.append(numpy_helper.from_array(np.float32(scale), f"{name}__scale"))
        constants.append(numpy_helper.from_array(zero_point, f"{name}__zero_point"))
    return constants


def activation_grid(values: Array, recipe: Recipe) -> tuple[np.float32, Array]:
    """(scale, zero point) of 8 bits for the values; the zero point's dtype says whether codes are signed."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if recipe["clipping"] == "kl":
        limit = kl_threshold(np.abs(values).ravel())
        low, high = max(low, -limit), min(high, limit)
    scheme = recipe["scheme"]
    if scheme == "asymmetric":
        scale = np.float32((high - low) / 255 or 1.0)
        return scale, np.asarray(np.clip(np.rint(-low / scale) - 128, -128, 127), np.int8)
    if scheme == "symmetric_uint8" and low >= 0:
        return np.float32(high / 255 or 1.0), np.asarray(0, np.uint8)
    scale = np.float32(max(-low, high) / 127 or 1.0)
    if scheme == "symmetric_power2":
        scale = np.float32(2.0 ** np.ceil(np.log2(scale)))
    return scale, np.asarray(0, np.int8)


def kl_threshold(magnitudes: Array) -> float:
    """Where to clip so that 128 levels lose the least information about the histogram of |x|.

    Source: S. Migacz, 8-bit inference with TensorRT, GTC 2017.
    """
    largest = float(magnitudes.max())
    if largest == 0:
        return 0.0
    counts = np.histogram(magnitudes, bins=_BINS, range=(0, largest))[0].astype(np.float64)
    counts[0] = 0  # zeros are exact on every grid
    best, chosen = np.inf, _BINS
    for kept in range(128, _BINS + 1, 32):
        reference = counts[:kept].copy()
        reference[-1] += counts[kept:].sum()
        level = np.arange(kept) * 128 // kept
        filled = counts[:kept] > 0
        sums = np.bincount(level, counts[:kept], 128)
        members = np.bincount(level, filled, 128)
        spread = np.where(filled, (sums / np.maximum(members, 1))[level], 0)
        if not reference.sum() or not spread.sum():
            continue
        p, q = reference / reference.sum(), spread / spread.sum()
        positive = p > 0
        divergence = float((p[positive] * np.log(p[positive] / np.maximum(q[positive], 1e-12))).sum())
        if divergence < best:
            best, chosen = divergence, kept
    return largest * chosen / _BINS


def _round_weights(node: onnx.NodeProto, constants: dict[str, Array], recipe: Recipe, bits: int) -> None:
    weights = constants[node.input[1]]
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    axis = 1 if node.op_type == "Gemm" and not attributes.get("transB") else 0
    moved = np.moveaxis(weights, axis, 0)
    rows = moved.reshape(len(moved), -1) if recipe["granularity"] == "channel" else moved.reshape(1, -1)
    rounded = _rounded(rows.astype(np.float64), recipe["scheme"], bits).reshape(moved.shape)
    constants[node.input[1]] = np.ascontiguousarray(np.moveaxis(rounded, 0, axis), np.float32)


def _rounded(rows: Array, scheme: str, bits: int) -> Array:
    """Each row on its own grid of `bits` bits."""
    high = np.maximum(rows.max(axis=1, keepdims=True), 0)
    low = np.minimum(rows.min(axis=1, keepdims=True), 0)
    if scheme == "asymmetric":
        scale = np.where(high > low, (high - low) / (2**bits - 1), 1.0)
        zero_point = np.rint(-low / scale)
        return (np.clip(np.rint(rows / scale) + zero_point, 0, 2**bits - 1) - zero_point) * scale
    limit = 2 ** (bits - 1) - 1
    scale = np.where(high > low, np.maximum(high, -low) / limit, 1.0)
    if scheme == "symmetric_power2":
        scale = 2.0 ** np.ceil(np.log2(scale))
    return np.clip(np.rint(rows / scale), -limit, limit) * scale


# The search on recorded tables ----------------------------------------------------------------------------------------


def trials_needed(recorded: Mapping[str, Any], name: str, seed: int, warm: bool) -> int:
    """The trial that first finds a recipe within one sample of the best of the table `name`.

    recorded: what `table` writes. warm: start from the tables of the other models with weights of as many bits.
    """
    space = Space.of({choice: tuple(values) for choice, values in recorded["choices"].items()})
    recipes = list(space.recipes())
    tables, statistics = recorded["tables"], recorded["statistics"]
    table = tables[name]
    right = {space.key(recipe): count for recipe, count in zip(recipes, table["right"], strict=True)}
    goal = max(table["right"]) - 1
    earlier = [
        EarlierStudy(
            other, [Record(*row) for row in zip(recipes, each["right"], strict=True)], statistics[each["model"]]
        )
        for other, each in tables.items()
        if warm and each["weight_bits"] == table["weight_bits"] and each["model"] != table["model"]
    ]
    trials = 0

    def objective(recipe: Mapping[str, Any]) -> float:
        nonlocal trials
        trials += 1
        if right[space.key(recipe)] >= goal:
            raise _Reached
        return right[space.key(recipe)]

    with contextlib.suppress(_Reached):
        search(space, objective, trials=space.size, seed=seed, statistics=statistics[table["model"]], earlier=earlier)
    return trials


class _Reached(Exception):
    """Ends a search that has found what it looked for."""


def _write_tables(shared: Path, output: Path, bits: Sequence[int]) -> None:
    tables: dict[str, Any] = {}
    statistics = {}
    for subject in subjects(shared):
        statistics[subject.name] = graph_statistics(import_model(subject.path, batch=1))
        for width in bits:
            counts = exhaustive_table(subject, width)
            name = f"{subject.name}_w{width}"
            tables[name] = {
                "model": subject.name,
                "weight_bits": width,
                "samples": len(subject.labels),
                "right": counts,
            }
            near = sum(count >= max(counts) - 1 for count in counts)
            print(
                f"{name}: best {max(counts)} of {len(subject.labels)}, median {int(np.median(counts))}, "
                f"worst {min(counts)}; {near} of {len(counts)} within one of the best",
                flush=True,
            )
    output.write_text(json.dumps({"choices": CHOICES, "statistics": statistics, "tables": tables}) + "\n")


def _print_trials(path: Path, seeds: int) -> None:
    recorded = json.loads(path.read_text())
    print(
        "| network, bits of weights | within one of the best | at random | search | search after the other networks |"
    )
    print("|---|---|---|---|---|")
    for name, table in recorded["tables"].items():
        counts = table["right"]
        near = sum(count >= max(counts) - 1 for count in counts)
        cells = []
        for warm in (False, True):
            found = [trials_needed(recorded, name, seed, warm) for seed in range(seeds)]
            cells.append(f"{np.mean(found):.1f} ({', '.join(map(str, found))})")
        print(
            f"| {name} | {near} of {len(counts)} | {(len(counts) + 1) / (near + 1):.1f} | {' | '.join(cells)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table", help="score every recipe of every model")
    table.add_argument("--shared", type=Path, default=MODELS.parent.parent / "shared" / "models")
    table.add_argument("--output", type=Path, required=True)
    table.add_argument("--weight-bits", type=int, nargs="+", default=[8, 6, 4, 3])
    trials = commands.add_parser("trials", help="count the trials of the search")
    trials.add_argument("--tables", type=Path, required=True)
    trials.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.command == "table":
        _write_tables(arguments.shared, arguments.output, arguments.weight_bits)
    else:
        _print_trials(arguments.tables, arguments.seeds)


if __name__ == "__main__":
    main()
