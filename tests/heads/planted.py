"""Synthetic feature tables with a known (planted) signal."""

import zlib

import numpy as np

from features.feature_table import FeatureTable, Rows, Space
from features.hdf5_store import join_spaces
from features.space_files import writing_space
from heads.fitting.head_inputs import Projected, select_head_inputs
from heads.registry import ENTRIES

WIDTHS = (6, 4)
"""Image and text columns."""

ONE_SPACE = ("space_0",)
TWO_SPACES = ("space_0", "space_1")
ALL_SPACES = (*TWO_SPACES, "pretrained", "lexical")

HEADS = "linear,interaction,lightgbm,knn,stack"
"""Heads that are fast to fit."""


def problem(signal, count, seed, widths=WIDTHS, strength=5.0, noise=0):
    """Generate X float32 (N, columns) and y int64 (N,), 0 or 1.

    Each modality has a random binary class, whose means are `strength` standard deviations apart.
    The label is the image's class (`linear`), whether the classes differ (`xor`), or random
    (`noise`). Another number `noise` gives the same classes and labels with other noise in X.
    """
    rng = np.random.default_rng([seed, count])
    classes = rng.integers(0, 2, (count, 2))
    coin = rng.integers(0, 2, count)
    y = {"linear": classes[:, 0], "xor": classes[:, 0] ^ classes[:, 1], "noise": coin}[signal]
    rng = np.random.default_rng([seed, count, noise])
    parts = [
        rng.normal(size=(count, width)) + strength / width**0.5 * (one_class[:, None] - 0.5)
        for one_class, width in zip(classes.T, widths, strict=True)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32), y


def table(
    signal="xor",
    count=300,
    seed=0,
    spaces=ALL_SPACES,
    widths=None,
    strength=5.0,
    stamp="a",
    test_labels=True,
):
    """Generate a table of `count` rows in groups of one to three; a fifth are test rows.

    Each of several fine-tuned spaces leaves out its own fold; a single one leaves out a third. Of
    the other labelled groups, a tenth is monitored and the rest is seen. `widths` maps spaces whose
    widths differ from WIDTHS to their widths.
    """
    group = np.repeat(np.arange(count), np.arange(count) % 3 + 1)[:count]
    # Random, because a regular pattern could correlate with group sizes or folds.
    of_group = np.random.default_rng(seed).random((3, count))[:, group]
    split = np.array(["train", "val", "test", "train", "train"], dtype=object)[group % 5]
    test = split == "test"
    _, y = problem(signal, count, seed)
    tuned = sum(name.startswith("space_") for name in spaces)
    fold = (of_group[0] * tuned).astype(int) if tuned > 1 else (of_group[0] > 1 / 3).astype(int)
    fold = np.where(test, -1, fold)
    order = np.full(count, -1)
    # The last test row is not requested.
    shuffled = np.random.default_rng(seed).permutation(test.sum() - 1)
    order[np.flatnonzero(test)[:-1]] = shuffled
    rows = Rows(
        id=np.array([f"{number:05d}" for number in range(count)], dtype=object),
        split=split,
        label=np.where(test & (not test_labels), -1, y).astype(np.int8),
        group=group.astype(np.int32),
        fold=fold.astype(np.int16),
        order=order.astype(np.int32),
    )

    def space(name):
        width = (widths or {}).get(name, WIDTHS)
        X, _ = problem(signal, count, seed, width, strength, zlib.crc32(name.encode()))
        number = int(name[6:]) if name.startswith("space_") else None
        known = np.full(count, number is not None) & ~test & (fold != number)
        monitored = known & (of_group[1] < 0.1)
        return Space(
            name=name,
            image=X[:, : width[0]],
            text=X[:, width[0] :],
            joint_logit=None if number is None else X[:, 0] / 2,
            seen=known & ~monitored,
            monitored=monitored,
            attributes={"name": name},
        )

    attributes = {"stamp": stamp, "config": {"seed": 0}, "id_column": "ID", "label_column": "hate"}
    return FeatureTable(rows, [space(name) for name in spaces], attributes)


def write(path, features):
    """Write features.h5 as stage one would; return `path`."""
    indices, files = np.arange(len(features)), {}
    for space in features.spaces:
        files[space.name] = path.with_name(f"{space.name}.h5")
        dims = space.image.shape[1], space.text.shape[1]
        joint = space.joint_logit is not None
        with writing_space(files[space.name], len(features), *dims, joint) as writer:
            for name in ("image", "text", "seen", "monitored", *["joint_logit"] * joint):
                writer.write(name, indices, getattr(space, name))
            writer.set_attributes(space.attributes)
    join_spaces(path, features.rows, features.attributes, files)
    for file in files.values():
        file.unlink()
    return path


def head_inputs(features, X=None, names=TWO_SPACES):
    """Head inputs from some spaces, with `X` (N, columns) in place of their embeddings."""
    spaces = [space for space in features.spaces if space.name in names]
    width = WIDTHS[0]
    projected = {
        space.name: Projected(
            np.concatenate([space.image, space.text], axis=1) if X is None else X, width
        )
        for space in spaces
    }
    return select_head_inputs(ENTRIES["linear"], spaces, projected, features.rows.labelled)
