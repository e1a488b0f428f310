"""Image decoding: every image file gives the RGB that a browser shows, or a reported problem."""

import errno
import io

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from timm.data import create_transform, resolve_data_config

from extract.data import image_decoding
from extract.data.image_decoding import decode_pictures, perceptual_hash
from extract.towers.encoders import ImageEncoder
from runtime.errors import UserError
from runtime.picture_opening import GREY, open_picture, to_pixels

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def reopen(picture, form="PNG", **options):
    """Save the picture to memory and return what `open_picture` reads from it."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return open_picture(file)


def palette_picture(*colours):
    picture = Image.new("P", (len(colours), 1))
    picture.putpalette([value for colour in colours for value in colour])
    picture.putdata(range(len(colours)))
    return picture


def noise(seed=0, size=64):
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def save(tmp_path):
    """Return a function (name, picture or bytes) that writes a file and returns its path."""

    def write(name, content):
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            content.save(tmp_path / name)
        return tmp_path / name

    return write


def encoded(picture, form="PNG"):
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


# Pixel values


def test_palette_indices_are_converted_to_colours():
    assert list(reopen(palette_picture(RED, GREEN)).get_flattened_data()) == [RED, GREEN]


def test_transparent_palette_colour_becomes_white():
    shown = reopen(palette_picture(RED, GREEN), transparency=1)
    assert list(shown.get_flattened_data()) == [RED, WHITE]


def test_transparent_colour_without_alpha_channel_becomes_white():
    picture = Image.new("RGB", (2, 1), RED)
    picture.putpixel((1, 0), GREEN)
    shown = reopen(picture, transparency=GREEN)
    assert list(shown.get_flattened_data()) == [RED, WHITE]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("LA", (0, 0), WHITE),
        ("LA", (0, 255), (0, 0, 0)),
    ],
)
def test_alpha_is_composited_over_white(mode, colour, expected):
    assert reopen(Image.new(mode, (1, 1), colour)).getpixel((0, 0)) == expected


def test_cmyk_is_not_inverted():
    shown = reopen(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG").getpixel((4, 4))
    assert np.abs(np.subtract(shown, RED)).max() < 12


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped_to_white(form):
    levels = np.array([[0, 16384, 32768, 65535]], dtype=np.uint16)
    shown = np.asarray(reopen(Image.fromarray(levels), form))[0, :, 0]
    assert np.abs(shown.astype(int) - [0, 64, 128, 255]).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_becomes_three_equal_channels(mode):
    shown = reopen(Image.linear_gradient("L").convert(mode))
    assert shown.mode == "RGB"
    assert shown.getpixel((0, 255)) == WHITE
    assert shown.getpixel((0, 0)) == (0, 0, 0)


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    shown = reopen(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert shown.getpixel((0, 0)) == RED


def test_exif_orientation_is_applied():
    picture = Image.new("RGB", (16, 8), WHITE)
    picture.paste(RED, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotate by 90 degrees clockwise.
    shown = reopen(picture, exif=exif)
    assert shown.size == (8, 16)
    assert (shown.getpixel((4, 1)), shown.getpixel((4, 14))) == (RED, WHITE)


def test_resizing_does_not_crop_the_borders():
    picture = Image.new("RGB", (200, 50), WHITE)
    picture.paste(RED, (0, 0, 20, 50))
    picture.paste(GREEN, (180, 0, 200, 50))
    pixels = to_pixels(picture, 32, "bicubic")
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), np.uint8)
    assert tuple(pixels[:, 16, 0]) == RED
    assert tuple(pixels[:, 16, 31]) == GREEN


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos"])
def test_preprocessing_equals_the_timm_transform(make_image_encoder, interpolation):
    backbone = make_image_encoder().backbone
    backbone.pretrained_cfg["interpolation"] = interpolation
    encoder = ImageEncoder(backbone)
    encoder.backbone = torch.nn.Identity()
    picture = noise(size=90).crop((0, 0, 90, 60))
    data_config = resolve_data_config({"input_size": (3, 32, 32)}, model=backbone)
    transform = create_transform(**data_config | {"crop_pct": 1.0, "crop_mode": "squash"})
    pixels = to_pixels(picture, 32, encoder.interpolation)
    preprocessed = encoder(torch.from_numpy(pixels.copy())[None])
    assert torch.allclose(preprocessed[0], transform(picture), atol=1e-5)


# All pictures of a table


def test_files_with_equal_bytes_are_one_picture(save, make_table):
    one, other = encoded(noise(1)), encoded(noise(2))
    names = [save("a.png", one), save("b.png", other), save("c.png", one), save("b.png", other)]
    pictures, problems = decode_pictures(make_table(names), 32, "bicubic")
    assert problems == []
    assert pictures.index.tolist() == [0, 1, 0, 1]
    assert pictures.pixels.shape == (2, 3, 32, 32)
    assert pictures.hashes.tolist() == [perceptual_hash(noise(seed)) for seed in (1, 2)]
    assert (pictures.pixels[1] == to_pixels(noise(2), 32, "bicubic")).all()


BROKEN_FILES = {
    "empty.png": b"",
    "words.jpg": b"<html>not found</html>",
    "cut.png": encoded(noise())[:-200],
    "cut.jpg": encoded(noise(), "JPEG")[:-200],
    "header.gif": encoded(noise(), "GIF")[:12],
    "cut.webp": encoded(noise(), "WEBP")[:-50],
    "cut.avif": encoded(noise(), "AVIF")[:-200],
    "no_item.avif": encoded(noise(), "AVIF").replace(b"iloc", b"free"),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_broken_file_is_a_problem_of_its_row_and_becomes_grey(save, make_table, name):
    table = make_table([save("good.png", noise()), save(name, BROKEN_FILES[name])])
    pictures, [problem] = decode_pictures(table, 32, "bicubic")
    assert (problem.row, problem.field) == (1, "image")
    assert (problem.file, problem.line) == ("a.csv", 3)
    assert name in str(problem)
    assert (pictures.pixels[pictures.index[1]] == GREY).all()
    assert (pictures.pixels[pictures.index[0]] != GREY).any()


def test_decompression_bomb_is_a_problem(save, make_table, monkeypatch):
    path = save("bomb.png", noise())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    _, [problem] = decode_pictures(make_table([path]), 32, "bicubic")
    assert (problem.row, problem.field) == (0, "image")


def test_every_row_with_a_broken_file_is_reported(save, make_table):
    path = save("empty.png", b"")
    _, problems = decode_pictures(make_table([path, path]), 32, "bicubic")
    assert [problem.row for problem in problems] == [0, 1]


def test_picture_that_the_system_refuses_to_read_is_no_bad_row(save, make_table, monkeypatch):
    def refuse(path):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(image_decoding, "read_picture", refuse)
    with pytest.raises(UserError, match=r"a.png cannot be read: Too many open files.*ulimit"):
        decode_pictures(make_table([save("a.png", noise())]), 8, "bilinear")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes.fromhex("00000018667479706865696300000000") + b"mif1heic", "a HEIC picture"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"", "empty"),
    ],
)
def test_file_in_place_of_a_picture_is_named(save, make_table, content, expected):
    _, [problem] = decode_pictures(make_table([save("a.png", content)]), 8, "bilinear")
    assert expected in problem.message


@pytest.mark.parametrize("kind", ["text", "profile"])
def test_png_with_megabytes_of_text_or_profile_is_read(save, make_table, tmp_path, kind):
    info = PngInfo()
    info.add_text("parameters", "x" * 1_500_000, zip=True)
    options = {"pnginfo": info} if kind == "text" else {"icc_profile": bytes(3_000_000)}
    noise().save(tmp_path / "a.png", **options)
    _, problems = decode_pictures(make_table([tmp_path / "a.png"]), 8, "bilinear")
    assert problems == []


def test_unreadable_and_missing_pictures_have_an_empty_digest(save, make_table):
    table = make_table(["", save("a.png", b""), save("b.png", b"words")])
    pictures, problems = decode_pictures(table, 32, "bicubic")
    assert [problem.row for problem in problems] == [1, 2]
    assert [pictures.digests[number] for number in pictures.index] == ["", "", ""]


def test_perceptual_hash_differs_in_few_bits_only_for_similar_pictures():
    one, same, other = (perceptual_hash(p) for p in (noise(1), noise(1, size=97), noise(2)))
    assert (one ^ same).bit_count() <= 4
    assert (one ^ other).bit_count() >= 16


def test_pixels_in_a_temporary_file_equal_those_in_memory(make_table, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(60)]
    for number, path in enumerate(paths):
        colours = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        # Every third is a copy of the first.
        (Image.new("RGB", (8, 8)) if number % 3 == 0 else Image.fromarray(colours)).save(path)
    table = make_table([*paths, paths[1]])
    in_memory, _ = decode_pictures(table, 32, "bicubic")
    monkeypatch.setattr(image_decoding, "MAX_PIXEL_MEMORY", 1000)
    monkeypatch.setattr(image_decoding, "MAX_PENDING_TASKS", 1)
    in_file, problems = decode_pictures(table, 32, "bicubic")
    assert isinstance(in_file.pixels, np.memmap)
    assert not isinstance(in_memory.pixels, np.memmap)
    assert problems == []
    assert len(in_file.pixels) == len(in_file.digests) == len(in_file.hashes) == 41
    np.testing.assert_array_equal(in_file.pixels, in_memory.pixels)
    np.testing.assert_array_equal(in_file.index, in_memory.index)
    assert in_file.digests == in_memory.digests
    assert in_file.index[60] == in_file.index[1]
