"""Graph inputs: their static types, dimensions bound by name, and the scale that integer inputs are read with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnx import NodeProto, ValueInfoProto

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer.names import shown
from subbyte.compiler.importer.operator import MICROSOFT
from subbyte.compiler.importer.tensors import element_type
from subbyte.compiler.ir.types import QuantParams, TensorType

MAX_EXTENT = 1 << 31


def tensor_type(info: ValueInfoProto, dims: Mapping[str, int], unbound: dict[str, None]) -> TensorType | None:
    """The type of a graph input, its named dimensions bound by `dims`; None where some are not: they go to `unbound`.

    A dimension without a name is called INPUT:AXIS.
    """
    what = f"the graph input {shown(info.name)}"
    if info.type.WhichOneof("value") != "tensor_type":
        kind = str(info.type.WhichOneof("value")).removesuffix("_type")
        raise UnsupportedError(f"{what} has the type '{kind}'; dense tensors are read.")
    tensor = info.type.tensor_type
    dtype = element_type(tensor.elem_type, what)
    if not tensor.HasField("shape"):
        raise UnsupportedError(f"{what} has no shape. Write its shape into the model (onnx.tools.update_model_dims).")
    shape = []
    for axis, dimension in enumerate(tensor.shape.dim):
        extent = dimension.dim_value
        if extent <= 0:
            name = dimension.dim_param or f"{info.name}:{axis}"
            if name not in dims:
                unbound[name] = None
                continue
            extent = dims[name]
        if extent > MAX_EXTENT:
            raise ModelError(f"{what} has the extent {extent} along axis {axis}; {MAX_EXTENT} is the most.")
        shape.append(extent)
    return TensorType(dtype, tuple(shape)) if len(shape) == len(tensor.shape.dim) else None


def dimension_names(infos: Sequence[ValueInfoProto]) -> tuple[str, ...]:
    """The names of the dimensions that `dims` may bind, in order."""
    names = (
        dimension.dim_param or f"{info.name}:{axis}"
        for info in infos
        for axis, dimension in enumerate(info.type.tensor_type.shape.dim)
        if dimension.dim_value <= 0
    )
    return tuple(dict.fromkeys(names))


def leading_dimensions(infos: Sequence[ValueInfoProto]) -> tuple[str, ...]:
    """The names of the first dimensions that are not fixed: those of the samples, as a rule."""
    names = []
    for info in infos:
        shape = info.type.tensor_type.shape.dim
        if len(shape) and shape[0].dim_value <= 0:
            names.append(shape[0].dim_param or f"{info.name}:0")
    return tuple(dict.fromkeys(names))


def check_dims(dims: Mapping[str, object], infos: Sequence[ValueInfoProto]) -> None:
    """Refuse extents below 1, and names that no input has."""
    known = dimension_names(infos)
    for name, extent in dims.items():
        if name not in known:
            listed = ", ".join(shown(found) for found in known) or "none: all its dimensions are fixed"
            raise ModelError(f"the model has no dimension {shown(str(name))} to bind; it has {listed}.")
        if isinstance(extent, bool) or not isinstance(extent, int) or extent < 1:
            raise ModelError(f"the dimension {shown(name)} is bound to {extent!r}; a whole number from 1 on is needed.")


# Codes that come in ---------------------------------------------------------------------------------------------------

# fmt: off
_MOVES = frozenset((
    "Concat", "DepthToSpace", "Dropout", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool", "Pad", "Reshape",
    "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze",
))
# fmt: on
_Places = Mapping[
    int, tuple["int | None", int]
]  # operand that is codes -> where its scale (None: 1) and zero point are
_FIRST: _Places = {0: (1, 2)}
_BOTH: _Places = {0: (1, 2), 3: (4, 5)}
_READS: dict[tuple[str, str], _Places] = {
    ("", "DequantizeLinear"): _FIRST,
    (MICROSOFT, "DequantizeLinear"): _FIRST,
    ("", "QLinearConv"): _FIRST,
    ("", "QLinearMatMul"): _BOTH,
    ("", "ConvInteger"): {0: (None, 2)},
    ("", "MatMulInteger"): {0: (None, 2), 1: (None, 3)},
    (MICROSOFT, "QLinearAdd"): _BOTH,
    (MICROSOFT, "QLinearMul"): _BOTH,
    (MICROSOFT, "QLinearAveragePool"): _FIRST,
    (MICROSOFT, "QLinearGlobalAveragePool"): _FIRST,
    (MICROSOFT, "QLinearSigmoid"): _FIRST,
    (MICROSOFT, "QLinearLeakyRelu"): _FIRST,
    (MICROSOFT, "QLinearSoftmax"): _FIRST,
    (MICROSOFT, "QLinearReduceMean"): _FIRST,
    (MICROSOFT, "QGemm"): _BOTH,
}

Reading = tuple[NodeProto, int]  # a node, and which of its operands is read
Meaning = Callable[[NodeProto, "str | None", str], "QuantParams | None"]


def first_meaning(name: str, readers: Mapping[str, Sequence[Reading]], meaning: Meaning) -> QuantParams | None:
    """The meaning that the first reader of the tensor `name` gives its codes, through operators that only move data.

    meaning(node, scale, zero point) is what a node with these tensors ("": left out) makes of codes; None where it is
    not known.
    """
    waiting, seen = [name], {name}
    for tensor in waiting:  # grows while it is walked: breadth first
        for node, operand in readers.get(tensor, ()):
            domain = "" if node.domain == "ai.onnx" else node.domain
            places = _READS.get((domain, node.op_type), {}).get(operand)
            if places is not None:
                scale, zero_point = (_named(node, place) for place in places)
                quant = meaning(node, scale, zero_point or "")
                if quant is not None and (quant.is_per_tensor or tensor == name):
                    return quant
            elif domain == "" and node.op_type in _MOVES and (operand == 0 or node.op_type == "Concat"):
                fresh = [output for output in node.output if output and output not in seen]
                seen.update(fresh)
                waiting.extend(fresh)
    return None


def _named(node: NodeProto, place: int | None) -> str | None:
    """The operand at `place`, "" where it is left out; None for no place."""
    return None if place is None else next(iter(node.input[place : place + 1]), "")
