"""Compare the quantities of a batch of memes with those of held-out memes."""

from typing import NamedTuple

import numpy as np

from serve.drift.meme_quantities import CAPTION, DISTANCE, PROBABILITY, QUANTITIES, UNKNOWN

MIN_MEMES = 50
"""Fewer memes are not compared: only a difference that fills half of the range would show."""

ALPHA = 0.01
"""Chance that a batch without drift is reported, of all quantities together."""

MIN_STATISTIC = 0.1
"""Smaller differences are not reported, however significant: of 100 memes, fewer than 10 would have
to be others. Large batches always differ a little."""

MANY_UNKNOWN = 0.1
"""Captions with a larger share of unknown tokens are counted. The share itself is 0 for most
captions, and ties on one value take the power of a Kolmogorov-Smirnov test."""


class Comparison(NamedTuple):
    """One quantity of a batch and of held-out memes."""

    quantity: str
    """A name in QUANTITIES."""
    statistic: float
    """Kolmogorov-Smirnov statistic: the largest difference of the cumulative shares, 0 to 1. For
    UNKNOWN, the difference of the shares of captions. For DISTANCE, only larger ones count."""
    p: float
    """P value, adjusted for the number of quantities (Holm 1979)."""
    held_out: float
    """Median of the held-out memes; for UNKNOWN, share of captions above MANY_UNKNOWN."""
    batch: float
    """The same of the batch."""

    @property
    def drifted(self) -> bool:
        """Whether the difference is beyond noise, and large enough to matter."""
        return self.p < ALPHA and self.statistic >= MIN_STATISTIC


def compare(held_out: np.ndarray, batch: np.ndarray) -> list[Comparison]:
    """Compare quantities, float64 (R, 4) and (n, 4); none with fewer than MIN_MEMES memes.

    Rows must be independent, so equal memes must have been counted once. Quantities that are NaN
    are left out.
    """
    if min(len(held_out), len(batch)) < MIN_MEMES:
        return []
    found = [
        _compare(name, held_out[:, column], batch[:, column])
        for column, name in enumerate(QUANTITIES)
        if not np.isnan([held_out[0, column], batch[0, column]]).any()
    ]
    adjusted = holm([one.p for one in found])
    return [one._replace(p=p) for one, p in zip(found, adjusted, strict=True)]


def _compare(name: str, held_out: np.ndarray, batch: np.ndarray) -> Comparison:
    from scipy.stats import fisher_exact, ks_2samp

    if name == UNKNOWN:
        many = [held_out > MANY_UNKNOWN, batch > MANY_UNKNOWN]
        shares = [float(one.mean()) for one in many]
        p = fisher_exact([[int(one.sum()), int((~one).sum())] for one in many]).pvalue
        return Comparison(name, abs(shares[1] - shares[0]), float(p), *shares)
    # A batch that is nearer to the training memes, such as one that repeats them, is no drift.
    alternative = "less" if name == DISTANCE else "two-sided"
    test = ks_2samp(batch, held_out, alternative=alternative, method="asymp")
    medians = float(np.median(held_out)), float(np.median(batch))
    return Comparison(name, float(test.statistic), float(test.pvalue), *medians)


def holm(p: list[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979, A Simple Sequentially Rejective Procedure)."""
    order = np.argsort(p)
    scaled = np.array(p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted.tolist()


WORDS = {
    PROBABILITY: (
        "probabilities (with the prior train)",
        ("lower", "spread differently", "higher"),
        "those of the held-out memes",
        ".2f",
    ),
    CAPTION: ("captions", ("shorter", "of other lengths", "longer"), "in training", ".0f"),
    DISTANCE: ("memes", ("farther from the training memes",) * 3, "held-out memes are", ".2f"),
}
"""What a sentence says of a quantity: subject, direction, with what it is compared, digits."""


def sentence(found: Comparison, memes: int) -> str:
    """Say in plain words what differs, and by how much."""
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    if found.quantity == UNKNOWN:
        direction = "more" if found.batch > found.held_out else "fewer"
        shares = f"{found.batch:.0%} against {found.held_out:.0%}"
        return (
            f"{direction} captions than in training have over {MANY_UNKNOWN:.0%} unknown tokens: "
            f"{shares} (difference {found.statistic:.2f}, {p}, {memes} memes)"
        )
    subject, directions, other, digits = WORDS[found.quantity]
    direction = directions[1 + int(np.sign(found.batch - found.held_out))]
    than = "as" if direction == "spread differently" else "than"
    unit = " tokens" if found.quantity == CAPTION else ""
    return (
        f"{subject} are {direction} {than} {other}: "
        f"median {found.batch:{digits}} against {found.held_out:{digits}}{unit} "
        f"(KS {found.statistic:.2f}, {p}, {memes} memes)"
    )
