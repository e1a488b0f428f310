"""The names of splits, in file names, folder names and split columns."""

import re

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "dev_seen", "dev_unseen"), "val"),
    **dict.fromkeys(("test", "testing", "test_seen", "test_unseen"), "test"),
}
"""Name of a split in file names and split columns -> split."""


def split_in(name: str) -> str | None:
    """Return the split that a word of `name` names, as in Training_memes; None if not just one."""
    words = re.split(r"[^a-z]+", name.lower())
    splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return splits.pop() if len(splits) == 1 else None
