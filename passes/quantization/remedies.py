"""What to change in a model so that a float island becomes integer: for each reason an advice."""

from __future__ import annotations

from subbyte.passes.quantization.blocks import is_weight_only
from subbyte.passes.quantization.islands import Island

_ADVICE = {
    # a part of the reason: what to change in the model
    "which lie on no common grid": "choose levels that are whole multiples, up to 127, of one step",
    "its weights are floats": "quantize the weights: a QuantizeLinear and DequantizeLinear, or a Quant, on them",
    "its weights are computed at run time": "make the weights an initializer, or use MatMul",
    "its weights have scales along axis": "give the weights one scale for each output channel, or one for the tensor",
    "its bias is computed at run time": "make the bias an initializer with one entry for each output channel",
    "its operand is the float input": "quantize the input: a QuantizeLinear and DequantizeLinear behind it",
    "the model does not quantize first": "put a QuantizeLinear and DequantizeLinear behind the sum",
    "which the model does not quantize": "put a QuantizeLinear and DequantizeLinear behind that operand",
    "the result of the float operation": "put a QuantizeLinear and DequantizeLinear behind that operation",
    "a function of": "quantize its operand to at most 8 bits, or compile with --integer-only",
    "a softmax of": "quantize its operand to at most 8 bits, or compile with --integer-only",
    "where integers alone are asked for": "compile with --integer-only",
    "its numbers do not fit integers": "choose another scale for its result, or shorter rows",
    "its scale or bias is computed at run time": "make the scale and the bias initializers",
    "activations need one scale per tensor": "quantize the activation with one scale for the whole tensor",
    "is computed at run time": "quantize statically, with calibration data",
    "one scale for each": "quantize with one scale for each output channel instead of blocks",
    "is a codebook": "quantize the activation affinely: a scale and a zero point",
    "quantizes its result per axis": "quantize the result with one scale for the tensor, rounding half to even",
    "before it is quantized": "put a QuantizeLinear and DequantizeLinear between the two",
    "its result is the float output": "end the model with a QuantizeLinear and DequantizeLinear",
    "the model does not quantize its result": "put a QuantizeLinear and DequantizeLinear behind it",
    "it computes in": "export the model in float32",
    "has no integer form": "leave it in float, which costs little where it has no multiply-accumulates, or replace it",
}


def remedy(island: Island) -> str:
    """What to change in the model, for the reason that `islands` gives."""
    advice = next(
        (advice for part, advice in _ADVICE.items() if part in island.reason),
        "put a QuantizeLinear and DequantizeLinear around it",
    )
    return f"{advice}, or compile with --activation-bits 8" if is_weight_only(island.node) else advice
