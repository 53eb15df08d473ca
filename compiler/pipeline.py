"""From a model to a lowered graph: which passes run, in which order, and why. The page to read first."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from subbyte.compiler import knobs
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.grids import grid_text
from subbyte.compiler.ir.plan import ActivationGrid, Plan
from subbyte.compiler.pass_manager import Pass, Step, run_passes
from subbyte.compiler.target import Target
from subbyte.compiler.tuning import TuningRecord
from subbyte.passes.choose_layout import choose_layout
from subbyte.passes.choose_requantization import choose_requantization
from subbyte.passes.choose_signs import choose_signs
from subbyte.passes.convolve_by_phases import convolve_by_phases
from subbyte.passes.dequantize_constants import dequantize_constants
from subbyte.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from subbyte.passes.expose_codes import expose_codes
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.fold_blocks import fold_blocks
from subbyte.passes.fold_constant_codes import fold_constant_codes
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.fuse_activation import fuse_activation
from subbyte.passes.fuse_padding import fuse_padding
from subbyte.passes.fuse_repacks import fuse_repacks
from subbyte.passes.fuse_scales import fuse_scales
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.keep_codebooks import keep_codebooks
from subbyte.passes.keep_weights_packed import keep_weights_packed
from subbyte.passes.lower_to_kernels import lower_to_kernels
from subbyte.passes.merge_duplicate_filters import merge_duplicate_filters
from subbyte.passes.merge_functions import merge_functions
from subbyte.passes.merge_requantizations import merge_requantizations
from subbyte.passes.move_scales import move_scales
from subbyte.passes.narrow_dtypes import narrow_dtypes
from subbyte.passes.narrow_ranges import narrow_ranges
from subbyte.passes.pack_activations import pack_activations
from subbyte.passes.quantize_activations import quantize_activations
from subbyte.passes.recognize_codebooks import recognize_codebooks
from subbyte.passes.recognize_fake_quantize import recognize_fake_quantize
from subbyte.passes.recognize_normalization import recognize_normalization
from subbyte.passes.refuse_fallbacks import refuse_fallbacks
from subbyte.passes.refuse_islands import refuse_islands
from subbyte.passes.remove_constant_channels import remove_constant_channels
from subbyte.passes.remove_dead_nodes import remove_dead_nodes
from subbyte.passes.replace_islands import replace_islands
from subbyte.passes.simplify_constant_filters import simplify_constant_filters

if TYPE_CHECKING:
    import onnx

    Model = str | os.PathLike[str] | bytes | onnx.ModelProto


@dataclass(frozen=True)
class Options:
    """What a user may ask of a compilation, beside the model and the target.

    dims: values for symbolic dimensions. strict: a kernel of `portable` may not stand in for a missing one.
    integer_only: float islands become integer functions of a stated distance, and none may be left.
    threads: how many the module is made to run on; the code is the same.
    io: "model": inputs and outputs as in the model; "quantized": as codes where the model quantizes them itself.
    weights: "inline" in the C source, "file" beside it, None: by size. name: of the C functions, None: the graph's.
    remove_work: leave out what range analysis proves constant or unused; the numbers are the same either way.
    activation_bits: 8: float activations of weight-only matrix products become 8-bit codes while the model runs.
    tuning: kernels and values of their knobs by ONNX node, where the cost model is not to choose; no number changes.
    input_grids: float inputs by name whose values are taken to lie on a grid: they are quantized to it first, so that
        what follows can be integers. Numbers change where values do not lie on it.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    strict: bool = False
    integer_only: bool = False
    threads: int = 1
    io: str = "model"
    weights: str | None = None
    name: str | None = None
    remove_work: bool = True
    activation_bits: int | None = None
    tuning: tuple[TuningRecord, ...] = ()
    input_grids: Mapping[str, ActivationGrid] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation_bits not in (8, None):
            raise UnsupportedError(
                f"activation_bits is {self.activation_bits}; 8 is the width that there are kernels for"
            )

    def recorded(self) -> dict[str, Any]:
        """What the manifest says about how a bundle was made."""
        return {
            "dims": dict(self.dims),
            "strict": self.strict,
            "integer_only": self.integer_only,
            "io": self.io,
            "weights": self.weights,
            "remove_work": self.remove_work,
            "activation_bits": self.activation_bits,
            "tuning": [record.as_dict() for record in self.tuning],
            "input_grids": {name: grid_text(grid) for name, grid in self.input_grids.items()},
        }


def meaning_passes(options: Options) -> tuple[Pass, ...]:
    """Importer's graph -> QUANTIZED: the model's meaning. Only these may move a number, each by what it declares."""
    passes: list[Pass] = [
        *([insert_quantizers(Plan(activations=options.input_grids))] if options.input_grids else []),
        fold_constants,
        recognize_fake_quantize,  # before the weights of fake-quantized products are scaled
        recognize_normalization,
        move_scales,
        fold_batch_norm,  # float weights; behind quantized ones fold_qdq takes the gain into the requantization
        remove_dead_nodes,
        fold_qdq,
        fold_blocks,  # what has a scale for each block is no operand of fold_qdq's sums
        fuse_scales,
        *([replace_islands] if options.integer_only else []),
        fuse_padding,
        fuse_activation,
        remove_dead_nodes,
    ]
    if options.activation_bits == 8:
        passes.append(quantize_activations)
    if options.io == "quantized":
        passes.append(expose_codes)
    if options.integer_only:
        passes.append(refuse_islands)
    return tuple(passes)


def work_passes(options: Options) -> tuple[Pass, ...]:
    """QUANTIZED -> QUANTIZED with less to compute: all exact. The meaning of a model is what it is without them."""
    if not options.remove_work:
        return ()
    return (
        eliminate_common_subexpressions,
        fold_constant_codes,  # before the channels: one of each value stays
        simplify_constant_filters,  # leaves zero weights, as the next does
        merge_duplicate_filters,
        remove_constant_channels,
        narrow_ranges,
        remove_dead_nodes,  # clamps that cut nothing
    )


def target_passes(options: Options) -> tuple[Pass, ...]:
    """QUANTIZED -> LOWERED for a target: all exact."""
    passes: list[Pass] = [
        *work_passes(options),
        keep_weights_packed,
        dequantize_constants,  # other weights of float islands
        keep_codebooks,  # those of them that have few values
        narrow_dtypes,
        choose_signs,  # before the layouts: its nodes are free wherever they end up
        recognize_codebooks,  # after all that takes weights apart, or moves their zero points
        choose_layout,
        merge_functions,
        merge_requantizations,  # what is left between a sum and the codes that are wanted of it
        convolve_by_phases,  # with all that is merged into them, and stored as kernels want it
        choose_requantization,
        pack_activations,
        fuse_repacks,  # what is stored otherwise than its reader wants, packed or not
        lower_to_kernels,
    ]
    if options.strict:
        passes.append(refuse_fallbacks)
    return tuple(passes)


def pipeline(options: Options, target: Target) -> tuple[Pass, ...]:
    """All passes, in order."""
    del target  # every target takes the same way; the passes ask it what it can do
    return meaning_passes(options) + target_passes(options)


def quantized(
    model: Model | Graph, options: Options | None = None, *, on_step: Callable[[Step], None] | None = None
) -> Graph:
    """The graph that says what `model` means; `evaluate` interprets it.

    Args: model: a path, bytes, a ModelProto, or a graph of stage imported or quantized.
    Raises: ModelError, UnsupportedError, GraphError, NumericsError.
    """
    options = options or Options()
    graph = _imported(model, options)
    _need_float_inputs(graph, options.input_grids)
    return graph if graph.stage is Stage.QUANTIZED else _run(graph, meaning_passes(options), None, on_step)


def lowered(
    model: Model | Graph,
    target: Target,
    options: Options | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
) -> Graph:
    """The graph of kernel calls for `target`; codegen prints it.

    Raises: as `quantized`; UnsupportedError also where an operation has no kernel.
    """
    options = options or Options()
    graph = quantized(model, options, on_step=on_step)
    return _run(graph, target_passes(options), replace(target, tuning=options.tuning), on_step)


def all_passes() -> tuple[Pass, ...]:
    """Every pass there is, by name: each stands in the file of its name in passes/."""
    package = importlib.import_module("subbyte.passes")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
    found = (getattr(importlib.import_module(f"subbyte.passes.{name}"), name, None) for name in names)
    return tuple(one for one in found if isinstance(one, Pass))


def find_pass(name: str) -> Pass:
    """The pass called `name`.  Raises UnsupportedError, naming all of them."""
    passes = {one.name: one for one in all_passes()}
    if name not in passes:
        raise UnsupportedError(f"there is no pass '{name}'; the passes are {', '.join(passes)}")
    return passes[name]


def _imported(model: Model | Graph, options: Options) -> Graph:
    if isinstance(model, Graph):
        return model
    from subbyte.compiler.importer import import_model

    return import_model(model, dims=dict(options.dims))


def _need_float_inputs(graph: Graph, grids: Mapping[str, ActivationGrid]) -> None:
    floats = [node.name for node in graph.inputs if node.type.dtype.is_float]
    stray = sorted(set(grids) - set(floats))
    if stray:
        raise ModelError(
            f"a grid is given for '{stray[0]}', which is no float input of the model; "
            f"{'those are ' + ', '.join(map(repr, floats)) if floats else 'it has none'}"
        )


def _run(
    graph: Graph, passes: tuple[Pass, ...], target: Target | None, on_step: Callable[[Step], None] | None
) -> Graph:
    stop = knobs.STOP_AFTER.read()
    return run_passes(
        graph,
        passes,
        target,
        verify=knobs.VERIFY_PASSES.read(),
        print_after=[name for name in knobs.PRINT_AFTER.read().split(",") if name],
        write=lambda text: print(text, file=sys.stderr),
        stop_after=None if stop < 0 else stop,
        on_step=on_step,
    )
