"""Open picture files: the formats, the limits, and what is wrong with a file.

Needs Pillow alone, so that an exported run decodes pictures with the same code.
"""

import re
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from runtime.errors import raise_if_system_error

GREY = 127
"""Pixel value of the grey picture that replaces one that cannot be read."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
"""Image formats that are read. The others of Pillow are unsafe: one runs Ghostscript, and some can
hide a large picture behind a small header."""

MAX_PIXELS = 50_000_000
"""Maximum size of a picture, which is checked before any pixel is decoded."""

MAX_SIDE = 30_000
"""Maximum width and height in pixels: resizing takes memory for each pixel of a line."""

MAX_FILE_BYTES = 2**29
"""Maximum size of an image file."""

# Pillow checks every size that a file gives. It warns above this limit, and raises an error above
# twice the limit.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Programs store prompts and colour profiles of some megabytes in a PNG; Pillow refuses more than
# 1 MiB each.
PngImagePlugin.MAX_TEXT_CHUNK = 8 * 2**20

FOREIGN_FORMATS = (
    (re.compile(rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), "a HEIC picture (iPhone)"),
    (re.compile(rb"\s*<(!doctype|html)", re.IGNORECASE), "a web page, so a download has failed"),
    (re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE), "an SVG drawing"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer: run git lfs pull"),
    (re.compile(rb"%PDF"), "a PDF"),
)
"""First bytes of files that are often found in place of a picture, and what they are."""


def open_picture(source: Path | BytesIO) -> Image.Image:
    """Open the first frame of a picture as RGB, rotated as in its EXIF, transparency over white.

    Raises DecompressionBombError for a picture of more than MAX_PIXELS, ValueError for a side of
    more than MAX_SIDE, UnidentifiedImageError for another format, and any error of Pillow's
    readers for a broken file.
    """
    with Image.open(source, formats=FORMATS) as picture:
        if max(picture.size) > MAX_SIDE:
            raise ValueError(
                f"{picture.width} x {picture.height} pixels, allowed: {MAX_SIDE} a side"
            )
        upright = _eight_bits(ImageOps.exif_transpose(picture))
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return upright.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow would clip it to white."""
    if picture.mode in ("I", "F"):
        raise ValueError("found 32 bits a pixel and one channel, allowed are 8 or 16 bits")
    if not picture.mode.startswith("I;16"):
        return picture
    grey = np.asarray(picture).astype(np.uint16) // 257
    return Image.fromarray(grey.astype(np.uint8))


def encode_small(path: Path, side: int, format: str, quality: int) -> bytes | None:
    """Encode a picture anew, at most `side` pixels wide and high; None if it cannot be opened.

    No other content of the file is in the result.
    """
    encoded = BytesIO()
    try:
        picture = open_picture(path)
        picture.thumbnail((side, side))
        picture.save(encoded, format, quality=quality)
    except Exception:  # for a broken file, Pillow's readers raise errors of many types
        return None
    return encoded.getvalue()


def to_pixels(picture: Image.Image, size: int, interpolation: str) -> np.ndarray:
    """Resize to uint8 (3, size, size), without regard to the aspect ratio."""
    resample = Image.Resampling[interpolation.upper()]
    return np.asarray(picture.resize((size, size), resample)).transpose(2, 0, 1)


def picture_fault(path: Path, data: bytes, error: Exception) -> str:
    """Say why `data`, read from `path`, is no picture, given what reading or opening it raised.

    Raises UserError if the system refused, which says nothing about the picture.
    """
    if isinstance(error, UnidentifiedImageError):
        return _unknown_format(data)
    raise_if_system_error(path, error)
    return str(error) or type(error).__name__


def _unknown_format(data: bytes) -> str:
    known = next((name for start, name in FOREIGN_FORMATS if start.match(data)), None)
    found = "it is empty, " if not data else f"it is {known}, " if known else ""
    return f"{found}not a picture in one of the formats {', '.join(FORMATS)}"


def read_picture(path: Path) -> bytes:
    """Return the bytes of a picture file. Raises ValueError for one of more than MAX_FILE_BYTES."""
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise ValueError(f"the file has {size} bytes, allowed are {MAX_FILE_BYTES}")
    return path.read_bytes()
