"""Thresholds, tuned on rows the head was not fitted on; 0.5 unless the gain is beyond noise."""

from dataclasses import dataclass

import numpy as np

from heads.decisions import METRICS, count_decisions
from heads.metrics import interval, resampling_weights

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
    decision = probability[:, None] > candidates[None, :]
    half = int(np.flatnonzero(candidates == DEFAULT)[0])
    drawn = resampling_weights(group, seed)
    drawn = drawn[(drawn == 0).any(axis=1)]
    chosen = _best(y, decision, drawn * weight, metric)
    left_out = (drawn == 0) * weight
    scores = METRICS[metric](count_decisions(y, decision, left_out))
    gains = scores[np.arange(len(chosen)), chosen] - scores[:, half]
    everything = weight[None, :].astype(float)
    best = _best(y, decision, everything, metric)[0]
    score = METRICS[metric](count_decisions(y, decision, everything))[0]
    # With a group or two, every resample can draw all rows and leave none to judge on.
    spread = interval(gains) if len(gains) else [0.0, 0.0]
    taken = spread[0] > 0
    return Threshold(
        float(candidates[best] if taken else DEFAULT),
        float(candidates[best]),
        float(score[best] - score[half]),
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


def _best(y: np.ndarray, decision: np.ndarray, weights: np.ndarray, metric: str) -> np.ndarray:
    """Position of the best candidate in each resample; of equals the first, nearest 0.5."""
    scores = METRICS[metric](count_decisions(y, decision, weights))
    # Equal scores can differ in the last bits of their sums.
    return np.round(scores, 12).argmax(axis=1)
