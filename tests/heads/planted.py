"""Feature tables in which the signal is known, because it was planted."""

import numpy as np

from features.store import writing
from features.table import FeatureTable, Rows, Space

WIDTHS = (6, 4)
"""Image and text columns."""

QUICK = {"heads.boosting.ROUNDS": 30, "heads.metrics.RESAMPLES": 40}
"""What the `quick` fixture sets."""


def problem(signal, count, seed, widths=WIDTHS):
    """X float32 (N, columns), y int64 (N,), 0 or 1.

    One direction of the image columns and one of the text columns hold a side each. The label is
    the image's side (`linear`), whether the sides differ (`xor`), or a coin (`noise`).
    """
    rng = np.random.default_rng([seed, count])
    sides = rng.integers(0, 2, (count, 2))
    coin = rng.integers(0, 2, count)
    y = {"linear": sides[:, 0], "xor": sides[:, 0] ^ sides[:, 1], "noise": coin}[signal]
    parts = [
        rng.normal(size=(count, width)) + 5 / width**0.5 * (side[:, None] - 0.5)
        for side, width in zip(sides.T, widths, strict=True)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32), y


def table(signal="xor", count=300, seed=0, widths=(WIDTHS,), stamp="a", test_labels=True):
    """A table of `count` rows in groups of one to three, with one space for each of `widths`.

    A third of the labelled groups is seen, another third in each space, and a ninth monitored.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(count), np.arange(count) % 3 + 1)[:count]
    split = np.array(["train", "val", "test", "train", "train"], dtype=object)[group % 5]
    test = split == "test"
    _, y = problem(signal, count, seed)
    order = np.full(count, -1)
    # The last test row is not asked for.
    order[np.flatnonzero(test)[:-1]] = rng.permutation(test.sum() - 1)
    rows = Rows(
        id=np.array([f"{number:05d}" for number in range(count)], dtype=object),
        split=split,
        label=np.where(test & (not test_labels), -1, y).astype(np.int8),
        group=group.astype(np.int32),
        fold=np.where(test, -1, group % 4).astype(np.int16),
        order=order.astype(np.int32),
    )
    spaces = [
        _space(f"space_{number}", problem(signal, count, seed, pair)[0], pair[0], group, test)
        for number, pair in enumerate(widths)
    ]
    attributes = {"stamp": stamp, "config": {"seed": 0}, "id_column": "ID", "label_column": "hate"}
    return FeatureTable(rows, spaces, attributes)


def _space(name, X, width, group, test):
    part = (group // 5 + int(name[6:])) % 9
    return Space(
        name=name,
        image=X[:, :width],
        text=X[:, width:],
        joint_logit=X[:, 0] / 2,
        seen=~test & (part < 3),
        monitored=~test & (part == 3),
        attributes={"name": name},
    )


def write(path, features):
    """Write features.h5 as stage one would; gives `path` back."""
    places = np.arange(len(features))
    with writing(path, features.rows, features.attributes) as file:
        for space in features.spaces:
            writer = file.add_space(space.image.shape[1], space.text.shape[1])
            writer.describe(space.attributes)
            for name in ("image", "text", "joint_logit", "seen", "monitored"):
                writer.write(name, places, getattr(space, name))
    return path
