"""Damaged and hostile picture files: the picture as it is, or a problem that names its row."""

import io
import struct

import pytest
from case_count import CASES, FUZZ, cases
from decode_one import decoded, problem_of
from picture_files import ORIGINALS, encoded, noise
from PIL import Image

from extract.data import image_decoding as decode

NAMES = list(ORIGINALS)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Name -> pixels of each undamaged picture."""
    folder = tmp_path_factory.mktemp("whole")
    for name, content in ORIGINALS.items():
        (folder / name).write_bytes(content)
    results = decoded(*(folder / name for name in ORIGINALS))
    assert not any(problem for _, problem in results)
    return dict(zip(ORIGINALS, (pixels for pixels, _ in results), strict=True))


# Damaged


def batches(kind):
    """The cases of a kind, many at a time, each with the name of the picture it is about."""
    batch = []
    for case, rng in cases(kind):
        batch.append((case, rng, NAMES[case % len(NAMES)]))
        if len(batch) == 40:
            yield batch
            batch = []
    assert not batch


def test_a_picture_cut_short_is_whole_or_a_problem_and_never_half(tmp_path, whole):
    paths = [tmp_path / f"{number}.png" for number in range(41)]
    paths[40].write_bytes(ORIGINALS["rgb.png"])
    faults = tried = 0
    for batch in batches("truncated pictures"):
        for path, (_, rng, name) in zip(paths, batch, strict=False):
            path.write_bytes(ORIGINALS[name][: rng.integers(len(ORIGINALS[name]))])
        *results, (beside, none) = decoded(*paths)
        assert none is None and (beside == whole["rgb.png"]).all()
        for (case, _, name), (pixels, problem) in zip(batch, results, strict=True):
            assert problem or (pixels == whole[name]).all(), (case, name)
            faults += problem is not None
            tried += 1
    assert tried == CASES["truncated pictures"] * FUZZ and faults > tried / 2


def test_a_picture_with_bytes_changed_is_a_picture_or_a_problem(tmp_path, monkeypatch):
    # A header that says thousands of pixels costs seconds.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000)
    paths = [tmp_path / f"{number}.jpg" for number in range(40)]
    faults = tried = 0
    for batch in batches("mutated pictures"):
        for path, (_, rng, name) in zip(paths, batch, strict=True):
            path.write_bytes(changed(ORIGINALS[name], rng))
        faults += sum(problem is not None for _, problem in decoded(*paths))
        tried += len(batch)
    assert tried == CASES["mutated pictures"] * FUZZ and tried / 4 < faults < tried


def changed(content, rng):
    """Bytes flipped, set, taken out, put in and repeated, at up to three places."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        # Headers are short, and hold most of what can go wrong.
        place = int(rng.integers(len(content) if rng.integers(2) else min(200, len(content))))
        span = int(rng.integers(1, 9))
        match rng.integers(5):
            case 0:
                content[place] ^= 1 << rng.integers(8)
            case 1:
                content[place] = rng.choice([0, 1, 127, 128, 255])
            case 2:
                del content[place : place + span]
            case 3:
                content[place:place] = rng.bytes(span)
            case _:
                content[place:place] = content[place : place + 8 * span]
    return content


@pytest.mark.parametrize("kind", [0, 1, *range(3, 14), 255])
def test_an_exif_of_wrong_types_is_a_picture_or_a_problem_and_not_a_crash(tmp_path, kind):
    # The description, a text of nine bytes, is said to be of another type.
    content = ORIGINALS["rgb.jpg"].replace(b"\x01\x0e\0\x02", bytes([1, 14, 0, kind]), 1)
    assert content != ORIGINALS["rgb.jpg"]
    (tmp_path / "exif.jpg").write_bytes(content)
    assert len(decoded(tmp_path / "exif.jpg")) == 1


# Not pictures, or odd ones


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
def test_what_memes_do_not_come_in_is_refused_by_name(tmp_path, monkeypatch, content):
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript"))
    message = problem_of(tmp_path / "a.png", content)
    assert "not a picture in one of the formats JPEG, PNG, GIF, WEBP, BMP, TIFF, AVIF" in message


@pytest.mark.parametrize("name", ORIGINALS)
def test_a_wrong_suffix_does_not_matter(tmp_path, whole, name):
    (tmp_path / "a.png").write_bytes(ORIGINALS[name])
    [(pixels, problem)] = decoded(tmp_path / "a.png")
    assert problem is None and (pixels == whole[name]).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_pictures_of_one_pixel_or_line(tmp_path, mode, size):
    form = "TIFF" if mode == "CMYK" else "PNG"
    (tmp_path / "a.png").write_bytes(encoded(Image.new(mode, size), form))
    assert decoded(tmp_path / "a.png")[0][1] is None


@pytest.mark.parametrize("mode", ["I", "F"])
def test_shades_that_would_be_clipped_to_white_are_refused(tmp_path, mode):
    message = problem_of(tmp_path / "a.tif", encoded(Image.new(mode, (4, 4), 70_000), "TIFF"))
    assert "allowed are 8 or 16 bits" in message


def test_a_profile_that_is_none_does_not_matter(tmp_path):
    plain, odd = encoded(noise(), "PNG"), encoded(noise(), "PNG", icc_profile=b"odd" * 99)
    (tmp_path / "a.png").write_bytes(plain)
    (tmp_path / "b.png").write_bytes(odd)
    (one, _), (other, problem) = decoded(tmp_path / "a.png", tmp_path / "b.png")
    assert problem is None and (one == other).all()


def test_a_reader_that_is_out_of_memory_or_says_nothing_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(ORIGINALS["rgb.png"])
    for error in (MemoryError(), struct.error("odd"), KeyError("x"), ZeroDivisionError()):

        def fail(_, error=error):
            raise error

        monkeypatch.setattr(decode, "open_picture", fail)
        [(_, problem)] = decoded(tmp_path / "a.png")
        assert problem.message.endswith(str(error) or type(error).__name__)


def test_bytes_after_the_end_do_not_matter(tmp_path, whole):
    for name in ("rgb.png", "rgb.jpg", "frames.gif", "rgb.tif"):
        (tmp_path / name).write_bytes(ORIGINALS[name] + io.BytesIO(b"\0<?php" * 50).read())
        [(pixels, problem)] = decoded(tmp_path / name)
        assert problem is None and (pixels == whole[name]).all()
