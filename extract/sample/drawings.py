"""Strokes of the sample's twenty subjects, in a 100 x 100 square with y pointing down."""

from typing import NamedTuple

import numpy as np

COLOURS = {
    "black": (38, 36, 44),
    "white": (248, 246, 240),
    "grey": (132, 136, 146),
    "dark": (78, 80, 92),
    "silver": (196, 202, 210),
    "red": (214, 44, 52),
    "wine": (146, 20, 40),
    "pink": (246, 158, 186),
    "orange": (244, 140, 36),
    "yellow": (252, 212, 52),
    "cream": (250, 228, 176),
    "tan": (216, 158, 88),
    "brown": (136, 82, 44),
    "char": (62, 42, 36),
    "green": (70, 150, 66),
    "moss": (112, 136, 60),
    "blue": (62, 122, 214),
}

PAINTS = ("red", "orange", "green", "blue", "pink", "yellow")


class Stroke(NamedTuple):
    """A filled polygon (`width` 0), or a line of this width, through `points`: float (n, 2)."""

    colour: str
    points: np.ndarray
    width: float


def poly(colour: str, *xy: float) -> Stroke:
    """Return a filled polygon with the corners x, y, x, y, ..."""
    return Stroke(colour, np.reshape(xy, (-1, 2)).astype(float), 0)


def line(colour: str, width: float, *xy: float) -> Stroke:
    """Return a line through x, y, x, y, ..."""
    return poly(colour, *xy)._replace(width=width)


def oval(
    colour: str, x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360
) -> Stroke:
    """Return a filled ellipse, or its segment between two angles in degrees."""
    angle = np.radians(np.linspace(start, end, 36))
    return Stroke(colour, np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1), 0)


def arc(colour: str, width: float, *ellipse: float) -> Stroke:
    """Return the outline of an ellipse, or an arc of it; `ellipse` as in `oval`."""
    return oval(colour, *ellipse)._replace(width=width)


def spiral(colour: str, width: float, x: float, y: float, radius: float) -> Stroke:
    """Return a spiral of two and a half turns, from the centre outwards."""
    angle = np.linspace(0, 5 * np.pi, 60)
    distance = radius * angle / angle[-1]
    return Stroke(
        colour, np.stack([x + distance * np.cos(angle), y + distance * np.sin(angle)], 1), width
    )


def rays(colour: str, x: float, y: float, near: float, far: float, angles: range) -> list[Stroke]:
    """Return short lines that point away from a centre, at angles in degrees."""
    ends = [(np.cos(angle), np.sin(angle)) for angle in np.radians(angles)]
    return [line(colour, 5, x + near * c, y + near * s, x + far * c, y + far * s) for c, s in ends]


def waft(colour: str, width: float, x: float, top: float, bottom: float) -> Stroke:
    """Return a wavy vertical line, for smoke and smells."""
    y = np.linspace(top, bottom, 20)
    return Stroke(colour, np.stack([x + 4 * np.sin(y / 3.5), y], 1), width)


def puffs(colour: str, *xyr: float) -> list[Stroke]:
    """Return filled circles, given as x, y, radius, ..."""
    return [oval(colour, x, y, r, r) for x, y, r in np.reshape(xyr, (-1, 3))]


def note(x: float, y: float) -> list[Stroke]:
    """Return a musical note."""
    return [oval("black", x, y, 5, 4), line("black", 3, x + 4, y, x + 4, y - 17, x + 11, y - 12)]


# Not formatted: the formatter would put one number on each line.
# fmt: off
_SCREW = [
    poly("grey", 40, 70, 60, 70, 58, 90, 42, 90), line("dark", 3, 40, 77, 60, 77),
    line("dark", 3, 41, 84, 59, 84), oval("black", 50, 91, 6, 4)]

DRAWINGS = {
    "rose": [
        line("green", 6, 50, 98, 51, 72, 50, 45), poly("green", 51, 78, 62, 62, 82, 60, 70, 76),
        poly("green", 50, 86, 40, 70, 20, 68, 30, 84), *puffs("red", 35, 32, 17, 65, 32, 17),
        oval("red", 50, 40, 25, 18), oval("red", 50, 19, 19, 15), spiral("wine", 4, 50, 30, 20)],
    "loaf of bread": [
        oval("brown", 50, 48, 46, 26), poly("brown", 4, 48, 96, 48, 92, 82, 8, 82),
        oval("tan", 50, 48, 40, 20), line("cream", 6, 26, 60, 36, 34),
        line("cream", 6, 47, 60, 55, 31), line("cream", 6, 68, 60, 74, 37)],
    "skunk": [
        arc("black", 26, 72, 40, 18, 26, 90, -110), arc("white", 9, 72, 40, 18, 26, 80, -110),
        oval("black", 46, 66, 30, 18), line("black", 9, 32, 74, 30, 94),
        line("black", 9, 60, 74, 62, 94), oval("black", 17, 60, 15, 13),
        oval("black", 20, 47, 5, 5), oval("black", 2, 63, 3, 3),
        line("white", 7, 14, 49, 26, 55, 46, 54, 70, 58), *puffs("white", 12, 60, 4),
        *puffs("black", 11, 60, 2)],
    "garbage bag": [
        poly("dark", 44, 42, 56, 42, 86, 62, 92, 92, 76, 98, 24, 98, 8, 92, 14, 62),
        poly("dark", 46, 42, 28, 24, 50, 32, 72, 24, 54, 42), line("yellow", 5, 42, 42, 58, 42),
        line("black", 3, 40, 52, 26, 72, 28, 88), line("black", 3, 60, 52, 70, 70, 66, 90),
        line("grey", 4, 18, 84, 22, 68), waft("moss", 5, 16, 8, 40), waft("moss", 5, 84, 8, 40)],
    "rocket": [
        poly("orange", 38, 76, 62, 76, 50, 100), poly("yellow", 44, 76, 56, 76, 50, 90),
        poly("paint", 36, 50, 16, 82, 36, 76), poly("paint", 64, 50, 84, 82, 64, 76),
        poly("white", 50, 2, 60, 14, 66, 32, 66, 60, 62, 77, 38, 77, 34, 60, 34, 32, 40, 14),
        poly("paint", 50, 2, 60, 14, 64, 25, 36, 25, 40, 14), oval("dark", 50, 42, 9, 9),
        oval("blue", 50, 42, 6, 6)],
    "racing car": [
        poly("paint", 2, 66, 22, 56, 40, 54, 50, 42, 62, 42, 70, 54, 92, 52, 96, 72, 4, 72),
        poly("paint", 84, 34, 99, 34, 99, 42, 92, 42, 92, 56, 88, 56, 88, 42, 84, 42),
        poly("silver", 44, 53, 51, 45, 57, 45, 57, 53), oval("white", 64, 63, 6, 6),
        *puffs("black", 24, 72, 14, 78, 72, 14), *puffs("silver", 24, 72, 6, 78, 72, 6)],
    "snail": [
        poly("cream", 4, 84, 14, 46, 25, 46, 28, 72, 98, 84, 98, 88, 4, 88),
        line("cream", 4, 16, 48, 8, 28), line("cream", 4, 22, 48, 26, 28),
        *puffs("black", 8, 26, 4, 26, 26, 4), oval("brown", 59, 52, 30, 29),
        spiral("cream", 5, 59, 52, 26), line("brown", 3, 8, 68, 15, 69)],
    "turtle": [
        oval("moss", 14, 58, 13, 11), poly("moss", 18, 52, 34, 66, 30, 76, 12, 68),
        oval("moss", 32, 80, 9, 11), oval("moss", 72, 80, 9, 11),
        poly("moss", 84, 68, 99, 80, 82, 78), oval("green", 56, 72, 36, 44, 180, 360),
        line("moss", 6, 20, 73, 92, 73), line("cream", 3, 42, 70, 46, 44, 66, 44, 70, 70),
        line("cream", 3, 46, 44, 42, 36), line("cream", 3, 66, 44, 70, 36),
        *puffs("black", 10, 55, 2.5)],
    "iced cake": [
        oval("silver", 50, 88, 46, 9), poly("tan", 16, 46, 84, 46, 84, 84, 16, 84),
        line("brown", 5, 16, 68, 84, 68), oval("pink", 50, 46, 35, 12),
        *puffs("pink", 22, 52, 7, 36, 57, 8, 50, 54, 7, 64, 58, 8, 78, 52, 7),
        line("white", 6, 50, 42, 50, 20), oval("yellow", 50, 13, 4, 7),
        *puffs("red", 30, 41, 5, 70, 41, 5)],
    "pie": [
        oval("silver", 50, 52, 48, 44), oval("tan", 50, 50, 43, 39), oval("wine", 50, 50, 34, 30),
        line("cream", 6, 34, 26, 34, 74), line("cream", 6, 50, 20, 50, 80),
        line("cream", 6, 66, 26, 66, 74), line("cream", 6, 20, 38, 80, 38),
        line("cream", 6, 18, 50, 82, 50), line("cream", 6, 20, 62, 80, 62),
        arc("brown", 3, 50, 50, 43, 39)],
    "burnt toast": [
        oval("brown", 32, 46, 22, 17), oval("brown", 68, 46, 22, 17),
        poly("brown", 16, 46, 84, 46, 82, 96, 18, 96), oval("char", 34, 48, 17, 12),
        oval("char", 66, 48, 17, 12), poly("char", 24, 50, 76, 50, 75, 89, 25, 89),
        *puffs("black", 40, 66, 8, 60, 58, 6, 62, 78, 7),
        *(waft("grey", 5, x, 2, 26) for x in (30, 50, 70))],
    "smoking pot": [
        *puffs("black", 44, 46, 13, 60, 38, 14, 40, 26, 15, 60, 16, 13),
        *puffs("dark", 42, 30, 9, 60, 20, 7), line("dark", 7, 4, 66, 96, 66),
        poly("silver", 16, 56, 84, 56, 80, 96, 20, 96), line("grey", 6, 14, 56, 86, 56),
        line("white", 4, 26, 66, 28, 86),
        poly("orange", 34, 99, 40, 90, 46, 99, 52, 88, 58, 99, 64, 90, 70, 99)],
    "shining bulb": [
        *rays("orange", 50, 40, 39, 49, range(-200, 40, 30)), oval("yellow", 50, 40, 30, 30),
        poly("yellow", 26, 56, 74, 56, 60, 72, 40, 72), oval("white", 42, 30, 9, 11),
        line("orange", 3, 44, 70, 40, 48, 50, 56, 60, 48, 56, 70), *_SCREW],
    "sun": [
        *rays("orange", 50, 50, 34, 48, range(0, 360, 30)), oval("yellow", 50, 50, 30, 30),
        *puffs("brown", 40, 44, 4, 60, 44, 4), arc("brown", 4, 50, 50, 15, 14, 20, 160)],
    "broken bulb": [
        poly("dark", 21, 34, 34, 30, 40, 44, 50, 24, 57, 42, 66, 26, 79, 38, 76, 52, 60, 72, 40,
            72, 24, 54), line("black", 3, 32, 46, 42, 54, 36, 64),
        line("silver", 3, 62, 46, 56, 58), poly("dark", 30, 20, 40, 6, 44, 22),
        poly("dark", 58, 14, 72, 10, 66, 24), poly("dark", 82, 22, 94, 26, 84, 34), *_SCREW],
    "rain cloud": [
        *puffs("dark", 24, 42, 19, 46, 30, 24, 72, 40, 21),
        poly("dark", 24, 44, 72, 40, 74, 61, 24, 61), *puffs("grey", 42, 26, 12),
        *(line("blue", 6, x, y, x - 6, y + 15) for x, y in ((26, 70), (44, 76), (62, 70), (80,
            76)))],
    "songbird": [
        poly("blue", 66, 60, 98, 68, 96, 80, 62, 74), oval("blue", 52, 62, 27, 20),
        oval("orange", 42, 68, 18, 14), oval("blue", 32, 42, 16, 15),
        poly("yellow", 18, 36, 2, 34, 18, 44), poly("yellow", 18, 42, 4, 46, 20, 47),
        oval("white", 28, 38, 5, 5), *puffs("black", 27, 38, 3),
        poly("wine", 52, 54, 82, 58, 60, 72), line("orange", 3, 46, 80, 44, 94),
        line("orange", 3, 56, 80, 56, 94), *note(58, 24), *note(80, 36)],
    "violin": [
        line("char", 8, 50, 44, 50, 8), oval("char", 50, 7, 7, 6), oval("brown", 50, 50, 18, 16),
        oval("brown", 50, 78, 24, 20), poly("brown", 38, 54, 62, 54, 62, 72, 38, 72),
        poly("char", 46, 40, 54, 40, 55, 66, 45, 66), line("cream", 3, 42, 76, 58, 76),
        line("cream", 2, 50, 10, 50, 90), arc("black", 3, 34, 66, 4, 9, -90, 90),
        arc("black", 3, 66, 66, 4, 9, 90, 270), line("tan", 4, 88, 20, 80, 96),
        line("white", 2, 91, 22, 84, 96)],
    "crow": [
        line("brown", 7, 2, 88, 98, 92), poly("black", 60, 56, 98, 84, 90, 94, 54, 76),
        oval("black", 52, 58, 26, 19), oval("black", 30, 32, 16, 15),
        poly("black", 18, 40, 44, 30, 62, 48, 34, 62), poly("grey", 18, 24, -4, 22, 16, 34),
        poly("grey", 18, 34, 0, 44, 22, 41), *puffs("yellow", 27, 28, 4),
        *puffs("black", 27, 28, 2), line("dark", 4, 42, 54, 58, 70, 78, 76),
        line("black", 4, 46, 74, 44, 88), line("black", 4, 56, 74, 56, 88),
        *rays("red", 4, 33, -6, -14, range(-30, 31, 30))],
    "alarm clock": [
        line("dark", 7, 30, 82, 22, 96), line("dark", 7, 70, 82, 78, 96),
        oval("silver", 27, 22, 15, 12), oval("silver", 73, 22, 15, 12),
        line("dark", 5, 50, 24, 50, 8), line("dark", 6, 42, 8, 58, 8), oval("red", 50, 56, 34, 34),
        oval("white", 50, 56, 25, 25), line("black", 4, 50, 38, 50, 56, 62, 64),
        *(arc("wine", 4, x, 30, r, r, a, a + 70) for x, a, r in ((20, 165, 17), (80, -55, 17)))],
}
# fmt: on
