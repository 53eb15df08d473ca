"""ONNX stops here: models become IMPORTED graphs."""

from subbyte.compiler.importer.convert import import_model

__all__ = ["import_model"]
