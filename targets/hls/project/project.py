"""make_project: all files of a project, by path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.targets.hls import registry  # noqa: F401 - what instance, trace and reference know
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.instance import instance
from subbyte.targets.hls.project.builds import cmake_lists, makefile
from subbyte.targets.hls.project.golden import Golden, golden_words
from subbyte.targets.hls.project.names import names_of
from subbyte.targets.hls.project.options import ProjectOptions
from subbyte.targets.hls.project.ports import Bus
from subbyte.targets.hls.project.sources import header, top, weights
from subbyte.targets.hls.project.testbench import golden_json, testbench

_FOLDER = Path(__file__).parents[1]
_KERNELS, _CSIM = _FOLDER / "kernels", _FOLDER / "csim"
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def make_project(design: Design, options: ProjectOptions, golden: Golden, bus: Bus) -> dict[str, bytes]:
    """The files of a project: path to contents, the same for the same arguments.

    include/ src/ kernels/ are for synthesis; tb/ and csim/ for simulation; `options.files` come as they are.
    Raises: GraphError: names, depths or golden frames that do not fit the design, or two files of one path.
    """
    instances = {actor: instance(actor) for actor in design.actors}
    names = names_of(design, instances.values(), bus)
    words = golden_words(design, golden)
    used = {name for text in instances.values() for name in text.headers} | set(bus.headers) | {"subbyte_hls.h"}
    files = {
        f"include/{design.name}.h": header(design, options, bus, names).encode(),
        f"src/{design.name}_top.cpp": top(design, instances, bus, names).encode(),
        f"tb/tb_{design.name}.cpp": testbench(design, golden.samples, bus, names).encode(),
        "tb/golden.json": golden_json(design, options, golden.samples, words),
        "csim/Makefile": makefile(design.name, names.top),
        "CMakeLists.txt": cmake_lists(design.name, names.top),
    }
    files |= {f"tb/golden/{name}.bin": content for name, content in words.items()}
    files |= {f"kernels/{path.name}": path.read_bytes() for path in kernel_closure(used)}
    files |= {f"tb/{path.name}": path.read_bytes() for path in (_CSIM / "tb").glob("*.h")}
    for path in (_CSIM / "include").glob("*.h"):
        files[f"csim/{'ap_types' if path.name == 'ap_int.h' else 'include'}/{path.name}"] = path.read_bytes()
    for actor, text in instances.items():
        if text.constants:
            files[f"src/weights_{actor.name}.h"] = weights(actor, text).encode()
    for path_in_project, content in options.files.items():
        if path_in_project in files:
            raise GraphError(f"the project of '{design.name}' has two files '{path_in_project}'")
        files[path_in_project] = content
    return dict(sorted(files.items()))


def kernel_closure(names: Iterable[str]) -> list[Path]:
    """The headers of kernels/ called `names` and all that they include from there, by name.

    Others that they include are those of HLS tools or of csim/include.
    """
    found: dict[str, Path] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        path = _KERNELS / name
        if name in found:
            continue
        if not path.is_file():
            raise UnsupportedError(f"header '{name}' is not among the kernels of target 'hls'")
        found[name] = path
        pending += [included for included in _INCLUDE.findall(path.read_text()) if (_KERNELS / included).is_file()]
    return [found[name] for name in sorted(found)]
