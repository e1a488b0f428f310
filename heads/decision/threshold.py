"""Threshold tuning on held-out rows. The threshold stays 0.5 unless the gain is significant."""

from dataclasses import dataclass

import numpy as np

from heads.evaluation.bootstrap import bootstrap_weight_blocks, percentile_interval
from heads.evaluation.metrics import METRICS, confusion_counts_above

DEFAULT_THRESHOLD = 0.5

MAX_CANDIDATES = 200


@dataclass(frozen=True)
class Threshold:
    """A tuned threshold: a meme is positive if its probability exceeds `value`."""

    value: float
    best: float
    """The threshold with the best metric, whether or not its gain is significant."""
    gain: float
    """Metric at `best` minus metric at 0.5, on the rows it was tuned on."""
    gain_interval: list[float]
    """95 % interval of the gain on out-of-bag rows; `best` is selected again in each resample."""


def tune_threshold(
    y: np.ndarray,
    probability: np.ndarray,
    group: np.ndarray,
    metric: str,
    seed: int,
    weight: np.ndarray,
) -> Threshold:
    """Select the threshold with the best `metric`; ties go to the one nearest 0.5.

    All arrays are (N,); `weight` holds the rows' weights. The best threshold replaces 0.5 only if
    the interval of its gain lies above 0. The interval is an out-of-bag bootstrap over groups: the
    threshold is selected on the rows drawn and its gain measured on the rows not drawn. This avoids
    the optimistic bias of selecting the best of many thresholds.
    """
    candidates = candidate_thresholds(probability)
    default = int(np.flatnonzero(candidates == DEFAULT_THRESHOLD)[0])

    count = confusion_counts_above(y, probability, candidates)

    def scores(weights: np.ndarray) -> np.ndarray:
        return METRICS[metric](count(weights))

    gains = []
    for drawn in bootstrap_weight_blocks(group, seed):
        drawn = drawn[(drawn == 0).any(axis=1)]
        selected = _best(scores(drawn * weight))
        out_of_bag = scores((drawn == 0) * weight)
        gains.append(out_of_bag[np.arange(len(selected)), selected] - out_of_bag[:, default])
    gains = np.concatenate(gains)
    score = scores(weight[None, :].astype(float))
    best = _best(score)[0]
    # With very few groups, every resample may draw all rows, so that no row is out of bag.
    interval = percentile_interval(gains) if len(gains) else [0.0, 0.0]
    significant = interval[0] > 0
    return Threshold(
        float(candidates[best] if significant else DEFAULT_THRESHOLD),
        float(candidates[best]),
        float(score[0, best] - score[0, default]),
        interval,
    )


def midpoints(probability: np.ndarray) -> np.ndarray:
    """Return all midpoints between neighbouring distinct probabilities, ascending: (T,)."""
    distinct = np.unique(probability)
    return (distinct[1:] + distinct[:-1]) / 2


def candidate_thresholds(probability: np.ndarray) -> np.ndarray:
    """Return 0.5 and midpoints between neighbouring probabilities, nearest 0.5 first: (T,).

    At most MAX_CANDIDATES midpoints are used, evenly spaced by rank.
    """
    between = midpoints(probability)
    if len(between) > MAX_CANDIDATES:
        between = between[np.linspace(0, len(between) - 1, MAX_CANDIDATES).astype(int)]
    candidates = np.unique(np.append(between, DEFAULT_THRESHOLD))
    return candidates[np.argsort(np.abs(candidates - DEFAULT_THRESHOLD), kind="stable")]


def _best(scores: np.ndarray) -> np.ndarray:
    """Return the index of the best candidate in each row (R, T); ties go to the first."""
    # Equal scores can differ by rounding errors of their sums.
    return np.round(scores, 12).argmax(axis=1)
