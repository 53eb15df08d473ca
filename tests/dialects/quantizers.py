"""One fake quantizer written in each dialect, and the independent implementation that says what it means.

A `Setting` is a cell of the table: rounding x signed x narrow x zero point x broadcast x bits. A dialect that cannot
say one (QuantizeLinear has one rounding, a Clip behind it is what narrows) has no model for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnx import ModelProto, NodeProto, helper
from onnx.reference import ReferenceEvaluator

from tests.dialects import formulas
from tests.dialects.conftest import build_model

Array = npt.NDArray[Any]

SHAPE = (3, 2, 4, 5)
BROADCASTS: dict[str, tuple[tuple[int, ...], int | None]] = {
    # name: (shape of scale and zero point against x, the axis of x along which they differ)
    "scalar": ((), None),
    "one": ((1,), None),
    "ones": ((1, 1, 1, 1), None),
    "first axis": ((3, 1, 1, 1), 0),
    "channels": ((1, 2, 1, 1), 1),
    "channels without batch": ((2, 1, 1), 1),
    "last axis": ((5,), 3),
}


@dataclass(frozen=True)
class Setting:
    """What a quantizer does: bits, signed, narrow, how it rounds, its zero points, and how scales lie along x."""

    rounding: str
    signed: bool
    narrow: bool
    bits: int
    zero: int
    broadcast: str

    @property
    def bounds(self) -> tuple[int, int]:
        return formulas.bounds(self.bits, self.signed, self.narrow)

    @property
    def axis(self) -> int | None:
        return BROADCASTS[self.broadcast][1]

    def grid(self) -> tuple[Array, Array]:
        """Scale and zero point, float32, in the shape that broadcasts against x; zero points differ by channel, too."""
        shape = BROADCASTS[self.broadcast][0]
        random = np.random.default_rng([self.bits, self.zero + 8, len(self.broadcast)])
        scale = np.asarray(random.choice([0.25, 0.1, 0.37, 1.5], shape), np.float32)
        zero = np.full(shape, self.zero, np.float32)
        return scale, zero

    def reals(self) -> Array:
        """Ties, steps, ordinary numbers and far ones, as multiples of the scale of each place."""
        random = np.random.default_rng(self.bits)
        steps = random.integers(-40, 40, SHAPE) / 4
        steps = np.where(random.random(SHAPE) < 0.3, random.normal(0, 2.0**self.bits, SHAPE), steps)
        return np.asarray(steps.astype(np.float32) * np.broadcast_to(self.grid()[0], SHAPE), np.float32)


Write = Callable[[Setting], ModelProto | None]
Execute = Callable[[ModelProto, Setting, Array], Array]


@dataclass(frozen=True)
class Dialect:
    """`write` says a setting in the dialect, or None; `executors` are the implementations that ours must equal."""

    write: Write
    executors: dict[str, Execute]


# QONNX ----------------------------------------------------------------------------------------------------------------


def _quant(setting: Setting) -> ModelProto | None:
    if setting.bits == 1 and setting.signed and setting.zero:
        return None
    scale, zero = setting.grid()
    node = helper.make_node(
        "Quant",
        ["x", "scale", "zero", "bits"],
        ["y"],
        "quantizer",
        domain="qonnx.custom_op.general",
        signed=int(setting.signed),
        narrow=int(setting.narrow),
        rounding_mode=setting.rounding,
    )
    return build_model([node], {"x": SHAPE}, {"scale": scale, "zero": zero, "bits": np.float32(setting.bits)})


def _qonnx(_: ModelProto, setting: Setting, x: Array) -> Array:
    """The function of the package. Its HALF_UP and HALF_DOWN add 0.5 in float32, which no number here feels."""
    from qonnx.custom_op.general.intquant import int_quant

    scale, zero = setting.grid()
    bits = np.float32(setting.bits)
    return np.asarray(int_quant(x, scale, zero, bits, setting.signed, setting.narrow, setting.rounding), np.float32)


def _written_formula(_: ModelProto, setting: Setting, x: Array) -> Array:
    scale, zero = setting.grid()
    options = {"signed": setting.signed, "narrow": setting.narrow, "rounding": setting.rounding}
    return formulas.quant(x, scale, zero, setting.bits, **options)


# ONNX: QuantizeLinear, with a Clip between where the range is narrower than the type ----------------------------------


def _codes_of(setting: Setting, dtype: Any) -> tuple[dict[str, Array], dict[str, int]]:
    """Scale and zero point as QuantizeLinear takes them, and its attributes."""
    scale, zero = setting.grid()
    constants = {"scale": scale, "zero": zero.astype(dtype)}
    if setting.broadcast != "scalar":
        constants = {name: array.reshape(-1) for name, array in constants.items()}
    return constants, {} if setting.axis is None else {"axis": setting.axis}


def _qdq(setting: Setting) -> ModelProto | None:
    if setting.bits != 8 or setting.narrow or setting.rounding != "HALF_EVEN":
        return None
    constants, attributes = _codes_of(setting, np.int8 if setting.signed else np.uint8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantizer", **attributes),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], "dequantizer", **attributes),
    ]
    return build_model(nodes, {"x": SHAPE}, constants, opset=19)


def _qcdq(setting: Setting) -> ModelProto | None:
    if setting.bits == 1 or setting.rounding != "HALF_EVEN":
        return None
    dtype = np.int8 if setting.signed else np.uint8
    constants, attributes = _codes_of(setting, dtype)
    low, high = setting.bounds
    constants.update(low=np.asarray(low, dtype), high=np.asarray(high, dtype))
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantizer", **attributes),
        helper.make_node("Clip", ["q", "low", "high"], ["c"], "clip"),
        helper.make_node("DequantizeLinear", ["c", "scale", "zero"], ["y"], "dequantizer", **attributes),
    ]
    return build_model(nodes, {"x": SHAPE}, constants, opset=19)


def _onnxruntime(model: ModelProto, _: Setting, x: Array) -> Array:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def _reference(model: ModelProto, _: Setting, x: Array) -> Array:
    """onnx's own evaluator in NumPy."""
    return np.asarray(ReferenceEvaluator(model).run(None, {"x": x})[0])


# Raw fake quantization, in either order of zero point and rounding ----------------------------------------------------

_ROUNDING_OPERATORS = {"HALF_EVEN": "Round", "FLOOR": "Floor", "CEIL": "Ceil"}


def _chain(setting: Setting, *, zero_first: bool) -> ModelProto | None:
    """Div, Add and the rounding in either order, Clip, Sub, Mul."""
    if setting.rounding not in _ROUNDING_OPERATORS or (setting.bits == 1 and setting.signed):
        return None
    scale, zero = setting.grid()
    low, high = np.float32(setting.bounds)
    shift = [("Add", ["zero"]), (_ROUNDING_OPERATORS[setting.rounding], [])]
    order = shift if zero_first else shift[::-1]
    steps = [("Div", ["scale"]), *order, ("Clip", ["low", "high"]), ("Sub", ["zero"]), ("Mul", ["scale"])]
    nodes: list[NodeProto] = []
    name = "x"
    for position, (operator, operands) in enumerate(steps):
        made = "y" if position == len(steps) - 1 else f"t{position}"
        nodes.append(helper.make_node(operator, [name, *operands], [made], f"{operator}_{position}"))
        name = made
    return build_model(nodes, {"x": SHAPE}, {"scale": scale, "zero": zero, "low": low, "high": high})


_PACKAGE: dict[str, Execute] = (
    {"qonnx": _qonnx} if find_spec("qonnx") else {}
)  # Python 3.10 has none: tests/conftest.py
DIALECTS = {
    "QONNX": Dialect(_quant, {**_PACKAGE, "formula": _written_formula}),
    "QDQ": Dialect(_qdq, {"onnxruntime": _onnxruntime, "onnx": _reference}),
    "QCDQ": Dialect(_qcdq, {"onnxruntime": _onnxruntime}),
    "chain, zero point first": Dialect(lambda s: _chain(s, zero_first=True), {"onnxruntime": _onnxruntime}),
    "chain, zero point after": Dialect(lambda s: _chain(s, zero_first=False), {"onnxruntime": _onnxruntime}),
}
