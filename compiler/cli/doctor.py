"""`subbyte doctor`: whether this installation can do its work, and what is missing for which part of it."""

from __future__ import annotations

import importlib.util
import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import typer

from subbyte.compiler.cli.options import Json
from subbyte.compiler.cli.output import print_json
from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.version import VERSION

if TYPE_CHECKING:
    from subbyte.compiler.target import Target

_EXTRAS = {
    "onnxruntime": "verify",
    "ziglang": "cross",
    "ai_edge_litert": "bench",
    "scipy": "quantize",
    "optuna": "quantize",
    "xgboost": "quantize",
    "PIL": "quantize",
    "torch": "exporters",
}


def doctor(json: Json = False) -> None:
    """Check the runtime, compilers, targets, emulators and optional packages; exit code 1 where a needed one fails.

    What is missing comes with the command that brings it.
    """
    findings = [_python(), _runtime(), _native(), *_compilers(), *_emulators(), *_packages()]
    if json:
        print_json({"version": VERSION, "ok": all(f["ok"] or f["optional"] for f in findings), "findings": findings})
    else:
        for finding in findings:
            mark = "ok" if finding["ok"] else "absent" if finding["optional"] else "FAILS"
            typer.echo(f"{mark:>7}  {finding['name']}: {finding['text']}")
    if not all(finding["ok"] or finding["optional"] for finding in findings):
        raise typer.Exit(1)


def _finding(name: str, ok: bool, text: str, optional: bool = False) -> dict[str, Any]:
    return {"name": name, "ok": ok, "optional": optional, "text": text}


def _python() -> dict[str, Any]:
    return _finding("python", True, f"{sys.version.split()[0]} on {platform.platform()}, subbyte {VERSION}")


def _runtime() -> dict[str, Any]:
    try:
        from subbyte.compiler import _runtime
    except ImportError as error:
        return _finding("runtime", False, f"the C++ runtime does not load: {error}. Install subbyte again.")
    features = " ".join(_runtime.cpu_features())
    return _finding("runtime", True, f"ABI {_runtime.ABI_VERSION}; the processor has {features}")


def _native() -> dict[str, Any]:
    from subbyte.compiler.target import find_target

    goal = find_target("native")
    return _finding("target native", goal.runs_here, f"is {goal.name}, {len(goal.kernels)} kernels")


def _compilers() -> list[dict[str, Any]]:
    from subbyte.compiler.target import find_target
    from subbyte.compiler.toolchain.compilers import INSTALL_CROSS, find_compiler

    try:
        found = find_compiler(find_target("native"))
        findings = [_finding("C compiler", True, f"{' '.join(found.command)}: {found.version}")]
    except SubbyteError as error:
        findings = [_finding("C compiler", False, str(error))]
    text = f"`{INSTALL_CROSS}` brings one for every target"
    cross = importlib.util.find_spec("ziglang") is not None
    if cross:
        text = f"{sys.executable} -m ziglang cc: zig {metadata.version('ziglang')}, for every target"
    return [*findings, _finding("cross compiler", cross, text, optional=True)]


def _emulators() -> list[dict[str, Any]]:
    """What runs the programs of each target that this machine does not run."""
    from subbyte.compiler.target import families, find_target
    from subbyte.compiler.toolchain.emulators import INSTALL_EMULATOR, find_emulator, needs_emulator

    needed: dict[str, list[Target]] = {}
    for family in families().values():
        for target in map(find_target, family.names):
            if needs_emulator(target):
                needed.setdefault(target.emulator[0], []).append(target)
    findings = []
    for name, targets in needed.items():
        use = f"runs programs for {targets[0].name} and {len(targets) - 1} more targets"
        try:
            text = f"{find_emulator(targets[0])[0]} {use}"
        except SubbyteError:
            findings.append(_finding(name, False, f"`{INSTALL_EMULATOR}` brings it; it {use}", optional=True))
        else:
            findings.append(_finding(name, True, text, optional=True))
    return findings


def _packages() -> list[dict[str, Any]]:
    findings = []
    distributions = metadata.packages_distributions()  # what brings a module may be called otherwise: pillow, PIL
    for module, extra in _EXTRAS.items():
        present = importlib.util.find_spec(module) is not None
        text = f"`pip install 'subbyte[{extra}]'` brings it"
        if present:
            text = metadata.version(distributions[module][0]) if module in distributions else "present"
        findings.append(_finding(module.replace("_", "-"), present, text, optional=True))
    return findings
