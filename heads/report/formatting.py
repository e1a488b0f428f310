"""Format numbers, intervals, durations and names for the report."""

import re
from collections.abc import Iterable

HEAD_DESCRIPTIONS = {
    "text only": "the text-only head",
    "image only": "the image-only head",
    "joint": "the joint model of stage one",
    "linear": "the linear head",
}

CLASSES = ("not hateful", "hateful")

UNKNOWN = "unknown"

METRIC_NAMES = {"accuracy": "accuracy", "f1": "F1", "balanced_accuracy": "balanced accuracy"}


def describe_head(name: str) -> str:
    """Name a head within a sentence, with its article."""
    return HEAD_DESCRIPTIONS.get(name, f"the head {name}")


def label_name(label: int) -> str:
    """Name of label 0, 1 or -1."""
    return CLASSES[label] if label >= 0 else UNKNOWN


def decimal(value: float | None, places: int = 3) -> str:
    """Format as 0.847, or a dash if the value is undefined."""
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def signed(value: float, places: int = 3) -> str:
    """Format as +0.012 or −0.004; zero is +0.000, never −0.000."""
    return f"{round(value, places) + 0.0:+.{places}f}".replace("-", "−")


def span(interval: Iterable[float]) -> str:
    """Format an interval of values: 0.833–0.859."""
    return "–".join(decimal(end) for end in interval)


def signed_span(interval: Iterable[float]) -> str:
    """Format an interval of differences: −0.002 to +0.026."""
    return " to ".join(signed(end) for end in interval)


def count(number: int) -> str:
    """Format an integer with thousands separators: 3,190."""
    return f"{number:,}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Format a number with its noun: 1 row, 3,190 rows."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """Format seconds: 0.4 s, 12 s, 3 min 24 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def figure_text(value: object) -> str:
    """Format a figure of a check: a number, an interval, named figures or text."""
    if isinstance(value, dict):
        named = [f"{name.replace('_', ' ')} {figure_text(one)}" for name, one in value.items()]
        return ", ".join(named)
    if isinstance(value, list):
        return "–".join(map(figure_text, value))
    return decimal(value) if isinstance(value, float) else str(value)


def joined(names: list[str]) -> str:
    """Join as in a sentence: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shorten(text: str, length: int) -> str:
    """Shorten to at most `length` characters, at a space if possible."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    head, _, _ = text[:length].rpartition(" ")
    return (head if len(head) > length / 2 else text[: length - 1]) + "…"


def markdown_text(text: str) -> str:
    """Escape Markdown, so that a file name cannot open a link or end a table cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~@])", r"\\\1", " ".join(str(text).split()))
