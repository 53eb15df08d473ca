"""What kernels ask about the activations of QBlockGemm, whose scale and zero point may be computed at run time."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.qops_blocks import QBlockGemm
from subbyte.compiler.target import Argument, ConstantArray, Integer, as_array
from subbyte.targets.common.constants import centred_range, operand

_LARGEST_BYTE = 255  # less a zero point of its type, whatever it is


def largest_activation(op: QBlockGemm) -> int:
    """The largest magnitude of a code of a less its zero point."""
    return _LARGEST_BYTE if op.a_zero is not None else max(map(abs, centred_range(op.a.type)))


def scale_step(op: QBlockGemm) -> int:
    """From one scale of a to the next: 0 where all are one."""
    return int(op.a_scale is not None and op.a_scale.type.rank > 0)


def scales_of(op: QBlockGemm) -> Argument:
    """The pointer to the scales of a."""
    if op.a_scale is not None:
        return operand(op, op.a_scale)
    quant = op.a.type.quant
    if quant is None:
        raise GraphError(f"{op.a.type} has no scale; codes with a scale are needed")
    return ConstantArray("scale", as_array([quant.scalar()[0]], np.float32))


def zero_of(op: QBlockGemm) -> Argument:
    """The pointer to the zero point of a that is computed at run time; null where it is known."""
    return Integer(0) if op.a_zero is None else operand(op, op.a_zero)
