"""`subbyte compile --target hls`: what it writes and reports, what it refuses before it writes, names of any kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import subbyte
from subbyte.compiler.errors import UnsupportedError
from tests.conftest import MODELS

Cli = Callable[..., Any]
INTEGERS = {"lut", "ff", "dsp", "bram18", "uram"}
TYPES = {
    "project": str,
    "target": str,
    "part": str,
    "clock_mhz": float,
    "met": bool,
    "frame_cycles": int,
    "latency_cycles": int,
    "fps": float,
    "latency_us": float,
    "resources": dict,
    "part_resources": dict,
    "macs": dict,
    "reasons": list,
}
HOSTILE = '../../x"\n*/ #include "/etc/passwd" // $(touch pwned) \\ ??/ \u00fc\u2028 {0}'


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def w2a2(digits: Path) -> Path:
    return digits / "digits_mlp_w2a2.qonnx.onnx"


@pytest.fixture
def project(cli: Cli, w2a2: Path, tmp_path: Path) -> Path:
    done = cli("compile", w2a2, "--target", "hls", "--fps", "100000", "-o", tmp_path / "project")
    assert done.code == 0, done.err
    return tmp_path / "project"


# What is written and said


def test_json_says_what_the_design_is_estimated_to_take(cli: Cli, w2a2: Path, tmp_path: Path) -> None:
    arguments = ("compile", w2a2, "--target", "hls", "--part", "xczu3eg", "--clock", "150", "--fps", "50000", "--json")
    report = cli(*arguments, "-o", tmp_path / "project").json()
    assert {name: type(value) for name, value in report.items()} == TYPES
    for name in ("resources", "part_resources"):
        assert set(report[name]) == INTEGERS
        assert all(type(count) is int for count in report[name].values())
    assert report["project"] == str(tmp_path / "project")
    assert (report["target"], report["part"], report["clock_mhz"]) == ("hls", "xczu3eg-sbva484-1-e", 150.0)
    assert report["met"]
    assert report["fps"] == pytest.approx(150e6 / report["frame_cycles"])
    assert report["latency_us"] == pytest.approx(report["latency_cycles"] / 150)
    assert report["macs"] == {"processor": 0, "design": 64 * 96 + 96 * 48 + 48 * 10}
    estimate = json.loads((tmp_path / "project" / "report" / "estimate.json").read_text())
    assert estimate["resources"] == report["resources"]


def test_a_project_is_whole(project: Path) -> None:
    files = content(project)
    name = "digits_mlp_w2a2"
    assert {
        f"include/{name}.h",
        f"src/{name}_top.cpp",
        f"tb/tb_{name}.cpp",
        f"driver/{name}_driver.c",
        f"driver/{name}_pynq.py",
        "csim/Makefile",
        "tcl/run_hls.tcl",
        "tcl/vivado.tcl",
        "report/estimate.md",
        "report/folding.json",
        "host/before/model.c",
        "host/behind/model.c",
    } <= set(files)
    text = b"".join(files[path] for path in files if path.startswith(("src/", "kernels/", "include/")))
    code = b"\n".join(line.partition(b"//")[0] for line in text.splitlines())
    assert not any(word in code.replace(b",", b" ").split() for word in (b"float", b"double"))


def test_the_folding_that_was_chosen_can_be_given_back(cli: Cli, project: Path, w2a2: Path, tmp_path: Path) -> None:
    folding = project / "report" / "folding.json"
    done = cli("compile", w2a2, "--target", "hls", "--folding", folding, "-o", tmp_path / "again")
    assert done.code == 0, done.err
    assert (tmp_path / "again" / "src" / "digits_mlp_w2a2_top.cpp").read_bytes() == (
        project / "src" / "digits_mlp_w2a2_top.cpp"
    ).read_bytes()


def test_processes_that_hash_differently_write_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    model = digits / "digits_resnet_w2a2.qonnx.onnx"
    for seed in ("1", "2"):
        command = [sys.executable, "-c", "from subbyte.compiler.cli import main; main()", "compile", str(model)]
        subprocess.run(
            [*command, "--target", "hls", "--fps", "10000", "-o", str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
    first, second = content(tmp_path / "1"), content(tmp_path / "2")
    assert first == second
    assert len(first) > 40


def test_a_goal_that_no_folding_reaches_is_said_and_the_best_is_written(cli: Cli, w2a2: Path, tmp_path: Path) -> None:
    arguments = ("compile", w2a2, "--target", "hls", "--fps", "90e6", "-o", tmp_path / "project")
    report = cli(*arguments, "--json").json()
    assert report["met"] is False
    assert report["reasons"]
    assert (tmp_path / "project" / "src" / "digits_mlp_w2a2_top.cpp").is_file()
    assert "THE GOAL IS NOT MET" in cli(*arguments).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--interface", "memory", "--bus-bits", "128", "--terms", "2", "--latency", "20us"),
        ("--bus-bits", "32", "--terms", "0", "--budget", "0.5", "--part", "xc7a100tcsg324-2"),
    ],
    ids=["memory", "stream"],
)
def test_ports_and_products_by_options_simulate(
    cli: Cli, w2a2: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    folder = tmp_path / "project"
    done = cli("compile", w2a2, "--target", "hls", *arguments, "-o", folder)
    assert done.code == 0, done.err
    assert f"{arguments[1 if arguments[0] == '--bus-bits' else 3]} 14}}" in (folder / "tcl" / "vivado.tcl").read_text()
    assert simulated(folder)


def test_inputs_whose_names_are_alike_are_told_apart(cli: Cli, tmp_path: Path) -> None:
    names = ["x.1", "x/1", "x_1"]
    chains = [quantizers(name, f"{name}8", f"{name}f") for name in names[:2]]
    weights, constants = weights_of("w", np.eye(3, dtype=np.int8))
    nodes = [node for chain, _ in chains for node in chain]
    nodes += [weights, *(helper.make_node("MatMul", [f"{x}f", "wf"], [f"{x}m"], name=x) for x in names[:2])]
    nodes.append(helper.make_node("Concat", [f"{x}m" for x in names[:2]], ["x_1"], name="x 1", axis=1))
    inputs = [value(name, 1, 3) for name in names[:2]]
    for _, more in chains:
        constants += more
    save(helper.make_graph(nodes, "x", inputs, [value("x_1", 1, 6)], constants), tmp_path / "x.onnx")
    done = cli("compile", tmp_path / "x.onnx", "--target", "hls", "--fps", "1e6", "-o", tmp_path / "project")
    assert done.code == 0, done.err
    assert simulated(tmp_path / "project")


def simulated(folder: Path) -> bool:
    """Whether every stream in the C simulation of the project is equal to its golden vectors."""
    done = subprocess.run(
        ["make", "-s", "-C", str(folder / "csim"), "CXXFLAGS=-O0", "csim"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return "\npassed: " in done.stdout


# What is refused, and nothing written


def refused(cli: Cli, tmp_path: Path, model: Path, *arguments: object) -> str:
    """The error of a command that writes nothing."""
    before = sorted(tmp_path.iterdir())
    error = cli("compile", model, "--target", "hls", "-o", tmp_path / "project", *arguments).error()
    assert sorted(tmp_path.iterdir()) == before
    return str(error)


def test_structures_that_are_not_built_are_listed_by_node_and_reason(cli: Cli, tmp_path: Path) -> None:
    weights, constants = weights_of("w", np.eye(4, dtype=np.int8))
    chains = [quantizers(x, f"{x}8", f"{x}f") for x in ("x", "embedded", "scores")]
    nodes = [
        weights,
        *chains[0][0],
        helper.make_node("MatMul", ["xf", "wf"], ["embedded"], name="embed"),
        *chains[1][0],
        helper.make_node("Transpose", ["embeddedf"], ["turned"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["embeddedf", "turned"], ["scores"], name="attention"),
        *chains[2][0],
        helper.make_node("MatMul", ["scoresf", "wf"], ["y"], name="project"),
    ]
    for _, more in chains:
        constants += more
    graph = helper.make_graph(nodes, "attention", [value("x", 4, 4)], [value("y", 4, 4)], constants)
    path = tmp_path / "attention.onnx"
    save(graph, path)
    error = refused(cli, tmp_path, path)
    assert error.startswith("UnsupportedError: target 'hls'")
    assert "QGemm 'project'" in error
    assert "QGemm 'attention + scores8 Q': its weights int8[4, 4]" in error
    assert "are computed at run time; products of two streams are not built" in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--part", "xc7z02O"), "part 'xc7z02O' is not known; the nearest that is known is xc7z020"),
        (("--fps", "1000", "--latency", "1ms"), "give frames a second or a latency, not both"),
        (("--fps", "-1"), "a goal is positive"),
        (("--fps", "1e12"), "less than one cycle a frame"),
        (("--latency", "soon"), "'soon'"),
        (("--clock", "-100"), "a goal is positive"),
        (("--budget", "plenty"), "the budget 'plenty' is not JSON"),
        (("--budget", '{"luts": 1}'), "names 'luts'"),
        (("--interface", "carrier pigeon"), "the interface is 'carrier pigeon'; stream and memory are built"),
        (("--bus-bits", "48"), "the bus has 48 bits; 32, 64"),
        (("--terms", "9"), "weights of 9 powers of two are asked for; 0 to 8 are built"),
        (("--golden", "absent.npz"), "there is no file 'absent.npz'"),
        (("--folding", "absent.json"), "'absent.json' cannot be read"),
    ],
)
def test_an_option_that_cannot_be_is_an_error(
    cli: Cli, w2a2: Path, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(cli, tmp_path, w2a2, *arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "is a list; an object"),
        ('{"gemm1": {"simd": 2}', "is not JSON"),
        ('{"gemm1": {"simd": 0}}', "simd 0; a whole number from 1 on"),
        ('{"gemm1": {"lanes": 2}}', "a 'lanes'; layers have simd, pe"),
        ('{"gemm1": {"pe": 97}}', "gives layer 'gemm1' pe 97; it has 96 at most"),
        ('{"gemm9": {"pe": 1}}', "the folding names layer 'gemm9'; the layers are gemm1"),
    ],
)
def test_a_folding_that_cannot_be_is_an_error(cli: Cli, w2a2: Path, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "folding.json").write_text(text)
    assert expected in refused(cli, tmp_path, w2a2, "--folding", tmp_path / "folding.json")


def test_a_budget_below_the_smallest_folding_is_an_error(cli: Cli, w2a2: Path, tmp_path: Path) -> None:
    assert "lut" in refused(cli, tmp_path, w2a2, "--budget", '{"lut": 100}')


def test_samples_of_another_shape_leave_an_older_project_as_it_was(
    cli: Cli, project: Path, w2a2: Path, tmp_path: Path
) -> None:
    before = content(tmp_path)
    np.savez(tmp_path.parent / "wrong.npz", input=np.zeros((2, 3), np.float32))
    arguments = ("compile", w2a2, "--target", "hls", "--golden", tmp_path.parent / "wrong.npz", "-o", project)
    assert "input" in cli(*arguments).error()
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--target", "portable", "--fps", "1000"),
        ("--target", "portable", "--golden", "samples.npz"),
        ("--target", "portable", "--terms", "2"),
        ("--target", "portable", "--emit", "rtl"),
        ("--target", "hls", "--libc", "musl"),
        ("--target", "hls", "--compiler", "gcc"),
        ("--target", "hls", "--emit", "so"),
        ("--target", "hls", "--io", "quantized"),
        ("--target", "hls", "--weights", "file"),
        ("--target", "hls", "--threads", "2"),
        ("--target", "hls", "--no-build"),
    ],
)
def test_an_option_of_another_language_is_a_usage_error(
    cli: Cli, w2a2: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = cli("compile", w2a2, "-o", tmp_path / "project", *arguments)
    assert done.code == 2, done.err
    assert arguments[2] in done.err
    assert list(tmp_path.iterdir()) == []


# Names of any kind


def value(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def quantizers(x: str, codes: str, y: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """y = DequantizeLinear(QuantizeLinear(x)), int8 on a scale of 1/4, and its constants."""
    scale, zero = f"{codes}_scale", f"{codes}_zero"
    nodes = [
        helper.make_node("QuantizeLinear", [x, scale, zero], [codes], name=f"{codes} Q"),
        helper.make_node("DequantizeLinear", [codes, scale, zero], [y], name=f"{codes} D"),
    ]
    return nodes, [constant(scale, np.float32(0.25)), constant(zero, np.int8(0))]


def weights_of(name: str, codes: NDArray[np.int8]) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """NAMEf = DequantizeLinear(codes)."""
    constants = [constant(name, codes), constant(f"{name}_scale", np.float32(0.5))]
    return helper.make_node("DequantizeLinear", [name, f"{name}_scale"], [f"{name}f"], name=f"{name} D"), constants


def constant(name: str, array: NDArray[Any] | np.generic) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.save(model, path)


def two_layers(names: list[str], title: str) -> onnx.GraphProto:
    """x -> codes -> product -> codes -> product -> y; names: of x, of both products and of y."""
    x, first, second, y = names
    rng = np.random.default_rng(3)
    front, constants = quantizers(x, f"{x}8", f"{x}f")
    middle, more = quantizers(first, f"{first}8", f"{first}f")
    w, w_constants = weights_of("int", rng.integers(-8, 8, (6, 5)).astype(np.int8))
    v, v_constants = weights_of("while", rng.integers(-8, 8, (5, 3)).astype(np.int8))
    nodes = [
        *front,
        w,
        helper.make_node("MatMul", [f"{x}f", "intf"], [first], name=first),
        *middle,
        v,
        helper.make_node("MatMul", [f"{first}f", "whilef"], [y], name=second),
    ]
    constants += [*more, *w_constants, *v_constants]
    return helper.make_graph(nodes, title, [value(x, 1, 6)], [value(y, 1, 3)], constants)


@pytest.mark.parametrize(
    ("names", "title"),
    [
        ([HOSTILE, f"*/{HOSTILE}", "/*", f"{HOSTILE}/y"], HOSTILE),
        (["class", "gemm1", "gemm1_weights", "return"], "main"),
    ],
    ids=["hostile", "words of C"],
)
def test_a_model_of_any_names_compiles_and_simulates(cli: Cli, tmp_path: Path, names: list[str], title: str) -> None:
    place = tmp_path / "in"
    place.mkdir()
    path = place / ("main.onnx" if title == "main" else 'a "model" $(touch pwned) */.onnx'.replace("/", "'"))
    save(two_layers(names, title), path)
    folder = tmp_path / "out" / "a folder"
    done = cli("compile", path, "--target", "hls", "--fps", "1e6", "-o", folder)
    assert done.code == 0, done.err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "out"]
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["a folder"]
    assert all(name.isascii() and " " not in name for name in content(folder))
    assert simulated(folder)
    for side in ("before", "behind"):
        subprocess.run(["gcc", "-std=c99", "-fsyntax-only", str(folder / "host" / side / "model.c")], check=True)
    for driver in (folder / "driver").glob("*.c"):
        subprocess.run(["gcc", "-std=c99", "-fsyntax-only", str(driver)], check=True)
    for driver in (folder / "driver").glob("*.py"):
        compile(driver.read_text(), str(driver), "exec")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "out"]


def test_options_that_say_nothing_about_the_target_are_refused() -> None:
    model = MODELS / "digits_mlp_w2a2.qonnx.onnx"
    with pytest.raises(UnsupportedError, match="options of hls were given, and the target is 'portable'"):
        subbyte.compile(model, target="portable", hls=subbyte.HlsOptions())
    with pytest.raises(UnsupportedError, match="no C compiler and no file of weights"):
        subbyte.compile(model, target="hls", compiler="gcc")
