"""load: a bundle that was edited, belongs to another version or another processor, or is not whole, is refused."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler import _runtime
from subbyte.compiler.errors import ModelError, SubbyteError, ToolchainError
from subbyte.compiler.runtime import Module, load
from tests.runtime.conftest import DIGEST, MakeBundle

INPUTS: dict[str, NDArray[Any]] = {"x": np.ones((4, 8), np.float32), "q": np.full(8, 3, np.uint8)}
OTHER_ABI = _runtime.ABI_VERSION + 1
E_MACHINE = 18  # its offset in an ELF header
AARCH64 = 183


def refusal(folder: Path, kind: type[SubbyteError]) -> str:
    """The text of the error that loading `folder` gives: one paragraph of class `kind`."""
    with pytest.raises(kind) as refused:
        load(folder)
    text = str(refused.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# versions, features, digest -------------------------------------------------------------------------------------------


def test_a_manifest_of_another_abi_version_is_refused(make_bundle: MakeBundle) -> None:
    text = refusal(make_bundle(manifest={"abi_version": OTHER_ABI}), ToolchainError)
    assert f"version {OTHER_ABI} of the model interface" in text
    assert "Compile the model again" in text


def test_a_library_of_another_abi_version_is_refused(make_bundle: MakeBundle) -> None:
    text = refusal(make_bundle(SMALL_ABI_VERSION=OTHER_ABI), ToolchainError)
    assert f"version {OTHER_ABI} of the model interface, this runtime has version {_runtime.ABI_VERSION}" in text


def test_nothing_behind_the_version_is_read_of_another_abi(make_bundle: MakeBundle) -> None:
    """Another version may lay the description out otherwise: with nonsense in it, the version alone is named."""
    text = refusal(make_bundle(SMALL_ABI_VERSION=OTHER_ABI, SMALL_FEATURES="(const char*)8"), ToolchainError)
    assert f"version {OTHER_ABI}" in text


def test_a_description_of_another_size_is_refused(make_bundle: MakeBundle) -> None:
    assert "80 bytes" in refusal(make_bundle(SMALL_STRUCT_BYTES=80), ToolchainError)


def test_features_of_the_manifest_that_are_missing_are_named(make_bundle: MakeBundle) -> None:
    have = _runtime.cpu_features()[:1]
    text = refusal(
        make_bundle(manifest={"target": "x86-64-v9", "features": [*have, "warp", "teleport"]}), ToolchainError
    )
    assert "x86-64-v9" in text
    assert "lacks warp, teleport" in text


def test_features_of_the_library_that_are_missing_are_named(make_bundle: MakeBundle) -> None:
    assert "lacks warp" in refusal(make_bundle(SMALL_FEATURES='"  warp"'), ToolchainError)


def test_features_that_are_there_are_accepted(make_bundle: MakeBundle) -> None:
    have = _runtime.cpu_features()
    load(make_bundle(manifest={"features": have}, SMALL_FEATURES=f'"{" ".join(have)}"')).run(INPUTS)


def test_the_digest_ties_library_and_manifest_together(make_bundle: MakeBundle) -> None:
    text = refusal(make_bundle(manifest={"digest": "f" * 64}), ModelError)
    assert DIGEST[:12] in text
    assert "f" * 12 in text


def test_the_signature_of_library_and_manifest_must_agree(make_bundle: MakeBundle) -> None:
    unquantized: dict[str, Any] = {"scale": None, "zero_point": None, "axis": None}
    inputs = [{"name": "x", "code": "float32", "dtype": "float32", "shape": [4, 8], **unquantized}]
    assert "takes or gives" in refusal(make_bundle(manifest={"inputs": inputs}), ModelError)


@pytest.mark.parametrize(
    ("define", "value", "part"),
    [
        ("SMALL_DIGEST", '"short"', "digest 'short'"),
        ("SMALL_ARENA_ALIGN", 24, "aligned to 24"),
        ("SMALL_X_BYTES", 127, "127 bytes; its shape and dtype make 128"),
        ("SMALL_TILES", 0, "0 tiles"),
        ("SMALL_FEATURES", 0, "features"),
    ],
)
def test_a_broken_description_is_refused(make_bundle: MakeBundle, define: str, value: Any, part: str) -> None:
    assert part in refusal(make_bundle(**{define: value}), ModelError)


# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["libmodel.so", "model.h"])
def test_an_edited_file_is_refused(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle(files={"model.h": b"#define SMALL 1\n"})
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    text = refusal(folder, ModelError)
    assert name in text
    assert "was changed" in text


def test_a_deployed_bundle_needs_no_sources(make_bundle: MakeBundle) -> None:
    folder = make_bundle(files={"model.h": b"#define SMALL 1\n"})
    (folder / "model.h").unlink()
    load(folder).run(INPUTS)


def test_a_bundle_that_was_not_built_says_how_to_build_it(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "libmodel.so").unlink()
    assert "cmake --build build" in refusal(folder, ToolchainError)
    assert Module(folder).inputs[0].name == "x"  # it can still be looked at


def built_by_hand(make_bundle: MakeBundle, data: bytes) -> Path:
    """A bundle whose library is not in the manifest, as after a build by the user."""
    return make_bundle(files={"libmodel.so": data}, manifest={"files": {}})


def test_a_library_built_by_hand_loads(make_bundle: MakeBundle) -> None:
    load(make_bundle(manifest={"files": {}})).run(INPUTS)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.6])
def test_a_library_that_is_cut_short_is_refused(make_bundle: MakeBundle, share: float) -> None:
    data = (make_bundle() / "libmodel.so").read_bytes()
    text = refusal(built_by_hand(make_bundle, data[: int(share * len(data))]), ToolchainError)
    assert "cut short" in text or "not a shared library" in text


def test_a_library_of_another_processor_is_named(make_bundle: MakeBundle) -> None:
    data = bytearray((make_bundle() / "libmodel.so").read_bytes())
    struct.pack_into("<H", data, E_MACHINE, AARCH64 if data[E_MACHINE] != AARCH64 else 62)
    text = refusal(built_by_hand(make_bundle, bytes(data)), ToolchainError)
    assert "64-bit Arm" in text
    assert "x86-64" in text


def test_another_kind_of_file_is_refused(make_bundle: MakeBundle) -> None:
    assert "not a shared library" in refusal(built_by_hand(make_bundle, b"!<arch>\n" * 100), ToolchainError)


def test_a_shared_library_without_a_model_is_refused(make_bundle: MakeBundle) -> None:
    library = Path(_runtime.__file__).read_bytes()
    assert "subbyte_model_get" in refusal(built_by_hand(make_bundle, library), ToolchainError)


def test_a_rebuilt_bundle_loads_beside_the_old_one(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    old = load(folder)
    new = load(make_bundle(SMALL_FACTOR="4.0f"))
    assert new.path == old.path
    assert (old.run(INPUTS)["y"] == 2).all()
    assert (new.run(INPUTS)["y"] == 4).all()


# weights.bin ----------------------------------------------------------------------------------------------------------

THREE = struct.pack("<f", 3.0) + bytes(60)
IN_FILE: dict[str, Any] = {"manifest": {"weights": {"bytes": 64, "file": "weights.bin"}}, "SMALL_WEIGHTS_FILE": 1}


def test_weights_are_read_from_their_file(make_bundle: MakeBundle) -> None:
    module = load(make_bundle(files={"weights.bin": THREE}, **IN_FILE))
    assert (module.run(INPUTS)["y"] == 3).all()


def test_edited_weights_are_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle(files={"weights.bin": THREE}, **IN_FILE)
    (folder / "weights.bin").write_bytes(struct.pack("<f", 4.0) + bytes(60))
    assert "weights.bin' was changed" in refusal(folder, ModelError)


def test_lost_weights_are_named(make_bundle: MakeBundle) -> None:
    folder = make_bundle(files={"weights.bin": THREE}, **IN_FILE)
    (folder / "weights.bin").unlink()
    assert "weights.bin" in refusal(folder, ModelError)


@pytest.mark.parametrize(("data", "part"), [(THREE[:-1], "only 63 bytes"), (THREE + b"\0", "more than 64 bytes")])
def test_weights_of_another_size_are_refused(make_bundle: MakeBundle, data: bytes, part: str) -> None:
    assert part in refusal(make_bundle(files={"weights.bin": data}, **IN_FILE), ModelError)


def test_weights_and_library_must_belong_together(make_bundle: MakeBundle) -> None:
    inline = make_bundle("inline", manifest=IN_FILE["manifest"], files={"weights.bin": THREE})
    assert "holds its weights itself" in refusal(inline, ModelError)
    in_file = make_bundle("in_file", files={"weights.bin": THREE}, SMALL_WEIGHTS_FILE=1)
    assert "file of their own" in refusal(in_file, ModelError)


# the binding ----------------------------------------------------------------------------------------------------------


def test_the_binding_checks_what_it_is_given(make_bundle: MakeBundle) -> None:
    loaded = _runtime.LoadedModel(str(make_bundle() / "libmodel.so"))
    x, q = INPUTS["x"], INPUTS["q"]
    wrong: list[tuple[Any, str]] = [
        ([x], "has 2 inputs; 1 were given"),
        ([x, "q"], "Input 'q' is a str"),
        ([x.astype(np.int32), q], "Input 'x' is of dtype int32; float32 is expected"),
        ([x.T, q], r"Input 'x' has the shape \(8, 4\); \(4, 8\) is expected"),
        ([np.asfortranarray(x), q], "Input 'x' is not a contiguous"),
    ]
    for inputs, text in wrong:
        with pytest.raises(ModelError, match=text):
            loaded.run(inputs)


def test_results_go_into_arrays_of_the_caller(make_bundle: MakeBundle) -> None:
    loaded = _runtime.LoadedModel(str(make_bundle() / "libmodel.so"), threads=2)
    x, q = INPUTS["x"], INPUTS["q"]
    results = loaded.run([x, q])
    into = [np.zeros_like(result) for result in results]
    loaded.run_into([x, q], into)
    for found, expected in zip(into, results, strict=True):
        np.testing.assert_array_equal(found, expected)
    y, codes, tiny, half = into
    with pytest.raises(ModelError, match="Output 'y' shares memory"):
        loaded.run_into([x, q], [x, codes, tiny, half])
    with pytest.raises(ModelError, match="Output 'tiny' shares memory"):
        loaded.run_into([x, q], [y, codes, y[0, 4:], half])
    codes.setflags(write=False)
    with pytest.raises(ModelError, match="Output 'codes' is a read-only array"):
        loaded.run_into([x, q], [y, codes, tiny, half])


def test_a_bound_call_reads_and_writes_its_arrays_each_time(make_bundle: MakeBundle) -> None:
    loaded = _runtime.LoadedModel(str(make_bundle() / "libmodel.so"), threads=2)
    x, q = INPUTS["x"].copy(), INPUTS["q"].copy()
    into = [np.zeros_like(result) for result in loaded.run([x, q])]
    call = loaded.bind([x, q], into)
    del loaded  # the call holds the model
    again = _runtime.LoadedModel(str(make_bundle() / "libmodel.so"))
    for factor in (1, 2):
        x *= factor
        call()
        for found, expected in zip(into, again.run([x, q]), strict=True):
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(ModelError, match="Output 'y' shares memory"):
        again.bind([x, q], [x, *into[1:]])
    with pytest.raises(ModelError, match="The model has 2 inputs; 1 were given"):
        again.bind([x], into)


def test_the_binding_describes_the_model(make_bundle: MakeBundle) -> None:
    loaded = _runtime.LoadedModel(str(make_bundle() / "libmodel.so"), threads=3)
    assert (loaded.name, loaded.target, loaded.features, loaded.digest) == ("small", "portable", "", DIGEST)
    assert (loaded.arena_bytes, loaded.scratch_bytes, loaded.weights_bytes, loaded.threads) == (32, 64, 0, 3)
    assert loaded.inputs[1] == {
        "name": "q",
        "code": "uint4",
        "dtype": "uint8",
        "shape": (8,),
        "scale": [0.5],
        "zero_point": [3],
        "axis": None,
    }
    assert [output["dtype"] for output in loaded.outputs] == ["float32", "uint8", "float32", "float16"]


@pytest.mark.timing
def test_loading_and_one_run_take_under_5_ms(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        load(folder).run(INPUTS)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.005
