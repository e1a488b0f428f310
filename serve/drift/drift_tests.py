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
    """Kolmogorov-Smirnov statistic: the largest difference of the shares above some value, 0 to 1.
    For UNKNOWN, the difference of the shares above MANY_UNKNOWN."""
    p: float
    """P value, adjusted for the number of quantities (Holm 1979)."""
    value: float
    """Where the shares above it differ most; for UNKNOWN, MANY_UNKNOWN."""
    held_out_above: float
    """Share of the held-out memes above `value`."""
    batch_above: float
    """The same of the batch. So `statistic` is the difference of both, without its sign."""
    held_out_median: float
    batch_median: float

    @property
    def drifted(self) -> bool:
        """Whether the difference is beyond noise, and large enough to matter."""
        return self.p < ALPHA and self.statistic >= MIN_STATISTIC


def compare(held_out: np.ndarray, batch: np.ndarray) -> list[Comparison]:
    """Compare quantities, float64 (R, 4) and (n, 4); none with fewer than MIN_MEMES memes.

    Rows must be independent, so near-duplicates must have been left out. Quantities that are NaN
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
        value, many = MANY_UNKNOWN, [one > MANY_UNKNOWN for one in (held_out, batch)]
        p = fisher_exact([[int(one.sum()), int((~one).sum())] for one in many]).pvalue
        statistic = abs(many[0].mean() - many[1].mean())
    else:
        # A batch that is nearer to the training memes, as one that repeats them, is no drift.
        alternative = "less" if name == DISTANCE else "two-sided"
        test = ks_2samp(batch, held_out, alternative=alternative, method="asymp")
        value, p, statistic = test.statistic_location, test.pvalue, test.statistic
    above = [float((one > value).mean()) for one in (held_out, batch)]
    medians = [float(np.median(one)) for one in (held_out, batch)]
    return Comparison(name, float(statistic), float(p), float(value), *above, *medians)


def holm(p: list[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979, A Simple Sequentially Rejective Procedure)."""
    order = np.argsort(p)
    scaled = np.array(p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted.tolist()


class _Words(NamedTuple):
    subject: str
    less: tuple[str, str]
    """What the batch is if its values are smaller: if the median is too, and if it is not."""
    more: tuple[str, str]
    other: str
    digits: str
    unit: str = ""


WORDS = {
    PROBABILITY: _Words(
        "probabilities (with the prior train)",
        ("lower", "more often low"),
        ("higher", "more often high"),
        "those of the held-out memes",
        ".2f",
    ),
    CAPTION: _Words(
        "captions",
        ("shorter", "more often short"),
        ("longer", "more often long"),
        "in training",
        ".0f",
        " tokens",
    ),
    DISTANCE: _Words(
        "memes",
        ("", ""),
        ("farther from the training memes", "more often far from the training memes"),
        "the held-out memes",
        ".2f",
    ),
}


def sentence(found: Comparison, memes: int) -> str:
    """Say in plain words what differs, and by how much."""
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    shares = f"{found.batch_above:.0%} against {found.held_out_above:.0%}"
    more = found.batch_above > found.held_out_above
    if found.quantity == UNKNOWN:
        return (
            f"{'more' if more else 'fewer'} captions than in training have over {MANY_UNKNOWN:.0%} "
            f"unknown tokens: {shares} ({p}, {memes} memes)"
        )
    words = WORDS[found.quantity]
    rise = found.batch_median - found.held_out_median
    agrees = rise > 0 if more else rise < 0
    how = (words.more if more else words.less)[0 if agrees else 1]
    held_out, batch, value = (
        f"{number:{words.digits}}"
        for number in (found.held_out_median, found.batch_median, found.value)
    )
    return (
        f"{words.subject} are {how} than {words.other}: median {batch} against {held_out}"
        f"{words.unit}, {shares} above {value} (KS {found.statistic:.2f}, {p}, {memes} memes)"
    )
