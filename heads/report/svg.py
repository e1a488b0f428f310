"""Draw plots with matplotlib as inline SVG with the colours and the font of the HTML page.

Matplotlib does not support CSS. Each colour is drawn as a sentinel and then replaced by a CSS
variable, so that one SVG works in light and dark mode. The SVG does not depend on date or machine.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

VARIABLES = (
    *("ink", "muted", "rule", "paper", "ensemble", "best", "joint", "text", "image"),
    *("hateful", "benign"),
)
"""CSS variables of style.css, without the leading dashes."""

INK = {name: f"#0101{number:02x}" for number, name in enumerate(VARIABLES, start=1)}
"""Sentinel colour of each variable, to draw with."""

SERIES = [INK[name] for name in ("ensemble", "best", "joint", "text", "image")]

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "memefuse",
    # Ships with matplotlib: text is measured the same everywhere. The page's font is narrower.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.8,
    "text.color": INK["ink"],
    "axes.labelcolor": INK["muted"],
    "axes.edgecolor": INK["rule"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=SERIES),
    "grid.color": INK["rule"],
    "grid.linewidth": 0.5,
    "xtick.color": INK["rule"],
    "ytick.color": INK["rule"],
    "xtick.labelcolor": INK["muted"],
    "ytick.labelcolor": INK["muted"],
    "legend.frameon": False,
    "legend.fontsize": 9.3,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
}

WIDTH, HEIGHT = 4.6, 3.7
"""Figure size in inches: about as wide as a phone, so that text is as large as the page's."""


@dataclass(frozen=True)
class Plot:
    """A plot with its title and caption."""

    title: str
    svg: Markup
    caption: str
    """What is shown, on which rows and how many, and what the intervals are."""


class Canvas:
    """A figure with one axes, to draw on and to export as SVG."""

    def __init__(self, figure: Figure, name: str) -> None:
        self.figure = figure
        self.axes: Axes = figure.add_subplot()
        self._name = name

    def svg(self, description: str) -> Markup:
        """Export as inline SVG; `description` is its text for screen readers."""
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        return _inline(buffer.getvalue(), self._name, description)


@contextmanager
def drawing(name: str, height: float = HEIGHT) -> Iterator[Canvas]:
    """Yield a canvas in the report's style; `name` is the prefix of the ids in the SVG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield Canvas(figure, name)


def scatter(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    colour: str,
    size: float = 3.2,
    alpha: float = 0.65,
) -> None:
    """Scatter plot as a single path, because thousands of SVG elements are slow on phones."""
    if not len(x):
        return
    points = np.repeat(np.stack([x, y], axis=1), 2, axis=0)
    outline = Outline(points, np.tile([Outline.MOVETO, Outline.LINETO], len(x)))
    outline.should_simplify = False
    patch = PathPatch(outline, fill=False, edgecolor=colour, linewidth=size, alpha=alpha)
    patch.set_capstyle("round")
    axes.add_patch(patch)
    axes.update_datalim(points)
    axes.autoscale_view()


def _inline(svg: str, name: str, description: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    svg = re.sub(r"font-family: [^;\"]+;?|font: ([\d.]+px) [^;\"]+", _font, svg)
    svg = re.sub(r'(?<= d=")[^"]+', lambda found: _rounded(found[0]), svg)
    for variable, sentinel in INK.items():
        svg = svg.replace(sentinel, f"var(--{variable})")
    view = re.search(r'viewBox="[^"]+"', svg)[0]
    head = Markup('<svg role="img" aria-label="{}" {}>').format(description, Markup(view))
    return head + Markup(svg[svg.index(">") + 1 :].strip())


def _font(found: re.Match) -> str:
    """Keep the font size and drop the family, so that the page's font is inherited."""
    return f"font-size: {found[1]}" if found[1] else ""


def _rounded(numbers: str) -> str:
    """Round to a hundredth of a point, which is finer than any screen."""
    short = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}", numbers)
    return " ".join(short.split())
