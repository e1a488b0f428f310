"""Bytes of small picture files, in all supported formats and modes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

SIDE = 12


def noise(mode="RGB", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE + 4, 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def encoded(picture, form, **options):
    file = io.BytesIO()
    # Copies, because options of JPEG stay with a picture and break TIFF.
    if "append_images" in options:
        options["append_images"] = [frame.copy() for frame in options["append_images"]]
    picture.copy().save(file, form, **options)
    return file.getvalue()


def _exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a camera"
    return exif


def _originals():
    rgb, more = noise(), [noise(seed=1), noise(seed=2)]
    frames = {"save_all": True, "append_images": more}
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    levels = np.random.default_rng(3).integers(0, 2**16, (SIDE, SIDE), dtype=np.uint16)
    deep = Image.fromarray(levels)
    yield "rgb.png", encoded(rgb, "PNG", exif=_exif(), icc_profile=icc)
    yield "rgba.png", encoded(noise("RGBA"), "PNG")
    yield "palette.png", encoded(rgb.quantize(16), "PNG", transparency=bytes(range(0, 256, 16)))
    yield "grey.png", encoded(noise("L"), "PNG", transparency=7)
    yield "deep.png", encoded(deep, "PNG")
    yield "bits.png", encoded(noise("1"), "PNG")
    yield "frames.png", encoded(rgb, "PNG", **frames)
    yield "rgb.jpg", encoded(rgb, "JPEG", exif=_exif(), icc_profile=icc)
    yield "progressive.jpg", encoded(rgb, "JPEG", progressive=True)
    yield "cmyk.jpg", encoded(noise("CMYK"), "JPEG")
    yield "grey.jpg", encoded(noise("L"), "JPEG")
    yield "two.jpg", encoded(rgb, "MPO", **frames)
    yield "palette.gif", encoded(rgb.quantize(16), "GIF")
    yield "frames.gif", encoded(rgb, "GIF", disposal=2, transparency=3, **frames)
    yield "lossy.webp", encoded(rgb, "WEBP", exif=_exif())
    yield "alpha.webp", encoded(noise("RGBA"), "WEBP", lossless=True)
    yield "frames.webp", encoded(rgb, "WEBP", **frames)
    yield "rgb.bmp", encoded(rgb, "BMP")
    yield "palette.bmp", encoded(rgb.quantize(16), "BMP")
    yield "rgb.tif", encoded(rgb, "TIFF")
    yield "lzw.tif", encoded(noise("RGBA"), "TIFF", compression="tiff_lzw")
    yield "deep.tif", encoded(deep, "TIFF", compression="tiff_adobe_deflate")
    yield "frames.tif", encoded(rgb, "TIFF", **frames)
    yield "cmyk.tif", encoded(noise("CMYK"), "TIFF")
    yield "rgb.avif", encoded(rgb, "AVIF")


ORIGINALS = dict(_originals())


def chunk(name, data):
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, *chunks, depth=8, colour=2, data=b""):
    """Return a PNG file whose header has this size, with any `data`."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
