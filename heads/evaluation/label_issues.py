"""Find labels that are probably wrong: confident learning on held-out probabilities.

Source: Northcutt, Jiang and Chuang (2021), Confident Learning: Estimating Uncertainty in Dataset
Labels. For two classes the same rows as `find_label_issues` of the library cleanlab with
`filter_by="confident_learning"`, in the order of `return_indices_ranked_by="self_confidence"`.
"""

import numpy as np


def self_confidence(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the probability of each row's own label: float64 (N,). Labels are 0 or 1."""
    return np.where(y == 1, probability, 1 - probability)


def find_label_issues(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the indices of the rows with a label issue, the least probable label first: int64.

    Labels (N,) are 0 or 1; probabilities of 1 (N,) must be held out. The threshold of a class is
    the mean probability of that class among the rows with that label. A row is an issue if the
    other class is more probable than its own, and at least as probable as the threshold of the
    other class. None with labels of one class only.
    """
    own = self_confidence(y, probability)
    if len(np.unique(y)) < 2:
        return np.array([], dtype=np.int64)
    threshold = np.array([own[y == label].mean() for label in (0, 1)])
    other = 1 - own
    issues = np.flatnonzero((other > own) & (other >= threshold[1 - y.astype(np.int64)]))
    return issues[np.argsort(own[issues], kind="stable")]
