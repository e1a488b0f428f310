"""Settings: misspelt names and invalid values raise errors that say what is allowed."""

from dataclasses import dataclass

import pytest

from runtime.config_fields import flag, from_dict, setting, to_dict, validate
from runtime.errors import UserError


@dataclass(frozen=True)
class Oven:
    heat_mode: str = setting("top", "Where heat comes from.", "Heat", choices=("top", "bottom"))
    degrees: float = setting(180.0, "In Celsius.", "Heat", minimum=50)
    minutes: int | None = setting(None, "None = until it is done.", "Time", minimum=1)

    def __post_init__(self):
        validate(self)


def error_of(**values):
    with pytest.raises(UserError) as error:
        from_dict(Oven, values)
    return str(error.value)


def test_settings_round_trip_through_a_dict():
    oven = Oven(degrees=200.0, minutes=5)
    assert from_dict(Oven, to_dict(oven)) == oven


def test_unknown_setting_suggests_the_closest_one():
    assert error_of(degres=200.0) == 'Oven: unknown setting "degres". Did you mean "degrees"?'


def test_unknown_setting_without_a_close_match_has_no_suggestion():
    assert error_of(xyz=1) == 'Oven: unknown setting "xyz".'


def test_invalid_choice_lists_the_choices():
    assert error_of(heat_mode="left") == '--heat-mode: found "left", allowed: top, bottom'


@pytest.mark.parametrize("value", [49.9, float("-inf"), float("nan")])
def test_value_below_the_minimum_or_nan_is_refused(value):
    assert error_of(degrees=value) == f"--degrees: found {value}, allowed: 50 or more"


def test_minimum_itself_and_none_are_allowed():
    assert Oven(degrees=50, minutes=None).degrees == 50


def test_flag_has_dashes_for_underscores():
    assert flag("batch_size") == "--batch-size"


def test_all_invalid_values_are_reported_at_once():
    message = error_of(heat_mode="left", minutes=0)
    assert "--heat-mode" in message and "--minutes" in message
