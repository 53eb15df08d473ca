"""ONNX stops here: models become IMPORTED graphs."""

from subbyte.compiler.importer.convert import import_model
from subbyte.compiler.importer.operator import convertible_operators

__all__ = ["convertible_operators", "import_model"]
