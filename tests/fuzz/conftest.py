"""A model in which much can go wrong, and the one thing that must hold whatever it is made into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.importer import import_model


def make_victim() -> ModelProto:
    """A quantized convolution, pool, shape arithmetic, function and dense layer: 20 nodes of many kinds."""
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], "quantize"),
        node("DequantizeLinear", ["codes", "scale", "zero"], ["reals"], "dequantize"),
        node("DequantizeLinear", ["w", "scales", "zeros"], ["weights"], "weights", axis=0),
        node("Conv", ["reals", "weights", "bias"], ["conv"], "conv", pads=[1, 1, 0, 0], strides=[1, 2], group=1),
        node("Clip", ["conv", "low", "high"], ["clipped"], "clip"),
        node("MaxPool", ["clipped"], ["pooled"], "pool", kernel_shape=[2, 2], auto_pad="SAME_UPPER", ceil_mode=1),
        node("Pad", ["pooled", "pads", "low"], ["padded"], "pad", mode="constant"),
        node("Slice", ["padded", "starts", "ends", "axes", "steps"], ["sliced"], "slice"),
        node("Resize", ["sliced", "", "factors"], ["resized"], "resize", mode="linear"),
        node("Transpose", ["resized"], ["moved"], "transpose", perm=[0, 2, 3, 1]),
        node("Softmax", ["moved"], ["soft"], "softmax", axis=-1),
        node("Split", ["soft", "sizes"], ["left", "right"], "split", axis=3),
        node("Concat", ["right", "left"], ["swapped"], "concat", axis=-1),
        node("Shape", ["swapped"], ["shape"], "shape"),
        node("Gather", ["shape", "index"], ["batch"], "gather", axis=0),
        node("Concat", ["batch", "rest"], ["flat"], "shapes", axis=0),
        node("Reshape", ["swapped", "flat"], ["rows"], "reshape"),
        node("Twice", ["rows"], ["doubled"], "twice", domain="local"),
        node("ReduceMean", ["doubled", "last"], ["mean"], "mean", keepdims=1),
        node("Sub", ["doubled", "mean"], ["y"], "sub"),
    ]

    def longs(*numbers: int) -> Any:
        return np.array(numbers, np.int64)

    weights = {
        "scale": np.array(0.1, np.float32),
        "zero": np.array(3, np.int8),
        "w": np.arange(-27, 27, dtype=np.int8).reshape(3, 2, 3, 3),
        "scales": np.array([0.1, 0.2, 0.3], np.float32),
        "zeros": np.zeros(3, np.int8),
        "bias": np.ones(3, np.float32),
        "low": np.array(-1, np.float32),
        "high": np.array(6, np.float32),
        "pads": longs(0, 0, 1, 1, 0, 0, 0, 2),
        "starts": longs(0, -1),
        "ends": longs(9, -9),
        "axes": longs(2, 3),
        "steps": longs(2, -1),
        "factors": np.array([1, 1, 2, 1.5], np.float32),
        "sizes": longs(1, 2),
        "index": longs(0),
        "rest": longs(-1),
        "last": longs(-1),
    }
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"], "add")], [helper.make_opsetid("", 21)]
    )
    graph = helper.make_graph(
        nodes,
        "victim",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 7])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in (("", 21), ("local", 1))]
    return helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=10)


@pytest.fixture(scope="session")
def victim() -> ModelProto:
    model = make_victim()
    import_model(model)  # it is sound before it is harmed
    return model


@pytest.fixture(scope="session")
def imports_or_refuses() -> Callable[[bytes | ModelProto], None]:
    """Import a model: it works, or raises a SubbyteError of one printable line; never anything else."""

    def check(model: bytes | ModelProto) -> None:
        try:
            import_model(model)
        except SubbyteError as error:
            text = str(error)
            assert text
            assert text.isprintable(), text
            assert len(text) < 20_000

    return check
