"""All metrics of one set of probabilities, each with its interval; calibration error."""

from collections.abc import Callable

import numpy as np

from heads.evaluation.bootstrap import interval, resampling_blocks
from heads.evaluation.metrics import (
    METRICS,
    Counts,
    Figure,
    auroc,
    average_precision,
    count_decisions,
    losses,
)

BINS = 10

RANKING = {"auroc": auroc, "average_precision": average_precision}


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
    compute = _figures(y, probability, threshold)
    once = weight[None, :].astype(float)
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in compute}
    for drawn in resampling_blocks(group, seed):
        for name, figure in compute.items():
            resampled[name].append(figure(drawn * weight))
    figures: dict[str, object] = {"rows": len(y), "positives": int(y.sum())}
    for name, figure in compute.items():
        value = {"value": float(figure(once)[0])}
        figures[name] = value | {"interval": interval(np.concatenate(resampled[name]))}
    figures["calibration_error"] = calibration_error(y, probability, weight)
    return dict.fromkeys(RANKING) | figures


def _figures(y: np.ndarray, probability: np.ndarray, threshold: np.ndarray) -> dict[str, Figure]:
    """Name -> f(weights (R, N)) -> (R,)."""

    def mean(values: np.ndarray) -> Figure:
        return lambda weights: weights @ values / weights.sum(axis=1)

    def decided(metric: Callable[[Counts], np.ndarray], decision: np.ndarray) -> Figure:
        return lambda weights: metric(count_decisions(y, decision, weights))

    figures: dict[str, Figure] = {}
    if len(np.unique(y)) == 2:
        figures |= {name: rank(y, probability) for name, rank in RANKING.items()}
    figures["brier"] = mean((probability - y) ** 2)
    figures["log_loss"] = mean(losses(y, probability))
    for suffix, decision in (("default", probability > 0.5), ("tuned", probability > threshold)):
        for name, metric in METRICS.items():
            figures[f"{name}_{suffix}"] = decided(metric, decision)
    return figures


def calibration_error(y: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Mean distance of probability and frequency over BINS bins of equally many rows.

    (Expected calibration error with equal-mass bins; Nguyen and O'Connor 2015.)
    """
    bins = np.array_split(np.argsort(probability, kind="stable"), BINS)
    gaps = [abs(weight[rows] @ (probability[rows] - y[rows])) for rows in bins if len(rows)]
    return float(sum(gaps) / weight.sum())
