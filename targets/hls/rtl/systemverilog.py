"""MLIR text to SystemVerilog by CIRCT's passes and printer."""

from __future__ import annotations

import io
from typing import Any

from subbyte.compiler.errors import ToolchainError

# What Verilator 5.006 and Yosys 0.23 both read: no packed arrays, no always_comb, no variables inside of processes.
STYLE = (
    "disallowLocalVariables",
    "disallowPackedArrays",
    "disallowPortDeclSharing",
    "emittedLineLength=120",
    "locationInfoStyle=none",
    "noAlwaysComb",
    "omitVersionComment",
)
PASSES = "builtin.module(cse,canonicalize,lower-seq-to-sv,hw.module(cse,canonicalize,hw-cleanup,prettify-verilog))"


def systemverilog(modules: str) -> str:
    """The hw.modules of `modules` in SystemVerilog.

    Raises: ToolchainError: CIRCT is not installed, or refuses the text, which is a fault of ours.
    """
    circt, passmanager, ir = _circt()
    text = f'module attributes {{circt.loweringOptions = "{",".join(STYLE)}"}} {{\n{modules}}}\n'
    with ir.Context() as context, ir.Location.unknown():
        circt.register_dialects(context)
        try:
            module = ir.Module.parse(text)
            passmanager.PassManager.parse(PASSES).run(module.operation)
        except ir.MLIRError as error:
            raise ToolchainError(f"CIRCT refuses a netlist of subbyte: {error}; please report this") from error
        printed = io.StringIO()
        circt.export_verilog(module, printed)
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines()) + "\n"


def _circt() -> tuple[Any, Any, Any]:
    try:
        import circt
        from circt import ir, passmanager
    except ImportError as error:
        raise ToolchainError(
            "SystemVerilog is printed by CIRCT, and the Python package 'circt' is not installed; "
            "`pip install 'subbyte[hls]'` brings it."
        ) from error
    return circt, passmanager, ir
