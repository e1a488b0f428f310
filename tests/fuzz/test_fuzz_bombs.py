"""Decompression bombs: small files of huge pictures are refused before they are decoded."""

import struct
import tracemalloc
import zlib

import pytest
from decode_one import decoded, problem_of
from picture_files import ORIGINALS, chunk, encoded, png
from PIL import Image, ImageFile

from runtime.picture_opening import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE

HUGE = 30_000


def _resized(name, at, form, size=(HUGE, HUGE)):
    content = bytearray(ORIGINALS[name])
    struct.pack_into(form, content, at, *size)
    return bytes(content)


def _jpeg():
    content = ORIGINALS["rgb.jpg"]
    return _resized("rgb.jpg", content.index(b"\xff\xc0") + 5, ">HH")


def _tiff():
    content = bytearray(ORIGINALS["rgb.tif"])
    start = struct.unpack_from("<I", content, 4)[0]
    for tag in range(struct.unpack_from("<H", content, start)[0]):
        if struct.unpack_from("<H", content, start + 2 + 12 * tag)[0] in (256, 257):
            struct.pack_into("<HII", content, start + 4 + 12 * tag, 4, 1, HUGE)
    return bytes(content)


def _webp():
    size = (HUGE // 2 - 1).to_bytes(3, "little") * 2
    content = ORIGINALS["frames.webp"]
    return content[:24] + size + content[30:]


def _avif():
    content = ORIGINALS["rgb.avif"]
    return _resized("rgb.avif", content.index(b"ispe") + 8, ">II", (HUGE // 2,) * 2)


BOMBS = {
    "header.png": lambda: png(HUGE, HUGE),
    "header.jpg": _jpeg,
    "screen.gif": lambda: _resized("palette.gif", 6, "<HH"),
    "first_frame.gif": lambda: _resized(
        "frames.gif", ORIGINALS["frames.gif"].index(b"\x2c\0\0\0\0") + 5, "<HH"
    ),
    "canvas.webp": _webp,
    "header.bmp": lambda: _resized("rgb.bmp", 18, "<ii"),
    "tags.tif": _tiff,
    "ispe.avif": _avif,
    "strip.png": lambda: png(2**31 - 1, 1),
    "just_too_large.png": lambda: png(MAX_PIXELS // 1000 + 1, 1000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_by_its_header_before_decoding(tmp_path, monkeypatch, name):
    def load(self):
        pytest.fail("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    message = problem_of(tmp_path / name, BOMBS[name]())
    assert f"exceeds limit of {MAX_PIXELS} pixels" in message, message
    sizes = {"strip.png": 2**31 - 1, "just_too_large.png": MAX_PIXELS + 1000}
    # These formats cannot be larger.
    sizes |= dict.fromkeys(("canvas.webp", "ispe.avif"), HUGE**2 // 4)
    assert f"({sizes.get(name, HUGE**2)} pixels)" in message, message


def test_picture_of_the_largest_allowed_size_is_decoded(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    (tmp_path / "a.png").write_bytes(encoded(Image.new("L", (10, 10), 9), "PNG"))
    (tmp_path / "b.png").write_bytes(encoded(Image.new("L", (10, 11), 9), "PNG"))
    (_, no_problem), (_, problem) = decoded(tmp_path / "a.png", tmp_path / "b.png")
    assert no_problem is None and "(110 pixels) exceeds limit of 100" in str(problem)


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_text_or_profile_does_not_use_much_memory(tmp_path, name):
    compressor = zlib.compressobj(9)
    zeros = b"".join(compressor.compress(bytes(2**20)) for _ in range(64)) + compressor.flush()
    prefixes = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}
    picture = ORIGINALS["grey.png"]
    content = picture[:33] + chunk(name, prefixes[name] + zeros) + picture[33:]
    (tmp_path / "a.png").write_bytes(content)
    tracemalloc.start()
    decoded(tmp_path / "a.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * 2**20


def test_too_large_file_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    [(_, problem)] = decoded(tmp_path / "a.png")
    assert f"{MAX_FILE_BYTES + 1} bytes, allowed are {MAX_FILE_BYTES}" in str(problem)


def test_too_long_side_is_refused_before_resizing(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.new("L", (MAX_SIDE + 1, 1), 9), "PNG"))
    (tmp_path / "b.png").write_bytes(encoded(Image.new("L", (1, MAX_SIDE), 9), "PNG"))
    (_, problem), (_, no_problem) = decoded(tmp_path / "a.png", tmp_path / "b.png")
    assert f"{MAX_SIDE + 1} x 1 pixels, allowed: {MAX_SIDE} a side" in str(problem)
    assert no_problem is None
