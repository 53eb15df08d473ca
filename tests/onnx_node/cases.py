"""ONNX's node tests as this compiler reads them: one operator each, inputs that it must know made constants."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx.defs
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, TypeProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from subbyte.compiler.importer.load import OLDEST_OPSET

Array = NDArray[Any]

# Operator -> operands that shapes, loops or packed weights are made of: a model has them as initializers, the cases as
# inputs. All other operands stay what the model is run with.
KNOWN: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BatchNormalization": (1, 2, 3, 4),
    "CastLike": (1,),  # its type alone is read, and in some cases it has no element
    "CausalConvWithState": (1, 2),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "Conv": (1, 2),
    "ConvInteger": (1, 2, 3),
    "ConvTranspose": (1, 2),
    "CumProd": (1,),
    "CumSum": (1,),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "MatMulInteger": (2, 3),
    "NonZero": (0,),  # how many there are is a shape
    "OneHot": (1,),
    "Pad": (1, 2, 3),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "ReverseSequence": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    **{
        f"Reduce{kind}": (1,)
        for kind in ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]
    },
}


@dataclass(frozen=True, eq=False)
class NodeCase:
    """A case of ONNX: its model as found, the values of its inputs, what it must compute, and how exactly."""

    name: str
    found: ModelProto
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    rtol: float
    atol: float

    @property
    def operator(self) -> str:
        return str(self.found.graph.node[0].op_type)

    @property
    def dtypes(self) -> frozenset[str]:
        """The element types of inputs and outputs as ONNX names them, in small letters; sequence, optional."""
        return frozenset(_type_name(info.type) for info in (*self.found.graph.input, *self.found.graph.output))

    @property
    def domain(self) -> str:
        return str(self.found.graph.node[0].domain)

    def model(self) -> ModelProto:
        """The model with its KNOWN operands as initializers.

        A case of an opset that is too old is declared the oldest that is read where its operator is the same in both.
        """
        model = ModelProto()
        model.CopyFrom(self.found)
        for entry in model.opset_import:
            if entry.domain in ("", "ai.onnx") and entry.version < OLDEST_OPSET and self._is_as_in(entry.version):
                entry.version = OLDEST_OPSET
        node = model.graph.node[0]
        known = {node.input[i] for i in KNOWN.get(node.op_type, ()) if i < len(node.input)}
        for info, value in zip(self.found.graph.input, self.inputs, strict=True):
            if info.name in known:
                model.graph.initializer.append(_tensor(value, info.name))
                model.graph.input.remove(info)
        return model

    def _is_as_in(self, opset: int) -> bool:
        old, new = (onnx.defs.get_schema(self.operator, version, self.domain) for version in (opset, OLDEST_OPSET))
        return bool(old.since_version == new.since_version)

    def given(self) -> dict[str, Array]:
        """The values of the inputs that are tensors, by name."""
        named = zip(self.found.graph.input, self.inputs, strict=True)
        return {info.name: as_array(value) for info, value in named if info.type.WhichOneof("value") == "tensor_type"}

    def dims(self, given: Mapping[str, Array]) -> dict[str, int]:
        """The extents of dimensions that the model leaves open."""
        return {
            dimension.dim_param or f"{info.name}:{axis}": given[info.name].shape[axis]
            for info in self.model().graph.input
            if info.name in given
            for axis, dimension in enumerate(info.type.tensor_type.shape.dim)
            if dimension.dim_value <= 0
        }

    def compare(self, results: Mapping[str, Array]) -> None:
        """Integers and bools equal, floats within the tolerance of the case."""
        for info, value in zip(self.found.graph.output, self.outputs, strict=True):
            result, wanted = results[info.name], as_array(value)
            assert result.shape == wanted.shape, f"{info.name}: {result.shape} for {wanted.shape}"
            assert result.dtype == wanted.dtype or wanted.dtype.kind not in "biuf", f"{result.dtype} for {wanted.dtype}"
            wanted = wanted.astype(result.dtype)  # ml_dtypes' int4 and the like
            if result.dtype.kind == "f":
                np.testing.assert_allclose(result, wanted, rtol=self.rtol, atol=self.atol, err_msg=info.name)
            else:
                np.testing.assert_array_equal(result, wanted, err_msg=info.name)


def _type_name(found: TypeProto) -> str:
    kind = str(found.WhichOneof("value"))
    if kind != "tensor_type":
        return kind.removesuffix("_type")
    return str(TensorProto.DataType.Name(found.tensor_type.elem_type)).lower()


def as_array(value: Any) -> Array:
    """A value of a case, which gives tensors of unusual types as TensorProto."""
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _tensor(value: Any, name: str) -> TensorProto:
    tensor = TensorProto()
    tensor.CopyFrom(value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value)))
    tensor.name = name
    return tensor


@cache
def all_cases() -> dict[str, NodeCase]:
    """Every node test but the `_expanded` ones, by name."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found: list[TestCase] = load_model_tests(kind="node")
    return {
        case.name: NodeCase(
            case.name, case.model, tuple(case.data_sets[0][0]), tuple(case.data_sets[0][1]), case.rtol, case.atol
        )
        for case in found
        if "_expanded" not in case.name and case.model is not None and case.data_sets
    }
