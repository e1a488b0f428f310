"""What an id and a caption may hold."""

from runtime.errors import MAX_LISTED, quoted


def unreadable(text: str) -> str | None:
    """Say what keeps `text` from being stored as text: a NUL, or bytes that are not UTF-8."""
    if "\0" in text:
        return "found a NUL byte, allowed text"
    bad = [ord(letter) for letter in text if "\ud800" <= letter <= "\udfff"]
    if not bad:
        return None
    # surrogateescape reads the byte 0xE9 as U+DCE9; other surrogates come from JSON escapes
    some = bad[:MAX_LISTED]
    codes = [f"{c - 0xDC00:02x}" if 0xDC80 <= c <= 0xDCFF else f"\\u{c:04x}" for c in some]
    return f"not UTF-8, found the bytes {' '.join(codes)}{' ...' * (len(bad) > len(some))}"


def read_id(text: str) -> tuple[str, str | None]:
    """Return the id exactly as written, and what is wrong with it."""
    if not text.strip():
        return text, "found nothing, allowed any text"
    fault = unreadable(text)
    if "\n" in text or "\r" in text:
        fault = f"found {quoted(text)}, allowed any text in one line"
    return (repr(text), fault) if fault else (text, None)


def read_caption(text: str) -> tuple[str, str | None]:
    """Return the caption, empty if it is bad, and what is wrong with it."""
    fault = unreadable(text) if text.strip() else "the caption is empty"
    return ("", fault) if fault else (text, None)
