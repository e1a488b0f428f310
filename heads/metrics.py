"""Figures with their intervals, resampled by group of near-duplicates."""

from collections.abc import Callable, Iterator

import numpy as np

from heads.decisions import METRICS, Counts, count_decisions
from heads.losses import losses
from heads.ranking import Figure, auroc, average_precision

RESAMPLES = 200
LEVEL = 0.95
BINS = 10
BLOCK = 2**22
"""Weights held at once: 32 MiB."""

RANKING = {"auroc": auroc, "average_precision": average_precision}


def resampling_blocks(group: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn in each bootstrap sample of whole groups: float64 (r, N).

    The RESAMPLES samples come in blocks, as many at once as memory is cheap for.
    """
    _, member = np.unique(group, return_inverse=True)
    count = member.max() + 1
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK // len(group))
    for start in range(0, RESAMPLES, size):
        samples = min(size, RESAMPLES - start)
        drawn = rng.integers(count, size=(samples, count))
        times = np.stack([np.bincount(groups, minlength=count) for groups in drawn])
        yield times[:, member].astype(float)


def resampling_weights(group: np.ndarray, seed: int) -> np.ndarray:
    """All blocks at once: float64 (RESAMPLES, N)."""
    return np.concatenate(list(resampling_blocks(group, seed)))


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
