"""What stays on the processor, as C of the target `portable`: in front of the core, and behind it."""

from __future__ import annotations

from dataclasses import replace

from subbyte.compiler.codegen.bundle import bundle_files, make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.hls.partition import Partition
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.target import find_target
from subbyte.compiler.version import VERSION


def host_files(parts: Partition, name: str, options: Options) -> dict[str, bytes]:
    """Bundles in host/before/ and host/behind/, functions NAME_before_run and NAME_behind_run; none where none is due.

    Their inputs and outputs carry the names of the model, and those of the core's ports between.
    """
    files: dict[str, bytes] = {}
    target = find_target("portable")
    for side, graph in (("before", parts.before), ("behind", parts.behind)):
        if graph is None:
            continue
        own = replace(
            options, io="model", weights="inline", name=f"{name}_{side}", tuning=(), strict=False, input_grids={}
        )
        program = build_program(lowered(graph, target, own), target)
        bundle = make_bundle(program, f"{name}_{side}", "inline", own.recorded(), VERSION)
        files |= {f"host/{side}/{path}": content for path, content in bundle_files(bundle, {}).items()}
    return files
