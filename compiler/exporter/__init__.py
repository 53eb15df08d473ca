"""Graphs of stage IMPORTED as ONNX models."""

from subbyte.compiler.exporter.export import STYLES, export_model, need_style

__all__ = ["STYLES", "export_model", "need_style"]
