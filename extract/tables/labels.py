"""Parse and validate labels: which values are allowed, and what each means."""

import ast
from collections import Counter
from collections.abc import Iterable

from runtime.errors import quoted

LABELS = {
    **dict.fromkeys(("0", "0.0", "false"), 0),
    **dict.fromkeys(("1", "1.0", "true"), 1),
}
"""Values in lower case -> label."""

UNKNOWN = ("", "-1", "-1.0", "nan", "none", "null")
"""Values for an unknown label, in lower case, allowed only in test."""

NEGATIONS = ("not", "non", "no", "none", "neutral", "normal", "harmless", "benign")
"""First words of labels that are likely negative; used only to suggest a --positive."""


def read_label(text: str, split: str, positive: tuple[str, ...] = ()) -> tuple[int, str | None]:
    """Return 0, 1 or -1 (unknown or invalid), and an error description if the label is invalid.

    With `positive`, these values (in lower case) mean 1 and all others 0.
    """
    value = text.strip().lower()
    if split == "test" and value in UNKNOWN:
        return -1, None
    if positive and value not in UNKNOWN:
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
    words = [value for value in counts if value not in UNKNOWN]
    if not 2 <= len(words) <= 12 or any("," in word for word in words):
        return None
    negative = [w for w in words if w.replace("-", " ").replace("_", " ").split()[0] in NEGATIONS]
    chosen = [word for word in words if word not in negative] if negative else []
    if not chosen:  # Then the rarest: positives are the minority in most sets.
        chosen = [min(words, key=lambda word: (counts[word], word))]
    return ",".join(chosen) if len(chosen) < len(words) else None
