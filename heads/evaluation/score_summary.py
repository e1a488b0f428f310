"""All metrics of one set of probabilities, with confidence intervals; calibration error."""

from collections.abc import Callable

import numpy as np

from heads.evaluation.bootstrap import bootstrap_weight_blocks, percentile_interval
from heads.evaluation.metrics import (
    METRICS,
    auroc,
    average_precision,
    confusion_counts,
    row_log_losses,
)

BINS = 10

RANKING_METRICS = {"auroc": auroc, "average_precision": average_precision}


def score_with_intervals(
    y: np.ndarray,
    probability: np.ndarray,
    threshold: np.ndarray,
    group: np.ndarray,
    seed: int,
    weight: np.ndarray,
) -> dict[str, object]:
    """Compute all metrics of one head on one set of rows, each with its 95 % interval.

    Arrays are (N,). `threshold` holds a threshold for each row, `weight` the rows' weights. AUROC
    and average precision are None if the rows are of a single class.
    """
    measure = _measurements(y, probability, threshold)
    values = measure(weight[None, :].astype(float))
    drawn = [measure(times * weight) for times in bootstrap_weight_blocks(group, seed)]
    scores: dict[str, object] = {"rows": len(y), "positives": int(y.sum())}
    for name, value in values.items():
        resampled = np.concatenate([one[name] for one in drawn])
        scores[name] = {"value": float(value[0]), "interval": percentile_interval(resampled)}
    scores["calibration_error"] = calibration_error(y, probability, weight)
    return dict.fromkeys(RANKING_METRICS) | scores


def _measurements(
    y: np.ndarray, probability: np.ndarray, threshold: np.ndarray
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return f(weights (R, N)) -> values (R,) of each metric by its name."""
    ranking = {name: metric(y, probability) for name, metric in RANKING_METRICS.items()}
    losses = {"brier": (probability - y) ** 2, "log_loss": row_log_losses(y, probability)}
    decisions = {"default": probability > 0.5, "tuned": probability > threshold}
    both_classes = len(np.unique(y)) == 2

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        values = {name: metric(weights) for name, metric in ranking.items() if both_classes}
        total = weights.sum(axis=1)
        values |= {name: weights @ loss / total for name, loss in losses.items()}
        for suffix, decision in decisions.items():
            counts = confusion_counts(y, decision, weights)
            values |= {f"{name}_{suffix}": metric(counts) for name, metric in METRICS.items()}
        return values

    return measure


def calibration_error(y: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Expected calibration error with BINS equal-mass bins (Nguyen and O'Connor 2015).

    The weighted mean over bins of the distance between mean probability and share of positives.
    """
    bins = np.array_split(np.argsort(probability, kind="stable"), BINS)
    gaps = [abs(weight[rows] @ (probability[rows] - y[rows])) for rows in bins if len(rows)]
    return float(sum(gaps) / weight.sum())
