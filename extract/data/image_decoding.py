"""Every picture file is read and decoded once, to bytes of the size that the image tower wants."""

import hashlib
import os
import tempfile
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from extract.data.bad_rows import Problem
from extract.data.meme_table import MemeTable
from runtime.progress import progress

PART = 16
"""Pictures that a thread is given at a time."""

UNDER_WAY = 64
"""Parts that are decoded ahead."""

MOST_BYTES = 4 * 2**30
"""Pixels held in memory; more are held in a file."""

GREY = 127
"""Pixel value of the picture that stands in for one that could not be read."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
"""What memes come in. Of Pillow's other readers, one starts Ghostscript, and others can hide a
large picture behind a small header."""

MOST_PIXELS = 50_000_000
"""A picture of more is refused before any pixel is decoded."""

MOST_SIDE = 30_000
"""So is one that is longer: shrinking a line of pixels takes memory for each of them."""

MOST_FILE_BYTES = 2**29
"""A picture file of more is not read."""

# Pillow looks at the size wherever a file says one: it warns from its limit on, and from twice that
# it refuses.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Pictures:
    """The distinct pictures of a table, told apart by their files' bytes."""

    pixels: np.ndarray
    """uint8 (P, 3, S, S)."""
    hashes: np.ndarray
    """uint64 (P,): perceptual hash (imagehash.phash, 8x8 DCT) of the picture as it was on disk."""
    digests: list[str]
    """SHA-256 of each picture's file, P of them; empty for the grey picture."""
    index: np.ndarray
    """int64 (N,): row -> picture."""


class _Decoded(NamedTuple):
    digest: str
    pixels: np.ndarray
    hash: int
    fault: str


def decode_pictures(
    table: MemeTable, size: int, interpolation: str
) -> tuple[Pictures, list[Problem]]:
    """Decode the pictures of all rows; one that cannot be decoded becomes grey and a Problem.

    The whole picture is squashed to `size` x `size`, as a crop can cut away what a meme is about;
    `interpolation` is the one that the image weights were trained with. The empty path stands for
    a problem known already and gives the grey picture.
    """
    paths = table.rows["image"].tolist()
    distinct = list(dict.fromkeys(paths))
    pixels = _room(len(distinct), size)
    place: dict[str, int] = {}
    hashes: list[int] = []
    known: dict[str, tuple[int, str]] = {}
    for path, picture in zip(distinct, _decode_files(distinct, size, interpolation), strict=True):
        if picture.digest not in place:
            place[picture.digest] = len(place)
            pixels[place[picture.digest]] = picture.pixels
            hashes.append(picture.hash)
        known[path] = place[picture.digest], picture.fault
    pictures = Pictures(
        pixels[: len(place)],
        np.array(hashes, dtype=np.uint64),
        list(place),
        np.array([known[path][0] for path in paths], dtype=np.int64),
    )
    faulty = [(row, known[path][1]) for row, path in enumerate(paths) if known[path][1]]
    return pictures, [_unreadable(table, row, fault) for row, fault in faulty]


def _room(count: int, size: int) -> np.ndarray:
    """uint8 (count, 3, size, size): in memory, or if that is too much, in a file without a name in
    the folder for temporary files, of which the system keeps in memory what it has room for."""
    shape = (count, 3, size, size)
    if count * 3 * size**2 <= MOST_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def open_picture(source: Path | BytesIO) -> Image.Image:
    """Open a picture as RGB: upright as its EXIF says, the first frame, transparency over white.

    Raises DecompressionBombError for a picture of more than MOST_PIXELS, and for what Pillow cannot
    decode UnidentifiedImageError or whatever its readers stumble over.
    """
    with Image.open(source, formats=FORMATS) as picture:
        if max(picture.size) > MOST_SIDE:
            raise ValueError(
                f"{picture.width} x {picture.height} pixels, allowed: {MOST_SIDE} a side"
            )
        upright = _eight_bits(ImageOps.exif_transpose(picture))
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return upright.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit grey, which Pillow would clip to white, to 8 bits."""
    if picture.mode in ("I", "F"):
        raise ValueError("found 32 bits a pixel and one channel, allowed are 8 or 16 bits")
    if not picture.mode.startswith("I;16"):
        return picture
    grey = np.asarray(picture).astype(np.uint16) // 257
    return Image.fromarray(grey.astype(np.uint8))


def to_pixels(picture: Image.Image, size: int, interpolation: str) -> np.ndarray:
    """Squash to uint8 (3, size, size)."""
    resample = Image.Resampling[interpolation.upper()]
    return np.asarray(picture.resize((size, size), resample)).transpose(2, 0, 1)


def perceptual_hash(picture: Image.Image) -> int:
    """64-bit hash; near-identical pictures differ in few bits (imagehash.phash)."""
    bits = imagehash.phash(picture).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _decode_files(paths: list[str], size: int, interpolation: str) -> Iterator[_Decoded]:
    """In threads: large pictures decode side by side. Small ones come many at a time, as handing
    each to a thread would take longer than to decode it."""

    def decode_all(part: list[str]) -> list[_Decoded]:
        return [_decode(path, size, interpolation) for path in part]

    # A few parts for each thread are under way, and the pictures of no more are held.
    waiting = deque[Future[list[_Decoded]]]()
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress("decode", len(paths), "pictures") as advance,
    ):
        for start in range(0, len(paths), PART):
            waiting.append(pool.submit(decode_all, paths[start : start + PART]))
            if len(waiting) > UNDER_WAY:
                results = waiting.popleft().result()
                yield from results
                advance(len(results))
        for part in waiting:
            results = part.result()
            yield from results
            advance(len(results))


def _decode(path: str, size: int, interpolation: str) -> _Decoded:
    grey = np.full((3, size, size), GREY, dtype=np.uint8)
    if not path:
        return _Decoded("", grey, 0, "")
    try:
        data = _read(Path(path))
        picture = open_picture(BytesIO(data))
        pixels, code = to_pixels(picture, size, interpolation), perceptual_hash(picture)
    except UnidentifiedImageError:
        return _Decoded("", grey, 0, f"not a picture in one of the formats {', '.join(FORMATS)}")
    # Pillow's readers raise whatever a broken file makes them raise.
    except Exception as error:
        return _Decoded("", grey, 0, str(error) or type(error).__name__)
    return _Decoded(hashlib.sha256(data).hexdigest(), pixels, code, "")


def _read(path: Path) -> bytes:
    if (size := path.stat().st_size) > MOST_FILE_BYTES:
        raise ValueError(f"the file has {size} bytes, allowed are {MOST_FILE_BYTES}")
    return path.read_bytes()


def _unreadable(table: MemeTable, row: int, fault: str) -> Problem:
    source = table.rows.iloc[row]
    message = f"image {source['image']} cannot be decoded: {fault}"
    return Problem(source["file"], int(source["line"]), message, row, "image")
