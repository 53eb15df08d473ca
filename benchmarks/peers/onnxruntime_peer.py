"""onnxruntime with its default optimizations and bound inputs and outputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from benchmarks.engines import Arrays, Engine


def onnxruntime_engine(model: Path, threads: int) -> Engine:
    """onnxruntime as users get it."""
    return _engine("onnxruntime", model, threads, {})


def onnxruntime_int8_engine(model: Path, threads: int) -> Engine:
    """onnxruntime with its int8 kernels for QDQ models of int8 activations, which are off on x86 unless allowed."""
    return _engine("onnxruntime, int8 allowed", model, threads, {"session.qdqisint8allowed": "1"})


def _engine(name: str, model: Path, threads: int, entries: dict[str, str]) -> Engine:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for entry, value in entries.items():
        options.add_session_config_entry(entry, value)
    session = onnxruntime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    binding = session.io_binding()
    held: dict[str, Any] = {}

    def load(arrays: Arrays) -> None:
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        for value in session.get_inputs():
            held[value.name] = onnxruntime.OrtValue.ortvalue_from_numpy(arrays[value.name])
            binding.bind_ortvalue_input(value.name, held[value.name])
        for name, result in zip(names, session.run(names, dict(arrays)), strict=True):
            held[name] = onnxruntime.OrtValue.ortvalue_from_numpy(result)
            binding.bind_ortvalue_output(name, held[name])

    def answers() -> dict[str, NDArray[Any]]:
        return {name: held[name].numpy() for name in names}

    return Engine(name, load, lambda: session.run_with_iobinding(binding), answers)
