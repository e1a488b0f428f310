"""Blend a head's probabilities over the kinds of spaces: calibrate each, then average the best."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from heads.decision.calibration import Calibration, calibrate
from heads.evaluation.out_of_fold import mean_logit, select_by_log_loss
from heads.fitting.parallel_fits import map_in_threads

MEAN_CALIBRATIONS = ("none", "temperature")
"""Calibrations to try on the mean of calibrated kinds."""


MAX_KINDS = 4
"""Of more kinds, only small and large subsets are tried: their number doubles with each kind."""


@dataclass(frozen=True)
class Blend:
    """The kinds of spaces that a head uses, and the calibration of each before averaging."""

    kinds: list[str]
    calibrations: dict[str, Calibration]
    """For each kind, its calibration followed by that of the mean."""
    held_out: np.ndarray
    """float64 (N,): out-of-fold blended probabilities; NaN for rows that are not reported."""


def fit_blend(
    held_out: dict[str, np.ndarray], y: np.ndarray, part: np.ndarray, reported: np.ndarray
) -> Blend:
    """Calibrate each kind; select the subset of kinds whose calibrated mean has the lowest loss.

    The mean is taken on the logit scale, the loss is log loss. `held_out` maps each kind to
    probabilities (N,); `reported`, bool (N,), marks the rows used to fit and select.
    """

    def calibrate_kind(kind: str) -> tuple[Calibration, np.ndarray]:
        return calibrate(np.where(reported, held_out[kind], np.nan), y, part)

    calibrated = dict(zip(held_out, map_in_threads(calibrate_kind, list(held_out)), strict=True))
    subsets = [c for size in _subset_sizes(len(held_out)) for c in combinations(held_out, size)]

    def calibrate_mean(subset: tuple[str, ...]) -> tuple[Calibration, np.ndarray]:
        # A mean of kinds with independent errors is underconfident, so it is calibrated again.
        mean = mean_logit([calibrated[kind][1] for kind in subset])
        return calibrate(mean, y, part, MEAN_CALIBRATIONS)

    blends = map_in_threads(calibrate_mean, subsets)
    best, out_of_fold = select_by_log_loss([probability for _, probability in blends], y, part)
    # Scaling the mean logit is equivalent to scaling each of its terms.
    calibrations = {k: one.followed_by(blends[best][0]) for k, (one, _) in calibrated.items()}
    return Blend(list(subsets[best]), calibrations, out_of_fold)


def _subset_sizes(count: int) -> list[int]:
    """Return the sizes of subsets to try: all, unless there are more than MAX_KINDS."""
    return list(range(1, count + 1)) if count <= MAX_KINDS else [1, 2, count - 1, count]


def apply_blend(
    kinds: list[str], calibrations: dict[str, Calibration], probability: dict[str, np.ndarray]
) -> np.ndarray:
    """Calibrate and average the probabilities (N,) of the given kinds: float64 (N,)."""
    return mean_logit([calibrations[kind].apply(probability[kind]) for kind in kinds])
