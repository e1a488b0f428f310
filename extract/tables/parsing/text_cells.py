"""Validate ids and captions: UTF-8 text, an id in one line, and which captions are absent."""

from runtime.errors import MAX_LISTED, quoted


def unreadable(text: str) -> str | None:
    """Describe why `text` is not valid text (a NUL byte, bytes that are not UTF-8), else None."""
    if "\0" in text:
        return "found a NUL byte, allowed text"
    surrogates = [ord(letter) for letter in text if "\ud800" <= letter <= "\udfff"]
    if not surrogates:
        return None
    # surrogateescape reads the byte 0xE9 as U+DCE9; other surrogates come from JSON escapes.
    listed = surrogates[:MAX_LISTED]
    codes = [f"{c - 0xDC00:02x}" if 0xDC80 <= c <= 0xDCFF else f"\\u{c:04x}" for c in listed]
    ellipsis = " ..." * (len(surrogates) > len(listed))
    return f"not UTF-8, found the bytes {' '.join(codes)}{ellipsis}"


def read_id(text: str) -> tuple[str, str | None]:
    """Return the id exactly as written, and an error description if it is invalid.

    An id with invalid characters is returned as its `repr`.
    """
    if not text.strip():
        return text, "found nothing, allowed any text"
    error = unreadable(text)
    if "\n" in text or "\r" in text:
        error = f"found {quoted(text)}, allowed any text in one line"
    return (repr(text), error) if error else (text, None)


ABSENT = frozenset(("", "null", "nan", "none", "na", "n/a", "#n/a", "<na>", "nil", "\\n"))
"""Cells that stand for an absent value, in lower case: what programs write for a missing one."""


def is_absent(text: str) -> bool:
    """Return whether a cell stands for an absent value."""
    return text.strip().lower() in ABSENT


def read_caption(text: str) -> tuple[str, str | None]:
    """Return the caption, empty if it is absent or invalid, and what is wrong with it, if anything.

    An absent caption is no error: many memes are pictures alone.
    """
    if is_absent(text):
        return "", None
    error = unreadable(text)
    return ("", error) if error else (text, None)
