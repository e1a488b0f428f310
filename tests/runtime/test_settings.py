"""A setting that is misspelt or out of range stops the run; the message says what is allowed."""

from dataclasses import dataclass

import pytest

from runtime.errors import UserError
from runtime.settings import check, flag, from_dict, setting, to_dict


@dataclass(frozen=True)
class Oven:
    heat_mode: str = setting("top", "Where heat comes from.", "Heat", choices=("top", "bottom"))
    degrees: float = setting(180.0, "In Celsius.", "Heat", minimum=50)
    minutes: int | None = setting(None, "None = until it is done.", "Time", minimum=1)

    def __post_init__(self):
        check(self)


def refusal(**values):
    with pytest.raises(UserError) as error:
        from_dict(Oven, values)
    return str(error.value)


def test_settings_survive_the_way_through_json():
    oven = Oven(degrees=200.0, minutes=5)
    assert from_dict(Oven, to_dict(oven)) == oven


def test_a_misspelt_key_is_refused_with_the_nearest_one():
    assert refusal(degres=200.0) == 'Oven: unknown setting "degres". Did you mean "degrees"?'


def test_a_key_like_no_other_is_refused_without_a_guess():
    assert refusal(xyz=1) == 'Oven: unknown setting "xyz".'


def test_a_value_outside_the_choices_lists_them():
    assert refusal(heat_mode="left") == '--heat-mode: found "left", allowed: top, bottom'


@pytest.mark.parametrize("value", [49.9, float("-inf"), float("nan")])
def test_a_value_below_the_minimum_is_refused_and_so_is_nan(value):
    assert refusal(degrees=value) == f"--degrees: found {value}, allowed: 50 or more"


def test_the_minimum_itself_and_none_are_allowed():
    assert Oven(degrees=50, minutes=None).degrees == 50


def test_flags_are_spelt_with_dashes():
    assert flag("batch_size") == "--batch-size"


def test_all_that_is_wrong_is_said_at_once():
    said = refusal(heat_mode="left", minutes=0)
    assert "--heat-mode" in said and "--minutes" in said
