"""Find a threshold whose precision, recall or false-positive rate is guaranteed on new memes.

Fixed-sequence testing with binomial p-values: Angelopoulos, Bates, Candès, Jordan and Lei (2021),
Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control, sections 2 and 4.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom

from heads.decision.targets import FPR, PRECISION, RECALL, RateTarget
from heads.decision.threshold import midpoints
from heads.evaluation.metrics import confusion_counts_above

ERROR_LEVEL = 0.1
"""Largest probability, over draws of the held-out rows, that a guarantee does not hold."""

CONFIDENCE = f"{1 - ERROR_LEVEL:.0%}".replace("%", " %")

_NAMES = {PRECISION: "precision", RECALL: "recall", FPR: "false-positive rate"}
_MEMES = {PRECISION: "flagged memes", RECALL: "hateful memes", FPR: "memes that are not hateful"}
_ERRORS = {PRECISION: "are not hateful", RECALL: "are missed", FPR: "are flagged"}


@dataclass(frozen=True)
class Guarantee:
    """Result of the tests of one target."""

    target: RateTarget
    threshold: float | None
    """The last threshold of the sequence that meets the target, None if the first one does not."""
    errors: int
    """At `threshold`, or else at the first threshold of the sequence."""
    trials: int
    """Memes among which the errors are counted: flagged, hateful, or not hateful."""
    available: int
    """Trials if every meme were flagged."""

    @property
    def bound(self) -> float:
        """What is guaranteed by errors and trials (Clopper and Pearson 1934), as a rate."""
        errors, correct = self.errors, self.trials - self.errors
        highest = beta.ppf(1 - ERROR_LEVEL, errors + 1, correct) if correct else 1.0
        return float(highest if self.target.rate == FPR else 1 - highest)

    def sentence(self) -> str:
        """Say what is guaranteed, or why the target is not."""
        rate, bound = self.target.rate, self.target.bound
        memes, errors = f"independent {_MEMES[rate]}", _ERRORS[rate]
        side = "most" if rate == FPR else "least"
        counted = f"{self.errors:,} of {self.trials:,} {memes} {errors}"
        if self.threshold is not None:
            return (
                f"With {CONFIDENCE} confidence, the {_NAMES[rate]} on new memes like the held-out "
                f"ones is at {side} {bound:g}: {counted}."
            )
        unmet = f"{self.target.flag} cannot be guaranteed with {CONFIDENCE} confidence: "
        needed = trials_needed(self.target)
        if self.available < needed:
            few = "independent memes" if rate == PRECISION else memes
            return (
                f"{unmet}the held-out rows have only {self.available:,} {few}; at least "
                f"{needed:,} would be needed even without a single error."
            )
        if not self.trials:
            return f"{unmet}all held-out memes have the same probability."
        return (
            f"{unmet}at the threshold where it is most likely, {counted}, which guarantees at "
            f"{side} {self.bound:.3f}."
        )


def guarantee(target: RateTarget, y: np.ndarray, probability: np.ndarray) -> Guarantee:
    """Test thresholds one after another until one fails; return the last that meets the target.

    Labels and probabilities are (N,), of independent memes. The midpoints between neighbouring
    probabilities are tested, from high to low thresholds, but for recall from low to high.

    Recall and false-positive rate are monotone in the threshold, so the sequence begins at the end
    where they are best. Precision is not, and too few memes are flagged there to prove anything:
    its sequence begins at `_start_for_precision`.
    """
    candidates = midpoints(probability)
    available = _count_errors(target.rate, y, probability, np.array([-1.0]))[1]
    if not len(candidates):
        return Guarantee(target, None, 0, 0, int(available[0]))
    if target.rate != RECALL:
        candidates = candidates[::-1]
    errors, trials = _count_errors(target.rate, y, probability, candidates)
    start = 0
    if target.rate == PRECISION:
        expected, _ = _count_errors(target.rate, probability, probability, candidates)
        start = _start_for_precision(target, expected, trials)
    met = binom.cdf(errors[start:], trials[start:], target.tolerated) <= ERROR_LEVEL
    steps = len(met) if met.all() else int(met.argmin())
    at = start + max(steps - 1, 0)
    return Guarantee(
        target,
        float(candidates[at]) if steps else None,
        int(errors[at]),
        int(trials[at]),
        int(available[0]),
    )


def _start_for_precision(target: RateTarget, expected: np.ndarray, trials: np.ndarray) -> int:
    """Return the index of the threshold whose p-value is lowest with the errors that are expected.

    `expected` (T,) is the sum of the flagged memes' probabilities of an error. The choice depends
    on probabilities, but not on the labels that are then counted.
    """
    p_values = binom.cdf(np.ceil(expected), trials, target.tolerated)
    return int(np.where(trials < trials_needed(target), np.inf, p_values).argmin())


def trials_needed(target: RateTarget) -> int:
    """Return the smallest number of trials that can meet a target, if none of them is an error."""
    return math.ceil(math.log(ERROR_LEVEL) / math.log1p(-target.tolerated))


def _count_errors(
    rate: str, y: np.ndarray, probability: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count errors and trials of a rate at each threshold: (T,) each. `y` may be expected labels.

    The numbers are binomial: each meme of the trials is an error or not, independently.
    """
    weight = np.ones((1, len(y)))
    tp, fp, fn, tn = (n[0] for n in confusion_counts_above(y, probability, thresholds)(weight))
    return {PRECISION: (fp, tp + fp), RECALL: (fn, tp + fn), FPR: (fp, fp + tn)}[rate]
