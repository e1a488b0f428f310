"""Operating points: a threshold for each target, and the rates to expect there."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from heads.decision.guaranteed_threshold import guarantee
from heads.decision.targets import PRECISION, CostTarget, RateTarget, Target
from heads.decision.threshold import midpoints
from heads.evaluation.metrics import confusion_counts_above
from heads.evaluation.out_of_fold import out_of_fold_values
from heads.evaluation.ratio_intervals import ScoredRows, ratios_with_intervals


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold of one target. A meme is flagged if its probability exceeds it."""

    target: str
    """As in the flag."""
    threshold: float | None
    """None if no threshold meets the target."""
    guaranteed: bool
    sentence: str
    """What is guaranteed, or why nothing is."""
    rates: dict[str, Any] | None
    """On all held-out rows: `flagged` (share of all memes), `precision`, `recall` and `fpr`, each
    with its 95 % interval, or None if it is undefined. None without a threshold."""


def choose_operating_points(
    targets: list[Target], rows: ScoredRows, part: np.ndarray
) -> list[OperatingPoint]:
    """Choose a threshold for each target on held-out rows; `part` (N,) is from `assign_parts`."""
    return [
        _cheapest(target, rows, part)
        if isinstance(target, CostTarget)
        else _guaranteed(target, rows)
        for target in targets
    ]


def _guaranteed(target: RateTarget, rows: ScoredRows) -> OperatingPoint:
    chosen = independent_rows(rows)
    if target.rate == PRECISION:
        chosen = _thinned(rows, chosen)
    found = guarantee(target, rows.y[chosen], rows.probability[chosen])
    met = found.threshold is not None
    rates = rates_above(rows, found.threshold) if met else None
    return OperatingPoint(target.flag, found.threshold, met, found.sentence(), rates)


def independent_rows(rows: ScoredRows) -> np.ndarray:
    """Return the indices of the first row of each group: int (G,).

    Near-duplicates are not independent of each other, as the binomial distribution assumes.
    """
    return np.sort(np.unique(rows.group, return_index=True)[1])


def _thinned(rows: ScoredRows, chosen: np.ndarray) -> np.ndarray:
    """Leave rows out at random in inverse proportion to their weights, which `--prior` makes.

    Precision depends on the share of positives. Rejection sampling turns it into the test set's,
    and the rows stay independent and of equal weight.
    """
    weight = rows.weight[chosen]
    # Not the seed's own numbers: the labels of made-up memes may have been drawn with them.
    (rng,) = np.random.default_rng(rows.seed).spawn(1)
    return chosen[rng.random(len(chosen)) < weight / weight.max()]


def _cheapest(target: CostTarget, rows: ScoredRows, part: np.ndarray) -> OperatingPoint:
    """Choose the threshold with the lowest mean cost. The cost that is reported is out-of-fold."""

    def choose(others: np.ndarray, in_part: np.ndarray) -> np.ndarray:
        return np.full(len(in_part), _cheapest_threshold(target, rows, others))

    everywhere = np.ones(len(rows.y), dtype=bool)
    flagged = rows.probability > out_of_fold_values(part, everywhere, choose)
    error_costs = np.where(rows.y == 1, target.false_negative, target.false_positive)
    costs = np.where(flagged != (rows.y == 1), error_costs, 0)
    cost = ratios_with_intervals({"cost": (costs, everywhere)}, rows)["cost"]
    threshold = _cheapest_threshold(target, rows, np.arange(len(rows.y)))
    low, high = cost["interval"]
    sentence = (
        f"{target.flag}: no guarantee, but the lowest mean cost on the held-out rows. It is "
        f"{cost['value']:.3g} per meme (95 % interval {low:.3g} to {high:.3g}) if the threshold "
        "for each meme is chosen without it."
    )
    return OperatingPoint(target.flag, threshold, False, sentence, rates_above(rows, threshold))


def _cheapest_threshold(target: CostTarget, rows: ScoredRows, indices: np.ndarray) -> float:
    """Return the threshold with the lowest cost on some rows; ties go to the one nearest the ideal.

    The ideal is FP / (FP + FN), the best threshold of perfectly calibrated probabilities: Elkan
    (2001), The Foundations of Cost-Sensitive Learning, equation 2.
    """
    probability = rows.probability[indices]
    ideal = target.false_positive / (target.false_positive + target.false_negative)
    # At 1, no meme is flagged, and at 0 every one.
    candidates = np.r_[0.0, ideal, midpoints(probability), 1.0]
    candidates = candidates[np.argsort(np.abs(candidates - ideal), kind="stable")]
    count = confusion_counts_above(rows.y[indices], probability, candidates)
    _, fp, fn, _ = count(rows.weight[indices][None, :].astype(float))
    cost = target.false_positive * fp[0] + target.false_negative * fn[0]
    # Equal costs can differ by rounding errors of their sums.
    return float(candidates[np.isclose(cost, cost.min()).argmax()])


def rates_above(rows: ScoredRows, threshold: float) -> dict[str, Any]:
    """Return the rates of the decisions at a threshold; see `OperatingPoint.rates`."""
    flagged, positive = rows.probability > threshold, rows.y == 1
    ratios = {
        "flagged": (flagged, np.ones_like(flagged)),
        "precision": (flagged & positive, flagged),
        "recall": (flagged & positive, positive),
        "fpr": (flagged & ~positive, ~positive),
    }
    return ratios_with_intervals(ratios, rows)
