"""What a head says in each kind of space -> what it says: calibrated, and blended if that helps."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from heads.decision.calibration import Calibration, calibrate
from heads.evaluation.out_of_fold import choose, mean_logit

SURER = ("none", "temperature")
"""Calibrations of a mean of calibrated kinds."""


@dataclass(frozen=True)
class Blend:
    """Which kinds of spaces a head listens to, and what is done to each before the mean."""

    kinds: list[str]
    calibrations: dict[str, Calibration]
    """Each kind's own, then that of the mean."""
    held_out: np.ndarray
    """float64 (N,): each part by the blend that the other parts choose; NaN off reported rows."""


def fit_blend(
    held_out: dict[str, np.ndarray], y: np.ndarray, part: np.ndarray, reported: np.ndarray
) -> Blend:
    """Calibrate each kind, then choose the set whose mean logit, calibrated, has the least loss.

    `held_out` has probabilities (N,) by kind; `reported` bool (N,) are the rows that choices are
    made on.
    """
    calibrated = {
        kind: calibrate(np.where(reported, probability, np.nan), y, part)
        for kind, probability in held_out.items()
    }
    subsets = [c for size in range(1, len(held_out) + 1) for c in combinations(held_out, size)]
    # The mean of kinds that know different things is less sure than it may be.
    blends = [
        calibrate(mean_logit([calibrated[kind][1] for kind in subset]), y, part, SURER)
        for subset in subsets
    ]
    best, honest = choose([found[1] for found in blends], y, part)
    # A factor on the mean is the same factor on each of its terms.
    calibrations = {k: found[0].then(blends[best][0]) for k, found in calibrated.items()}
    return Blend(list(subsets[best]), calibrations, honest)


def apply_blend(
    kinds: list[str], calibrations: dict[str, Calibration], probability: dict[str, np.ndarray]
) -> np.ndarray:
    """float64 (N,) of the probabilities (N,) by kind."""
    return mean_logit([calibrations[kind].apply(probability[kind]) for kind in kinds])
