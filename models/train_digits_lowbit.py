"""Train the digit classifiers with 1- to 4-bit weights and activations, export them, and record what they answer.

    pip install '.[train]' && python models/train_digits_lowbit.py [digits_mlp_w2a2 ...]

For each network (or those named) this writes, beside this script,

    NAME.qonnx.onnx       as Brevitas' QONNX exporter writes it (torch.export)
    NAME_qcdq.onnx        as its QCDQ exporter does (TorchScript), where that can: it has no binary quantizers
    digits_lowbit.json    accuracy, the bits of every layer, and the versions of what made them
    digits_lowbit.npz     logits [360,10] of every held image under NAME, as torch computes them in simulated float

Seeds are fixed and torch runs deterministically on one thread, as in `train_digits.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import brevitas
import numpy as np
import onnx
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.nn import TruncAvgPool2d
from brevitas.nn.quant_layer import QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer
from torch import nn

from digits_brevitas import PRECISIONS, LowbitMlp, LowbitResnet, Precision
from digits_data import FOLDER, SEED, Array, Digits, read_test_digits, split_digits
from train_digits import train

RECORD = FOLDER / "digits_lowbit.json"
ANSWERS = FOLDER / "digits_lowbit.npz"
INTEGER_RATE = 4e-3  # of learning, at its height: that of the float networks
BINARY_RATE = 1e-2  # only the signs of binary weights count: they take larger steps to change
NETWORKS: dict[str, tuple[Callable[[Precision], nn.Module], Precision]] = {
    f"{name}_{precision.name}": (network, precision)
    for name, network in (("digits_mlp", LowbitMlp), ("digits_resnet", LowbitResnet))
    for precision in PRECISIONS
}


@torch.no_grad()
def answers(network: nn.Module, digits: Digits) -> Array:
    """logits [N,10] float32, each image by itself as the exported model takes it."""
    logits = [network(image[np.newaxis]) for image in torch.from_numpy(digits.images)]
    found: Array = torch.cat(logits).numpy()
    return found


def export(network: nn.Module, name: str, precision: Precision) -> list[Path]:
    """Write the network in each dialect that Brevitas has for it, from the input [1,1,8,8] to the logits [1,10]."""
    as_qcdq = FOLDER / f"{name}_qcdq.onnx"
    files = [FOLDER / f"{name}.qonnx.onnx"] + ([] if precision.is_binary else [as_qcdq])
    for file in files:
        with TemporaryDirectory() as folder:
            exported = Path(folder) / file.name
            names: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"]}
            image = torch.zeros(1, 1, 8, 8)
            if file == as_qcdq:
                export_onnx_qcdq(network, image, str(exported), dynamo=False, **names)  # whose weights are integers
            else:
                export_qonnx(network, image, str(exported), dynamo=True, **names)
            onnx.save(without_traces(onnx.load(exported), name), file)
    return files


def bits_of(network: nn.Module) -> dict[str, dict[str, int]]:
    """The bits of each layer's weights and of each quantized activation, by the module's name."""
    weights, activations = {}, {}
    for name, module in network.named_modules():
        if isinstance(module, QuantWeightBiasInputOutputLayer):
            weights[name] = int(module.quant_weight().bit_width)
        elif isinstance(module, QuantNonLinearActLayer):
            activations[name] = int(module.act_quant.bit_width())
        elif isinstance(module, TruncAvgPool2d):
            activations[name] = int(module.trunc_quant.bit_width())
    return {"weights": weights, "activations": activations}


def without_traces(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model, called `name`, without what torch notes of the Python code that it comes from: paths and stacks."""
    graph = model.graph
    graph.name = name
    noted: list[Iterable[Any]] = [[model, graph], graph.node, graph.value_info, graph.input, graph.output]
    for message in (message for messages in (*noted, graph.initializer) for message in messages):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    return model


def write_record(found: dict[str, tuple[dict[str, Any], Array]]) -> None:
    """Put the networks that were trained now into the record, beside what it says of the others."""
    models = json.loads(RECORD.read_text())["models"] if RECORD.exists() else {}
    models |= {name: said for name, (said, _) in found.items()}
    logits = dict(np.load(ANSWERS)) if ANSWERS.exists() else {}
    logits |= {name: each for name, (_, each) in found.items()}
    versions = {module.__name__: str(module.__version__) for module in (brevitas, torch, onnx, np)}
    record = {"versions": versions, "models": {name: models[name] for name in NETWORKS if name in models}}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    ordered: dict[str, Any] = {name: logits[name] for name in record["models"]}
    np.savez_compressed(ANSWERS, **ordered)


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        sys.exit(f"there is no network {', '.join(unknown)}; the networks are {', '.join(NETWORKS)}")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    training, _ = split_digits()
    test = read_test_digits()
    for name in names or NETWORKS:
        make, precision = NETWORKS[name]
        torch.manual_seed(SEED)
        network = make(precision)
        train(network, training, BINARY_RATE if precision.is_binary else INTEGER_RATE)
        logits = answers(network, test)
        files = export(network, name, precision)
        accuracy = float(np.mean(logits.argmax(1) == test.labels))
        said = {"accuracy": accuracy, "files": [file.name for file in files], "bits": bits_of(network)}
        write_record({name: (said, logits)})
        sizes = ", ".join(f"{file.name} {file.stat().st_size / 1024:.1f} KiB" for file in files)
        print(f"{name}: {accuracy:.2%} of {len(test.labels)} held images; {sizes}")


if __name__ == "__main__":
    main(sys.argv[1:])
