"""Figures with their intervals, resampled by group of near-duplicates."""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from heads.decisions import METRICS, count_decisions

RESAMPLES = 200
LEVEL = 0.95


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
    default: np.ndarray,
    tuned: np.ndarray,
    group: np.ndarray,
    seed: int,
) -> dict[str, object]:
    """All figures of one head on one set of rows, each with its 95 % interval.

    `y`, `probability`, the decisions at the default and at the tuned threshold (bool), and `group`
    have shape (N,).
    Ranking figures are None when the rows hold one class only.
    """
    weights = resampling_weights(group, seed)
    once = np.ones((1, len(y)))
    figures: dict[str, object] = {"rows": len(y), "positives": int(y.sum())}
    for name, ranked in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        figures[name] = _ranking(ranked, y, probability, weights)
    for suffix, chosen in (("default", default), ("tuned", tuned)):
        for name, metric in METRICS.items():
            value = metric(count_decisions(y, chosen, once))[0]
            spread = interval(metric(count_decisions(y, chosen, weights)))
            figures[f"{name}_{suffix}"] = {"value": float(value), "interval": spread}
    return figures


def _ranking(
    metric: Callable[..., float], y: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> dict[str, object] | None:
    if len(np.unique(y)) < 2:
        return None
    both = (weights @ y > 0) & (weights @ (1 - y) > 0)
    resampled = np.array([metric(y, probability, sample_weight=w) for w in weights[both]])
    return {"value": float(metric(y, probability)), "interval": interval(resampled)}
