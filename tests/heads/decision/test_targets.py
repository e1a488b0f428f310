"""`--target`: four kinds are parsed, all else is refused by name."""

import pytest

from heads.config import SubmitConfig
from heads.decision.targets import CostTarget, RateTarget, parse_targets
from runtime.errors import UserError


def test_all_kinds_are_parsed_in_order_and_without_repetitions():
    flags = ["precision>=0.9", "recall >= .95", "fpr<=0.01", "cost=1:2.5", "precision>=0.9"]
    assert parse_targets(flags) == [
        RateTarget("precision>=0.9", "precision", 0.9),
        RateTarget("recall>=.95", "recall", 0.95),
        RateTarget("fpr<=0.01", "fpr", 0.01),
        CostTarget("cost=1:2.5", 1.0, 2.5),
    ]
    assert parse_targets(None) == []


@pytest.mark.parametrize(("flag", "tolerated"), [("recall>=0.9", 0.1), ("fpr<=0.01", 0.01)])
def test_tolerated_errors_are_those_beyond_the_bound(flag, tolerated):
    assert parse_targets([flag])[0].tolerated == pytest.approx(tolerated)


@pytest.mark.parametrize(
    "flag",
    [
        *("", "precision", "=0.9", "precision>0.9", "precision<=0.9", "fpr>=0.1", "accuracy>=0.9"),
        *("precision>=0", "recall>=1", "recall>=95", "fpr<=0", "fpr<=-1", "recall>=nan"),
        *("cost=1", "cost=0:1", "cost=1:0", "cost=-1:2", "cost=1:2:3", "precision>=0.9,recall>=1"),
    ],
)
def test_anything_else_is_refused_by_the_settings_with_what_is_allowed(flag):
    with pytest.raises(UserError, match=r"--target: found .*allowed: precision>=RATE, .*quotes"):
        SubmitConfig(target=["recall>=0.9", flag])
