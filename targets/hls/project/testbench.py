"""tb/: the testbench, the golden vectors that it compares with, and what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.project.describe import comments
from subbyte.targets.hls.project.golden import channels_first, kept_samples
from subbyte.targets.hls.project.names import Names
from subbyte.targets.hls.project.options import ProjectOptions
from subbyte.targets.hls.project.ports import Bus
from subbyte.targets.hls.streams import Stream
from subbyte.targets.hls.texts import sign, string
from subbyte.targets.hls.trace import trace

_ABOUT = (
    "Runs {name} on golden vectors and compares its outputs with them; with -DSUBBYTE_PROBES every stream between its",
    "processes too; with -DSUBBYTE_HLS_CYCLES it counts cycles.",
    "Arguments: the folder of the golden vectors [golden], the most samples [all]; of the cycle mode also where its",
    "report goes [cycles.json] and a file of FIFO depths [those of the design].",
)


_PROBE = (
    "void subbyte_probe::look(const char* stream, const std::vector<unsigned char>& bytes, size_t count) {",
    "    subbyte_tb::bench.look(stream, bytes, count);",
    "}",
)


def layers_of(design: Design) -> dict[str, str]:
    """For each stream which actor writes it and what that computes: `conv1 (/layer1/Conv)`."""
    layers = {stream.name: "bus" for stream in design.inputs}
    for actor in design.actors:
        sources = f" ({' + '.join(actor.sources)})" if actor.sources else ""
        layers |= {stream.name: f"{actor.name}{sources}" for stream in actor.outputs}
    return layers


def testbench(design: Design, samples: int, bus: Bus, names: Names) -> str:
    """tb/tb_NAME.cpp."""
    numbers = {stream.name: number for number, stream in enumerate(design.streams)}
    lines = [
        comments(line.format(name=design.name) for line in _ABOUT).rstrip(),
        f'#include "{design.name}.h"',
        '#include "subbyte_testbench.h"',
        *(f'#include "{name}"' for name in bus.bench_headers),
        "",
        "namespace subbyte_tb {",
        "",
        "static const subbyte_testbench::Stream streams[] = {",
        *_stream_rows(design, samples),
        "};",
        "",
        f"static subbyte_testbench::Bench bench(streams, sizeof(streams) / sizeof(*streams), {samples});",
        "",
        "// One sample through the design.",
        "static void run(size_t sample) {",
        "    bench.start(sample);",
    ]
    for stream, port in zip(design.inputs, bus.inputs, strict=True):
        lines += [f"    {port.declare}", *_words(stream), f"    bench.take({numbers[stream.name]}, {_array(stream)});"]
        lines.append(f"    {port.move.replace('{words}', _array(stream))}")
    for stream, port in zip(design.outputs, bus.outputs, strict=True):
        lines += [f"    {port.declare}", *_words(stream)]
    lines.append(f"    ::{names.top}({', '.join(port.argument for port in (*bus.inputs, *bus.outputs))});")
    for stream, port in zip(design.outputs, bus.outputs, strict=True):
        lines.append(f"    {port.move.replace('{words}', _array(stream))}")
        lines.append(f"    bench.give({numbers[stream.name]}, {_array(stream)});")
    lines += ["}", "", "}  // namespace subbyte_tb", "", *_PROBE, "", *_main(design)]
    return "\n".join(lines)


def _stream_rows(design: Design, samples: int) -> list[str]:
    layers, ordered_by_channels, kept = layers_of(design), channels_first(design), kept_samples(design, samples)
    rows = []
    for stream in design.streams:
        kind = stream.type
        first = "true" if stream.name in ordered_by_channels else "false"
        file = f"{stream.name}.bin"
        words = f"{kind.words}, {kind.lanes}, {kind.element.bits}, {sign(kind.element)}"
        rows += [
            f"    {{{string(stream.name)}, {string(layers[stream.name])},",
            f"     {string(file)}, {kept[stream.name]}, {words}, {kind.runs}, {kind.channels}, {first}}},",
        ]
    return rows


def _array(stream: Stream) -> str:
    return f"{stream.name}_frame"


def _words(stream: Stream) -> list[str]:
    return [f"    static {stream.type.c_type} {_array(stream)}[{stream.type.words}];"]


def _main(design: Design) -> list[str]:
    latencies = [f"    subbyte_cycles::set_latency({string(a.name)}, {trace(a).latency});" for a in design.actors]
    return [
        "int main(int count, char** arguments) {",
        "    subbyte_testbench::Bench& bench = subbyte_tb::bench;",
        '    bench.load(count > 1 ? arguments[1] : "golden");',
        "    const size_t most = count > 2 ? strtoul(arguments[2], NULL, 10) : bench.samples();",
        "#ifdef SUBBYTE_HLS_CYCLES",
        *latencies,
        '    subbyte_cycles::set_report(count > 3 ? arguments[3] : "cycles.json");',
        "    if (count > 4 && !subbyte_cycles::read_depths(arguments[4])) return 2;",
        "#endif",
        "    for (size_t sample = 0; sample < bench.samples() && sample < most; ++sample) subbyte_tb::run(sample);",
        "    const int status = bench.finish();",
        "#ifdef SUBBYTE_HLS_CYCLES",
        "    return status != 0 ? status : subbyte_cycles::finish();",
        "#else",
        "    return status;",
        "#endif",
        "}",
        "",
    ]


def golden_json(design: Design, options: ProjectOptions, samples: int, words: Mapping[str, bytes]) -> bytes:
    """tb/golden.json: of each stream its file, hash, words, lanes and codes."""
    layers, ordered_by_channels, kept = layers_of(design), channels_first(design), kept_samples(design, samples)
    tensors = {tensor.stream: tensor for tensor in options.tensors}
    inputs, outputs = (frozenset(stream.name for stream in group) for group in (design.inputs, design.outputs))

    def entry(stream: Stream) -> dict[str, Any]:
        kind, tensor = stream.type, tensors.get(stream.name)
        return {
            "name": stream.name,
            "layer": layers[stream.name],
            "role": "input" if stream.name in inputs else "output" if stream.name in outputs else "between",
            "file": f"golden/{stream.name}.bin",
            "sha256": hashlib.sha256(words[stream.name]).hexdigest(),
            "dtype": kind.element.c_type if not kind.element.bipolar else "bipolar",
            "range": [kind.element.low, kind.element.high],
            "shape": [kind.height, kind.width, kind.runs, kind.channels],
            "order": "channels, runs" if stream.name in ordered_by_channels else "runs, channels",
            "lanes": kind.lanes,
            "samples": kept[stream.name],
            "words": kind.words,
            "word_bits": kind.word_bits,
            "word_bytes": -(-kind.word_bits // 8),
            "tensor": None if tensor is None else {"name": tensor.name, "shape": list(tensor.shape)},
        }

    document = {
        "format": 1,
        "name": design.name,
        "graph": options.digest,
        "samples": samples,
        "streams": [entry(stream) for stream in design.streams],
    }
    return (json.dumps(document, indent=1) + "\n").encode()
