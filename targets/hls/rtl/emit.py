"""SystemVerilog of actors and designs."""

from __future__ import annotations

from subbyte.targets.hls.actors import Actor
from subbyte.targets.hls.rtl.rtl import rtl
from subbyte.targets.hls.rtl.systemverilog import systemverilog


def emit_rtl(actor: Actor) -> str:
    """The module of `actor` in SystemVerilog.

    Raises: UnsupportedError: it has none. ToolchainError: CIRCT is not installed.
    """
    return systemverilog(rtl(actor).modules)
