"""Compare slices of the memes, such as languages or sources: ranking and errors in each.

Sources: Borkan, Dixon, Sorensen, Thain and Vasserman (2019), Nuanced Metrics for Measuring
Unintended Bias with Real Data for Text Classification.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from heads.evaluation.bootstrap import bootstrap_weight_blocks, percentile_interval
from heads.evaluation.metrics import WeightedMetric, auroc
from heads.evaluation.ratio_intervals import ScoredRows

MIN_GROUPS = 20
"""Groups of near-duplicates of each class that a slice needs to be compared."""

MAX_SLICES = 20

COMPARED = {"auroc": "AUROC", "fpr": "false-positive rate", "fnr": "false-negative rate"}
"""Metrics in which the largest gap between two slices is sought, and their names."""


@dataclass(frozen=True)
class Slice:
    """One slice and its metrics."""

    name: str
    rows: int
    hateful: int
    scores: dict[str, dict[str, object] | None]
    """Each with `value` and 95 % `interval`; None if undefined. `auroc`: within the slice (Borkan's
    subgroup AUC). `bpsn`: AUROC of the slice's harmless memes against the hateful ones of all other
    memes (background positive, subgroup negative); low if harmless memes of the slice get high
    scores. `bnsp`: of its hateful memes against the other harmless ones; low if they get low ones.
    `fpr` and `fnr`: false-positive and false-negative rate."""


@dataclass(frozen=True)
class Gap:
    """The largest difference between two slices in a metric of COMPARED."""

    metric: str
    higher: Slice
    lower: Slice
    difference: float
    interval: list[float]
    """95 %. It does not allow for the choice of the largest of several differences."""

    def sentence(self) -> str:
        """Name the metric, both slices and the difference."""
        higher, lower = (one.scores[self.metric]["value"] for one in (self.higher, self.lower))
        low, high = self.interval
        return (
            f"The largest gap is in the {COMPARED[self.metric]}: {higher:.3f} in "
            f"{self.higher.name}, {lower:.3f} in {self.lower.name}, a difference of "
            f"{self.difference:.3f} (95 % interval {low:.3f} to {high:.3f}). The largest of "
            "several gaps is larger by chance alone."
        )


@dataclass(frozen=True)
class SliceComparison:
    """Slices with enough rows, the largest first."""

    slices: list[Slice]
    left_out: int
    """Number of slices with too few groups of a class, or beyond MAX_SLICES."""
    gap: Gap | None
    """None with fewer than two slices."""


def compare_slices(rows: ScoredRows, names: np.ndarray, threshold: float) -> SliceComparison:
    """Compare the slices called `names` (N,), with decisions at a threshold.

    Rows with an empty name belong to no slice, but to the background of every one.
    """
    found, counts = np.unique(names[names != ""], return_counts=True)
    by_size = found[np.argsort(-counts, kind="stable")]
    compared = [name for name in by_size if _has_enough(rows, names == name)][:MAX_SLICES]
    metrics = {
        (name, metric): function
        for name in compared
        for metric, function in _metrics(rows, names == name, threshold).items()
    }
    values, resampled = _resample(metrics, rows)
    slices = []
    for name in compared:
        in_slice = names == name
        keys = [key for key in metrics if key[0] == name]
        scores = {key[1]: _score(values[key], resampled[key]) for key in keys}
        slices.append(Slice(name, int(in_slice.sum()), int(rows.y[in_slice].sum()), scores))
    return SliceComparison(slices, len(found) - len(slices), _largest_gap(slices, resampled))


def _score(value: float, draws: np.ndarray) -> dict[str, object] | None:
    """Value and interval; None without a background, in which BPSN and BNSP are undefined."""
    return None if np.isnan(value) else {"value": value, "interval": percentile_interval(draws)}


def _has_enough(rows: ScoredRows, in_slice: np.ndarray) -> bool:
    classes = (rows.group[in_slice & (rows.y == label)] for label in (0, 1))
    return all(len(np.unique(groups)) >= MIN_GROUPS for groups in classes)


def _metrics(rows: ScoredRows, in_slice: np.ndarray, threshold: float) -> dict[str, WeightedMetric]:
    positive, flagged = rows.y == 1, rows.probability > threshold
    return {
        "auroc": _auroc_among(rows, in_slice),
        "bpsn": _auroc_among(rows, in_slice != positive),
        "bnsp": _auroc_among(rows, in_slice == positive),
        "fpr": _share(flagged, in_slice & ~positive),
        "fnr": _share(~flagged, in_slice & positive),
    }


def _auroc_among(rows: ScoredRows, chosen: np.ndarray) -> WeightedMetric:
    """AUROC of the chosen rows, NaN if they are of one class."""
    if len(np.unique(rows.y[chosen])) < 2:
        return lambda weights: np.full(len(weights), np.nan)
    metric = auroc(rows.y[chosen], rows.probability[chosen])
    return lambda weights: metric(weights[:, chosen])


def _share(counted: np.ndarray, among: np.ndarray) -> WeightedMetric:
    def compute(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return weights @ (counted & among) / (weights @ among)

    return compute


def _resample(
    metrics: dict[tuple[str, str], WeightedMetric], rows: ScoredRows
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], np.ndarray]]:
    """Return the value of each metric, and its values in the bootstrap resamples."""
    resampled = {key: [] for key in metrics}
    for drawn in bootstrap_weight_blocks(rows.group, rows.seed):
        for key, metric in metrics.items():
            resampled[key].append(metric(drawn * rows.weight))
    unresampled = rows.weight[None, :].astype(float)
    values = {key: float(metric(unresampled)[0]) for key, metric in metrics.items()}
    return values, {key: np.concatenate(draws) for key, draws in resampled.items()}


def _largest_gap(slices: list[Slice], resampled: dict[tuple[str, str], np.ndarray]) -> Gap | None:
    gaps = []
    for metric in COMPARED:
        for pair in combinations(slices, 2):
            lower, higher = sorted(pair, key=lambda one: one.scores[metric]["value"])
            difference = higher.scores[metric]["value"] - lower.scores[metric]["value"]
            draws = resampled[higher.name, metric] - resampled[lower.name, metric]
            gaps.append(Gap(metric, higher, lower, difference, percentile_interval(draws)))
    return max(gaps, key=lambda gap: gap.difference, default=None)
