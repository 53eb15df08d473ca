"""Resize in all its versions, and Upsample as it was before: sizes and scales explicit on every axis."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.importer.codes import movable
from subbyte.compiler.importer.operator import Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.shapes import Shape

Scales = tuple[float, ...]


@converts("Resize", "Upsample")
def convert_resize(op: Operator) -> Value:
    """Nearest on floats or codes, linear on floats. Opset 10 has scales only, and asymmetric coordinates.

    Upsample of opset 9 is opset 10's Resize.
    """
    x = op.operand(0)
    mode = op.word("mode", "nearest")
    coordinates = op.word("coordinate_transformation_mode", "half_pixel") if op.opset >= 11 else "asymmetric"
    if mode not in ("nearest", "linear") or coordinates not in ops.COORDINATES:
        raise op.unsupported(
            f"has mode '{mode}' with coordinates '{coordinates}'; the modes nearest and linear are read, with the "
            f"coordinates {', '.join(ops.COORDINATES)}. Export with one of these."
        )
    sizes, scales = _geometry(op, x.type.shape)
    if coordinates == "align_corners":
        _need_whole_extents(op, x.type.shape, sizes, scales)
    if sizes == x.type.shape and all(scale == 1.0 for scale in scales):
        return op.same(x)
    if mode == "nearest":
        rounding = _nearest_mode(op, scales)
        return op.emit(ops.ResizeNearest(movable(op, x), sizes, scales, coordinates, rounding, **op.marks))
    if not x.type.dtype.is_float:
        raise op.unsupported(f"interpolates {x.type}; floats are read. Dequantize the operand before.")
    if op.flag("exclude_outside", False) or (op.flag("antialias", False) and min(scales) < 1.0):
        raise op.unsupported("has exclude_outside or antialias; plain interpolation is read. Export without them.")
    return op.emit(ops.ResizeLinear(x, sizes, scales, coordinates, **op.marks))


def _need_whole_extents(op: Operator, shape: Shape, sizes: Shape, scales: Scales) -> None:
    """Refuse align_corners with scales that make no whole extent: ONNX divides by scale * extent, runtimes by size."""
    for extent, size, scale in zip(shape, sizes, scales, strict=True):
        if size > 1 and abs(scale * extent - size) > 1e-3:
            raise op.unsupported(
                f"scales {extent} elements by {scale} with align_corners, which makes {scale * extent:.3f}; "
                "what stands between is not the same in ONNX and in its runtimes. Give sizes instead of scales."
            )


def _nearest_mode(op: Operator, scales: Scales) -> str:
    """Before opset 11 ONNX does not say; ONNX Runtime takes floor to enlarge and ceil to shrink."""
    if op.opset >= 11:
        found = op.word("nearest_mode", "round_prefer_floor")
        if found not in ops.NEAREST_MODES:
            raise op.broken(f"has nearest_mode '{found}'; {', '.join(ops.NEAREST_MODES)} exist.")
        return found
    if min(scales) < 1.0 < max(scales):
        raise op.unsupported("enlarges one axis and shrinks another in opset 10. Export with opset 11 or later.")
    return "ceil" if min(scales) < 1.0 else "floor"


def _geometry(op: Operator, shape: Shape) -> tuple[Shape, Scales]:
    """(sizes, scales) of every axis; scales in float32: those given, or size / extent."""
    rank = len(shape)
    scales = op.optional_constant(1 if op.opset < 11 else 2, "scales")
    sizes = op.integers(3, "sizes") if op.opset >= 11 else None
    named = op.integer_list("axes") if op.opset >= 18 else None
    axes = tuple(range(rank)) if named is None else tuple(op.axis(axis, rank) for axis in named)
    op.axes(axes, rank)
    if 0 in shape:
        raise op.broken(f"resizes an empty tensor of shape {list(shape)}.")
    full_sizes, full_scales = list(shape), [1.0] * rank
    if sizes:
        _check_count(op, "sizes", len(sizes), len(axes))
        if min(sizes) < 1:
            raise op.broken(f"has sizes {list(sizes)}; sizes are above 0.")
        sizes, ratios = _kept_ratio(op, tuple(shape[axis] for axis in axes), sizes)
        for axis, size, ratio in zip(axes, sizes, ratios, strict=True):
            full_sizes[axis], full_scales[axis] = size, ratio
        return tuple(full_sizes), tuple(full_scales)
    if scales is None or not scales.size:
        raise op.broken("has neither scales nor sizes.")
    if scales.dtype != np.float32 or not (np.isfinite(scales) & (scales > 0)).all():
        raise op.broken(f"has scales of type {scales.dtype} or not above zero; finite float32 numbers are needed.")
    _check_count(op, "scales", scales.size, len(axes))
    for axis, scale in zip(axes, scales.reshape(-1), strict=True):
        # ONNX's shape inference and ONNX Runtime multiply in float32
        full_sizes[axis], full_scales[axis] = int(np.floor(np.float32(shape[axis]) * scale)), float(scale)
    if min(full_sizes) < 1:
        raise op.broken(f"shrinks {list(shape)} to the empty shape {full_sizes}.")
    return tuple(full_sizes), tuple(full_scales)


def _check_count(op: Operator, what: str, found: int, needed: int) -> None:
    if found != needed:
        raise op.broken(f"has {found} {what} for {needed} axes.")


def _kept_ratio(op: Operator, extents: Shape, sizes: Shape) -> tuple[Shape, Scales]:
    """Sizes and scales under keep_aspect_ratio_policy (opset 18): one scale for all axes where it is not stretch."""
    ratios = [float(np.float32(size) / np.float32(extent)) for size, extent in zip(sizes, extents, strict=True)]
    policy = op.word("keep_aspect_ratio_policy", "stretch") if op.opset >= 18 else "stretch"
    if policy == "stretch":
        return sizes, tuple(ratios)
    if policy not in ("not_larger", "not_smaller"):
        raise op.broken(f"has keep_aspect_ratio_policy '{policy}'; stretch, not_larger and not_smaller exist.")
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    kept = tuple(max(int(np.floor(np.float32(ratio) * np.float32(extent) + np.float32(0.5))), 1) for extent in extents)
    return kept, (ratio,) * len(extents)
