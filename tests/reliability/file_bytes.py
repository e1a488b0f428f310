"""What a command leaves."""

TRANSIENT = {"log.txt", ".r.lock", ".r.holder"}
"""Beside what a command makes: what it said, and who holds the run."""


def content(folder):
    """Bytes of every file by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b".")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TRANSIENT
    }
