"""Rates of decisions, such as precision and recall, with confidence intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from heads.evaluation.bootstrap import bootstrap_weight_blocks, percentile_interval


@dataclass(frozen=True)
class ScoredRows:
    """Held-out rows (N,) with their labels and probabilities."""

    y: np.ndarray
    """0 or 1."""
    probability: np.ndarray
    group: np.ndarray
    """Groups of near-duplicates."""
    weight: np.ndarray
    """Weight of each row in metrics."""
    seed: int


def ratios_with_intervals(
    ratios: dict[str, tuple[np.ndarray, np.ndarray]], rows: ScoredRows
) -> dict[str, dict[str, Any] | None]:
    """Divide weighted sums: name -> value and 95 % interval by group, None where it is 0 / 0.

    `ratios` maps each name to a numerator and a denominator, (N,) each. The recall, for example, is
    that of the flagged positives and of all positives.
    """
    over, under = (np.stack(both).astype(float) for both in zip(*ratios.values(), strict=True))

    def divide(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (over @ weights.T) / (under @ weights.T)

    drawn = bootstrap_weight_blocks(rows.group, rows.seed)
    resampled = np.concatenate([divide(times * rows.weight) for times in drawn], axis=1)
    values = divide(rows.weight[None, :].astype(float))[:, 0]
    known = {
        name: {"value": float(value), "interval": percentile_interval(draws)}
        for name, value, draws in zip(ratios, values, resampled, strict=True)
        if not np.isnan(value)
    }
    return dict.fromkeys(ratios) | known
