"""Files, bytes and ModelProtos: versions, functions, external data, and what is refused before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.interpret import evaluate

X = np.arange(6, dtype=np.float32).reshape(2, 3)
W = np.arange(12, dtype=np.float32).reshape(3, 4)
NEWEST = onnx.defs.onnx_opset_version()


@pytest.fixture
def product(make_model: Any) -> ModelProto:
    """y = x @ w."""
    return make_model([helper.make_node("MatMul", ["x", "w"], ["y"], "product")], {"x": X}, ["y"], {"w": W})


def check(model: Any) -> None:
    (y,) = evaluate(import_model(model), {"x": X}).values()
    np.testing.assert_array_equal(y, X @ W)


def test_a_model_comes_as_path_bytes_or_proto(product: ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(product, path)
    for model in (path, str(path), path.read_bytes(), product):
        check(model)


def test_the_graph_is_called_as_asked_as_its_file_or_as_the_model(product: ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "net.v2.onnx"
    onnx.save(product, path)
    assert import_model(path, name="other").name == "other"
    assert import_model(path).name == "net.v2"
    assert import_model(product).name == "graph"


def test_a_proto_is_not_changed(product: ModelProto) -> None:
    before = product.SerializeToString()
    import_model(product)
    assert product.SerializeToString() == before


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100, b"\xff" * 100, b"PK\x03\x04" + bytes(50)])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not an ONNX model"):
        import_model(content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        import_model(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="not a regular file"):
        import_model(tmp_path)
    with pytest.raises(ModelError, match=r"there is no file 'null\?character'"):
        import_model("null\0character")
    with pytest.raises(ModelError, match="a path, bytes or an onnx"):
        import_model(3)  # type: ignore[arg-type]


def test_a_file_beyond_2_gib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate((2 << 30) + 1)  # sparse: takes no room
    with pytest.raises(ModelError, match="external data"):
        import_model(path)


# Versions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", range(10, NEWEST + 1))
def test_every_opset_is_read(make_model: Any, opset: int) -> None:
    check(make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": X}, ["y"], {"w": W}, opset))


@pytest.mark.parametrize(("opset", "way"), [(8, "version_converter"), (NEWEST + 1, "Install a newer onnx")])
def test_other_opsets_are_refused(product: ModelProto, opset: int, way: str) -> None:
    product.opset_import[0].version = opset
    with pytest.raises(UnsupportedError, match=f"opset {opset}.*{way}"):
        import_model(product)


def test_a_model_without_an_opset_is_refused(product: ModelProto) -> None:
    del product.opset_import[:]
    with pytest.raises(ModelError, match="does not say which opset"):
        import_model(product)


def test_the_domain_of_onnx_has_two_names(product: ModelProto) -> None:
    product.opset_import[0].domain = "ai.onnx"
    product.graph.node[0].domain = "ai.onnx"
    check(product)


@pytest.mark.parametrize("version", [0, 2, onnx.IR_VERSION + 1])
def test_other_ir_versions_are_refused(product: ModelProto, version: int) -> None:
    product.ir_version = version
    with pytest.raises(ModelError, match=f"IR version {version}"):
        import_model(product)


# Functions ------------------------------------------------------------------------------------------------------------


def function(name: str, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["b"], nodes, imports)


def test_functions_are_inlined(make_model: Any) -> None:
    inner = function("Twice", [helper.make_node("Add", ["a", "a"], ["b"], "add")])
    outer = function("Fourfold", [helper.make_node("Twice", ["a"], ["t"], "first", domain="local")])
    outer.node.append(helper.make_node("Twice", ["t"], ["b"], "second", domain="local"))
    model = make_model([helper.make_node("Fourfold", ["x"], ["y"], "f", domain="local")], {"x": X}, ["y"])
    model.functions.extend([inner, outer])
    model.opset_import.append(helper.make_opsetid("local", 1))
    (y,) = evaluate(import_model(model), {"x": X}).values()
    np.testing.assert_array_equal(y, 4 * X)


def test_a_function_that_calls_itself_is_refused(make_model: Any) -> None:
    model = make_model([helper.make_node("A", ["x"], ["y"], domain="local")], {"x": X}, ["y"])
    model.functions.append(function("A", [helper.make_node("B", ["a"], ["b"], domain="local")]))
    model.functions.append(function("B", [helper.make_node("A", ["a"], ["b"], domain="local")]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    with pytest.raises(ModelError, match="calls itself"):
        import_model(model)


def test_functions_that_expand_beyond_measure_are_refused(make_model: Any) -> None:
    """Each calls the next twice: 40 small functions stand for 2^40 nodes."""
    model = make_model([helper.make_node("F0", ["x"], ["y"], domain="local")], {"x": X}, ["y"])
    for i in range(40):
        nodes = [helper.make_node(f"F{i + 1}", [a], [b], domain="local") for a, b in (("a", "t"), ("t", "b"))]
        model.functions.append(function(f"F{i}", nodes))
    model.functions.append(function("F40", [helper.make_node("Relu", ["a"], ["b"])]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    with pytest.raises(ModelError, match="expand to"):
        import_model(model)


# External data --------------------------------------------------------------------------------------------------------


@pytest.fixture
def external(product: ModelProto, tmp_path: Path) -> Callable[..., Path]:
    """external(**entries) saves the model with w in weights.bin, the entries of its external data changed."""

    def save(**entries: Any) -> Path:
        (tmp_path / "weights.bin").write_bytes(b"\xee" * 8 + W.tobytes() + b"\xee" * 8)
        tensor = product.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        known = {"location": "weights.bin", "offset": 8, "length": W.nbytes} | entries
        del tensor.external_data[:]
        for key, value in known.items():
            if value is not None:
                tensor.external_data.add(key=key, value=str(value))
        path = tmp_path / "model.onnx"
        path.write_bytes(product.SerializeToString())
        return path

    return save


def test_external_data_is_read(external: Callable[..., Path]) -> None:
    check(external())
    check(external(length=None))


def test_what_onnx_saves_externally_is_read(product: ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "model.onnx"
    path.parent.mkdir()
    onnx.save(product, path, save_as_external_data=True, size_threshold=0, location="weights.data")
    check(path)


def test_external_4_bit_weights_are_unpacked(make_model: Any, tmp_path: Path) -> None:
    import ml_dtypes

    codes = np.array([[-8, 7, 1]]).astype(ml_dtypes.int4)
    model = make_model([helper.make_node("Identity", ["w"], ["y"])], {}, ["y"], {"w": codes})
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights.data")
    assert evaluate(import_model(path), {})["y"].tolist() == [[-8, 7, 1]]


def test_external_data_needs_a_folder(external: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="came without a folder"):
        import_model(external().read_bytes())


LOCATIONS = ["../weights.bin", "sub/../../weights.bin", "/etc/passwd", "", "a\0b", "..\\weights.bin", "C:\\weights.bin"]


@pytest.mark.parametrize("location", LOCATIONS)
def test_no_path_leads_out_of_the_folder(external: Callable[..., Path], location: str) -> None:
    with pytest.raises(ModelError, match=r"the initializer 'w' names .* as its external file"):
        import_model(external(location=location))


def test_no_link_leads_out_of_the_folder(external: Callable[..., Path], tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.bin"
    outside.write_bytes(bytes(1000))
    (tmp_path / "link.bin").symlink_to(outside)
    (tmp_path / "folder").symlink_to(outside.parent)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ModelError, match="a link that leads out"):
        import_model(external(location="link.bin"))
    with pytest.raises(ModelError, match="a link that leads out"):
        import_model(external(location=f"folder/{outside.name}"))
    with pytest.raises(ModelError, match="not in the model's folder"):
        import_model(external(location="circle"))


def test_a_link_within_the_folder_is_followed(external: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "link.bin").symlink_to("weights.bin")
    check(external(location="link.bin"))


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"location": "absent.bin"}, "not in the model's folder"),
        ({"location": "."}, "not a regular file"),
        ({"offset": 40}, "has 64. The file is truncated"),
        ({"offset": 10**30}, "a whole number is needed"),
        ({"offset": 2**62}, "The file is truncated"),
        ({"offset": -8}, "a whole number is needed"),
        ({"offset": "eight"}, "a whole number is needed"),
        ({"offset": "٣"}, "a whole number is needed"),
        ({"length": 47}, "has 47 bytes of external data; its type and shape need 48"),
        ({"length": 2**60}, "its type and shape need 48"),
    ],
)
def test_external_data_that_does_not_fit_is_refused(
    external: Callable[..., Path], entries: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=f"the initializer 'w'.*{text}"):
        import_model(external(**entries))


def test_sizes_are_checked_before_memory_is_taken(external: Callable[..., Path], product: ModelProto) -> None:
    product.graph.initializer[0].dims[:] = [2**30, 2**30]
    with pytest.raises(ModelError, match="the initializer 'w'"):
        import_model(external(length=None))


def saved_with_weights_at(make_model: Any, offsets: list[int], folder: Path) -> Path:
    """A model with a tensor of 8 MiB at each of `offsets` of one sparse file of 9 MiB."""
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(9 << 20)
    names = [f"w{i}" for i in range(len(offsets))]
    model = make_model([], {}, names)
    for name, offset in zip(names, offsets, strict=True):
        tensor = model.graph.initializer.add(name=name, data_type=TensorProto.INT8, dims=[8 << 20])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        tensor.external_data.add(key="offset", value=str(offset))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_tensors_that_overlap_in_a_file_are_refused(make_model: Any, tmp_path: Path) -> None:
    """Else a small file stands for any amount of memory."""
    with pytest.raises(ModelError, match=r"the initializer 'w1' overlaps other tensors in 'weights\.bin'"):
        import_model(saved_with_weights_at(make_model, list(range(100)), tmp_path))


def test_tensors_that_are_one_region_of_a_file_share_it(make_model: Any, tmp_path: Path) -> None:
    graph = import_model(saved_with_weights_at(make_model, [64] * 100, tmp_path))
    first, *others = (output.value.constant for output in graph.outputs)
    assert first is not None
    assert all(np.shares_memory(first, other) for other in others if other is not None)


def test_text_that_is_no_utf8_is_refused(product: ModelProto) -> None:
    content = product.SerializeToString().replace(b"product", b"prod\xff\xfet")
    with pytest.raises(ModelError, match="not UTF-8"):
        import_model(content)


def test_control_characters_do_not_reach_the_error(make_model: Any) -> None:
    model = make_model([helper.make_node("Nonsense", ["x"], ["y"], "a\nb\x1b[31m")], {"x": X}, ["y"])
    with pytest.raises(UnsupportedError) as caught:
        import_model(model)
    assert str(caught.value).isprintable()
