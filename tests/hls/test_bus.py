"""The bus: arrays of codes in containers outside, words of streams inside; beats with TLAST; conversions at borders."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import subbyte.targets.hls.registry  # noqa: F401
from subbyte.compiler.dtype import INT8
from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.targets.hls.actors import Design, Fork
from subbyte.targets.hls.bus.ports import BusPort, attach, border_type, port_of, ports_of
from subbyte.targets.hls.bus.protocols import Protocol, bus_instance, bus_of, port_name
from subbyte.targets.hls.project.golden import Golden
from subbyte.targets.hls.project.options import ProjectOptions
from subbyte.targets.hls.project.project import make_project
from subbyte.targets.hls.reference import reference, words_of
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType
from tests.hls.actor_program import HLS, SANITIZERS, STAND_IN

BINARY, CRUMB, NIBBLE, BYTE = Element(-1, 1, bipolar=True), Element(0, 3), Element(-8, 7), Element(-128, 127)
WORD, LONG = Element(-40_000, 40_000), Element(0, (1 << 40) - 1)


def stream(name: str, element: Element, height: int, width: int, channels: int, lanes: int) -> Stream:
    """Of a tensor [1, channels, height, width], pixel by pixel."""
    kind = StreamType(element, height, width, channels, lanes)
    value = Value(Input(name, TensorType(INT8, (1, channels, height, width))))
    order = np.arange(kind.elements).reshape(channels, -1).T.reshape(-1)
    return Stream(name, kind, value, order)


def random_codes(port: BusPort, generator: np.random.Generator) -> Codes:
    codes = generator.integers(port.element.low, port.element.high + 1, port.codes)
    codes[[0, -1]] = port.element.low, port.element.high
    return np.where(codes > 0, 1, -1) if port.element.bipolar else codes


def array_bytes(port: BusPort, codes: Codes) -> bytes:
    """What software has in memory for a frame, and zeros up to the last whole beat."""
    kind = f"<{'i' if port.is_signed else 'u'}{port.container_bits // 8}"
    return codes.astype(kind).tobytes().ljust(port.buffer_bytes, b"\0")


# The kernels ----------------------------------------------------------------------------------------------------------

PROGRAM = """
#include <cstdio>
#include "subbyte_hls_bus.h"
// Bytes of stdin to beats; words and beats to stdout.
template <int W> ap_uint<W> take() {
    ap_uint<W> beat = 0;
    for (int low = 0; low < W; low += 8) beat.range(low + 7, low) = ap_uint<8>(std::getchar());
    return beat;
}
template <int W> void show(ap_uint<W> word) {
    for (int low = 0; low < W; low += 8) {
        const ap_uint<8> byte = word.range(low + 7 < W ? low + 7 : W - 1, low);
        std::printf("%02x", byte.to_uint());
    }
    std::printf(" ");
}
"""


def kernel_test(port: BusPort) -> str:
    """A frame from memory to words and back, then the same by a stream of beats."""
    kind, word = f"ap_uint<{port.bus_bits}>", port.stream.type.c_type
    beat = f"ap_axiu<{port.bus_bits}, 0, 0, 0>"
    out = replace(port, is_input=False)
    calls = {
        (protocol, each.is_input): bus_instance(each, protocol).body.replace("{stream}", "words")
        for protocol, each in product(Protocol, (port, out))
    }
    name = {key: port_name(port if key[1] else out, key[0]) for key in calls}
    memory, axis = Protocol.MEMORY, Protocol.AXIS
    shown = "const auto word = words.read(); show(word); words.write(word);"
    return "\n".join(
        (
            f"static void run_{port.name}() {{",
            f'    hls::stream<{word} > words("words");',
            f"    static {kind} {name[memory, True]}[{port.beats}];",
            f"    for (int i = 0; i < {port.beats}; ++i) {name[memory, True]}[i] = take<{port.bus_bits}>();",
            f"    {calls[memory, True]};",
            f"    for (int i = 0; i < {port.beats}; ++i) {{ {shown} }}",
            f"    {calls[memory, False]};",
            f"    for (int i = 0; i < {port.beats}; ++i) show({name[memory, True]}[i]);",
            f'    hls::stream<{beat} > {name[axis, True]}("in"), {name[axis, False]}("out");',
            f"    for (int i = 0; i < {port.beats}; ++i) {{",
            f"        {beat} beat;",
            f"        beat.data = {name[memory, True]}[i];",
            "        beat.keep = 0; beat.strb = 0; beat.last = 0;",  # what the design reads does not depend on them
            f"        {name[axis, True]}.write(beat);",
            "    }",
            f"    {calls[axis, True]};",
            f"    {calls[axis, False]};",
            f"    for (int i = 0; i < {port.beats}; ++i) {{",
            f"        const {beat} beat = {name[axis, False]}.read();",
            "        show(beat.data); show(beat.keep); show(ap_uint<8>(beat.last));",
            "    }",
            '    std::printf("\\n");',
            "}",
            "",
        )
    )


def kernel_ports() -> list[BusPort]:
    ports: list[BusPort] = []
    cases = [*product((BINARY, CRUMB, NIBBLE, BYTE, WORD, LONG), ((1, 1), (4, 12), (4, 13), (8, 15)), (64,))]
    for element, (lanes, codes), width in [*cases, (NIBBLE, (32, 40), 256), (BYTE, (128, 129), 1024)]:
        flat = stream(f"p{len(ports)}", element, 1, 1, codes, lanes)
        kind, _ = border_type(flat.type, width)
        ports.append(port_of(Stream(flat.name, kind, flat.value, flat.order), True, width))
    return ports


def test_kernels_take_and_give_plain_arrays(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    ports = kernel_ports()
    calls = "".join(f"    run_{port.name}();\n" for port in ports)
    source = tmp_path / "bus.cpp"
    source.write_text(PROGRAM + "".join(map(kernel_test, ports)) + f"int main() {{\n{calls}    return 0;\n}}\n")
    include = (f"-I{STAND_IN}", f"-I{HLS / 'kernels'}")
    flags = ("-std=c++14", "-O1", "-Wall", "-Werror", "-Wno-unknown-pragmas", *SANITIZERS)
    subprocess.run(("g++", *flags, *include, "-o", tmp_path / "bus", source), check=True)
    frames = [random_codes(port, generator) for port in ports]
    given = b"".join(map(array_bytes, ports, frames))
    done = subprocess.run((tmp_path / "bus",), input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    for port, codes, line in zip(ports, frames, done.stdout.decode().splitlines(), strict=True):
        found = [bytes.fromhex(text) for text in line.split()]
        words, memory, beats = found[: port.beats], found[port.beats : 2 * port.beats], found[2 * port.beats :]
        assert [int.from_bytes(word, "little") for word in words] == words_of(codes, port.stream.type), port
        assert b"".join(memory) == array_bytes(port, codes), port
        assert b"".join(beats[0::3]) == array_bytes(port, codes), port
        last = (1 << port.codes_in_last_beat * port.container_bits // 8) - 1
        assert int.from_bytes(beats[-2], "little") == last, port
        assert [beat[0] for beat in beats[2::3]] == [0] * (port.beats - 1) + [1], port


# Whole projects -------------------------------------------------------------------------------------------------------


def design_of_chains() -> Design:
    """Streams of all kinds from the bus to the bus: words that are beats, words that are not, gaps at ends of runs."""
    kinds = ((BINARY, 2, 2, 12, 3), (CRUMB, 2, 3, 5, 2), (NIBBLE, 1, 1, 16, 8), (BYTE, 3, 1, 8, 8), (WORD, 1, 1, 3, 1))
    inputs, actors = [], []
    for number, (element, height, width, channels, lanes) in enumerate(kinds):
        x, y = (stream(f"{letter}{number}", element, height, width, channels, lanes) for letter in "xy")
        inputs.append(x)
        actors.append(Fork(f"pass{number}", (x,), (y,)))
    return Design("chains", tuple(actors), tuple(inputs), tuple(actor.y for actor in actors))


def project_files(protocol: Protocol) -> dict[str, bytes]:
    design = attach(design_of_chains())
    design.depths.update({each.name: 2 for each in design.streams})
    generator = np.random.default_rng(5)
    ports = [port for port in ports_of(design) if port.is_input]
    shapes = [(port.stream.type.pixels, 1, port.stream.type.channels) for port in ports]
    frames = {
        port.name: np.stack([random_codes(port, generator).reshape(shape) for _ in range(2)])
        for port, shape in zip(ports, shapes, strict=True)
    }
    return make_project(design, ProjectOptions("1", "0"), Golden(2, frames), bus_of(design, protocol))


@pytest.mark.parametrize("protocol", Protocol)
def test_projects_pass_their_testbenches(protocol: Protocol, tmp_path: Path) -> None:
    for path, content in project_files(protocol).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    command = ("make", "-s", "-C", str(tmp_path / "csim"), "csim", "CXXFLAGS=-O0 -Werror")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    assert "passed: 2 samples" in done.stdout


def test_the_top_function_names_its_interfaces() -> None:
    text = project_files(Protocol.AXIS)["src/chains_top.cpp"].decode()
    assert "hls::stream<ap_axiu<64, 0, 0, 0> >& s_axis_x3" in text
    assert "#pragma HLS INTERFACE axis port = m_axis_y3" in text
    assert "#pragma HLS INTERFACE ap_ctrl_none port = return" in text
    text = project_files(Protocol.MEMORY)["src/chains_top.cpp"].decode()
    assert "const ap_uint<64>* m_axi_x3" in text
    assert "#pragma HLS INTERFACE m_axi port = m_axi_x3 offset = slave bundle = gmem_x3 depth = 3" in text
    assert "#pragma HLS INTERFACE s_axilite port = return bundle = control" in text


# Ports ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "pixels", "channels", "lanes", "width", "bits", "expected"),
    [
        (BYTE, 3, 8, 8, 64, 64, None),  # words are beats already
        (BYTE, 1, 13, 4, 64, 32, None),  # one run: only its last beat is not full
        (BYTE, 3, 8, 2, 64, 32, 4),  # no beats narrower than 32 bits
        (BYTE, 3, 3, 3, 64, 32, 4),
        (NIBBLE, 3, 10, 4, 64, 32, 4),  # gaps at the ends of pixels, of the same lanes
        (BYTE, 1, 64, 32, 64, 64, 8),  # as many as fit
        (BYTE, 1, 1, 1, 64, 32, None),  # less than a beat
        (WORD, 1, 300, 1, 1024, 32, None),
        (LONG, 1, 300, 16, 1024, 1024, None),
    ],
)
def test_beats_are_full_and_narrow(
    element: Element, pixels: int, channels: int, lanes: int, width: int, bits: int, expected: int | None
) -> None:
    kind = StreamType(element, pixels, 1, channels, lanes)
    flat = kind if expected is None else StreamType(element, 1, 1, pixels * channels, expected)
    assert border_type(kind, width) == (flat, bits)


def test_attached_designs_compute_the_same_and_are_attached_once() -> None:
    design = design_of_chains()
    attached = attach(design)
    assert [each.name for each in attached.inputs] == [each.name for each in design.inputs]
    assert [each.name for each in attached.outputs] == [each.name for each in design.outputs]
    assert [actor.name for actor in attach(attached).actors] == [actor.name for actor in attached.actors]
    codes = np.arange(30) % 4
    frames = {attached.inputs[1]: codes.reshape(1, 1, 30)}
    for actor in attached.actors:
        if all(each in frames for each in actor.inputs):
            given = (frames[each] for each in actor.inputs)
            frames.update(zip(actor.outputs, reference(actor, *given), strict=True))
    assert [actor.name for actor in attached.actors if actor.y in frames] == ["x1_from_beats", "pass1", "y1_to_beats"]
    assert frames[attached.outputs[1]].reshape(-1).tolist() == codes.tolist()


def test_streams_that_no_bus_carries_are_refused() -> None:
    gaps = stream("x", NIBBLE, 2, 1, 3, 2)
    with pytest.raises(GraphError, match="attach the design"):
        port_of(gaps, True)
    with pytest.raises(GraphError, match="a bus of 48 bits"):
        border_type(gaps.type, 48)
    with pytest.raises(UnsupportedError, match="codes of 65 bits"):
        border_type(StreamType(Element(0, 1 << 64), 1, 1, 1, 1), 64)
    with pytest.raises(GraphError, match="carries no tensor"):
        port_of(Stream("x", StreamType(BYTE, 1, 1, 4, 4)), True)
    flat = stream("x", BYTE, 1, 1, 4, 4)
    with pytest.raises(GraphError, match="name each element of its tensor"):
        port_of(Stream("x", flat.type, flat.value, np.array([0, 1, 2, 2])), True)
    with pytest.raises(GraphError, match="is an output too"):
        attach(Design("d", (), (flat,), (flat,)))
