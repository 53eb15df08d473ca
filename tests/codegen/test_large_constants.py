"""Large arrays of bytes are written as strings; every compiler reads the same bytes back, without a warning."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper

import subbyte
from subbyte.compiler.codegen.c_literals import ROW_BYTES, c_rows
from tests.dialects.conftest import build_model

DEPTH, COLUMNS = 300, 60
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1")
COMPILERS = {
    "cc": ("cc",),
    **({"clang": ("clang",)} if shutil.which("clang") else {}),
    **({"zig": (sys.executable, "-m", "ziglang", "cc")} if find_spec("ziglang") else {}),
}


def every_byte() -> np.ndarray:
    """All pairs of neighbouring bytes: escapes before digits, quotes, trigraphs; the last row ends early."""
    pairs = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1).reshape(-1)
    return np.concatenate([pairs, np.frombuffer(b'??/ \\101"%s', np.uint8)]).astype(np.uint8)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_compiler_reads_the_same_bytes(dtype: str, compiler: str, tmp_path: Path) -> None:
    array = every_byte().view(dtype)
    rows = c_rows(array)
    assert len(rows) == -(-array.size // ROW_BYTES)
    declaration = f"static const {dtype}_t data[{len(rows)}][{ROW_BYTES}] = {{\n" + ",\n".join(rows) + "\n};\n"
    assert max(map(len, declaration.splitlines())) <= 120
    (tmp_path / "main.c").write_text(
        "#include <stdint.h>\n#include <stdio.h>\n"
        f"{declaration}int main(void) {{ fwrite((const {dtype}_t *)data, 1, {array.size}, stdout); return 0; }}\n"
    )
    quiet = ("-Wno-pragmas", "-Wno-unknown-warning-option", "-Wno-unterminated-string-initialization")
    program = tmp_path / "main"
    subprocess.run([*COMPILERS[compiler], *STRICT, *quiet, "-o", program, tmp_path / "main.c"], check=True)
    assert subprocess.run([program], check=True, capture_output=True).stdout == array.tobytes()


def dense() -> ModelProto:
    """A dense layer of more bytes than are written as numbers."""
    random = np.random.default_rng(0)
    constants = {
        "s": np.float32(0.05),
        "z": np.uint8(7),
        "w": random.integers(-128, 128, (DEPTH, COLUMNS)).astype(np.int8),
        "t": random.uniform(0.001, 0.01, COLUMNS).astype(np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["a"], "dequantize"),
        helper.make_node("DequantizeLinear", ["w", "t"], ["b"], "weights", axis=1),
        helper.make_node("MatMul", ["a", "b"], ["p"], "product"),
        helper.make_node("QuantizeLinear", ["p", "s", "z"], ["r"], "quantize_product"),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"], "result"),
    ]
    return build_model(nodes, {"x": (2, DEPTH)}, constants)


@pytest.mark.parametrize("weights", ["inline", "file"])
def test_a_bundle_with_large_weights_computes_the_same(weights: str, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(2, DEPTH)).astype(np.float32)
    module = subbyte.compile(dense(), target="portable", weights=weights, output=tmp_path / "bundle")
    np.testing.assert_array_equal(module.run({"x": x})["y"], subbyte.evaluate(dense(), {"x": x})["y"])
    text = (tmp_path / "bundle" / "model.c").read_text()
    assert (f"[{ROW_BYTES}]" in text) == (weights == "inline")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_its_source_builds_without_a_warning(compiler: str, tmp_path: Path) -> None:
    subbyte.compile(dense(), target="portable", output=tmp_path / "bundle")
    flags = (*STRICT, "-Wno-unused-function", "-I", tmp_path / "bundle" / "kernels", "-I", tmp_path / "bundle")
    command = [*COMPILERS[compiler], *flags, "-c", "-o", tmp_path / "model.o", tmp_path / "bundle" / "model.c"]
    subprocess.run(command, check=True)
