"""All metrics of one set of probabilities, with confidence intervals; calibration error."""

from collections.abc import Callable

import numpy as np

from heads.evaluation.bootstrap import bootstrap_weight_blocks, percentile_interval
from heads.evaluation.metrics import (
    METRICS,
    Counts,
    WeightedMetric,
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
    metrics = _weighted_metrics(y, probability, threshold)
    unresampled = weight[None, :].astype(float)
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    for drawn in bootstrap_weight_blocks(group, seed):
        for name, metric in metrics.items():
            resampled[name].append(metric(drawn * weight))
    scores: dict[str, object] = {"rows": len(y), "positives": int(y.sum())}
    for name, metric in metrics.items():
        value = {"value": float(metric(unresampled)[0])}
        scores[name] = value | {"interval": percentile_interval(np.concatenate(resampled[name]))}
    scores["calibration_error"] = calibration_error(y, probability, weight)
    return dict.fromkeys(RANKING_METRICS) | scores


def _weighted_metrics(
    y: np.ndarray, probability: np.ndarray, threshold: np.ndarray
) -> dict[str, WeightedMetric]:
    """Map the name of each metric to f(weights (R, N)) -> (R,)."""

    def mean(values: np.ndarray) -> WeightedMetric:
        return lambda weights: weights @ values / weights.sum(axis=1)

    def of_decision(metric: Callable[[Counts], np.ndarray], decision: np.ndarray) -> WeightedMetric:
        return lambda weights: metric(confusion_counts(y, decision, weights))

    metrics: dict[str, WeightedMetric] = {}
    if len(np.unique(y)) == 2:
        metrics |= {name: metric(y, probability) for name, metric in RANKING_METRICS.items()}
    metrics["brier"] = mean((probability - y) ** 2)
    metrics["log_loss"] = mean(row_log_losses(y, probability))
    for suffix, decision in (("default", probability > 0.5), ("tuned", probability > threshold)):
        for name, metric in METRICS.items():
            metrics[f"{name}_{suffix}"] = of_decision(metric, decision)
    return metrics


def calibration_error(y: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Expected calibration error with BINS equal-mass bins (Nguyen and O'Connor 2015).

    The weighted mean over bins of the distance between mean probability and share of positives.
    """
    bins = np.array_split(np.argsort(probability, kind="stable"), BINS)
    gaps = [abs(weight[rows] @ (probability[rows] - y[rows])) for rows in bins if len(rows)]
    return float(sum(gaps) / weight.sum())
