"""Thresholds, tuned on rows the head was not fitted on; 0.5 unless the gain is beyond noise."""

from dataclasses import dataclass

import numpy as np

from heads.evaluation.bootstrap import interval, resampling_blocks
from heads.evaluation.metrics import METRICS, count_above

DEFAULT = 0.5

MOST_CANDIDATES = 200


@dataclass(frozen=True)
class Threshold:
    """A tuned threshold: a meme is positive if its probability exceeds `value`."""

    value: float
    best: float
    """The threshold that scored best, before asking whether its gain is noise."""
    gain: float
    """Metric at `best` minus metric at 0.5, on the rows it was tuned on."""
    gain_interval: list[float]
    """95 % interval of the gain on rows left out of each resample, where `best` is chosen anew."""


def tune_threshold(
    y: np.ndarray,
    probability: np.ndarray,
    group: np.ndarray,
    metric: str,
    seed: int,
    weight: np.ndarray,
) -> Threshold:
    """Choose the threshold with the best `metric`; a tie goes to the one nearest 0.5.

    All arrays are (N,); `weight` says how much a row counts. The gain over 0.5 is taken only if its
    interval lies above 0. The interval is an out-of-bag bootstrap over groups: the threshold is
    chosen on the rows drawn and its gain taken on those left out, so that the luck of choosing the
    best of many thresholds is not counted as gain.
    """
    candidates = candidate_thresholds(probability)
    half = int(np.flatnonzero(candidates == DEFAULT)[0])

    count = count_above(y, probability, candidates)

    def scores(weights: np.ndarray) -> np.ndarray:
        return METRICS[metric](count(weights))

    gains = []
    for drawn in resampling_blocks(group, seed):
        drawn = drawn[(drawn == 0).any(axis=1)]
        chosen = _best(scores(drawn * weight))
        left_out = scores((drawn == 0) * weight)
        gains.append(left_out[np.arange(len(chosen)), chosen] - left_out[:, half])
    gains = np.concatenate(gains)
    score = scores(weight[None, :].astype(float))
    best = _best(score)[0]
    # With a group or two, every resample can draw all rows and leave none to judge on.
    spread = interval(gains) if len(gains) else [0.0, 0.0]
    taken = spread[0] > 0
    return Threshold(
        float(candidates[best] if taken else DEFAULT),
        float(candidates[best]),
        float(score[0, best] - score[0, half]),
        spread,
    )


def candidate_thresholds(probability: np.ndarray) -> np.ndarray:
    """0.5 and the middles between neighbouring probabilities, nearest 0.5 first: (T,).

    Of many middles, MOST_CANDIDATES are taken, evenly spread by rank.
    """
    distinct = np.unique(probability)
    middles = (distinct[1:] + distinct[:-1]) / 2
    if len(middles) > MOST_CANDIDATES:
        middles = middles[np.linspace(0, len(middles) - 1, MOST_CANDIDATES).astype(int)]
    candidates = np.unique(np.append(middles, DEFAULT))
    return candidates[np.argsort(np.abs(candidates - DEFAULT), kind="stable")]


def _best(scores: np.ndarray) -> np.ndarray:
    """Position of the best candidate in each row (R, T); of equals the first, nearest 0.5."""
    # Equal scores can differ in the last bits of their sums.
    return np.round(scores, 12).argmax(axis=1)
