"""Damaged and malicious picture files: each is decoded, or is a problem that names its row."""

import io
import struct

import pytest
from case_count import CASES, FUZZ, cases
from decode_one import decoded, problem_of
from picture_files import ORIGINALS, encoded, noise
from PIL import Image

from extract.data import image_decoding

NAMES = list(ORIGINALS)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Map the name of each undamaged picture to its pixels."""
    folder = tmp_path_factory.mktemp("intact")
    for name, content in ORIGINALS.items():
        (folder / name).write_bytes(content)
    results = decoded(*(folder / name for name in ORIGINALS))
    assert not any(problem for _, problem in results)
    return dict(zip(ORIGINALS, (pixels for pixels, _ in results), strict=True))


# Damaged pictures


def batches(kind):
    """Yield the cases of a kind in batches of 40, each with the name of the picture to damage."""
    batch = []
    for case, rng in cases(kind):
        batch.append((case, rng, NAMES[case % len(NAMES)]))
        if len(batch) == 40:
            yield batch
            batch = []
    assert not batch


def test_truncated_picture_is_complete_or_a_problem(tmp_path, intact):
    paths = [tmp_path / f"{number}.png" for number in range(41)]
    paths[40].write_bytes(ORIGINALS["rgb.png"])
    faults = tried = 0
    for batch in batches("truncated pictures"):
        for path, (_, rng, name) in zip(paths, batch, strict=False):
            path.write_bytes(ORIGINALS[name][: rng.integers(len(ORIGINALS[name]))])
        *results, (undamaged, no_problem) = decoded(*paths)
        assert no_problem is None and (undamaged == intact["rgb.png"]).all()
        for (case, _, name), (pixels, problem) in zip(batch, results, strict=True):
            assert problem or (pixels == intact[name]).all(), (case, name)
            faults += problem is not None
            tried += 1
    assert tried == CASES["truncated pictures"] * FUZZ and faults > tried / 2


def test_mutated_picture_is_decoded_or_a_problem(tmp_path, monkeypatch):
    # Headers with sizes of thousands of pixels would take seconds.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000)
    paths = [tmp_path / f"{number}.jpg" for number in range(40)]
    faults = tried = 0
    for batch in batches("mutated pictures"):
        for path, (_, rng, name) in zip(paths, batch, strict=True):
            path.write_bytes(mutate(ORIGINALS[name], rng))
        faults += sum(problem is not None for _, problem in decoded(*paths))
        tried += len(batch)
    assert tried == CASES["mutated pictures"] * FUZZ and tried / 4 < faults < tried


def mutate(content, rng):
    """Flip, set, delete, insert or repeat bytes at one to three positions."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        # Half of the positions are in the header, where most errors can occur.
        start = int(rng.integers(len(content) if rng.integers(2) else min(200, len(content))))
        span = int(rng.integers(1, 9))
        match rng.integers(5):
            case 0:
                content[start] ^= 1 << rng.integers(8)
            case 1:
                content[start] = rng.choice([0, 1, 127, 128, 255])
            case 2:
                del content[start : start + span]
            case 3:
                content[start:start] = rng.bytes(span)
            case _:
                content[start:start] = content[start : start + 8 * span]
    return content


@pytest.mark.parametrize("kind", [0, 1, *range(3, 14), 255])
def test_wrong_exif_types_are_decoded_or_a_problem(tmp_path, kind):
    # Give the description, a text of nine bytes, another type.
    content = ORIGINALS["rgb.jpg"].replace(b"\x01\x0e\0\x02", bytes([1, 14, 0, kind]), 1)
    assert content != ORIGINALS["rgb.jpg"]
    (tmp_path / "exif.jpg").write_bytes(content)
    assert len(decoded(tmp_path / "exif.jpg")) == 1


# Other file formats, and unusual pictures


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"<!doctype html><html></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        b"%PDF-1.4\n",
        encoded(noise(), "ICO"),
        encoded(noise("L"), "PPM"),
        encoded(noise(), "TGA"),
        encoded(noise(), "JPEG2000"),
        encoded(noise(), "EPS"),
        bytes(5000),
    ],
    ids=["nothing", "magic", "svg", "html", "ps", "pdf", "ico", "ppm", "tga", "jp2", "eps", "nul"],
)
def test_unsupported_format_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript"))
    message = problem_of(tmp_path / "a.png", content)
    assert "not a picture in one of the formats JPEG, PNG, GIF, WEBP, BMP, TIFF, AVIF" in message


@pytest.mark.parametrize("name", ORIGINALS)
def test_wrong_suffix_does_not_matter(tmp_path, intact, name):
    (tmp_path / "a.png").write_bytes(ORIGINALS[name])
    [(pixels, problem)] = decoded(tmp_path / "a.png")
    assert problem is None and (pixels == intact[name]).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_pictures_of_one_pixel_or_line_are_decoded(tmp_path, mode, size):
    form = "TIFF" if mode == "CMYK" else "PNG"
    (tmp_path / "a.png").write_bytes(encoded(Image.new(mode, size), form))
    assert decoded(tmp_path / "a.png")[0][1] is None


@pytest.mark.parametrize("mode", ["I", "F"])
def test_bit_depths_that_would_be_clipped_to_white_are_refused(tmp_path, mode):
    message = problem_of(tmp_path / "a.tif", encoded(Image.new(mode, (4, 4), 70_000), "TIFF"))
    assert "allowed are 8 or 16 bits" in message


def test_invalid_colour_profile_does_not_matter(tmp_path):
    plain, invalid = encoded(noise(), "PNG"), encoded(noise(), "PNG", icc_profile=b"odd" * 99)
    (tmp_path / "a.png").write_bytes(plain)
    (tmp_path / "b.png").write_bytes(invalid)
    (one, _), (other, problem) = decoded(tmp_path / "a.png", tmp_path / "b.png")
    assert problem is None and (one == other).all()


def test_any_exception_of_the_decoder_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(ORIGINALS["rgb.png"])
    for error in (MemoryError(), struct.error("odd"), KeyError("x"), ZeroDivisionError()):

        def fail(_, error=error):
            raise error

        monkeypatch.setattr(image_decoding, "open_picture", fail)
        [(_, problem)] = decoded(tmp_path / "a.png")
        assert problem.message.endswith(str(error) or type(error).__name__)


def test_bytes_after_the_end_do_not_matter(tmp_path, intact):
    for name in ("rgb.png", "rgb.jpg", "frames.gif", "rgb.tif"):
        (tmp_path / name).write_bytes(ORIGINALS[name] + io.BytesIO(b"\0<?php" * 50).read())
        [(pixels, problem)] = decoded(tmp_path / name)
        assert problem is None and (pixels == intact[name]).all()
