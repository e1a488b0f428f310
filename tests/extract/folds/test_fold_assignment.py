"""Folds and training rows: stratified, and no group of near-duplicates is split."""

import numpy as np
import pytest

from extract.config import ExtractConfig
from extract.folds.fold_assignment import assign_folds, folds_advice, plan_space
from runtime.errors import UserError


def make_rows(train=300, val=60, test=40, positive=0.35, largest=6, seed=0):
    """Return split, label and group of each row. Groups are small and within one split."""
    rng = np.random.default_rng(seed)
    split = np.repeat(np.array(["train", "val", "test"], object), [train, val, test])
    label = (rng.random(len(split)) < positive).astype(np.int8)
    size = rng.integers(1, largest + 1, len(split))
    group = np.repeat(np.arange(len(split)), size)[: len(split)].astype(np.int32)
    group[split == "val"] += 1000
    group[split == "test"] += 2000
    return split, label, group


def make_rows_with_groups_across_splits():
    """Return the same as `make_rows`, but every group has a train row and a val row."""
    split, label, group = make_rows(train=150, val=150)
    group[:300] = np.arange(300) % 150
    return split, label, group


def splits_a_group(group, parts):
    return any(len(np.unique(parts[group == number])) > 1 for number in np.unique(group))


# Folds


@pytest.mark.parametrize("make", [make_rows, make_rows_with_groups_across_splits])
@pytest.mark.parametrize("folds", [1, 2, 3, 5])
def test_no_group_is_split_between_folds_and_test_rows_have_no_fold(folds, make):
    split, label, group = make()
    fold = assign_folds(split, label, group, folds, seed=0)
    labelled = split != "test"
    assert set(fold[~labelled]) == {-1}
    assert fold[labelled].min() >= 0
    assert not splits_a_group(group[labelled], fold[labelled])


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_are_stratified_by_class_and_contain_train_and_val_rows(folds):
    split, label, group = make_rows(train=600, val=150)
    fold = assign_folds(split, label, group, folds, seed=0)
    assert set(fold[split != "test"]) == set(range(folds))
    for number in range(folds):
        in_fold = fold == number
        assert in_fold.sum() == pytest.approx(750 / folds, abs=15)
        assert label[in_fold].mean() == pytest.approx(label[:750].mean(), abs=0.06)
        # Val rows are used for training like train rows, so no fold may consist of them alone.
        assert 0 < (split[in_fold] == "val").mean() < 0.5


def test_single_fold_holds_out_val_and_its_near_duplicates_in_train():
    split, label, group = make_rows()
    group[3] = group[310]
    group[7] = group[3]
    fold = assign_folds(split, label, group, 1, seed=0)
    near_val = (split == "train") & np.isin(group, group[split == "val"])
    assert near_val[[3, 7]].all()
    assert (fold[(split == "val") | near_val] == 0).all()
    assert (fold[(split == "train") & ~near_val] == 1).all()


def test_single_fold_without_val_holds_out_a_fifth_of_train():
    split, label, group = make_rows(train=600, val=0)
    fold = assign_folds(split, label, group, 1, seed=0)
    assert set(fold[split == "train"]) == {0, 1}
    assert not splits_a_group(group[:600], fold[:600])
    assert (fold == 0).sum() == pytest.approx(120, abs=15)
    assert label[fold == 0].mean() == pytest.approx(label[:600].mean(), abs=0.06)


@pytest.mark.parametrize("folds", [1, 3])
def test_folds_depend_on_the_seed(folds):
    split, label, group = make_rows(val=0)
    first, again, other = (assign_folds(split, label, group, folds, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_test_labels_do_not_change_the_folds():
    split, label, group = make_rows()
    fold = assign_folds(split, label, group, 3, seed=0)
    label[split == "test"] ^= 1
    assert (assign_folds(split, label, group, 3, seed=0) == fold).all()


def test_error_for_too_few_groups_names_the_flag():
    split, label, _ = make_rows(train=40, val=0, test=0)
    with pytest.raises(UserError, match=r"3 groups.* 5 parts"):
        assign_folds(split, label, np.arange(40) % 3, 5, seed=0)


def test_too_few_rows_of_each_class_are_a_user_error():
    split = np.array(["train"] * 6, dtype=object)
    with pytest.raises(UserError, match="cannot be cut into"):
        assign_folds(split, np.array([0, 1] * 3), np.arange(6), 5, seed=0)


def test_without_folds_all_train_and_val_rows_are_fold_0():
    split, label, group = make_rows()
    fold = assign_folds(split, label, group, 0, seed=0)
    assert np.array_equal(fold, np.where(split == "test", -1, 0))


# Training rows of a space


@pytest.mark.parametrize(
    ("folds", "make"),
    [(1, make_rows), (2, make_rows), (3, make_rows), (3, make_rows_with_groups_across_splits)],
)
@pytest.mark.parametrize("monitor", [False, True])
def test_fitted_monitored_and_held_out_rows_share_no_group(folds, make, monitor):
    split, label, group = make()
    fold = assign_folds(split, label, group, folds, seed=0)
    labelled = split != "test"
    for held_out in range(folds):
        plan = plan_space(label, group, fold, held_out, 0, monitor)
        part = plan.fitted + 2 * plan.monitored
        others = labelled & (fold != held_out)
        assert not (plan.fitted & plan.monitored).any()
        assert ((part > 0) == others).all()
        assert not splits_a_group(group[labelled], part[labelled])
        assert np.array_equal(plan.held_out, labelled & (fold == held_out))
        if monitor:
            assert plan.monitored.sum() == pytest.approx(others.sum() / 10, abs=8)
            assert set(label[plan.monitored]) == {0, 1}
            assert np.array_equal(plan.evaluated, plan.monitored)
        else:
            assert not plan.monitored.any()
            assert np.array_equal(plan.evaluated, plan.held_out)


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize(
    ("rare_fold", "positive", "role"), [(2, 4, "held-out"), (0, 1, "(fitted|monitored)")]
)
def test_error_for_a_class_in_too_few_groups_names_fold_role_and_flag(rare_fold, positive, role):
    fold = np.repeat([0, 2], [160, 40])
    label = np.arange(200) % 2
    label[fold == rare_fold] = 0
    label[np.flatnonzero(fold == rare_fold)[:positive]] = 1
    with pytest.raises(UserError, match=rf"fold 2: .* {role} rows, ") as error:
        plan_space(label, np.arange(200), fold, 2, seed=0, monitor=True)
    assert f"In total there are {label.sum()} positive" in str(error.value)


def test_held_out_fold_needs_five_groups_of_each_class():
    fold, label = np.repeat([0, 1], [10, 100]), np.arange(110) % 2
    group = np.arange(110)
    assert not plan_space(label, group, fold, 0, seed=0).fitted[:10].any()
    group[1] = group[3]
    with pytest.raises(UserError, match="5 hold negative and 4 positive ones; 5 of each"):
        plan_space(label, group, fold, 0, seed=0)


@pytest.mark.parametrize("count", [4, 14, 18])
def test_too_few_rows_to_monitor_are_a_user_error(count):
    fold = np.repeat([0, 1], [20, count])
    label = np.arange(20 + count) % 2
    with pytest.raises(UserError, match="cannot be cut into"):
        plan_space(label, np.arange(20 + count), fold, 0, seed=0, monitor=True)


# Advice


def test_advised_number_of_folds_works():
    """With 13 positives, two folds can be planned, but neither one nor three."""
    split = np.array(["train"] * 600 + ["test"] * 20, object)
    label = np.array([1] * 13 + [0] * 587 + [0] * 20, np.int8)
    group = np.arange(620, dtype=np.int32)
    for folds in (1, 3):
        advice = folds_advice(split, label, group, ExtractConfig(folds=folds))
        assert advice == "With these rows it works with --folds 2."
    fold = assign_folds(split, label, group, 2, 0)
    for held_out in (0, 1):
        plan_space(label, group, fold, held_out, 0)


def test_too_few_rows_are_told_how_many_are_needed():
    split, label = np.array(["train"] * 20, object), np.arange(20) % 2
    label[12:] = 0
    advice = folds_advice(split, label, np.arange(20), ExtractConfig())
    assert "at least 10 unrelated memes of each class" in advice
    assert "--folds 0" in advice
    label[3:] = 0
    assert "--folds 0" not in folds_advice(split, label, np.arange(20), ExtractConfig())
