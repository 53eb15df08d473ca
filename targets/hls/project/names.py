"""C++ names in a project: functions and variables are called like their actors and streams wherever they can be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.instance import Instance
from subbyte.targets.hls.project.ports import Bus
from subbyte.targets.hls.texts import is_identifier

# What headers define beside C++'s own words. Other names in capitals may be macros of theirs.
_HEADERS = frozenset(
    (  # noqa: SIM905 - words are read more easily as words
        "ap_axis ap_axiu ap_int ap_uint assert div_t errno FILE hls i386 int8_t int16_t int32_t int64_t ldiv_t linux "
        "NULL EOF size_t std stderr stdin stdout subbyte_ap subbyte_bus subbyte_cycles subbyte_hls subbyte_probe "
        "subbyte_tb subbyte_testbench uint8_t uint16_t uint32_t uint64_t unix"
    ).split()
)


@dataclass(frozen=True)
class Names:
    """top: of the function that is synthesized. functions: by actor; adapters of the bus and variables: by stream."""

    top: str
    functions: dict[str, str]
    adapters: dict[str, str]
    variables: dict[str, str]


def names_of(design: Design, instances: Iterable[Instance], bus: Bus) -> Names:
    """Names that are different from each other and from every word in the bodies, constants and ports.

    The top function is called like the design, since tools, drivers and people ask for it by that name.
    Raises GraphError: a name is no identifier of C++, or two actors or two streams share one, or the design's is taken.
    """
    actors = [actor.name for actor in design.actors]
    streams = [stream.name for stream in design.streams]
    for kind, names in (("actor", actors), ("stream", streams), ("design", [design.name])):
        for name in names:
            if not is_identifier(name):
                raise GraphError(f"{kind} '{name}' is no identifier of C++: letters, digits and single underscores")
            if names.count(name) > 1:
                raise GraphError(f"two {kind}s are called '{name}'; names are unique in a design")
    texts = [text for one in instances for text in (one.body, one.constants)]
    for port in (*bus.inputs, *bus.outputs):
        texts += [port.parameter, port.process, *port.pragmas]
    taken = set(_HEADERS).union(*(re.findall(r"[A-Za-z_]\w*", text) for text in texts))
    if design.name in taken:
        raise GraphError(f"'{design.name}' cannot be the top function's name: the project uses it; choose another name")
    taken.add(design.name)
    functions = {name: _free(name, "_process", taken) for name in actors}
    adapters = {stream.name: _free(f"{stream.name}_from_bus", "_process", taken) for stream in design.inputs}
    adapters |= {stream.name: _free(f"{stream.name}_to_bus", "_process", taken) for stream in design.outputs}
    variables = {name: _free(name, "_stream", taken) for name in streams}
    return Names(design.name, functions, adapters, variables)


def _free(name: str, suffix: str, taken: set[str]) -> str:
    """`name`, with the suffix and a number where it is taken or in capitals throughout; it joins what is taken."""
    candidate, number = name, 1
    while candidate in taken or candidate.isupper():
        candidate = f"{name}{suffix}{number if number > 1 else ''}"
        number += 1
    taken.add(candidate)
    return candidate
