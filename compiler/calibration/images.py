"""Images as samples: decoded by Pillow, resized and cropped where asked, scaled to what the network was trained on."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
LAYOUTS = ("NCHW", "NHWC")
_MODES = {1: "L", 3: "RGB"}
_LARGEST_PIXELS = 1 << 26  # of an image file; checked before it is decoded


@dataclass(frozen=True)
class Preprocessing:
    """From pixels p in 0..255 to what the network is given: (p * scale - mean) / std, a mean and std for each channel.

    layout: "NCHW", "NHWC", or None: where the 1 or 3 channels of the input are. bgr: blue is the first channel.
    resize: the length of the shorter side after bilinear resizing; None: as it is. The middle of the image is then cut
    out; without `resize` the image must have the input's size.
    """

    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str | None = None
    bgr: bool = False
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout not in LAYOUTS:
            raise ModelError(f"there is no layout '{self.layout}' of images; there are {', '.join(LAYOUTS)}")
        if not all(np.isfinite((self.scale, *self.mean, *self.std))) or 0 in self.std:
            raise ModelError("the scale, mean and std of images are finite numbers, and no std is 0")
        if self.resize is not None and not 1 <= self.resize <= 1 << 14:
            raise ModelError(f"images cannot be resized to {self.resize}; 1 to {1 << 14} pixels can be")


def read_image(path: Path, name: str, wanted: TensorType, preprocessing: Preprocessing) -> Array:
    """float32 of the input's shape.

    Raises ModelError: the file is no image, has another size, or the input is not one for images. ToolchainError:
        Pillow is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise ToolchainError(
            "Pillow, which reads images, is not installed; `pip install 'subbyte[quantize]'` brings it."
        )
    from PIL import Image

    layout, channels, height, width = _geometry(name, wanted, preprocessing)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _LARGEST_PIXELS:
                raise ModelError(
                    f"image '{path}' has {image.width} x {image.height} pixels; at most {_LARGEST_PIXELS} are read."
                )
            plain = image.convert(_MODES[channels])
    except FileNotFoundError:
        raise ModelError(f"there is no image '{path}'.") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelError(f"'{path}' cannot be read as a PNG or JPEG image: {error}") from error
    if preprocessing.resize is not None:
        plain = _resized(plain, preprocessing.resize, height, width)
    if plain.size != (width, height):
        raise ModelError(
            f"image '{path}' is {plain.width} x {plain.height} pixels; input '{name}', {wanted}, needs {width} x "
            f"{height}. Give Preprocessing(resize=...) or images of this size."
        )
    pixels = np.asarray(plain, np.float32).reshape(height, width, channels)
    if preprocessing.bgr:
        pixels = pixels[:, :, ::-1]
    mean, std = np.asarray(preprocessing.mean, np.float32), np.asarray(preprocessing.std, np.float32)
    if mean.size not in (1, channels) or std.size not in (1, channels):
        raise ModelError(
            f"the preprocessing has {mean.size} means and {std.size} stds; 1 or {channels}, the channels of input "
            f"'{name}', is needed of each."
        )
    values = (pixels * np.float32(preprocessing.scale) - mean) / std
    return (values.transpose(2, 0, 1) if layout == "NCHW" else values)[np.newaxis]


def _geometry(name: str, wanted: TensorType, preprocessing: Preprocessing) -> tuple[str, int, int, int]:
    """(layout, channels, height, width) of one image for the input."""
    shape = wanted.shape
    if len(shape) == 4 and shape[0] == 1:
        for layout in LAYOUTS if preprocessing.layout is None else (preprocessing.layout,):
            channels, height, width = shape[1:] if layout == "NCHW" else (shape[3], shape[1], shape[2])
            if channels in _MODES:
                return layout, channels, height, width
    raise ModelError(
        f"input '{name}' is {wanted}, which is no image of 1 or 3 channels in layout "
        f"{preprocessing.layout or ' or '.join(LAYOUTS)}; give its samples as .npz or .npy files."
    )


def _resized(image: Any, shorter: int, height: int, width: int) -> Any:
    """The image with its shorter side `shorter` pixels long, its middle cut to height x width."""
    from PIL import Image

    factor = shorter / min(image.size)
    size = tuple(max(1, round(length * factor)) for length in image.size)
    if size[0] * size[1] > _LARGEST_PIXELS:
        raise ModelError(f"resizing {image.width} x {image.height} pixels to {size[0]} x {size[1]} makes too many.")
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    if left < 0 or top < 0:
        return image
    return image.crop((left, top, left + width, top + height))
