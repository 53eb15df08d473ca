"""manifest.json is read with distrust: every damaged field is named, no path leaves the bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler import manifest as manifest_module
from subbyte.compiler.dtype import FLOAT32, UINT4
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.manifest import file_sha256, read_manifest, verify_files
from tests.runtime.conftest import plain, quantized, small_manifest


def written(folder: Path, content: Any) -> Path:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(text)
    return folder


def test_a_manifest_is_read(tmp_path: Path) -> None:
    found = read_manifest(written(tmp_path, small_manifest() | {"steps": [{"name": "00"}]}))
    assert (found.name, found.target, found.features, found.weights_file) == ("small", "portable", (), None)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in found.inputs] == [
        ("x", FLOAT32, (4, 8)),
        ("q", UINT4, (8,)),
    ]
    assert (found.inputs[1].scale, found.inputs[1].zero_point, found.inputs[1].axis) == ((0.5,), (3,), None)
    assert found.content["steps"] == [{"name": "00"}]


def test_scales_per_axis_are_read(tmp_path: Path) -> None:
    tensor = quantized("q", [2, 3]) | {"scale": [0.5, 0.25, 1], "zero_point": [1, 2, 3], "axis": 1}
    signature = read_manifest(written(tmp_path, small_manifest() | {"inputs": [tensor]})).inputs[0]
    assert (signature.scale, signature.zero_point, signature.axis) == ((0.5, 0.25, 1.0), (1, 2, 3), 1)


def test_a_folder_without_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ModelError, match="is not a bundle"):
            read_manifest(folder)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="has format 2; this subbyte reads format 1"):
        read_manifest(written(tmp_path, small_manifest() | {"format": 2}))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": 1', b"\0" * 64], ids=lambda text: repr(text[:4])
)
def test_what_is_not_json_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ModelError, match="is not JSON"):
        read_manifest(written(tmp_path, text))


def test_an_endless_manifest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "_MAX_BYTES", 100)
    with pytest.raises(ModelError, match="more than 100 bytes"):
        read_manifest(written(tmp_path, small_manifest()))


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"format": None}, "format is nothing"),
    ({"format": True}, "format is true"),
    ({"name": 5}, "name is 5"),
    ({"target": None}, "target is nothing"),
    ({"abi_version": "1"}, "abi_version"),
    ({"digest": "abc"}, "digest"),
    ({"digest": "F" * 64}, "digest"),
    ({"features": "avx2"}, "features"),
    ({"features": [1]}, "features"),
    ({"inputs": None}, "inputs"),
    ({"inputs": ["x"]}, r"inputs\[0\]"),
    ({"inputs": [plain("x", "float32", [1]), plain("x", "float32", [1])]}, "twice"),
    ({"inputs": [plain("x", "float31", [1]) | {"dtype": "float32"}]}, r"inputs\[0\].code"),
    ({"inputs": [plain("x", "uint4", [1])]}, r"inputs\[0\].dtype is \"uint4\"; 'uint8', which holds uint4"),
    ({"inputs": [plain("x", "float32", [-1])]}, r"inputs\[0\].shape"),
    ({"inputs": [plain("x", "float32", [1.0])]}, r"inputs\[0\].shape"),  # type: ignore[list-item]
    ({"inputs": [plain("x", "float32", [True])]}, r"inputs\[0\].shape"),
    ({"inputs": [plain("x", "float32", [1] * 33)]}, r"inputs\[0\].shape"),
    ({"inputs": [plain("x", "float32", [1]) | {"name": None}]}, r"inputs\[0\].name"),
    ({"outputs": [quantized("q", [8]) | {"scale": [0.0]}]}, r"outputs\[0\].scale"),
    ({"outputs": [quantized("q", [8]) | {"scale": [float("inf")]}]}, r"outputs\[0\].scale"),
    ({"outputs": [quantized("q", [8]) | {"scale": [float("nan")]}]}, r"outputs\[0\].scale"),
    ({"outputs": [quantized("q", [8]) | {"scale": [0.5, 0.5]}]}, r"outputs\[0\].scale"),
    ({"outputs": [quantized("q", [8]) | {"zero_point": [1, 2]}]}, r"outputs\[0\].zero_point"),
    ({"outputs": [quantized("q", [8]) | {"zero_point": [0.5]}]}, r"outputs\[0\].zero_point"),
    ({"outputs": [quantized("q", [8]) | {"axis": 1}]}, r"outputs\[0\].axis"),
    ({"outputs": [quantized("q", [8]) | {"axis": 0}]}, r"outputs\[0\].scale"),
    ({"weights": None}, "weights"),
    ({"weights": {"file": "weights.bin"}}, "weights.file"),
    ({"weights": {"file": 7}}, "weights.file"),
    ({"files": ["model.c"]}, "files"),
    ({"files": {"model.c": "abc"}}, r"files\['model.c'\]"),
]


@pytest.mark.parametrize(("change", "part"), BROKEN)
def test_a_damaged_field_is_named(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    with pytest.raises(ModelError, match=part) as refusal:
        read_manifest(written(tmp_path, small_manifest() | change))
    assert "\n" not in str(refusal.value)


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="an object is expected"):
        read_manifest(written(tmp_path, [1, 2]))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../other/model.c", "kernels/../../model.c", "a\\b", "", ".", "./model.c", "a//b", "a\0b"]
)
def test_paths_stay_in_the_bundle(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="a path in files"):
        read_manifest(written(tmp_path, small_manifest() | {"files": {name: "0" * 64}}))


def test_links_stay_in_the_bundle(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.c").symlink_to(secret)
    found = read_manifest(written(folder, small_manifest() | {"files": {"model.c": file_sha256(secret)}}))
    with pytest.raises(ModelError, match="outside the bundle"):
        verify_files(folder, found)


def test_folders_that_are_links_stay_in_the_bundle(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    for place in (tmp_path / "elsewhere", folder / "inside"):
        place.mkdir(parents=True)
        (place / "a.h").write_text("a")
    found = read_manifest(written(folder, small_manifest() | {"files": {"kernels/a.h": file_sha256(place / "a.h")}}))
    (folder / "kernels").symlink_to(folder / "inside")
    verify_files(folder, found)
    (folder / "inside" / "a.h").write_text("b")
    with pytest.raises(ModelError, match=r"kernels/a\.h' was changed"):
        verify_files(folder, found)
    (folder / "kernels").unlink()
    (folder / "kernels").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=r"kernels' is a link to '.*elsewhere', outside the bundle"):
        verify_files(folder, found)
