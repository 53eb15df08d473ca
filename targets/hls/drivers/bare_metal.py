"""driver/NAME_driver.h and .c: C99 without an operating system or a vendor's library; addresses are parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from subbyte.targets.hls.bus.protocols import DesignBus, Protocol
from subbyte.targets.hls.drivers.border import TEMPLATES, Border, borders_of, columns_first
from subbyte.targets.hls.project.options import Tensor
from subbyte.targets.hls.texts import wrapped

_STREAM_ERRORS = {
    "DMA": (-3, "a DMA met an error of the bus"),
    "LENGTH": (-4, "an output ended too early"),
}
_STREAM_OPEN = """\
// Resets the DMAs, and again after an error. What the accelerator holds of a frame that was moved in part stays there;
// only a reset of the logic takes it away."""
_MEMORY_OPEN = "// Waits until the accelerator is idle."
_MEMORY_ERRORS = {"BUSY": (-3, "the accelerator has not finished what it does")}


def bare_metal_files(name: str, bus: DesignBus, tensors: Sequence[Tensor]) -> dict[str, bytes]:
    """Both files by path."""
    borders = borders_of(bus, tensors)
    is_stream = bus.protocol is Protocol.AXIS
    errors = _STREAM_ERRORS if is_stream else _MEMORY_ERRORS
    values = {
        "NAME": name,
        "GUARD": f"{name.upper()}_DRIVER_H_",
        "ABOUT": _about(bus, borders),
        "PORTS": "\n".join(_declarations(name, border, is_stream) for border in borders),
        "ERRORS": "\n".join(f"    {name}_ERROR_{key} = {code},  // {text}" for key, (code, text) in errors.items()),
        "OPEN": _STREAM_OPEN if is_stream else _MEMORY_OPEN,
        "DEVICE": _device(borders) if is_stream else "    uintptr_t accelerator;  // registers of s_axi_control",
        "PARAMETERS": ", ".join(_parameter(border) for border in borders),
        "REGISTERS": ", ".join(_registers(border, is_stream) for border in borders),
        "INPUTS": str(len(bus.inputs)),
        "ALL": str(len(borders)),
        "TRANSFERS": "\n".join(f"        {_transfer(name, border, is_stream, n)}," for n, border in enumerate(borders)),
    }
    body = (TEMPLATES / ("driver_stream.c.in" if is_stream else "driver_memory.c.in")).read_text(encoding="ascii")
    source = (TEMPLATES / "driver_access.c.in").read_text(encoding="ascii") + body
    source += "\n" + "\n".join(_definitions(name, border) for border in borders)
    header = (TEMPLATES / "driver.h.in").read_text(encoding="ascii")
    return {
        f"driver/{name}_driver.h": _filled(header, values),
        f"driver/{name}_driver.c": _filled(source, values),
    }


def _filled(text: str, values: dict[str, str]) -> bytes:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode("ascii")


def _about(bus: DesignBus, borders: Sequence[Border]) -> str:
    lines = [border.text for border in borders]
    if bus.protocol is Protocol.AXIS:
        lines += ["", "Each port has an AXI DMA without scatter-gather, as tcl/vivado.tcl connects them."]
    else:
        lines += ["", "The accelerator reads and writes memory by itself; its registers say where."]
    lines.append("Floats only in the scales: real = scale * (code - zero point); the hardware has integers alone.")
    return "\n".join(f"// {line}".rstrip() for line in lines)


def _declarations(name: str, border: Border, is_stream: bool) -> str:
    own = f"{name}_{border.port.name}"
    size = border.port.frame_bytes if is_stream else border.port.buffer_bytes
    move = f"{own}_pack" if border.port.is_input else f"{own}_unpack"
    of_array = f"a frame of {size} bytes, aligned to {border.port.bus_bits // 8}"
    if border.port.is_input:
        moved = f"void {move}(const {border.port.dtype.c_type}* tensor, {border.c_type}* frame);"
        direction = "The tensor, row-major, to a frame."
    else:
        moved = f"void {move}(const {border.c_type}* frame, {border.port.dtype.c_type}* tensor);"
        direction = "A frame to the tensor, row-major."
    scales, axis = len(border.tensor.scales), border.tensor.axis
    lines = [
        f"// {border.port.name}: {of_array}. {direction}",
        f"enum {{ {own}_codes = {border.port.codes}, {own}_bytes = {size} }};",
        moved,
    ]
    if scales:
        lines += [
            f"extern const float {own}_scales[{scales}];" + (f"  // along axis {axis}" if axis is not None else ""),
            f"extern const int32_t {own}_zero_points[{scales}];",
        ]
    return "\n".join([*lines, ""])


def _device(borders: Sequence[Border]) -> str:
    return "\n".join(f"    uintptr_t dma_{border.port.name};  // registers of its DMA" for border in borders)


def _parameter(border: Border) -> str:
    return f"{'const ' if border.port.is_input else ''}{border.c_type}* {border.port.name}_frame"


def _registers(border: Border, is_stream: bool, number: int = 0) -> str:
    if is_stream:
        return f"device->dma_{border.port.name} + {'MM2S' if border.port.is_input else 'S2MM'}"
    return f"device->accelerator + FIRST_ADDRESS + {number} * ADDRESS_STEP"


def _transfer(name: str, border: Border, is_stream: bool, number: int) -> str:
    port = border.port
    size = f"{name}_{port.name}_bytes"
    return f"{{{port.name}_frame, {size}, {port.bus_bits // 8}, {_registers(border, is_stream, number)}}}"


def _definitions(name: str, border: Border) -> str:
    """The constants of a port, and what puts its elements into the order of the stream."""
    port, own = border.port, f"{name}_{border.port.name}"
    channels = columns_first(port.order)
    lines = []
    if border.tensor.scales:
        scales = wrapped((_float(scale) for scale in border.tensor.scales), "    ")
        zero_points = wrapped(map(str, border.tensor.zero_points), "    ")
        lines += [
            f"const float {own}_scales[{len(border.tensor.scales)}] = {{\n{scales}}};",
            f"const int32_t {own}_zero_points[{len(border.tensor.zero_points)}] = {{\n{zero_points}}};",
            "",
        ]
    if channels is None:
        order = wrapped(map(str, port.order.tolist()), "    ")
        lines += [f"static const uint32_t {own}_order[{port.codes}] = {{\n{order}}};", ""]
        element = f"{own}_order[i]"
    elif channels == 1:
        element = "i"
    else:  # channels side by side in the stream, one after the other in the tensor
        element = f"i % {channels} * {port.codes // channels} + i / {channels}"
    tensor = border.port.dtype.c_type
    if port.is_input:
        signature = f"void {own}_pack(const {tensor}* tensor, {border.c_type}* frame)"
        statement = f"frame[i] = ({border.c_type})tensor[{element}];"
    else:
        signature = f"void {own}_unpack(const {border.c_type}* frame, {tensor}* tensor)"
        statement = f"tensor[{element}] = frame[i];"
    lines += [
        f"{signature} {{",
        f"    for (size_t i = 0; i < {own}_codes; ++i) {statement}",
        "}",
        "",
    ]
    return "\n".join(lines)


def _float(value: float) -> str:
    """A float32 as a C literal that reads back as the same."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
