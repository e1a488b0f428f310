"""Numbers and names as people read them."""

import re
from collections.abc import Iterable

NAMES = {
    "text only": "the caption alone",
    "image only": "the picture alone",
    "joint": "the joint model of stage one",
    "linear": "the linear head",
}

CLASSES = ("not hateful", "hateful")

UNKNOWN = "unknown"

METRIC_NAMES = {"accuracy": "accuracy", "f1": "F1", "balanced_accuracy": "balanced accuracy"}


def called(name: str) -> str:
    """A head in the middle of a sentence."""
    return NAMES.get(name, f"the head {name}")


def label_name(label: int) -> str:
    """0, 1 or -1 in words."""
    return CLASSES[label] if label >= 0 else UNKNOWN


def decimal(value: float | None, places: int = 3) -> str:
    """0.847, or a dash for what is not defined."""
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def signed(value: float, places: int = 3) -> str:
    """+0.012 or −0.004; never −0.000."""
    return f"{round(value, places) + 0.0:+.{places}f}".replace("-", "−")


def span(interval: Iterable[float]) -> str:
    """An interval of figures: 0.833–0.859."""
    return "–".join(decimal(end) for end in interval)


def signed_span(interval: Iterable[float]) -> str:
    """An interval of differences: −0.002 to +0.026."""
    return " to ".join(signed(end) for end in interval)


def count(number: int) -> str:
    """3,190."""
    return f"{number:,}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """1 row, 3,190 rows."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 24 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def figure_text(value: object) -> str:
    """A figure of a check: a number, an interval, figures by name, or text."""
    if isinstance(value, dict):
        named = [f"{name.replace('_', ' ')} {figure_text(one)}" for name, one in value.items()]
        return ", ".join(named)
    if isinstance(value, list):
        return "–".join(map(figure_text, value))
    return decimal(value) if isinstance(value, float) else str(value)


def joined(words: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def shorten(text: str, length: int) -> str:
    """At most `length` characters, cut between words where there are any."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    head, _, _ = text[:length].rpartition(" ")
    return (head if len(head) > length / 2 else text[: length - 1]) + "…"


def markdown_text(text: str) -> str:
    """Text that stays text in Markdown: a file name cannot open a link or end a table's cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~@])", r"\\\1", " ".join(str(text).split()))
