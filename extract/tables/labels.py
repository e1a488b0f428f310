"""Parse and validate labels: which values are allowed, and what each means."""

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable

from extract.tables.parsing.text_cells import ABSENT
from runtime.errors import quoted

LABELS = {
    **dict.fromkeys(("0", "0.0", "0,0", "false"), 0),
    **dict.fromkeys(("1", "1.0", "1,0", "true"), 1),
}
"""Values in lower case -> label."""

MINUS_ONE = frozenset(("-1", "-1.0"))
"""An unknown label, unless train rows have it: then -1 and 1 are the labels."""

UNKNOWN = ABSENT | MINUS_ONE | {"?", "unknown"}
"""Values for an unknown label, in lower case, allowed only in test."""

NEGATIVE = re.compile(
    r"(no?|not|non|none|neutral|normal|harmless|benign|counter|anti|neither|clean|safe|negative)"
    r"(?=[^a-z]|hate|harm|off|tox|mis|$)|f$|false$"
)
"""How labels begin that are likely negative, in lower case; used only to suggest a --positive."""

OPPOSITE = re.compile(r"no[nt]?[ _-]*(.+)")
"""A word that is negative if the rest of it is another label: nontroll beside troll."""

MAX_WORDS = 12
"""Labels of more different values are not words for classes."""


def read_label(
    text: str, split: str, positive: tuple[str, ...] = (), unknown: Collection[str] = UNKNOWN
) -> tuple[int, str | None]:
    """Return 0, 1 or -1 (unknown or invalid), and an error description if the label is invalid.

    With `positive`, these values (in lower case) mean 1 and all others 0, except for those of
    `unknown`.
    """
    value = text.strip().lower()
    if split == "test" and value in unknown:
        return -1, None
    if positive and value not in unknown:
        return int(value in positive), None
    if not positive and value in LABELS:
        return LABELS[value], None
    allowed = "any text" if positive else "0 or 1, false or true"
    if split == "test":
        allowed += ", or nothing or -1 for unknown"
    return -1, f"found {quoted(text.strip()) if value else 'nothing'}, allowed {allowed}"


def elements_of(cell: object) -> list[object]:
    """Return the elements of a list, also of one as text such as ["hateful", "race"]; else none."""
    if isinstance(cell, str) and cell.strip().startswith("["):
        try:
            cell = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return []
    return list(cell) if isinstance(cell, (list, tuple)) else []


def first_of_list(cell: object) -> object:
    """Return the first element of a list as text, "" of an empty one; others unchanged."""
    if elements := elements_of(cell):
        return str(elements[0])
    return "" if cell in ([], "[]") else cell


def suggest_positive(values: Iterable[str]) -> str | None:
    """Return a value for --positive, if the labels are few words; None if they are not."""
    counts = Counter(value.strip().lower() for value in values if value.strip())
    absent = UNKNOWN - MINUS_ONE - none_as_label(counts)
    words = [value for value in counts if value not in absent]
    if not 2 <= len(words) <= MAX_WORDS or any("," in word for word in words):
        return None
    numbers = {word: value for word in words if (value := _number(word)) is not None}
    if len(numbers) == len(words):
        return ",".join(_high_numbers(numbers))
    positive = [word for word in words if not is_negative(word, words)]
    if not 0 < len(positive) < len(words):
        # The rarest word: positives are the minority in most sets.
        positive = [min(words, key=lambda word: (counts[word], word))]
    return ",".join(positive)


def is_negative(word: str, others: Iterable[str] = ()) -> bool:
    """Return whether a label, in lower case and beside `others`, likely means not hateful."""
    opposite = OPPOSITE.fullmatch(word)
    negated = opposite is not None and opposite[1] in others
    return negated or LABELS.get(word) == 0 or NEGATIVE.match(word) is not None


def none_as_label(values: Collection[str]) -> frozenset[str]:
    """Return {"none"} if that word, in lower case, is the negative label rather than an absent one.

    It is if the other labels are words and none of them is negative, as in HASOC: HATE, OFFN, NONE.
    """
    others = {value for value in values if value not in UNKNOWN}
    words = bool(others) and all(_number(v) is None and v not in LABELS for v in others)
    alone = words and not any(is_negative(value, others) for value in others)
    return frozenset({"none"} if alone and "none" in values else ())


def _high_numbers(numbers: dict[str, float]) -> list[str]:
    """Return the numbers above the lowest; of shares between 0 and 1, those above a half."""
    shares = min(numbers.values()) >= 0 and max(numbers.values()) <= 1
    half = [word for word, value in numbers.items() if value > 0.5]
    above = [word for word, value in numbers.items() if value > min(numbers.values())]
    return half if shares and half else above


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
