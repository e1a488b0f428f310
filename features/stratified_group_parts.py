"""Divide rows into parts that keep groups together and have similar shares of both classes."""

import math

import numpy as np


def stratified_group_parts(
    label: np.ndarray, group: np.ndarray, parts: int, random_state: int
) -> np.ndarray:
    """Assign each row to a part, given its label, 0 or 1, and its group: int64 (N,).

    The same parts as those of scikit-learn's StratifiedGroupKFold with shuffling, which calls numpy
    many times per group, and so takes four minutes for a million groups. Largest groups first, each
    is put where the classes are then spread most evenly.
    """
    _, row_group = np.unique(group, return_inverse=True)
    counts = np.stack([np.bincount(row_group, label == one_class) for one_class in (0, 1)], axis=1)
    order = np.arange(len(counts))
    np.random.RandomState(random_state).shuffle(order)
    order = order[np.argsort(-counts[order].std(axis=1), kind="stable")]
    spread = [_ClassSpread(parts, float(total)) for total in counts.sum(axis=0)]
    chosen = np.empty(len(counts), dtype=np.int64)
    for index in order:
        added = counts[index].tolist()
        chosen[index] = part = _best_part(spread, added)
        for one_class, count in zip(spread, added, strict=True):
            one_class.add(part, count)
    return chosen[row_group]


class _ClassSpread:
    """How many rows of one class each part has."""

    def __init__(self, parts: int, total: float) -> None:
        self.counts, self.total = [0.0] * parts, total
        self.shares = [0.0] * parts
        self.deviation = 0.0

    def add(self, part: int, count: float) -> None:
        if count:
            self.deviation = self.deviation_with(part, count)
            self.counts[part] += count
            self.shares[part] = self.counts[part] / self.total

    def deviation_with(self, part: int, count: float) -> float:
        """Standard deviation of the parts' shares, if `count` rows were added to one part."""
        if not count:
            return self.deviation
        shares = self.shares.copy()
        shares[part] = (self.counts[part] + count) / self.total
        # Not sum(), whose rounding depends on the version of Python, and so which part is chosen.
        mean = square = 0.0
        for share in shares:
            mean += share
        mean /= len(shares)
        for share in shares:
            square += (share - mean) * (share - mean)
        return math.sqrt(square / len(shares))


def _best_part(spread: list[_ClassSpread], added: list[float]) -> int:
    """Return the part with the lowest mean deviation; of nearly equal ones, that of fewest rows."""
    best, lowest, fewest = 0, math.inf, math.inf
    for part in range(len(spread[0].counts)):
        deviations = [s.deviation_with(part, n) for s, n in zip(spread, added, strict=True)]
        deviation = (deviations[0] + deviations[1]) / 2
        rows = spread[0].counts[part] + spread[1].counts[part]
        equal = abs(deviation - lowest) <= 1e-8 + 1e-5 * lowest
        if deviation < lowest or (equal and rows < fewest):
            best, lowest, fewest = part, deviation, rows
    return best
