"""Projects: printed twice they are equal, they build with g++ alone, and a wrong number is found where it arises."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import GraphError, ToolchainError
from subbyte.compiler.hls.csim import Mismatch, SimulationResult, count_cycles, find_ap_types, simulate
from subbyte.compiler.numerics.step_forms import Unchanged
from subbyte.targets.hls.actors import Convert, Design, Fork, MapCodes, MatrixVector, Product
from subbyte.targets.hls.project import make_project
from subbyte.targets.hls.project.golden import Golden, frames_of, golden_words, word_bytes
from subbyte.targets.hls.project.options import ProjectOptions
from subbyte.targets.hls.project.ports import Bus, Port
from subbyte.targets.hls.reference import words_of
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from subbyte.targets.hls.trace import trace

Lacking = Callable[[str, str], None]

OPTIONS = ProjectOptions(version="1.0", digest="0123abcd", model='a "model" */ of ??/ strangers\\')
SAMPLES = 3


def plain_bus(design: Design) -> Bus:
    """Ports that are streams of the design's own words."""

    def port(stream: Stream, move: str, process: str) -> Port:
        kind = f"hls::stream<{stream.type.c_type} >"
        words = stream.type.words
        return Port(
            parameter=f"{kind}& {stream.name}_port",
            pragmas=(f"#pragma HLS INTERFACE axis port = {stream.name}_port",),
            process=f"for (int i = 0; i < {words}; ++i) {{ SUBBYTE_CYCLE(); {process} }}".replace("PORT", stream.name),
            declare=f'{kind} {stream.name}_port("{stream.name}_port");',
            move=f"for (int i = 0; i < {words}; ++i) {move.replace('PORT', stream.name)};",
            argument=f"{stream.name}_port",
        )

    return Bus(
        name="plain streams",
        headers=("subbyte_hls.h",),
        inputs=tuple(
            port(stream, "PORT_port.write({words}[i])", "{stream}.write(PORT_port.read());") for stream in design.inputs
        ),
        outputs=tuple(
            port(stream, "{words}[i] = PORT_port.read()", "PORT_port.write({stream}.read());")
            for stream in design.outputs
        ),
    )


def small_design() -> Design:
    """5 codes -> table -> 2 readers: one is an output, the other a matrix of signed weights, in words of 2 and 4."""
    random = np.random.default_rng(1)
    codes, small = Element(0, 15), Element(-3, 3)
    image = Stream("image", StreamType(codes, 2, 3, 5, 2))
    mapped = Stream("mapped", StreamType(small, 2, 3, 5, 2))
    copies = (Stream("linux", mapped.type), Stream("copy_b", mapped.type))
    wide = Stream("wide", StreamType(small, 2, 3, 5, 4))
    weights = random.integers(-4, 4, (7, 1, 5))
    sums = Element(-120, 120)
    result = Stream("result", StreamType(sums, 2, 3, 7, 3))
    actors = (
        MapCodes("map0", (image,), (mapped,), random.integers(-3, 4, (1, 16)), sources=("/Relu*/", "b\\")),
        Fork("copy_b", (mapped,), copies),
        Convert("widen", (copies[1],), (wide,)),
        MatrixVector(
            "fc",
            (wide,),
            (result,),
            weights=weights,
            bias=random.integers(-9, 9, 7),
            sums=sums,
            steps=Unchanged(),
            product=Product.MULTIPLY,
            sources=("/fc/Gemm",),
        ),
    )
    depths = {stream.name: 4 for actor in actors for stream in actor.outputs} | {"image": 2}
    return Design("little", actors, (image,), (copies[0], result), depths)


def golden_of(design: Design) -> Golden:
    image = design.inputs[0].type
    frames = np.random.default_rng(2).integers(0, 16, (SAMPLES, image.pixels, image.runs, image.channels))
    return Golden(SAMPLES, {"image": frames})


def write(files: dict[str, bytes], folder: Path) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def project(design: Design) -> dict[str, bytes]:
    return make_project(design, OPTIONS, golden_of(design), plain_bus(design))


@pytest.fixture(scope="module")
def design() -> Design:
    return small_design()


@pytest.fixture(scope="module")
def folder(design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(project(design), tmp_path_factory.mktemp("little"))


def test_a_project_printed_twice_is_byte_identical(design: Design) -> None:
    assert project(small_design()) == project(design)


def test_a_project_holds_what_its_simulation_needs_and_no_more(design: Design) -> None:
    files = set(project(design))
    kernels = {path for path in files if path.startswith("kernels/")}
    assert kernels == {
        "kernels/subbyte_hls.h",
        "kernels/subbyte_hls_map.h",
        "kernels/subbyte_hls_matrix_vector.h",
        "kernels/subbyte_hls_movement.h",
        "kernels/subbyte_hls_products.h",
        "kernels/subbyte_hls_steps.h",
    }
    assert {f"tb/golden/{stream.name}.bin" for stream in design.streams} < files
    assert {"include/little.h", "src/little_top.cpp", "src/weights_fc.h", "src/weights_map0.h"} < files
    assert {"tb/tb_little.cpp", "tb/golden.json", "csim/Makefile", "csim/ap_types/ap_int.h", "CMakeLists.txt"} < files


def test_whatever_a_model_is_called_the_sources_are_ascii_lines_without_continuations(design: Design) -> None:
    for path, content in project(design).items():
        if path.startswith(("include/", "src/", "tb/tb_")):
            lines = content.decode("ascii").splitlines()
            assert not [line for line in lines if line.endswith("\\") or "??/" in line], path


def test_golden_json_names_every_file_with_its_hash(design: Design) -> None:
    files = project(design)
    document = json.loads(files["tb/golden.json"])
    assert [entry["name"] for entry in document["streams"]] == [stream.name for stream in design.streams]
    for entry in document["streams"]:
        content = files[f"tb/{entry['file']}"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == SAMPLES * entry["words"] * entry["word_bytes"]


def test_c_simulation_finds_every_stream_equal(design: Design, folder: Path) -> None:
    """Under the sanitizers."""
    result = simulate(folder, sanitize=True)
    assert result.passed
    assert result.words == {stream.name: SAMPLES * stream.type.words for stream in design.streams}


def test_c_simulation_takes_the_ap_int_of_others(design: Design, folder: Path) -> None:
    ap_types = find_ap_types()
    assert ap_types is not None, "the test extra hls4ml is not installed"
    result = simulate(folder, ap_types=ap_types, samples=2)
    assert result.passed
    assert result.words == {stream.name: 2 * stream.type.words for stream in design.streams}


def test_the_cycle_mode_reports_every_process_and_stream(design: Design, folder: Path) -> None:
    result, report = count_cycles(folder)
    assert result.passed
    actors = {actor.name: trace(actor).iterations * SAMPLES for actor in design.actors}
    counted = {name: process["iterations"] for name, process in report["processes"].items()}
    assert {name: counted[name] for name in actors} == actors
    high_water = {name: stream["high_water"] for name, stream in report["streams"].items()}
    assert all(1 <= high_water[name] <= depth for name, depth in design.depths.items())


def simulate_against(folder: Path, stream: Stream, word: int, bit: int) -> SimulationResult:
    """The simulation where one bit of a golden word is wrong."""
    path = folder / "tb" / "golden" / f"{stream.name}.bin"
    right = path.read_bytes()
    wrong = bytearray(right)
    wrong[word * -(-stream.type.word_bits // 8) + bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(wrong)
    try:
        return simulate(folder, sanitize=True)
    finally:
        path.write_bytes(right)


@pytest.mark.parametrize(("name", "layer"), [("wide", "widen"), ("result", "fc (/fc/Gemm)")])
def test_the_first_difference_is_told_by_layer_stream_sample_index_got_and_want(
    design: Design, folder: Path, name: str, layer: str
) -> None:
    stream = next(stream for stream in design.streams if stream.name == name)
    kind, sample, pixel = stream.type, 1, 4
    channel = kind.channels - 1
    code = int(frames_of(design, golden_of(design), sample)[stream][pixel, 0, channel])
    word = sample * kind.words + pixel * kind.words_per_pixel + channel // kind.lanes
    result = simulate_against(folder, stream, word, channel % kind.lanes * kind.element.bits)
    assert not result.passed
    assert result.mismatch is not None
    found = replace(result.mismatch, text="")
    assert found == Mismatch(layer, name, sample, pixel * kind.channels + channel, code, code ^ 1, "")


def test_lanes_that_hold_no_code_are_compared_too(design: Design, folder: Path) -> None:
    stream = next(stream for stream in design.streams if stream.name == "wide")
    mismatch = simulate_against(folder, stream, 1, stream.type.element.bits).mismatch
    assert mismatch is not None
    assert replace(mismatch, text="") == Mismatch("widen", "wide", 0, None, 0, 1, "")
    assert "a lane that holds no code" in mismatch.text


def test_a_stream_with_too_few_words_is_told(design: Design, tmp_path: Path) -> None:
    broken = write(project(design), tmp_path)
    source = broken / "src" / "little_top.cpp"
    source.write_text(source.read_text().replace("fork<18, 6>", "fork<17, 6>"))
    mismatch = simulate(broken).mismatch
    assert mismatch is not None
    assert replace(mismatch, text="") == Mismatch("copy_b", "linux", 0, None, 17, 18, "")


def test_what_the_compiler_says_is_told(design: Design, folder: Path, tmp_path: Path) -> None:
    broken = write(project(design), tmp_path)
    (broken / "src" / "little_top.cpp").write_text("this is not C++;\n")
    with pytest.raises(ToolchainError, match=r"make csim.*ended with 2(.|\n)*little_top.cpp:1:1: error"):
        simulate(broken)
    with pytest.raises(ToolchainError, match="no project of target 'hls'"):
        simulate(tmp_path / "src")


def test_names_that_would_collide_are_told_or_changed() -> None:
    design = small_design()
    first = design.actors[0]
    with pytest.raises(GraphError, match="actor 'a b' is no identifier"):
        project(replace(design, actors=(replace(first, name="a b"), *design.actors[1:])))
    with pytest.raises(GraphError, match="two actors are called 'fc'"):
        project(replace(design, actors=(replace(first, name="fc"), *design.actors[1:])))
    with pytest.raises(GraphError, match="'in0' cannot be the top function's name"):
        project(replace(design, name="in0"))
    for name in ("ap_uint", "INT_MAX", "fc_weights"):
        renamed = project(replace(design, actors=(replace(first, name=name), *design.actors[1:])))
        assert f"static void {name}_process(".encode() in renamed["src/little_top.cpp"]


def test_files_of_others_may_not_replace_those_of_the_project(design: Design) -> None:
    added = replace(OPTIONS, files={"tcl/run_hls.tcl": b"exit\n"})
    assert make_project(design, added, golden_of(design), plain_bus(design))["tcl/run_hls.tcl"] == b"exit\n"
    with pytest.raises(GraphError, match="two files 'csim/Makefile'"):
        make_project(design, replace(OPTIONS, files={"csim/Makefile": b""}), golden_of(design), plain_bus(design))


def test_golden_frames_that_do_not_fit_are_refused(design: Design) -> None:
    image = golden_of(design).frames["image"]
    with pytest.raises(GraphError, match="unknown streams: picture"):
        golden_words(design, Golden(SAMPLES, {"picture": image}))
    with pytest.raises(GraphError, match="0 samples"):
        golden_words(design, Golden(0, {"image": image}))
    with pytest.raises(GraphError, match="'image' comes from the bus and has no golden frames"):
        golden_words(design, Golden(1, {}))
    with pytest.raises(GraphError, match=r"'image' is \[5, 1, 6\]; its pixels, runs and channels are \[6, 1, 5\]"):
        golden_words(design, Golden(1, {"image": lambda _: np.zeros((5, 1, 6), np.int64)}))
    with pytest.raises(GraphError, match=r"'image' holds the codes 16..16; its lanes carry 0..15"):
        golden_words(design, Golden(1, {"image": lambda _: np.full((6, 1, 5), 16)}))


def test_known_frames_stand_in_for_computed_ones(design: Design) -> None:
    """What the interpreter says is the golden vector, not what the references of the actors say."""
    other: Codes = np.full((SAMPLES, 6, 1, 7), 3)
    kind = design.outputs[1].type
    golden = Golden(SAMPLES, {**golden_of(design).frames, "result": other})
    assert golden_words(design, golden)["result"] == SAMPLES * word_bytes(other[0], kind)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("element", [Element(0, 1), Element(-1, 1, True), Element(-4, 3), Element(-(2**40), 2**40)])
@pytest.mark.parametrize(("channels", "lanes", "runs"), [(1, 1, 1), (5, 2, 3), (4, 4, 2), (3, 2, 9)])
def test_packed_words_are_those_of_the_reference(
    element: Element, channels: int, lanes: int, runs: int, first: bool
) -> None:
    kind = StreamType(element, 2, 2, channels, lanes, runs)
    frame = np.random.default_rng(0).integers(element.low, element.high + 1, (4, runs, channels))
    frame = np.where(frame == 0, element.high, frame) if element.bipolar else frame
    size = -(-kind.word_bits // 8)
    wanted = b"".join(word.to_bytes(size, "little") for word in words_of(frame, kind, first))
    assert word_bytes(frame, kind, first) == wanted


def test_frames_that_nobody_wants_are_not_computed(design: Design) -> None:
    names = [stream.name for stream in frames_of(design, golden_of(design), 0, frozenset({"copy_b"}))]
    assert names == ["image", "mapped", "linux", "copy_b"]


def test_large_streams_inside_keep_fewer_samples(design: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subbyte.targets.hls.project.golden.STREAM_BYTES", 40)
    sizes = {name: len(words) for name, words in golden_words(design, golden_of(design)).items()}
    border = {stream.name for stream in design.inputs + design.outputs}
    kept = {name: 2 if name == "mapped" or name == "copy_b" else 1 for name in sizes}
    kept |= dict.fromkeys(border, SAMPLES)
    assert sizes == {s.name: kept[s.name] * s.type.words * -(-s.type.word_bits // 8) for s in design.streams}


def test_cmake_builds_the_simulation_too_and_without_a_warning(
    folder: Path, tmp_path: Path, optional_capability: Lacking
) -> None:
    if shutil.which("cmake") is None:
        optional_capability("cross gcc", "there is no cmake")
    strict = {**os.environ, "CXXFLAGS": "-Wall -Wextra -Werror"}
    subprocess.run(["cmake", "-S", str(folder), "-B", str(tmp_path)], check=True, capture_output=True, env=strict)
    done = subprocess.run(
        ["cmake", "--build", str(tmp_path), "--target", "csim"], check=True, capture_output=True, text=True
    )
    assert f"passed: {SAMPLES} samples" in done.stdout
