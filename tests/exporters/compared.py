"""What every exported model must show: sums in integers, compiled code as the interpreter, differences at ties only."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from subbyte.compiler.explain import Explanation, explain
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.trace import Executor, trace
from tests.onnx_node.compiled import PORTABLE, build_library, printed, run_compiled

Array = NDArray[Any]
Samples = Sequence[Mapping[str, Array]]
Record = Callable[[str, object], None]


def account(model: ModelProto, options: Options | None = None) -> Explanation:
    """Where the multiply-accumulates are."""
    return explain(quantized(model, options))


def check_compiled(model: ModelProto, samples: Samples, folder: Path) -> None:
    """Portable code gives what the interpreter gives, bit for bit."""
    meaning = quantized(model)
    code = lowered(meaning, PORTABLE)
    build_library({"model": printed("model", code)}, folder / "model.so", folder)
    library = ctypes.CDLL(str(folder / "model.so"))
    for sample in samples:
        expected, found = evaluate(meaning, sample), run_compiled(library, "model", code, sample)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name].view(np.uint8), array.view(np.uint8), err_msg=name)


def check_traced(model: ModelProto, samples: Samples, executor: Executor | str, name: str, record: Record) -> None:
    """Each number that differs from the executor's, anywhere in the model, is a tie of float32; counted in a table."""
    traces = trace(model, samples, executor)
    codes = [one for one in traces if one.is_codes]
    row = {"model": name, "tensors of codes": f"{len(codes)}"}
    row["codes at ties"] = f"{sum(one.different for one in codes)} of {sum(one.count for one in codes)}"
    record("table: exported models beside their executors", row)
    assert codes
    assert [one for one in traces if one.untraced or one.stray or one.reason] == []
