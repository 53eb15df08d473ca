"""subbyte: ahead-of-time compilation of quantized neural networks.

    module = subbyte.compile("model.onnx", target="native")
    outputs = module.run({"input": x})
    module.save("bundle/"); subbyte.load("bundle/")
    subbyte.evaluate("model.onnx", {"input": x})   # the meaning that every target equals
    subbyte.quantize("float.onnx", subbyte.Data(samples)).model   # a float model in few bits

Names are loaded when they are first used, so that `import subbyte` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subbyte.compiler.api import compile as compile
    from subbyte.compiler.api import evaluate as evaluate
    from subbyte.compiler.calibration.data import Data as Data
    from subbyte.compiler.errors import GraphError as GraphError
    from subbyte.compiler.errors import ModelError as ModelError
    from subbyte.compiler.errors import NumericsError as NumericsError
    from subbyte.compiler.errors import SubbyteError as SubbyteError
    from subbyte.compiler.errors import ToolchainError as ToolchainError
    from subbyte.compiler.errors import UnsupportedError as UnsupportedError
    from subbyte.compiler.hls.options import HlsOptions as HlsOptions
    from subbyte.compiler.quantize.quantize import Goal as Goal
    from subbyte.compiler.quantize.quantize import quantize as quantize
    from subbyte.compiler.quantize.recipe import Recipe as Recipe
    from subbyte.compiler.runtime import Module as Module
    from subbyte.compiler.runtime import load as load
    from subbyte.compiler.target import Target as Target
    from subbyte.compiler.target import find_target as find_target

_HOMES = {
    "compile": "api",
    "evaluate": "api",
    "load": "runtime",
    "quantize": "quantize.quantize",
    "Data": "calibration.data",
    "Goal": "quantize.quantize",
    "HlsOptions": "hls.options",
    "Recipe": "quantize.recipe",
    "Module": "runtime",
    "Target": "target",
    "find_target": "target",
    "SubbyteError": "errors",
    "ModelError": "errors",
    "GraphError": "errors",
    "UnsupportedError": "errors",
    "NumericsError": "errors",
    "ToolchainError": "errors",
}

__all__ = sorted((*_HOMES, "__version__"))  # noqa: PLE0605 - a list, sorted


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("subbyte.compiler.version").VERSION
    if name not in _HOMES:
        raise AttributeError(f"module 'subbyte' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"subbyte.compiler.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
