"""compile_project: a model to the files of a project for high-level synthesis, and what was found on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.codegen.bundle import FORMAT, Bundle, tensor_entry
from subbyte.compiler.errors import GraphError
from subbyte.compiler.hls.border import border_entry
from subbyte.compiler.hls.golden import golden_of
from subbyte.compiler.hls.host import host_files
from subbyte.compiler.hls.options import GOLDEN_SAMPLES, HlsOptions
from subbyte.compiler.hls.partition import Partition, partition
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.text import print_graph
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.samples import random_samples
from subbyte.compiler.target import find_target
from subbyte.compiler.version import VERSION
from subbyte.targets.hls import registry  # noqa: F401 - what actors are is registered by importing them
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.bus import attach, bus_of, with_port_names
from subbyte.targets.hls.drivers import driver_files
from subbyte.targets.hls.estimate import Estimate, estimate
from subbyte.targets.hls.estimate.report import report_files
from subbyte.targets.hls.expand import expand
from subbyte.targets.hls.folding import FoldingResult, Measured, choose_folding
from subbyte.targets.hls.folding.read import fields_of
from subbyte.targets.hls.layers import Fold, Network
from subbyte.targets.hls.network import build_network
from subbyte.targets.hls.parts import budget_of
from subbyte.targets.hls.project import make_project
from subbyte.targets.hls.project.options import ProjectOptions, Tensor
from subbyte.targets.hls.project.runner import runner
from subbyte.targets.hls.schedule.depths import WORK, depths_of
from subbyte.targets.hls.support import reason_against
from subbyte.targets.hls.tcl import tcl_files
from subbyte.targets.hls.texts import identifier

if TYPE_CHECKING:
    import os

    import onnx

    Model = str | os.PathLike[str] | bytes | onnx.ModelProto

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class HlsDesign:
    """A model as hardware: its parts, the lowered core, the design with its FIFOs, what it is estimated to take."""

    name: str
    parts: Partition
    core: Graph
    network: Network
    folding: FoldingResult
    design: Design
    estimate: Estimate
    options: Options = field(repr=False)
    hls: HlsOptions = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the core's text and of how it is folded."""
        folds = [(name, *fields_of(fold).values()) for name, fold in sorted(self.folding.folding.items())]
        return hashlib.sha256(
            f"{print_graph(self.core)}{folds}{sorted(self.design.depths.items())}".encode()
        ).hexdigest()


def design_of(model: Model | Graph, options: Options, hls: HlsOptions) -> HlsDesign:
    """The design of `model` for `hls.device`: folded towards its goal, with FIFO depths, estimated.

    Raises: ModelError, UnsupportedError: a structure that is not built, by node and reason; not even the smallest
        folding fits. ToolchainError: SciPy is missing.
    """
    whole = quantized(model, options)
    parts = partition(whole, reason_against)
    core = lowered(parts.core, find_target("hls"), replace(options, input_grids={}))  # the whole has them already
    name = identifier(options.name or whole.name, "model")
    network = build_network(core, hls.most_terms)
    budget = budget_of(hls.device, hls.budget)
    ports = [[identifier(port, "port") for port in names] for names in (network.input_names, network.output_names)]

    def expanded(folds: Mapping[str, Fold], work: int = WORK) -> tuple[Design, Estimate]:
        found = attach(expand(network, folds, hls.bus_bits), hls.bus_bits)
        found = with_port_names(found, *ports)
        depths = depths_of(found, work)
        reasons = {stream: depth.reason for stream, depth in depths.fifos.items()}
        design = replace(found, name=name, depths=depths.words)
        latency = depths.first_latency
        return design, estimate(design, hls.device, hls.goal.clock_mhz, budget, reasons, latency)

    def measure(folds: Mapping[str, Fold]) -> Measured:
        _, found = expanded(folds, work=0)  # depths that suffice; the smallest are searched for when folds are chosen
        return Measured(found.resources, found.frame_cycles, found.latency_cycles)

    folding = choose_folding(network, hls.goal, hls.device, budget, hls.folds, hls.bus_bits, measure)
    design, found = expanded(folding.folding)
    return HlsDesign(name, parts, core, network, folding, design, found, options, hls)


def project_of(made: HlsDesign, samples: Sequence[Arrays] | None = None) -> Bundle:
    """The files of the project, and its manifest.

    samples: inputs of the model, whose golden vectors the testbench compares with; a few random ones by default.
    """
    if samples is None:
        types = {node.name: node.type for node in made.parts.whole.inputs}
        samples = list(random_samples(types, GOLDEN_SAMPLES))
    golden = golden_of(made.core, made.design, [made.parts.core_inputs(sample) for sample in samples])
    bus = bus_of(made.design, made.hls.interface, made.hls.bus_bits)
    files = {
        **host_files(made.parts, made.name, made.options),
        **{name: text.encode() for name, text in report_files(made.estimate, made.folding, made.network).items()},
        **tcl_files(made.design, made.hls.device, made.hls.goal.clock_mhz, made.hls.interface, made.hls.bus_bits),
        **driver_files(made.design, bus, _tensors(made)),
        f"tb/run_{made.name}.cpp": runner(made.design, bus).encode(),
    }
    if made.hls.rtl:
        from subbyte.targets.hls.rtl import rtl_files

        files |= rtl_files(made.design)
    options = ProjectOptions(VERSION, made.digest, made.parts.whole.name, _tensors(made), files)
    return Bundle(made.name, make_project(made.design, options, golden, bus), _manifest(made, len(samples)))


def _tensors(made: HlsDesign) -> tuple[Tensor, ...]:
    """The ports of the core, inputs first, with what their codes mean."""
    ports = [(node.name, node.type, stream) for node, stream in zip(made.core.inputs, made.design.inputs, strict=True)]
    ports += [
        (output.name, output.value.type, stream)
        for output, stream in zip(made.core.outputs, made.design.outputs, strict=True)
    ]
    tensors = []
    for name, of_type, stream in ports:
        scales: tuple[float, ...] = ()
        zero_points: tuple[int, ...] = ()
        axis: int | None = None
        if of_type.quant is not None:
            scale, zero_point = of_type.quant.static()
            scales = tuple(float(value) for value in np.atleast_1d(scale))
            zero_points = tuple(int(value) for value in np.atleast_1d(zero_point))
            axis = of_type.quant.axis if len(scales) > 1 else None
        tensors.append(Tensor(name, stream.name, of_type.shape, of_type.dtype.name, scales, zero_points, axis))
    return tuple(tensors)


def _manifest(made: HlsDesign, samples: int) -> dict[str, Any]:
    whole = made.parts.whole
    if any(output.value.type.quant is not None and not output.value.type.quant.is_static for output in whole.outputs):
        raise GraphError("an output has a scale that is computed at run time")
    return {
        "format": FORMAT,
        "name": made.name,
        "model": whole.name,
        "subbyte_version": VERSION,
        "abi_version": 0,  # nothing is linked: the simulation is a program
        "target": "hls",
        "features": [],
        "digest": made.digest,
        "inputs": [tensor_entry(node.name, node.type) for node in whole.inputs],
        "outputs": [tensor_entry(output.name, output.value.type) for output in whole.outputs],
        "core": {
            "inputs": [
                border_entry(node.name, stream)
                for node, stream in zip(made.core.inputs, made.design.inputs, strict=True)
            ],
            "outputs": [
                border_entry(output.name, stream)
                for output, stream in zip(made.core.outputs, made.design.outputs, strict=True)
            ],
            "of_outputs": made.parts.sources(),
        },
        "weights": {"bytes": 0, "file": None, "file_bytes": 0, "sha256": None, "arrays": []},
        "golden_samples": samples,
        "processor": {"macs": made.parts.macs[0] + made.parts.macs[2], "nodes": dict(made.parts.reasons)},
        "options": {**made.options.recorded(), **made.hls.recorded()},
    }
