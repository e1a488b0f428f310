"""Figures with their intervals, resampled by group of near-duplicates."""

from collections.abc import Callable

import numpy as np

from heads.decisions import METRICS, count_decisions
from heads.losses import losses
from heads.ranking import auroc, average_precision

RESAMPLES = 200
LEVEL = 0.95
BINS = 10


def resampling_weights(group: np.ndarray, seed: int) -> np.ndarray:
    """How often each row is drawn in each bootstrap sample of whole groups: float64 (R, N)."""
    _, member = np.unique(group, return_inverse=True)
    count = member.max() + 1
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)[:, member].astype(
        float
    )


def interval(values: np.ndarray) -> list[float]:
    """Percentile interval at LEVEL; resamples in which the figure is undefined are left out."""
    tail = (1 - LEVEL) / 2
    return [float(v) for v in np.nanquantile(values, [tail, 1 - tail])]


def score(
    y: np.ndarray,
    probability: np.ndarray,
    threshold: np.ndarray,
    group: np.ndarray,
    seed: int,
    weight: np.ndarray,
) -> dict[str, object]:
    """All figures of one head on one set of rows, each with its 95 % interval.

    Arrays are (N,); `threshold` is each row's own, `weight` says how much a row counts. Ranking
    figures are None when the rows hold one class only.
    """
    weights = resampling_weights(group, seed) * weight
    once = weight[None, :].astype(float)
    figures: dict[str, object] = {"rows": len(y), "positives": int(y.sum())}
    for name, ranked in (("auroc", auroc), ("average_precision", average_precision)):
        figures[name] = _ranking(ranked, y, probability, np.vstack([once, weights]))
    for name, wrong in (
        ("brier", (probability - y) ** 2),
        ("log_loss", losses(y, probability)),
    ):
        resampled = weights @ wrong / weights.sum(axis=1)
        figures[name] = _figure(float(weight @ wrong / weight.sum()), resampled)
    figures["calibration_error"] = calibration_error(y, probability, weight)
    for suffix, chosen in (("default", probability > 0.5), ("tuned", probability > threshold)):
        for name, metric in METRICS.items():
            value = metric(count_decisions(y, chosen, once))[0]
            resampled = metric(count_decisions(y, chosen, weights))
            figures[f"{name}_{suffix}"] = _figure(float(value), resampled)
    return figures


def calibration_error(y: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Mean distance of probability and frequency over BINS bins of equally many rows.

    (Expected calibration error with equal-mass bins; Nguyen and O'Connor 2015.)
    """
    bins = np.array_split(np.argsort(probability, kind="stable"), BINS)
    gaps = [abs(weight[rows] @ (probability[rows] - y[rows])) for rows in bins if len(rows)]
    return float(sum(gaps) / weight.sum())


def _figure(value: float, resampled: np.ndarray) -> dict[str, object]:
    return {"value": value, "interval": interval(resampled)}


def _ranking(
    metric: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    y: np.ndarray,
    probability: np.ndarray,
    weights: np.ndarray,
) -> dict[str, object] | None:
    """`weights` (1 + R, N): the rows as they are, then the resamples."""
    if len(np.unique(y)) < 2:
        return None
    value, *resampled = metric(y, probability, weights)
    return _figure(float(value), np.array(resampled))
