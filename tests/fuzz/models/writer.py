"""Writes an ONNX model node by node; the shape of each tensor comes from ONNX's own inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_node_outputs

Shape = tuple[int, ...]

RANGES: dict[int, tuple[int, int]] = {
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-(1 << 15), (1 << 15) - 1),
    TensorProto.UINT16: (0, (1 << 16) - 1),
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT2: (-2, 1),
    TensorProto.UINT2: (0, 3),
}
"""The smallest and the largest code of each type of codes."""


@dataclass(frozen=True)
class Codes:
    """The codes that a float tensor was dequantized from: real = scale * (code - zero_point)."""

    name: str
    dtype: int
    scale: np.float32
    zero_point: int


@dataclass(frozen=True)
class Tensor:
    """A float tensor of the model. reach: about how large its elements are; codes: what it was dequantized from."""

    name: str
    shape: Shape
    reach: float
    codes: Codes | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    def reaching(self, reach: float) -> Tensor:
        """The same tensor, no longer known to be codes, with another estimate."""
        return replace(self, reach=float(min(max(reach, 1e-3), 1e4)), codes=None)


class Writer:
    """A model in the making.

    floats: why some multiply-accumulates of the model may stay in float; empty where all must be integer.
    peculiar: True where onnxruntime does not know an operator or a type of the model.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.floats: set[str] = set()
        self.peculiar = False
        self._nodes: list[NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._types: dict[str, onnx.TypeProto] = {}
        self._domains: dict[str, int] = {}

    # Constants and inputs ---------------------------------------------------------------------------------------------

    def constant(self, value: Any, what: str = "c") -> str:
        """An initializer of the array's own type; Python's floats become float32."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        return self._keep(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape)), what)

    def integers(self, values: Sequence[int]) -> str:
        """An initializer of int64, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def codes(self, values: NDArray[Any] | int, dtype: int, what: str = "codes") -> str:
        """An initializer of codes, of any width."""
        array = np.asarray(values, np.int64)
        low, high = RANGES.get(dtype, (-(1 << 31), (1 << 31) - 1))
        assert ((array >= low) & (array <= high)).all(), "codes are those of their type"
        return self._keep(helper.make_tensor("", dtype, array.shape, array.reshape(-1).tolist()), what)

    def _keep(self, tensor: TensorProto, what: str) -> str:
        tensor.name = f"{what}{len(self._constants)}"
        self._constants[tensor.name] = tensor
        self._types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        return tensor.name

    def input(self, shape: Shape, reach: float, dtype: int = TensorProto.FLOAT) -> Tensor:
        name = f"x{len(self._inputs)}"
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        self._types[name] = helper.make_tensor_type_proto(dtype, shape)
        return Tensor(name, shape, reach)

    # Nodes ------------------------------------------------------------------------------------------------------------

    def node(self, op: str, operands: Sequence[str], *, outputs: int = 1, **attributes: Any) -> tuple[str, ...]:
        """The names of what an operator of ONNX makes."""
        names = tuple(f"t{len(self._nodes)}_{i}" if outputs > 1 else f"t{len(self._nodes)}" for i in range(outputs))
        node = helper.make_node(op, operands, names, f"{op} {len(self._nodes)}", **attributes)
        known = [name for name in dict.fromkeys(operands) if name]
        types = infer_node_outputs(
            onnx.defs.get_schema(op, self.opset),
            node,
            {name: self._types[name] for name in known},
            {name: self._constants[name] for name in known if name in self._constants},
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=10,
        )
        self._nodes.append(node)
        self._types |= types
        return names

    def custom(
        self, op: str, domain: str, operands: Sequence[str], shape: Shape, *, version: int = 1,
        dtype: int = TensorProto.FLOAT, **attributes: Any,
    ) -> str:  # fmt: skip
        """The name of what an operator of another domain makes, of a shape that the caller knows."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(op, operands, [name], f"{op} {len(self._nodes)}", domain=domain, **attributes)
        )
        self._domains[domain] = version
        self._types[name] = helper.make_tensor_type_proto(dtype, shape)
        return name

    def tensor(self, name: str, reach: float) -> Tensor:
        """A float tensor that some node made."""
        return Tensor(name, self.shape(name), 1.0).reaching(reach)

    def apply(self, op: str, x: Tensor, *operands: str, reach: float | None = None, **attributes: Any) -> Tensor:
        """An operator of one result on x and others; the reach is that of x unless told otherwise."""
        (name,) = self.node(op, [x.name, *operands], **attributes)
        return self.tensor(name, x.reach if reach is None else reach)

    def shape(self, name: str) -> Shape:
        return tuple(dimension.dim_value for dimension in self._types[name].tensor_type.shape.dim)

    def dtype(self, name: str) -> int:
        return self._types[name].tensor_type.elem_type

    # The whole --------------------------------------------------------------------------------------------------------

    def model(self, outputs: Sequence[str]) -> ModelProto:
        used = {name for node in self._nodes for name in node.input} | set(outputs)
        graph = helper.make_graph(
            self._nodes,
            "random",
            self._inputs,
            [helper.make_tensor_value_info(name, self.dtype(name), self.shape(name)) for name in outputs],
            [tensor for name, tensor in self._constants.items() if name in used],
        )
        versions: Mapping[str, int] = {"": self.opset, **self._domains}
        imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)
