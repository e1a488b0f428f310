"""Parse and validate labels: which values are allowed, and what each means."""

import ast
import re
from collections import Counter
from collections.abc import Iterable

from runtime.errors import quoted

LABELS = {
    **dict.fromkeys(("0", "0.0", "false"), 0),
    **dict.fromkeys(("1", "1.0", "true"), 1),
}
"""Values in lower case -> label."""

MINUS_ONE = frozenset(("-1", "-1.0"))
"""An unknown label, unless train rows have it: then -1 and 1 are the labels."""

UNKNOWN = ("", *MINUS_ONE, "nan", "none", "null")
"""Values for an unknown label, in lower case, allowed only in test."""

NEGATIVE = re.compile(
    r"(not?|non|none|neutral|normal|harmless|benign|counter|anti|neither|clean|safe|negative)"
    r"(?=[^a-z]|hate|harm|off|tox|mis|$)|false$"
)
"""How labels begin that are likely negative, in lower case; used only to suggest a --positive."""

MAX_WORDS = 12
"""Labels of more different values are not words for classes."""


def read_label(
    text: str, split: str, positive: tuple[str, ...] = (), minus_one: bool = False
) -> tuple[int, str | None]:
    """Return 0, 1 or -1 (unknown or invalid), and an error description if the label is invalid.

    With `positive`, these values (in lower case) mean 1 and all others 0. With `minus_one`, -1 is
    a label like others rather than an unknown one.
    """
    value = text.strip().lower()
    unknown = value in UNKNOWN and not (minus_one and value in MINUS_ONE)
    if split == "test" and unknown:
        return -1, None
    if positive and not unknown:
        return int(value in positive), None
    if not positive and value in LABELS:
        return LABELS[value], None
    allowed = "any text" if positive else "0 or 1, false or true"
    if split == "test":
        allowed += ", or nothing or -1 for unknown"
    return -1, f"found {quoted(text.strip()) if value else 'nothing'}, allowed {allowed}"


def first_of_list(cell: object) -> object:
    """Return the first element of a list, as [\"hateful\", \"race\"] has it; others unchanged.

    A text that looks like a list of texts counts as one.
    """
    if isinstance(cell, str) and cell.strip().startswith("["):
        try:
            cell = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return cell
    if isinstance(cell, (list, tuple)):
        cell = cell[0] if cell else ""
        return cell if isinstance(cell, str) else str(cell)
    return cell


def suggest_positive(values: Iterable[str]) -> str | None:
    """Return a value for --positive, if the labels are few words; None if they are not."""
    counts = Counter(value.strip().lower() for value in values if value.strip())
    words = [value for value in counts if value not in UNKNOWN or value in MINUS_ONE]
    if not 2 <= len(words) <= MAX_WORDS or any("," in word for word in words):
        return None
    positive = [word for word in words if not NEGATIVE.match(word)]
    if not 0 < len(positive) < len(words):
        # All numbers above the lowest; or the rarest word: positives are the minority in most sets.
        numbers = [value for word in words if (value := _number(word)) is not None]
        rarest = min(words, key=lambda word: (counts[word], word))
        several = len(numbers) == len(words)
        positive = [w for w in words if _number(w) > min(numbers)] if several else [rarest]
    return ",".join(positive)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
