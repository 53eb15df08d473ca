"""Data movement in ONNX: what is static in a graph is a constant operand."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.exporter import qonnx
from subbyte.compiler.exporter.writer import Writer, unsupported, writes
from subbyte.compiler.ir import ops


@writes(ops.Reshape)
def write_reshape(writer: Writer, node: ops.Reshape) -> None:
    name = writer.result(node)
    shape = writer.integers(f"{name}.shape", node.shape)
    empty = 1 if 0 in node.shape else None
    writer.emit(node, "Reshape", [writer.operand(node.x, f"{name}.0"), shape], allowzero=empty)


@writes(ops.Transpose)
def write_transpose(writer: Writer, node: ops.Transpose) -> None:
    writer.emit_on(node, "Transpose", node.x, perm=node.perm)


@writes(ops.Concat)
def write_concat(writer: Writer, node: ops.Concat) -> None:
    writer.emit_on(node, "Concat", *node.values, axis=node.axis)


@writes(ops.Split)
def write_split(writer: Writer, node: ops.Split) -> None:
    name = writer.result(node)
    sizes = writer.integers(f"{name}.sizes", node.sizes)
    writer.emit(node, "Split", [writer.operand(node.x, f"{name}.0"), sizes], axis=node.axis)


@writes(ops.Slice)
def write_slice(writer: Writer, node: ops.Slice) -> None:
    """Only axes that are cut; an end before the first element is written so that it does not count from the end."""
    name, extents = writer.result(node), node.x.type.shape
    whole = [(0, extent, 1) for extent in extents]
    spans = list(zip(node.starts, node.ends, node.steps, strict=True))
    axes = [axis for axis, span in enumerate(spans) if span != whole[axis]] or [0]
    ends = [node.ends[axis] if node.ends[axis] >= 0 else -extents[axis] - 1 for axis in axes]
    columns = {
        "starts": [node.starts[axis] for axis in axes],
        "ends": ends,
        "axes": axes,
        "steps": [node.steps[axis] for axis in axes],
    }
    operands = [writer.integers(f"{name}.{role}", numbers) for role, numbers in columns.items()]
    writer.emit(node, "Slice", [writer.operand(node.x, f"{name}.0"), *operands])


_WRAP_OPSET = 19


@writes(ops.Pad)
def write_pad(writer: Writer, node: ops.Pad) -> None:
    name = writer.result(node)
    operands = [writer.operand(node.x, f"{name}.0"), writer.integers(f"{name}.pads", node.pads)]
    if node.mode == "constant":
        quant, held = node.x.type.quant, writer.held(operands[0])
        is_real = held.is_float and quant is not None  # codes of QONNX
        value = qonnx.real(node, quant, int(node.value)) if is_real and quant is not None else node.value
        operands.append(writer.constant(f"{name}.value", value, held))
    if node.mode == "wrap":
        writer.need(_WRAP_OPSET)
    writer.emit(node, "Pad", operands, mode=node.mode)


@writes(ops.Gather)
def write_gather(writer: Writer, node: ops.Gather) -> None:
    writer.emit_on(node, "Gather", node.x, node.indices, axis=node.axis)


@writes(ops.DepthToSpace)
def write_depth_to_space(writer: Writer, node: ops.DepthToSpace) -> None:
    writer.emit_on(node, "DepthToSpace", node.x, blocksize=node.block, mode=node.mode)


@writes(ops.SpaceToDepth)
def write_space_to_depth(writer: Writer, node: ops.SpaceToDepth) -> None:
    writer.emit_on(node, "SpaceToDepth", node.x, blocksize=node.block)


# Resize ---------------------------------------------------------------------------------------------------------------

_SYMMETRIC_OPSET = 19


@writes(ops.ResizeNearest)
def write_resize_nearest(writer: Writer, node: ops.ResizeNearest) -> None:
    _write_resize(writer, node, mode="nearest", nearest_mode=node.rounding)


@writes(ops.ResizeLinear)
def write_resize_linear(writer: Writer, node: ops.ResizeLinear) -> None:
    _write_resize(writer, node, mode="linear")


def _write_resize(writer: Writer, node: ops.ResizeNearest | ops.ResizeLinear, **attributes: str) -> None:
    """By sizes where the scales are their ratios in float32, else by the scales that make these sizes."""
    name, extents = writer.result(node), np.array(node.x.type.shape)
    scales = np.array(node.scales, np.float32)
    ratios = np.array(node.sizes, np.float32) / extents.astype(np.float32)
    if np.array_equal(ratios, scales):
        geometry = ["", writer.integers(f"{name}.sizes", node.sizes)]
    elif np.array_equal(np.floor(extents.astype(np.float32) * scales), node.sizes):
        geometry = [writer.constant(f"{name}.scales", scales, FLOAT32)]
    else:
        raise unsupported(
            node,
            f"makes {list(node.sizes)} of {list(node.x.type.shape)} with scales {list(node.scales)}: ONNX says one or "
            "the other, and these do not follow from each other. Resize with scale = size / extent.",
        )
    if node.coordinates == "half_pixel_symmetric":
        writer.need(_SYMMETRIC_OPSET)
    operands = [writer.operand(node.x, f"{name}.0"), "", *geometry]
    writer.emit(node, "Resize", operands, coordinate_transformation_mode=node.coordinates, **attributes)
