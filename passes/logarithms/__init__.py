"""Codes of a logarithm to the base sqrt(2): how they are written in ONNX operations, and found again."""
