"""Layers import leftward only (design: "The house"): read from the source by `ast`, so that lazy imports count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("compiler", "passes", "targets")

# Each layer and the layers that it may import besides itself.
_NUMBERS = {"errors", "dtype"}
_GRAPHS = _NUMBERS | {"numerics", "ir"}
_TARGETED = _GRAPHS | {"target", "tuning"}
_BUNDLE = {"version", "manifest", "runtime", "runner", "_runtime"}
_CALIBRATED = _TARGETED | {"samples", "exporter", "torch_graph", "calibration", "rounding"}
_EVERYTHING = _TARGETED | _BUNDLE | {"importer", "pass_manager", "passes", "targets", "codegen", "toolchain", "knobs"}
_EVERYTHING |= _CALIBRATED
_CHOOSING = {"assignment", "sensitivity", "metrics"}
_SHOWN = {"explain", "draw", "compare", "oracle", "trace"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "dtype": {"errors"},
    "numerics": _NUMBERS,
    "ir": _NUMBERS | {"numerics"},
    "importer": _GRAPHS,
    "tuning": {"errors"},
    "target": _GRAPHS | {"tuning"},
    "targets": _TARGETED,
    "exporter": _GRAPHS,
    "torch_graph": _GRAPHS,
    "calibration": _GRAPHS | {"samples", "exporter", "torch_graph"},
    "rounding": _NUMBERS | {"numerics"},
    "assignment": {"errors"},
    "metrics": {"errors"},
    "pass_manager": _TARGETED | {"calibration"},
    "passes": _CALIBRATED | {"pass_manager"},
    "sensitivity": _CALIBRATED | {"pass_manager", "passes"},
    "codegen": _TARGETED | {"manifest"},
    "toolchain": _TARGETED | {"manifest", "codegen"},
    "manifest": _NUMBERS,
    "_runtime": {"errors"},
    "runtime": _NUMBERS | {"manifest", "_runtime"},
    "runner": _NUMBERS | {"manifest", "runtime", "_runtime"},
    "knobs": {"errors"},
    "samples": _GRAPHS,
    "compare": _GRAPHS,
    "oracle_qonnx": {"errors"},
    "oracle": _GRAPHS | {"compare", "oracle_qonnx"},
    "explain": _TARGETED | {"pass_manager", "passes"},
    "draw": _TARGETED | {"explain"},
    "pipeline": _EVERYTHING,
    "trace": _EVERYTHING | {"oracle", "pipeline"},
    "hls": _EVERYTHING | {"pipeline"},
    "api": _EVERYTHING | {"pipeline", "hls"},
    "quantize": _EVERYTHING | _CHOOSING | {"draw", "pipeline", "api"},
    "cli": _EVERYTHING | _CHOOSING | _SHOWN | {"pipeline", "hls", "api", "quantize"},
    "_root": _EVERYTHING | {"pipeline", "hls", "api", "quantize"},
}


def layer_of(module: tuple[str, ...]) -> str | None:
    """The layer of subbyte's module ("compiler", "ir", "types") is "ir"; None for a package's own empty `__init__`."""
    match module:
        case ("compiler",):
            return None
        case ("compiler", layer, *_):
            return layer
        case (package, *_):
            return package
        case _:
            return "_root"


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, path below `subbyte`) of every import of subbyte in the file, wherever it stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names):
                found = [f"{module}.{name.name}" for name in names]
            case _:
                continue
        for name in found:
            package, *path = name.split(".")
            if package == "subbyte":
                yield node.lineno, tuple(path)


def source_files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_layers_import_leftward_only(path: Path) -> None:
    module = path.relative_to(ROOT).with_suffix("").parts
    layer = layer_of(module[:-1] if module[-1] == "__init__" else module)
    assert layer is None or layer in MAY_IMPORT, f"layer '{layer}' is not in MAY_IMPORT: say what it may import"
    for line, imported in imported_modules(ast.parse(path.read_text())):
        other = layer_of(imported)
        allowed = MAY_IMPORT[layer] | {layer} if layer else set()
        assert other in allowed, (
            f"{path.relative_to(ROOT)}:{line}: '{layer}' imports '{other}'; it may import {sorted(allowed)}"
        )


def test_the_tables_layers_are_acyclic() -> None:
    """MAY_IMPORT itself orders the layers: each stands after all that it may import."""
    done: set[str] = set()
    while ready := {layer for layer, others in MAY_IMPORT.items() if layer not in done and others <= done}:
        done |= ready
    assert done == set(MAY_IMPORT)
