"""tb/run_NAME.cpp: a program that runs samples of the user's through a design, files in and files out."""

from __future__ import annotations

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.project.ports import Bus
from subbyte.targets.hls.streams import Stream


def runner(design: Design, bus: Bus) -> str:
    """The program; arguments: the folder of STREAM.bin for each input, that for the outputs, how many samples."""
    lines = [
        f"// Runs samples through {design.name} in C simulation.",
        "// Arguments: the folder with STREAM.bin for each input stream, the folder for those of the outputs, samples.",
        f'#include "{design.name}.h"',
        '#include "subbyte_runner.h"',
        *(f'#include "{name}"' for name in bus.bench_headers),
        "",
        "namespace subbyte_run {",
        "",
    ]
    borders = (*design.inputs, *design.outputs)
    lines += [f"static {stream.type.c_type} {_frame(stream)}[{stream.type.words}];" for stream in borders]
    lines += ["", "static void run(subbyte_runner::File* const* files) {"]
    for number, (stream, port) in enumerate(zip(design.inputs, bus.inputs, strict=True)):
        lines += [f"    {port.declare}", f"    files[{number}]->read({_frame(stream)}, {stream.type.words});"]
        lines.append(f"    {port.move.replace('{words}', _frame(stream))}")
    lines += [f"    {port.declare}" for port in bus.outputs]
    lines.append(f"    ::{design.name}({', '.join(port.argument for port in (*bus.inputs, *bus.outputs))});")
    for number, (stream, port) in enumerate(zip(design.outputs, bus.outputs, strict=True), start=len(design.inputs)):
        lines.append(f"    {port.move.replace('{words}', _frame(stream))}")
        lines.append(f"    files[{number}]->write({_frame(stream)}, {stream.type.words});")
    lines += ["}", "", "}  // namespace subbyte_run", "", *_main(design)]
    return "\n".join(lines)


def _frame(stream: Stream) -> str:
    return f"{stream.name}_frame"


def _main(design: Design) -> list[str]:
    opened = [(stream, 1, "rb") for stream in design.inputs] + [(stream, 2, "wb") for stream in design.outputs]
    return [
        "int main(int count, char** arguments) {",
        "    if (count != 4) {",
        '        fprintf(stderr, "arguments: a folder of inputs, a folder for outputs, how many samples\\n");',
        "        return 2;",
        "    }",
        "    const unsigned long samples = strtoul(arguments[3], NULL, 10);",
        "    subbyte_runner::File* files[] = {",
        *(
            f'        new subbyte_runner::File(std::string(arguments[{argument}]) + "/{stream.name}.bin", "{mode}"),'
            for stream, argument, mode in opened
        ),
        "    };",
        "    for (unsigned long sample = 0; sample < samples; ++sample) subbyte_run::run(files);",
        f"    for (int i = 0; i < {len(opened)}; ++i) {{",
        "        files[i]->close();",
        "        delete files[i];",
        "    }",
        "    return 0;",
        "}",
        "",
    ]
