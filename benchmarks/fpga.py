"""Published FPGA designs beside the estimate of target hls for the same network, within the same resources.

    python -m benchmarks.fpga [--out table.json]

The networks of the MLPerf Tiny v0.7 submission of hls4ml and FINN for a PYNQ-Z2 (Zynq-7020, 100 MHz): keyword
spotting, an MLP of 3-bit weights and activations made with FINN, and the autoencoder AD08 made with hls4ml. Their
weights here are random: cycles depend on shapes alone, resources on bits, on weights only by the ranges of sums.

What was published was measured on the board, from the processor's call to its answer; ours is an ESTIMATE by formulas
of the design alone, the bus moving a word a cycle, and no synthesis was made. The rows say what the formulas make of
the same budget; they are no comparison of measurements.

Topologies and bits: github.com/mlcommons/tiny_results_v0.7, open/hls4ml-finn/code: kws/KWS-W3A3/training/model/*.py
and const_QMLP.yaml; ad/AD08/training/ad08.yml and ad/AD08/inference/hls4ml_config.yml. Resources: Borras et al.,
Open-source FPGA-ML codesign for the MLPerf Tiny benchmark, arXiv:2206.11791, from memory: the text was not at hand when
this was written; their shares of the part agree with those remembered. --resources puts in other numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.hls.compile import HlsDesign, design_of
from subbyte.compiler.hls.options import HlsOptions
from subbyte.compiler.pipeline import Options
from subbyte.targets.hls.resources import KINDS, Resources

PART, CLOCK_MHZ = "xc7z020", 100.0
DOMAIN = "qonnx.custom_op.general"


@dataclass(frozen=True)
class Published:
    """A design and its network: sizes of fully connected layers, bits of the input, of weights, of activations.

    latency_us: on the board, of one inference.
    """

    name: str
    made_with: str
    sizes: tuple[int, ...]
    input_bits: int
    weight_bits: int
    activation_bits: int
    latency_us: float
    resources: Resources


DESIGNS = (
    Published("kws_w3a3", "FINN", (490, 256, 256, 256, 12), 8, 3, 3, 17.5, Resources(33732, 34405, 1, 74, 0)),
    Published(
        "autoencoder_ad08", "hls4ml", (64, 72, 72, 8, 72, 72, 64), 8, 13, 7, 18.7, Resources(40658, 51879, 205, 29, 0)
    ),
)


def network_of(design: Published) -> onnx.ModelProto:
    """The network as QONNX: Quant, then for each layer MatMul by a Quant of random weights, Relu and Quant; no bias.

    Weights have a scale for each output, so that every output gets steps of its own, as after batch normalization.
    """
    random = np.random.default_rng(7)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: object) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def quant(x: str, y: str, scale: object, bits: int, signed: bool) -> str:
        given = [constant(f"{y}_{what}", value) for what, value in (("scale", scale), ("zero", 0.0), ("bits", bits))]
        nodes.append(
            helper.make_node(
                "Quant", [x, *given], [y], domain=DOMAIN, signed=int(signed), narrow=0, rounding_mode="ROUND"
            )
        )
        return y

    x = quant("x", "x_quant", 1 / 64, design.input_bits, True)
    reach = 1.0
    for number, (inputs, outputs) in enumerate(zip(design.sizes, design.sizes[1:], strict=False), start=1):
        weights = random.normal(0, 1, (inputs, outputs)).astype(np.float32)
        most = (1 << (design.weight_bits - 1)) - 1
        scales = np.abs(weights).max(axis=0, keepdims=True) / most
        w = quant(constant(f"weights{number}", weights), f"weights{number}_quant", scales, design.weight_bits, True)
        last = number == len(design.sizes) - 1
        nodes.append(helper.make_node("MatMul", [x, w], ["y" if last else f"sums{number}"]))
        if last:
            break
        nodes.append(helper.make_node("Relu", [f"sums{number}"], [f"relu{number}"]))
        reach *= float(np.sqrt(inputs))
        scale = 2 * reach / (1 << design.activation_bits)
        x = quant(f"relu{number}", f"codes{number}", scale, design.activation_bits, False)
    graph = helper.make_graph(
        nodes,
        design.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, design.sizes[0]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, design.sizes[-1]))],
        constants,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@dataclass(frozen=True)
class Row:
    """What was asked for, and the estimate of what was chosen."""

    asked: str
    latency_us: float
    fps: float
    resources: Resources
    seconds: float

    @classmethod
    def of(cls, asked: str, made: HlsDesign, seconds: float) -> Row:
        found = made.estimate
        return cls(asked, found.latency_us, found.fps, found.resources, seconds)


def rows_of(design: Published) -> list[Row]:
    """The estimate for three goals: the published latency; the least, and the most frames, in those resources."""
    model = network_of(design)
    within = json.dumps(design.resources.as_dict())
    published_s = design.latency_us * 1e-6
    goals = (
        ("the published latency, fewest resources", HlsOptions(PART, CLOCK_MHZ, latency=published_s)),
        ("least latency in the published resources", HlsOptions(PART, CLOCK_MHZ, latency=1e-7, budget=within)),
        ("most frames in the published resources", HlsOptions(PART, CLOCK_MHZ, budget=within)),
    )
    rows = []
    for asked, options in goals:
        start = perf_counter()
        made = design_of(model, Options(name=design.name), options)
        rows.append(Row.of(asked, made, perf_counter() - start))
    return rows


def table(design: Published, rows: Sequence[Row]) -> str:
    header = f"{'':46}{'latency us':>12}{'frames/s':>12}" + "".join(f"{kind:>9}" for kind in KINDS)
    published = f"published, made with {design.made_with}, measured"
    lines = [f"{design.name}: {' - '.join(map(str, design.sizes))}, W{design.weight_bits}A{design.activation_bits}"]
    lines += [header, _line(published, f"{design.latency_us:.1f}", "-", design.resources)]
    lines += [
        _line(f"estimate: {row.asked}", f"{row.latency_us:.1f}", f"{row.fps:,.0f}", row.resources) for row in rows
    ]
    return "\n".join(lines)


def _line(what: str, latency: str, fps: str, resources: Resources) -> str:
    return f"{what:52.52}{latency:>6}{fps:>12}" + "".join(f"{count:>9}" for count in resources.counts)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fpga", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON of the rows")
    parser.add_argument("--resources", help='JSON {"kws_w3a3": {"lut": ..}, ..} in place of those published')
    given = parser.parse_args(arguments)
    other = json.loads(given.resources) if given.resources else {}
    found = {}
    for design in DESIGNS:
        design = replace(design, resources=replace(design.resources, **other.get(design.name, {})))
        rows = rows_of(design)
        sys.stdout.write(table(design, rows) + "\n\n")
        sys.stdout.flush()
        found[design.name] = {
            "published": {"latency_us": design.latency_us, "resources": design.resources.as_dict()},
            "estimates": [
                {"asked": row.asked, "latency_us": row.latency_us, "fps": row.fps, "resources": row.resources.as_dict()}
                for row in rows
            ],
        }
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
