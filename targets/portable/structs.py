"""Structs that kernels of several subjects share."""

from __future__ import annotations

from subbyte.compiler.ir.ops import ConvTranspose
from subbyte.compiler.ir.qops import QConvTranspose
from subbyte.compiler.target import ConstantStruct
from subbyte.targets.common.c_types import storage_code
from subbyte.targets.common.constants import zero_point
from subbyte.targets.common.windows import Convolution, spatial


def conv_struct(op: Convolution) -> ConstantStruct:
    """The struct subbyte_conv of kernels/taps.h."""
    s = spatial(op)
    return ConstantStruct(
        "subbyte_conv",
        (
            ("type", storage_code(op.x.type)),
            ("zero_point", zero_point(op.x.type)),
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", op.x.type.shape[1]),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("out_channels", op.type.shape[1]),
            ("group", op.group),
            ("kernel_height", s.kernel[0]),
            ("kernel_width", s.kernel[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("dilation_height", s.dilations[0]),
            ("dilation_width", s.dilations[1]),
            ("transposed", int(isinstance(op, (QConvTranspose, ConvTranspose)))),
        ),
    )
