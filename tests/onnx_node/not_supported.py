"""Which of ONNX's node tests do not run, by operator or element type, and why. Each is refused with an error by name.

The first entry that fits a case counts. An entry that fits none fails the tests; so does a listed case that compiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.onnx_node.cases import NodeCase


@dataclass(frozen=True)
class Entry:
    """Cases of `operators` (empty: any) that hold one of `dtypes` (empty: any) and whose name fits one of `names`.

    refused: False where the case compiles, but cannot be compared.
    """

    reason: str
    operators: frozenset[str] = frozenset()
    dtypes: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    names: tuple[str, ...] = ("*",)
    refused: bool = True

    def fits(self, case: NodeCase) -> bool:
        return (
            (not self.operators or case.operator in self.operators)
            and (not self.dtypes or not self.dtypes.isdisjoint(case.dtypes))
            and (not self.domains or case.domain in self.domains)
            and any(fnmatchcase(case.name, name) for name in self.names)
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SCALARS = "bool, integers of 2 to 64 bits, float16, float32 and float64 are read"
_DENSE = "values are dense tensors: no sequences, no optional values"
_DOUBLE = "float64 moves and compares, but is not computed with: portable C computes in float32 (design N8)"

NOT_SUPPORTED: tuple[Entry, ...] = (
    # Element types ----------------------------------------------------------------------------------------------------
    Entry("there are no strings in a compiled model", dtypes=_words("string")),
    Entry(_DENSE, dtypes=_words("sequence optional")),
    Entry(
        _SCALARS,
        dtypes=_words(
            "bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz float8e8m0 float4e2m1 complex64 complex128"
        ),
    ),
    Entry(
        _DOUBLE,
        operators=_words("Cast CastLike CumProd CumSum Max Min Mod ReduceLogSumExp"),
        dtypes=_words("double"),
    ),
    Entry(_DOUBLE, names=("test_attention_local_window_gqa_rank4_mask",)),
    Entry(
        "two of 192 results are one step of float16 away, and the tolerance of the case is less than one step",
        operators=_words("Attention"),
        dtypes=_words("float16"),
        names=("*_causal_fp16",),
        refused=False,
    ),
    # Families of operators --------------------------------------------------------------------------------------------
    Entry("training is not inference", domains=_words("ai.onnx.preview.training")),
    Entry("training is not inference", operators=_words("Dropout BatchNormalization"), names=("*training*",)),
    Entry("classical machine learning is not compiled", domains=_words("ai.onnx.ml")),
    Entry("its body holds graphs as attributes", operators=_words("FlexAttention")),
    Entry("control flow is not compiled", operators=_words("If Loop Scan LinearAttention AffineGrid")),
    Entry(_DENSE, operators=_words("SplitToSequence SequenceMap SequenceInsert OptionalHasElement OptionalGetElement")),
    Entry("recurrent networks are not unrolled", operators=_words("GRU LSTM RNN")),
    Entry("the shape of its result depends on values", operators=_words("Compress NonMaxSuppression Unique")),
    Entry("its results are random", operators=_words("Bernoulli")),
    Entry(
        "there is no trigonometric function of our own, and no libm (design N8)",
        operators=_words(
            "Acos Acosh Asin Asinh Atan Atanh Cos Cosh Sin Sinh Tan DFT STFT HannWindow HammingWindow BlackmanWindow "
            "MelWeightMatrix"
        ),
    ),
    Entry("images and text are not decoded", operators=_words("ImageDecoder TfIdfVectorizer")),
    Entry(
        "no quantized network that we know has it",
        operators=_words("Det DeformConv GridSample RoiAlign MaxUnpool Col2Im Einsum TensorScatter BitCast"),
    ),
    # Forms of operators -----------------------------------------------------------------------------------------------
    Entry(
        "tensors have elements: at run time none is empty",
        names=(
            "test_reduce_*_empty_set*",
            "test_split_zero_size_*",
            "test_reshape_allowzero_reordered",
            "test_tri[lu]_zero",
        ),
    ),
    Entry(
        "kernels of convolutions move along one or two axes",
        operators=_words("ConvTranspose"),
        names=("*_3d*",),
    ),
    Entry("the indices of the largest elements are not made", operators=_words("MaxPool"), names=("*_with_argmax_*",)),
    Entry(
        "nearest and linear interpolation are read, without antialiasing, not cubic and not by region",
        operators=_words("Resize"),
        names=("*_cubic*", "*_antialias*", "*_tf_crop_and_resize*"),
    ),
    Entry(
        "align_corners with scales that make no whole extent: ONNX and its runtimes disagree",
        names=("test_resize_downsample_scales_linear_align_corners",),
    ),
    Entry("more elements are asked for than the strides reach", names=("test_convtranspose_output_shape",)),
    Entry("integers are raised to integers", operators=_words("Pow"), names=("test_pow_types_int*_float32",)),
)


def entry_for(case: NodeCase) -> Entry | None:
    """The first entry that fits; None for a case that must pass."""
    return next((entry for entry in NOT_SUPPORTED if entry.fits(case)), None)
