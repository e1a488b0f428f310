"""The files that a command writes, as bytes."""

TRANSIENT = {"log.txt", ".r.lock", ".r.holder"}
"""Files that are not results: the log, and the lock of the run."""


def content(folder):
    """Map the path of every file in `folder` to its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b".")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TRANSIENT
    }
