"""Parts equal those of scikit-learn's StratifiedGroupKFold."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from features.stratified_group_parts import stratified_group_parts


@pytest.mark.parametrize("parts", [5, 10])
@pytest.mark.parametrize("groups", [40, 150, 300])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_parts_equal_those_of_scikit_learn(parts, groups, share):
    rng = np.random.default_rng([parts, groups])
    # A few groups are large, most have one row, and numbers are missing.
    group = 7 * rng.integers(0, groups, 300) ** 2 // groups
    label = (rng.random(300) < share).astype(np.int8)
    expected = np.empty(300, dtype=int)
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=3)
    for number, (_, in_part) in enumerate(splitter.split(label, label, group)):
        expected[in_part] = number
    np.testing.assert_array_equal(stratified_group_parts(label, group, parts, 3), expected)
