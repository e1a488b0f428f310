"""The review band lies between two guaranteed targets, or vanishes where they cross."""

from dataclasses import replace

import numpy as np
import pytest
from test_operating_points import choose, scored

from heads.decision.review_band import A_DAY, find_review_band


def band(rows, *flags):
    return find_review_band(choose(rows, *flags), rows)


def test_three_zones_contain_every_meme_once():
    rows = scored(1000, signal=1.5)
    found = band(rows, "precision>=0.8", "recall>=0.95")
    assert [zone["name"] for zone in found.zones] == ["act", "review", "let pass"]
    assert found.act_above > found.pass_below
    for name in ("memes", "hateful", "harmless"):
        assert sum(zone[name]["value"] for zone in found.zones) == pytest.approx(1)
    act, review, let_pass = found.zones
    flagged = rows.probability > found.act_above
    assert act["memes"]["value"] == pytest.approx(flagged.mean())
    assert act["harmless"]["value"] == pytest.approx(flagged[rows.y == 0].mean())
    assert let_pass["hateful"]["value"] <= 0.05
    assert review["a_day"][0] == round(A_DAY * review["memes"]["value"])
    assert f"{review['a_day'][0]:,} go to review" in found.sentence
    assert f"{let_pass['a_day'][1]:,} of them hateful." in found.sentence


def test_no_review_is_needed_where_the_thresholds_cross():
    rows = scored(1000, signal=4.0)
    found = band(rows, "fpr<=0.1", "recall>=0.8")
    assert [zone["name"] for zone in found.zones] == ["act", "let pass"]
    assert found.act_above == found.pass_below
    assert found.zones[0]["harmless"]["value"] <= 0.1
    assert found.zones[0]["hateful"]["value"] >= 0.8
    assert found.sentence.startswith("Both targets are met at threshold")
    assert "none needs a review" in found.sentence


@pytest.mark.parametrize(
    "flags",
    [(), ("precision>=0.8",), ("recall>=0.9", "cost=1:2"), ("fpr<=0.0001", "recall>=0.9")],
)
def test_without_two_met_targets_there_is_no_band(flags):
    assert band(scored(), *flags) is None


def test_first_met_target_of_each_side_counts():
    found = band(
        scored(), "fpr<=0.0001", "fpr<=0.05", "precision>=0.9", "recall>=0.9", "recall>=0.8"
    )
    assert (found.act_target, found.pass_target) == ("fpr<=0.05", "recall>=0.9")


def test_shares_follow_the_weights():
    rows = scored(signal=1.5)
    points = choose(rows, "precision>=0.8", "recall>=0.95")
    weight = np.where(rows.y == 1, 0.25, 1.0)
    plain, rare = (find_review_band(points, one) for one in (rows, replace(rows, weight=weight)))
    assert rare.zones[0]["memes"]["value"] < plain.zones[0]["memes"]["value"]
    assert rare.zones[0]["hateful"]["value"] == pytest.approx(plain.zones[0]["hateful"]["value"])
