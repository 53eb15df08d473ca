"""driver/NAME_pynq.py: a class that takes and gives NumPy codes, by PYNQ's overlays and buffers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from subbyte.targets.hls.bus.protocols import DesignBus, Protocol
from subbyte.targets.hls.drivers.border import TEMPLATES, Border, borders_of, columns_first
from subbyte.targets.hls.project.options import Tensor
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.texts import wrapped


def pynq_file(name: str, bus: DesignBus, tensors: Sequence[Tensor]) -> dict[str, bytes]:
    """The file by path."""
    borders = borders_of(bus, tensors)
    is_stream = bus.protocol is Protocol.AXIS
    inputs = [border for border in borders if border.port.is_input]
    outputs = [border for border in borders if not border.port.is_input]
    move = TEMPLATES / ("driver_pynq_stream.py.in" if is_stream else "driver_pynq_memory.py.in")
    text = (TEMPLATES / "driver_pynq.py.in").read_text(encoding="ascii")
    for key, value in {
        "NAME": name,
        "CLASS": "".join(part[:1].upper() + part[1:] for part in name.split("_")),
        "EXAMPLE": ", ".join(f'"{border.port.name}": {border.port.name}' for border in inputs),
        "ABOUT": "\n".join(border.text.replace("\\", "/").replace('"', "'") for border in borders),
        "INPUT_ROWS": "\n".join(_row(border, is_stream) for border in inputs),
        "OUTPUT_ROWS": "\n".join(_row(border, is_stream) for border in outputs),
        "MOVE": move.read_text(encoding="ascii").rstrip("\n"),
    }.items():
        text = text.replace(f"@{key}@", value)
    return {f"driver/{name}_pynq.py": text.encode("ascii")}


def _row(border: Border, is_stream: bool) -> str:
    port, tensor = border.port, border.tensor
    fields = {
        "tensor": ascii(tensor.name),
        "shape": repr(port.shape),
        "dtype": f'"{border.numpy_name}"',
        "tensor_dtype": f'"{border.tensor_type}"',
        "range": f"({port.element.low}, {port.element.high})",
        "bipolar": repr(port.element.bipolar),
        "order": _order(port.order),
        "buffer_bytes": str(port.frame_bytes if is_stream else port.buffer_bytes),
        "scales": repr([float(np.float32(scale)) for scale in tensor.scales]),
        "zero_points": repr(list(tensor.zero_points)),
        "axis": repr(tensor.axis),
    }
    lines = "".join(f'        "{key}": {value},\n' for key, value in fields.items())
    return f'    "{port.name}": {{\n{lines}    }},'


def _order(order: Codes) -> str:
    """An expression of NumPy for the order; a short one where channels are dealt out pixel by pixel."""
    channels = columns_first(order)
    if channels == 1:
        return f"np.arange({order.size})"
    if channels is not None:
        return f"np.arange({order.size}).reshape({channels}, -1).T.reshape(-1)"
    return f"np.array(\n            [\n{wrapped(map(str, order.tolist()), ' ' * 16)},\n            ]\n        )"
