"""No group of near-duplicates is ever on both sides of a fold, nor of what one space may learn."""

import numpy as np
import pytest

from extract.duplicates.folds import assign_folds, plan_space
from runtime.errors import UserError


def rows(train=300, val=60, test=40, positive=0.35, largest=6, seed=0):
    """Splits, labels and groups of a table; groups are small and stay within a split."""
    rng = np.random.default_rng(seed)
    split = np.repeat(np.array(["train", "val", "test"], object), [train, val, test])
    label = (rng.random(len(split)) < positive).astype(np.int8)
    size = rng.integers(1, largest + 1, len(split))
    group = np.repeat(np.arange(len(split)), size)[: len(split)].astype(np.int32)
    group[split == "val"] += 1000
    group[split == "test"] += 2000
    return split, label, group


def straddling():
    """The same, but every group has a row of train and one of val."""
    split, label, group = rows(train=150, val=150)
    group[:300] = np.arange(300) % 150
    return split, label, group


def splits_a_group(group, parts):
    return any(len(np.unique(parts[group == number])) > 1 for number in np.unique(group))


# Folds


@pytest.mark.parametrize("table", [rows, straddling])
@pytest.mark.parametrize("folds", [1, 2, 3, 5])
def test_no_fold_splits_a_group_and_test_rows_have_none(folds, table):
    split, label, group = table()
    fold = assign_folds(split, label, group, folds, seed=0)
    labelled = split != "test"
    assert set(fold[~labelled]) == {-1}
    assert fold[labelled].min() >= 0
    assert not splits_a_group(group[labelled], fold[labelled])


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_fold_has_about_its_share_of_both_classes_and_of_val(folds):
    split, label, group = rows(train=600, val=150)
    fold = assign_folds(split, label, group, folds, seed=0)
    assert set(fold[split != "test"]) == set(range(folds))
    for number in range(folds):
        here = fold == number
        assert here.sum() == pytest.approx(750 / folds, abs=15)
        assert label[here].mean() == pytest.approx(label[:750].mean(), abs=0.06)
        # Val rows are learnt from as train rows are, so no fold may be made of them alone.
        assert 0 < (split[here] == "val").mean() < 0.5


def test_the_only_fold_left_out_is_val_and_takes_its_near_duplicates_out_of_train():
    split, label, group = rows()
    group[3] = group[310]
    group[7] = group[3]
    fold = assign_folds(split, label, group, 1, seed=0)
    twins = (split == "train") & np.isin(group, group[split == "val"])
    assert twins[[3, 7]].all()
    assert (fold[(split == "val") | twins] == 0).all()
    assert (fold[(split == "train") & ~twins] == 1).all()


def test_the_only_fold_left_out_is_a_fifth_of_train_if_there_is_no_val():
    split, label, group = rows(train=600, val=0)
    fold = assign_folds(split, label, group, 1, seed=0)
    assert set(fold[split == "train"]) == {0, 1}
    assert not splits_a_group(group[:600], fold[:600])
    assert (fold == 0).sum() == pytest.approx(120, abs=15)
    assert label[fold == 0].mean() == pytest.approx(label[:600].mean(), abs=0.06)


@pytest.mark.parametrize("folds", [1, 3])
def test_folds_follow_the_seed(folds):
    split, label, group = rows(val=0)
    first, again, other = (assign_folds(split, label, group, folds, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_labels_of_test_rows_do_not_move_the_folds():
    split, label, group = rows()
    fold = assign_folds(split, label, group, 3, seed=0)
    label[split == "test"] ^= 1
    assert (assign_folds(split, label, group, 3, seed=0) == fold).all()


def test_too_few_groups_for_the_folds_name_the_flag():
    split, label, _ = rows(train=40, val=0, test=0)
    with pytest.raises(UserError, match=r"3 groups.*--folds"):
        assign_folds(split, label, np.arange(40) % 3, 5, seed=0)


def test_too_few_rows_of_either_class_for_the_folds_are_a_user_error():
    split = np.array(["train"] * 6, dtype=object)
    with pytest.raises(UserError, match="Add rows"):
        assign_folds(split, np.array([0, 1] * 3), np.arange(6), 5, seed=0)


# Plans


@pytest.mark.parametrize(("folds", "table"), [(1, rows), (2, rows), (3, rows), (3, straddling)])
def test_fitted_monitored_held_out_and_test_rows_are_disjoint_down_to_groups(folds, table):
    split, label, group = table()
    fold = assign_folds(split, label, group, folds, seed=0)
    labelled = split != "test"
    for held_out in range(folds):
        plan = plan_space(label, group, fold, held_out, seed=0)
        part = plan.fitted + 2 * plan.monitored
        others = labelled & (fold != held_out)
        assert not (plan.fitted & plan.monitored).any()
        assert ((part > 0) == others).all()
        assert not splits_a_group(group[labelled], part[labelled])
        assert plan.monitored.sum() == pytest.approx(others.sum() / 10, abs=8)
        assert set(label[plan.monitored]) == {0, 1}


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize(
    ("few", "positive", "role"), [(2, 4, "held-out"), (0, 1, "(fitted|monitored)")]
)
def test_a_class_in_too_few_groups_names_the_fold_the_role_and_the_flag(few, positive, role):
    fold = np.repeat([0, 2], [160, 40])
    label = np.arange(200) % 2
    label[fold == few] = 0
    label[np.flatnonzero(fold == few)[:positive]] = 1
    with pytest.raises(UserError, match=rf"fold 2: .* {role} rows, .*--folds") as error:
        plan_space(label, np.arange(200), fold, 2, seed=0)
    assert f"In all there are {label.sum()} positive" in str(error.value)


def test_five_groups_of_each_class_are_enough_to_hold_out_but_five_rows_are_not():
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
    with pytest.raises(UserError, match="Add rows"):
        plan_space(label, np.arange(20 + count), fold, 0, seed=0)
