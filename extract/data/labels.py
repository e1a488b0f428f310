"""Parse and validate labels: which values are allowed, and what each means."""

from runtime.errors import quoted

LABELS = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}

UNKNOWN = ("", "-1", "-1.0")
"""Values for an unknown label, allowed only in test."""


def read_label(text: str, split: str) -> tuple[int, str | None]:
    """Return 0, 1 or -1 (unknown or invalid), and an error description if the label is invalid."""
    text = text.strip()
    if text in LABELS:
        return LABELS[text], None
    if split == "test" and text in UNKNOWN:
        return -1, None
    allowed = "0 or 1" if split != "test" else "0, 1, or nothing or -1 for unknown"
    return -1, f"found {quoted(text) if text else 'nothing'}, allowed {allowed}"
