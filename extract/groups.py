"""Which memes are near-duplicates, and folds that never split a group of them."""

import unicodedata
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from extract.decode import Pictures
from extract.table import MemeTable
from features.errors import UserError

HASH_RADIUS = 8
"""Bits of 64 in which two perceptual hashes may differ. Measured on a set of 3,544 memes: up to 8
bits apart, a test meme's nearest training picture looks the same (74 of 354); unrelated pictures
begin at 12 to 14."""
MONITOR_SHARE = 10
"""One in so many of the rows left for fine-tuning is kept back to choose the epoch."""


@dataclass(frozen=True)
class Plan:
    """What each row is for in one space. Boolean arrays (N,)."""

    fitted: np.ndarray
    """The backbones are fitted on these rows."""
    monitored: np.ndarray
    """The epoch is chosen on these rows."""


def group_memes(table: MemeTable, pictures: Pictures) -> np.ndarray:
    """Number the groups of near-duplicates: int32 (N,), in order of first appearance.

    Two memes are in one group if a chain leads from one to the other, each step a near-identical
    picture or the same caption but for case, punctuation and spaces. The grey picture and the
    empty caption, which stand in for what could not be read, link nothing.
    """
    rows = np.arange(len(table))
    normal = [normalise_caption(caption) for caption in table.rows["caption"]]
    names: dict[str, int] = {}
    captions = np.array([names.setdefault(name, len(names)) for name in normal])
    linked_caption = np.array([bool(name) for name in normal])
    linked_picture = np.array([bool(pictures.digests[place]) for place in pictures.index])
    # Graph of rows, pictures and captions: rows hang on their picture and their caption.
    count, offset = len(table), len(table) + len(pictures.digests)
    near = _near_pairs(pictures)
    ends = np.concatenate(
        [
            np.stack([rows, count + pictures.index])[:, linked_picture],
            np.stack([rows, offset + captions])[:, linked_caption],
            count + near,
        ],
        axis=1,
    )
    size = offset + len(names)
    graph = coo_matrix((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:count]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int32)


def normalise_caption(caption: str) -> str:
    """Letters and digits in lower case, one space between words."""
    folded = unicodedata.normalize("NFKC", caption).casefold()
    # Marks belong to words: without its vowel signs, a Hindi caption would equal others.
    kept = [c if unicodedata.category(c)[0] in "LMN" else " " for c in folded]
    return " ".join("".join(kept).split())


def assign_folds(
    split: np.ndarray, label: np.ndarray, group: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Give every train and val row a fold, test rows -1: int16 (N,).

    Fold 0 is the one the backbones leave out. It is the val split if there is one, with the train
    rows that are near-duplicates of val rows; else a stratified, grouped fold of the train rows.
    """
    fold = np.full(len(split), -1, dtype=np.int16)
    train, val = split == "train", split == "val"
    held_out = (train | val) & np.isin(group, group[val])
    rest = train & ~held_out
    fold[held_out] = 0
    parts = folds - 1 if val.any() else folds
    first = 1 if val.any() else 0
    fold[rest] = first + _stratified(label[rest], group[rest], parts, seed)
    return fold


def plan_holdout(label: np.ndarray, group: np.ndarray, fold: np.ndarray, seed: int) -> Plan:
    """Leave fold 0 out, monitor one group in ten of the others, fit on what remains."""
    usable = fold > 0
    monitored = np.zeros(len(fold), dtype=bool)
    part = _stratified(label[usable], group[usable], MONITOR_SHARE, seed)
    monitored[np.flatnonzero(usable)[part == 0]] = True
    for name, rows in (("the fitted rows", usable & ~monitored), ("the monitored rows", monitored)):
        if len(np.unique(label[rows])) < 2:
            raise UserError(
                f"{name} hold one class only ({rows.sum()} rows). The training data is too small "
                f"or its near-duplicate groups too large: {np.sum(label == 1)} positive and "
                f"{np.sum(label == 0)} negative rows in {len(np.unique(group))} groups. Add rows."
            )
    return Plan(usable & ~monitored, monitored)


def _near_pairs(pictures: Pictures, block: int = 512) -> np.ndarray:
    """Pairs of distinct pictures within HASH_RADIUS: int64 (2, pairs)."""
    hashes = pictures.hashes
    readable = np.array([bool(digest) for digest in pictures.digests])
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for start in range(0, len(hashes), block):
        rows = hashes[start : start + block, None]
        near = np.bitwise_count(rows ^ hashes[None, :]) <= HASH_RADIUS
        near &= readable[start : start + block, None] & readable[None, :]
        left, right = np.nonzero(near)
        pairs.append(np.stack([left + start, right]))
    return np.concatenate(pairs, axis=1)


def _stratified(label: np.ndarray, group: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Number of the part that each row falls into: int16."""
    part = np.zeros(len(label), dtype=np.int16)
    groups, classes = len(np.unique(group)), np.bincount(label, minlength=2)
    if parts < 2:
        return part
    if min(groups, classes.max()) < parts:
        raise UserError(
            f"{groups} groups of near-duplicate memes ({classes[1]} positive and {classes[0]} "
            f"negative rows) cannot be cut into {parts} parts. Add rows, or pass fewer --folds."
        )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(splitter.split(label, label, group)):
        part[rows] = number
    return part
