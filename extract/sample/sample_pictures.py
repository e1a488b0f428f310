"""Draw the sample's pictures: twenty simple subjects on unrelated random backgrounds.

A subject is a list of strokes, so that one affine map rotates, mirrors and scales all of it.
`draw_picture` draws at four times the final size and then shrinks the picture.
"""

import numpy as np
from PIL import Image, ImageDraw

from extract.sample.drawings import COLOURS, DRAWINGS, PAINTS, Stroke, oval

SIZE = 64
"""Width and height of a picture in pixels."""

_CANVAS = 4 * SIZE

_AXIS = np.linspace(-1, 1, _CANVAS, dtype=np.float32)

SUBJECTS = {
    "smell": {"good": ("rose", "loaf of bread"), "bad": ("skunk", "garbage bag")},
    "speed": {"good": ("rocket", "racing car"), "bad": ("snail", "turtle")},
    "cooking": {"good": ("iced cake", "pie"), "bad": ("burnt toast", "smoking pot")},
    "light": {"good": ("shining bulb", "sun"), "bad": ("broken bulb", "rain cloud")},
    "singing": {"good": ("songbird", "violin"), "bad": ("crow", "alarm clock")},
}


def draw_picture(subject: str, rng: np.random.Generator) -> Image.Image:
    """Return a 64 x 64 RGB picture of `subject`; the background does not depend on the subject."""
    image = _background(rng)
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.integers(4, 9)):
        _draw_strokes(canvas, [_clutter(rng)], {"clutter": _any_colour(rng)}, 0)
    strokes = _transform(DRAWINGS[subject], rng)
    palette = _palette(rng)
    _draw_strokes(
        canvas, strokes, dict.fromkeys(palette, tuple(rng.integers(225, 256, 3).tolist())), 5
    )
    _draw_strokes(canvas, strokes, palette, 0)
    return _add_noise(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS), rng)


def _background(rng: np.random.Generator) -> Image.Image:
    angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.8, 0.8)
    across, down = np.cos(angle) * _AXIS, np.sin(angle) * _AXIS[:, None]
    phase = across + down + bend * across * down + rng.uniform(-0.6, 0.6)
    pattern = rng.choice(["gradient", "horizon", "stripes", "waves"])
    if pattern == "gradient":
        mix = np.clip(phase / 2 + 0.5, 0, 1)
    elif pattern == "horizon":
        mix = phase > 0
    elif pattern == "stripes":
        mix = np.sin(rng.uniform(3, 11) * phase) > 0
    else:
        mix = np.sin(rng.uniform(2, 7) * phase) / 2 + 0.5
    mask = Image.fromarray((mix * np.float32(255)).astype(np.uint8))
    flat = [Image.new("RGB", mask.size, _any_colour(rng)) for _ in range(2)]
    return Image.composite(*flat, mask)


def _clutter(rng: np.random.Generator) -> Stroke:
    x, y = rng.uniform(0, 100, 2)
    rx, ry = rng.uniform(3, 13, 2)
    start = rng.uniform(0, 360)
    return oval("clutter", x, y, rx, ry, start, start + rng.uniform(150, 360))


def _transform(strokes: list[Stroke], rng: np.random.Generator) -> list[Stroke]:
    angle = rng.normal(0, 0.16)
    stretch = rng.uniform(0.55, 0.92) * rng.uniform(0.9, 1.1, 2)
    flip = rng.choice([-1, 1])
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = np.diag([flip, 1]) @ matrix * stretch
    max_shift = 50 * (1.04 - stretch)
    centre = 50 + rng.uniform(-max_shift, max_shift)
    scale = stretch.mean()
    return [
        Stroke(colour, (points - 50) @ matrix + centre, width * scale)
        for colour, points, width in strokes
    ]


def _palette(rng: np.random.Generator) -> dict[str, tuple[int, ...]]:
    light = rng.uniform(0.85, 1.1)
    colours = COLOURS | {"paint": COLOURS[rng.choice(PAINTS)]}
    rgb = light * np.array(list(colours.values())) + rng.normal(0, 12, (len(colours), 3))
    return dict(zip(colours, map(tuple, rgb.clip(0, 255).astype(int).tolist()), strict=True))


def _any_colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(40, 246, 3).tolist())


def _draw_strokes(
    canvas: ImageDraw.ImageDraw, strokes: list[Stroke], palette: dict, grow: float
) -> None:
    """Draw every stroke; `grow` adds an outline of that many canvas pixels."""
    unit = _CANVAS / 100
    for colour, points, width in strokes:
        xy = [tuple(point) for point in (points * unit).tolist()]
        # Rounded joints are slow, and a finely sampled curve has no gaps without them.
        joint = "curve" if len(xy) < 12 else None
        fill = palette[colour]
        if not width:
            canvas.polygon(xy, fill=fill)
        if width or grow:
            rim = max(1, round(width * unit + 2 * grow))
            canvas.line(xy if width else [*xy, xy[0]], fill=fill, width=rim, joint=joint)
            for x, y in (xy[0], xy[-1]):
                canvas.ellipse((x - rim / 2, y - rim / 2, x + rim / 2, y + rim / 2), fill=fill)


def _add_noise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) + rng.normal(0, rng.uniform(1, 6), (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
