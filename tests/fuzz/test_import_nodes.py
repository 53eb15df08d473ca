"""Models that are well-formed protobuf, and wrong in what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import AttributeProto, ModelProto, helper, numpy_helper

from subbyte.compiler.importer.functions import EXPANDED
from subbyte.compiler.importer.operator import convertible_operators

Check = Callable[[ModelProto], None]
FUZZ = settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
NUMBERS = st.one_of(
    st.integers(-2, 8),
    st.sampled_from([100, -100, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, 2**63 - 1, -(2**63)]),
)
REALS = st.sampled_from([0.0, 1.0, 0.5, -1.0, 2.0, 1e-40, 3e38, float("nan"), float("inf"), float("-inf")])
# fmt: off
WORDS = st.sampled_from([
    "", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "nearest", "linear", "cubic", "floor", "ceil", "constant",
    "edge", "reflect", "wrap", "DCR", "CRD", "asymmetric", "align_corners", "tanh", "not_larger", "Relu", "Clip",
])
# fmt: on
OPERATORS = st.sampled_from([*convertible_operators(), *(("", name) for name in EXPANDED)])


# One thing changed in a sound model -----------------------------------------------------------------------------------


def harm(draw: Callable[..., Any], model: ModelProto) -> None:
    """Change one thing: an attribute, an operand, an operator, a tensor, an input or a version."""
    graph = model.graph
    node = draw(st.sampled_from(list(graph.node)))
    tensor = draw(st.sampled_from(list(graph.initializer)))
    name = st.sampled_from(sorted({name for n in graph.node for name in (*n.input, *n.output)} | {"", "nobody"}))
    match draw(st.integers(0, 13)):
        case 0 if node.attribute:
            attribute = draw(st.sampled_from(list(node.attribute)))
            attribute.i, attribute.f, attribute.s = draw(NUMBERS), draw(REALS), draw(WORDS).encode()
            attribute.ints[:] = draw(st.lists(NUMBERS, max_size=9))
        case 1 if node.attribute:
            draw(st.sampled_from(list(node.attribute))).type = draw(st.integers(0, 14))
        case 2 if node.attribute:
            del node.attribute[draw(st.integers(0, len(node.attribute) - 1))]
        case 3 if node.input:
            node.input[draw(st.integers(0, len(node.input) - 1))] = draw(name)
        case 4:
            node.input.append(draw(name))
        case 5 if node.input:
            del node.input[draw(st.integers(0, len(node.input) - 1)) :]
        case 6:
            node.output[0] = draw(name)
        case 7:
            node.domain, node.op_type = draw(OPERATORS)
        case 8:
            tensor.dims[:] = draw(st.lists(NUMBERS, max_size=5))
        case 9:
            tensor.data_type = draw(st.integers(0, 30))
        case 10:
            tensor.CopyFrom(numpy_helper.from_array(draw(operand()), tensor.name))
        case 11:
            graph.input[0].type.tensor_type.shape.dim[draw(st.integers(0, 3))].dim_value = draw(NUMBERS)
        case 12:
            graph.input[0].type.tensor_type.elem_type = draw(st.integers(0, 30))
        case 13:
            model.opset_import[0].version = draw(st.one_of(st.integers(9, 30), NUMBERS))


@st.composite
def operand(draw: Callable[..., Any]) -> np.ndarray:
    """A small array of any type that the importer reads."""
    dtype = np.dtype(
        draw(st.sampled_from(["float32", "float32", "int64", "int8", "uint8", "int32", "float16", "bool", "float64"]))
    )
    shape = draw(
        st.sampled_from([(), (1,), (2,), (3,), (4,), (0,), (1, 1), (2, 3), (1, 2, 5), (1, 2, 4, 4), (2, 2, 2, 2)])
    )
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        elements: Any = NUMBERS.map(lambda number: min(max(number, int(bounds.min)), int(bounds.max)))
    elif dtype.kind == "f":
        elements = REALS.map(lambda number: float(np.clip(number, -6e4, 6e4)) if np.isfinite(number) else number)
        return np.asarray(draw(arrays.arrays(np.float64, shape, elements=elements))).astype(dtype)
    else:
        elements = st.booleans()
    return np.asarray(draw(arrays.arrays(dtype, shape, elements=elements)))


@FUZZ
@given(data=st.data())
def test_a_sound_model_harmed(victim: ModelProto, imports_or_refuses: Check, data: st.DataObject) -> None:
    model = ModelProto()
    model.CopyFrom(victim)
    for _ in range(data.draw(st.integers(1, 3))):
        harm(data.draw, model)
    imports_or_refuses(model)


# One operator with anything -------------------------------------------------------------------------------------------


def attribute(draw: Callable[..., Any], name: str, kind: int) -> AttributeProto:
    found = AttributeProto(name=name, type=kind)  # type: ignore[arg-type]
    found.i, found.f, found.s = draw(NUMBERS), draw(REALS), draw(WORDS).encode()
    found.ints[:] = draw(st.lists(NUMBERS, max_size=8))
    if kind == AttributeProto.TENSOR:
        found.t.CopyFrom(numpy_helper.from_array(draw(operand())))
    return found


@FUZZ
@given(data=st.data())
def test_an_operator_with_any_operands(imports_or_refuses: Check, data: st.DataObject) -> None:
    domain, op_type = data.draw(OPERATORS)
    opset = data.draw(st.integers(10, onnx.defs.onnx_opset_version()))
    values = data.draw(st.lists(operand(), min_size=1, max_size=9 if domain or op_type.startswith("QL") else 5))
    is_constant = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    names = [f"x{i}" for i in range(len(values))]
    node = helper.make_node(op_type, names, ["y"], "node", domain=domain)
    if not domain and onnx.defs.has(op_type):
        for name, declared in onnx.defs.get_schema(op_type).attributes.items():
            if declared.required or data.draw(st.booleans()):
                node.attribute.append(attribute(data.draw, name, int(declared.type.value)))
    graph = helper.make_graph(
        [node],
        "graph",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value, constant in zip(names, values, is_constant, strict=True)
            if not constant
        ],
        [onnx.ValueInfoProto(name="y")],
        [
            numpy_helper.from_array(value, name)
            for name, value, constant in zip(names, values, is_constant, strict=True)
            if constant
        ],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    imports_or_refuses(helper.make_model(graph, opset_imports=imports, ir_version=10))
