"""The review band: memes between what is acted on and what is let pass go to a person."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from heads.decision.operating_points import OperatingPoint
from heads.decision.targets import FPR, PRECISION, RECALL
from heads.evaluation.ratio_intervals import ScoredRows, ratios_with_intervals

A_DAY = 10_000
"""Memes for which the work is stated."""


@dataclass(frozen=True)
class ReviewBand:
    """Two thresholds that divide memes into zones."""

    act_target: str
    pass_target: str
    act_above: float
    """Memes with a higher probability are acted on."""
    pass_below: float
    """Memes with at most this probability are let pass. Equal to `act_above` if no review is
    needed."""
    zones: list[dict[str, Any]]
    """For each zone: name, `memes` (its share of all), `hateful` and `harmless` (its shares of the
    hateful and of the other memes), each with its 95 % interval, and `a_day`: of A_DAY memes, how
    many are in it, and how many of these are hateful."""
    sentence: str


def find_review_band(points: list[OperatingPoint], rows: ScoredRows) -> ReviewBand | None:
    """Find the band between the first met recall target and the first met precision or fpr target.

    None if there is no such pair.
    """
    met = [point for point in points if point.guaranteed]
    act = next((one for one in met if one.target.startswith((PRECISION, FPR))), None)
    let_pass = next((one for one in met if one.target.startswith(RECALL)), None)
    if act is None or let_pass is None:
        return None
    # If the thresholds cross, recall at the lower one is higher still: both targets are met there.
    pass_below = min(let_pass.threshold, act.threshold)
    zones = _zones(act.threshold, pass_below, rows)
    sentence = _sentence({zone["name"]: zone["a_day"] for zone in zones}, act.threshold)
    return ReviewBand(act.target, let_pass.target, act.threshold, pass_below, zones, sentence)


def _zones(act_above: float, pass_below: float, rows: ScoredRows) -> list[dict[str, Any]]:
    act, let_pass = rows.probability > act_above, rows.probability <= pass_below
    masks = {"act": act, "review": ~act & ~let_pass, "let pass": let_pass}
    if act_above == pass_below:
        del masks["review"]
    return [{"name": name, **_shares(mask, rows)} for name, mask in masks.items()]


def _shares(in_zone: np.ndarray, rows: ScoredRows) -> dict[str, Any]:
    everything, hateful = np.ones_like(in_zone), rows.y == 1
    ratios = {
        "memes": (in_zone, everything),
        "hateful": (in_zone & hateful, hateful),
        "harmless": (in_zone & ~hateful, ~hateful),
        "both": (in_zone & hateful, everything),
    }
    shares = ratios_with_intervals(ratios, rows)
    a_day = [round(A_DAY * shares[name]["value"]) for name in ("memes", "both")]
    del shares["both"]
    return {**shares, "a_day": a_day}


def _sentence(a_day: dict[str, list[int]], threshold: float) -> str:
    acted, hateful = a_day["act"]
    passed, missed = a_day["let pass"]
    middle = f"{a_day['review'][0]:,} go to review" if "review" in a_day else "none needs a review"
    crossed = "" if "review" in a_day else f"Both targets are met at threshold {threshold:.3f}. "
    return (
        f"{crossed}Of {A_DAY:,} memes a day, {acted:,} are acted on, {acted - hateful:,} of them "
        f"not hateful; {middle}; {passed:,} are let pass, {missed:,} of them hateful."
    )
