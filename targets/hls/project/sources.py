"""include/NAME.h, src/NAME_top.cpp and src/weights_ACTOR.h."""

from __future__ import annotations

import re
from collections.abc import Mapping

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Actor, Design
from subbyte.targets.hls.instance import Instance
from subbyte.targets.hls.project.describe import actor_text, comments, stream_text
from subbyte.targets.hls.project.names import Names
from subbyte.targets.hls.project.options import ProjectOptions, Tensor
from subbyte.targets.hls.project.ports import Bus, Port
from subbyte.targets.hls.streams import Stream
from subbyte.targets.hls.texts import string
from subbyte.targets.hls.trace import trace

_LINE = 118


def header(design: Design, options: ProjectOptions, bus: Bus, names: Names) -> str:
    """include/NAME.h: the types of streams, the shapes of tensors, the top function."""
    guard = f"{names.top.upper()}_DESIGN_H_"
    model = f" for {options.model}" if options.model else ""
    about = [
        f"{design.name}: hardware{model}, printed by subbyte {options.version}.",
        f"Checksum of the graph: {options.digest}",
        "",
        "Tensors at the border; real = scale * (code - zero point). Inside, all is integers.",
        *(_tensor_text(design, tensor) for tensor in options.tensors),
    ]
    lines = [comments(about), f"#ifndef {guard}", f"#define {guard}", ""]
    lines += [*_includes(bus.headers or ("subbyte_hls.h",)), ""]
    lines += [f"static const char {names.top}_checksum[] = {string(options.digest)};", ""]
    lines.append(comments(["Words and frames of the streams at the border."]).rstrip())
    for stream in design.inputs + design.outputs:
        lines += [
            comments([f"{stream.name}: {stream_text(stream)}"]).rstrip(),
            f"typedef {stream.type.c_type} {names.top}_{stream.name}_word;",
            f"enum {{ {names.top}_{stream.name}_words = {stream.type.words} }};",
        ]
    lines += ["", comments([f"One frame. Bus: {bus.name}."]).rstrip(), f"{_signature(bus, names)};", ""]
    lines += [f"#endif  // {guard}", ""]
    return "\n".join(lines)


def _tensor_text(design: Design, tensor: Tensor) -> str:
    direction = "input" if tensor.stream in {stream.name for stream in design.inputs} else "output"
    scales = ", ".join(map(repr, tensor.scales))
    same = len(set(tensor.zero_points)) == 1
    zero_points = ", ".join(map(str, tensor.zero_points[:1] if same else tensor.zero_points))
    text = f"{direction} {tensor.name}: {tensor.dtype} {list(tensor.shape)}, stream {tensor.stream}"
    return text + (f"; scale {scales}; zero point {zero_points}" if tensor.scales else "")


def weights(actor: Actor, text: Instance) -> str:
    """src/weights_ACTOR.h: the ROMs of one actor."""
    guard = f"WEIGHTS_{actor.name}_H_"
    about = comments([f"ROMs of {actor.name}" + (f": {' + '.join(actor.sources)}" if actor.sources else "")])
    include = '#include "ap_int.h"'
    constants = text.constants.strip("\n")
    return f"{about}#ifndef {guard}\n#define {guard}\n\n{include}\n\n{constants}\n\n#endif  // {guard}\n"


def top(design: Design, instances: Mapping[Actor, Instance], bus: Bus, names: Names) -> str:
    """src/NAME_top.cpp: a function for each actor, then the streams between them."""
    headers = sorted({name for text in instances.values() for name in text.headers} | set(bus.headers))
    constants = [actor.name for actor in design.actors if instances[actor].constants]
    lines = [
        comments([f"{design.name}: {len(design.actors)} processes and the streams between them."]).rstrip(),
        *_includes((f"{design.name}.h",)),
        "",
        *_includes(headers),
        *_includes(tuple(f"weights_{name}.h" for name in constants)),
        "",
    ]
    for actor in design.actors:
        text = instances[actor]
        inputs = [f"hls::stream<{stream.type.c_type} >& in{n}" for n, stream in enumerate(actor.inputs)]
        outputs = [f"hls::stream<{stream.type.c_type} >& out{n}" for n, stream in enumerate(actor.outputs)]
        lines += [
            actor_text(actor, text, trace(actor)).rstrip(),
            _function(f"static void {names.functions[actor.name]}", inputs + outputs) + " {",
            "#pragma HLS INLINE off",
            *(f"    {line}" if line else "" for line in text.body.strip("\n").split("\n")),
            "}",
            "",
        ]
    for stream, port in zip(design.inputs, bus.inputs, strict=True):
        parameters = [port.parameter, f"hls::stream<{stream.type.c_type} >& stream"]
        lines += _adapter(f"{stream.name}: from the bus", names.adapters[stream.name], parameters, port)
    for stream, port in zip(design.outputs, bus.outputs, strict=True):
        parameters = [f"hls::stream<{stream.type.c_type} >& stream", port.parameter]
        lines += _adapter(f"{stream.name}: to the bus", names.adapters[stream.name], parameters, port)
    return "\n".join([*lines, _dataflow(design, bus, names)])


def _adapter(about: str, function: str, parameters: list[str], port: Port) -> list[str]:
    body = port.process.replace("{stream}", "stream").rstrip(";")
    return [
        comments([about]).rstrip(),
        _function(f"static void {function}", parameters) + " {",
        "#pragma HLS INLINE off",
        f"    {body};",
        "}",
        "",
    ]


def _dataflow(design: Design, bus: Bus, names: Names) -> str:
    lines = [f"{_signature(bus, names)} {{"]
    lines += [pragma for port in (*bus.inputs, *bus.outputs) for pragma in port.pragmas]
    lines += [*bus.pragmas, "#pragma HLS DATAFLOW", ""]
    for stream in design.streams:
        depth = design.depths.get(stream.name)
        if depth is None:
            raise GraphError(f"stream '{stream.name}' has no depth yet; choose depths before the project is printed")
        variable = names.variables[stream.name]
        lines += [
            f"    hls::stream<{stream.type.c_type} > {variable}({string(stream.name)});",
            f"#pragma HLS STREAM variable = {variable} depth = {depth}",
            f"    SUBBYTE_DEPTH({variable}, {depth});",
        ]
    lines.append("")
    for stream, port in zip(design.inputs, bus.inputs, strict=True):
        call = f"{names.adapters[stream.name]}({_name_of(port)}, {names.variables[stream.name]})"
        lines += [f"    SUBBYTE_PROCESS({stream.name}_from_bus, {call});", _probe(stream, names)]
    for actor in design.actors:
        arguments = ", ".join(names.variables[stream.name] for stream in actor.inputs + actor.outputs)
        lines.append(f"    SUBBYTE_PROCESS({actor.name}, {names.functions[actor.name]}({arguments}));")
        lines += [_probe(stream, names) for stream in actor.outputs]
    for stream, port in zip(design.outputs, bus.outputs, strict=True):
        call = f"{names.adapters[stream.name]}({names.variables[stream.name]}, {_name_of(port)})"
        lines.append(f"    SUBBYTE_PROCESS({stream.name}_to_bus, {call});")
    return "\n".join([*lines, "    SUBBYTE_DATAFLOW_END();", "}", ""])


def _probe(stream: Stream, names: Names) -> str:
    return f"    SUBBYTE_PROBE({names.variables[stream.name]}, {string(stream.name)}, {stream.type.word_bits});"


def _name_of(port: Port) -> str:
    """Of the parameter: the last identifier, before extents."""
    return str(re.findall(r"[A-Za-z_]\w*", port.parameter.split("[")[0])[-1])


def _signature(bus: Bus, names: Names) -> str:
    return _function(f"void {names.top}", [port.parameter for port in (*bus.inputs, *bus.outputs)])


def _function(start: str, parameters: list[str]) -> str:
    """The head of a function, its parameters in lines of their own where they do not fit into one."""
    line = f"{start}({', '.join(parameters)})"
    broken = ",\n    ".join(parameters)
    return line if len(line) < _LINE else f"{start}(\n    {broken})"


def _includes(headers: tuple[str, ...] | list[str]) -> list[str]:
    return [f'#include "{name}"' for name in headers]
