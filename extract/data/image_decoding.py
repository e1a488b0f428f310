"""Decode image files: read each file once, convert to RGB, and resize for the image tower."""

import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image

from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem
from runtime.picture_opening import GREY, open_picture, picture_fault, read_picture, to_pixels
from runtime.progress import progress

THUMBNAIL_SIZE = 8
"""Side in pixels to decode pictures to whose pixels are not needed: decoding fails or succeeds at
any size."""

FILES_PER_TASK = 16
"""Number of files that a thread decodes per task."""

MAX_PENDING_TASKS = 64
"""Maximum number of tasks whose results are not read yet. It limits the memory."""

MAX_PIXEL_MEMORY = 4 * 2**30
"""Maximum bytes of pixels in memory; more are stored in a temporary file."""


@dataclass(frozen=True)
class Pictures:
    """The distinct pictures of a table. Files with the same bytes are one picture."""

    pixels: np.ndarray
    """uint8 (P, 3, S, S)."""
    hashes: np.ndarray
    """uint64 (P,): perceptual hash (imagehash.phash, 8x8 DCT) of the picture before resizing."""
    digests: list[str]
    """SHA-256 of each picture's file (P of them); empty for the grey picture."""
    index: np.ndarray
    """int64 (N,): index of each row's picture."""


class Decoded(NamedTuple):
    """A decoded file; of one that cannot be decoded, a grey picture and the reason."""

    digest: str
    pixels: np.ndarray
    """uint8 (3, S, S)."""
    hash: int
    fault: str


def decode_pictures(
    table: MemeTable, size: int, interpolation: str
) -> tuple[Pictures, list[Problem]]:
    """Decode the pictures of all rows. One that cannot be decoded becomes grey and a Problem.

    Raises UserError if the system refuses to read one, which says nothing about the picture.

    The whole picture is resized to `size` x `size`, without regard to its aspect ratio: a crop
    could remove what the meme is about. `interpolation` is that of the image weights' training. An
    empty path, of a row whose problem is known already, gives the grey picture.
    """
    paths = table.rows["image"].tolist()
    distinct = list(dict.fromkeys(paths))
    pixels = _allocate_pixels(len(distinct), size)
    picture_of_digest: dict[str, int] = {}
    hashes: list[int] = []
    result_of_path: dict[str, tuple[int, str]] = {}
    for path, picture in zip(distinct, _decode_files(distinct, size, interpolation), strict=True):
        if picture.digest not in picture_of_digest:
            picture_of_digest[picture.digest] = len(hashes)
            pixels[len(hashes)] = picture.pixels
            hashes.append(picture.hash)
        result_of_path[path] = picture_of_digest[picture.digest], picture.fault
    pictures = Pictures(
        pixels[: len(hashes)],
        np.array(hashes, dtype=np.uint64),
        list(picture_of_digest),
        np.array([result_of_path[path][0] for path in paths], dtype=np.int64),
    )
    faults = [result_of_path[path][1] for path in paths]
    return pictures, [_problem(table, row, fault) for row, fault in enumerate(faults) if fault]


def _allocate_pixels(count: int, size: int) -> np.ndarray:
    """Return an array, uint8 (count, 3, size, size), in memory or in an unnamed temporary file.

    The operating system caches as much of the file as fits in memory.
    """
    shape = (count, 3, size, size)
    if count * 3 * size**2 <= MAX_PIXEL_MEMORY:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def perceptual_hash(picture: Image.Image) -> int:
    """Return a 64-bit hash (imagehash.phash); near-identical pictures differ in few bits."""
    bits = imagehash.phash(picture).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _decode_files(paths: list[str], size: int, interpolation: str) -> Iterator[Decoded]:
    """Decode the files in threads; yield the results in order.

    Each task has several files: for small pictures, one task per file would take longer than the
    decoding.
    """

    def decode_all(task_paths: list[str]) -> list[Decoded]:
        return [decode_file(path, size, interpolation) for path in task_paths]

    pending = deque[Future[list[Decoded]]]()
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress("decode", len(paths), "pictures") as advance,
    ):
        for start in range(0, len(paths), FILES_PER_TASK):
            pending.append(pool.submit(decode_all, paths[start : start + FILES_PER_TASK]))
            if len(pending) > MAX_PENDING_TASKS:
                results = pending.popleft().result()
                yield from results
                advance(len(results))
        for task in pending:
            results = task.result()
            yield from results
            advance(len(results))


def decode_file(path: str, size: int, interpolation: str) -> Decoded:
    """Decode one file. Raises UserError if the system refuses to read it."""
    grey = np.full((3, size, size), GREY, dtype=np.uint8)
    if not path:
        return Decoded("", grey, 0, "")
    data = b""
    try:
        data = read_picture(Path(path))
        picture = open_picture(BytesIO(data))
        pixels, code = to_pixels(picture, size, interpolation), perceptual_hash(picture)
    # For a broken file, Pillow's readers raise errors of many types.
    except Exception as error:
        return Decoded("", grey, 0, picture_fault(Path(path), data, error))
    return Decoded(hashlib.sha256(data).hexdigest(), pixels, code, "")


def _problem(table: MemeTable, row: int, fault: str) -> Problem:
    source = table.rows.iloc[row]
    message = f"image {source['image']} cannot be decoded: {fault}"
    return Problem(source["file"], int(source["line"]), message, row, "image")
