"""Near-duplicates meet in one group, and no group is ever on both sides of a fold."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from extract.decode import Pictures, decode_pictures
from extract.groups import assign_folds, group_memes, normalise_caption, plan_holdout
from features.errors import UserError

# Every two of these are 16 bits or more apart.
HASHES = [0x00000000FFFFFFFF, 0xFFFFFFFF00000000, 0x0F0F0F0F0F0F0F0F, 0xAAAAAAAAAAAAAAAA]


def pictures_of(index, hashes=None):
    count = max(index) + 1
    hashes = np.array(hashes or HASHES[:count], dtype=np.uint64)
    return Pictures(
        np.zeros((count, 3, 1, 1), np.uint8), hashes, [f"{n}" for n in range(count)], index
    )


@pytest.fixture
def grouped(make_table):
    """f(captions, picture of each row) -> group numbers"""

    def group(captions, index, hashes=None):
        table = make_table([str(place) for place in index], captions)
        return group_memes(table, pictures_of(np.array(index), hashes)).tolist()

    return group


def photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((120, 120), Image.Resampling.BICUBIC)


def rows(train=300, val=0, test=40, positive=0.35, largest=6, seed=0):
    """Splits, labels and groups of a table; groups are small and stay within a split."""
    rng = np.random.default_rng(seed)
    split = np.repeat(np.array(["train", "val", "test"], object), [train, val, test])
    label = (rng.random(len(split)) < positive).astype(np.int8)
    size = rng.integers(1, largest + 1, len(split))
    group = np.repeat(np.arange(len(split)), size)[: len(split)].astype(np.int32)
    group[split == "val"] += 1000
    group[split == "test"] += 2000
    return split, label, group


def splits_a_group(group, parts):
    return any(len(np.unique(parts[group == number])) > 1 for number in np.unique(group))


# Groups


def test_the_same_caption_links_two_pictures(grouped):
    assert grouped(["one", "one", "two"], [0, 1, 2]) == [0, 0, 1]


def test_the_same_picture_links_two_captions(grouped):
    assert grouped(["one", "two", "three"], [0, 1, 0]) == [0, 1, 0]


@pytest.mark.parametrize(
    "twin",
    ["GOOD MORNING!", "good, morning", "  good\n morning... ", "“Good—morning”", "good_morning"],
)
def test_case_punctuation_and_spaces_hide_no_repeat(grouped, twin):
    assert grouped(["Good morning", twin, "good mourning"], [0, 1, 2]) == [0, 0, 1]


def test_accents_typed_in_two_ways_are_one_caption():
    assert normalise_caption("caf\u00e9 time") == normalise_caption("cafe\u0301 time")


def test_captions_in_other_scripts_stay_apart(grouped):
    assert grouped(["доброе утро", "早上好", "काल", "कील"], [0, 1, 2, 3]) == [0, 1, 2, 3]


def test_a_chain_of_captions_and_pictures_is_one_group(grouped):
    captions = ["one", "one", "two", "three", "two"]
    assert grouped(captions, [0, 1, 1, 2, 3]) == [0, 0, 0, 1, 0]


def test_pictures_eight_bits_apart_are_linked_and_nine_are_not(grouped):
    hashes = [0, 0xFF, 0x1FF << 32, 0xFFFF << 40]
    assert grouped(list("abcd"), [0, 1, 2, 3], hashes) == [0, 0, 1, 2]


def test_pairs_are_found_across_blocks(grouped):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 1300, dtype=np.uint64)
    hashes[1299] = hashes[3] ^ np.uint64(1)
    found = grouped([f"caption {n}" for n in range(1300)], list(range(1300)), hashes.tolist())
    assert found[1299] == found[3]
    assert len(set(found)) == 1299


def test_what_could_not_be_read_links_nothing(make_table):
    table = make_table(["", "", "x"], ["", "?!", ""])
    pictures = Pictures(
        np.zeros((2, 3, 1, 1), np.uint8),
        np.array([0, 0], np.uint64),
        ["", "digest of x"],
        np.array([0, 0, 1]),
    )
    assert group_memes(table, pictures).tolist() == [0, 1, 2]


def test_two_broken_files_are_no_near_duplicates(make_table, tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"two")
    table = make_table([tmp_path / "a.png", tmp_path / "b.png"], ["one", "two"])
    pictures, _ = decode_pictures(table, 32, "bicubic")
    assert group_memes(table, pictures).tolist() == [0, 1]


def test_copies_of_a_picture_are_found_and_other_pictures_are_not(make_table, tmp_path):
    original = photo(0)
    jpeg = io.BytesIO()
    original.save(jpeg, "JPEG", quality=40)
    versions = {
        "original": original,
        "brighter": ImageEnhance.Brightness(original).enhance(1.15),
        "recompressed": Image.open(jpeg),
        "smaller": original.resize((64, 64)),
        "wider": original.resize((160, 120)),
        "other": photo(1),
        "another": photo(2),
    }
    for name, picture in versions.items():
        picture.save(tmp_path / f"{name}.png")
    table = make_table([tmp_path / f"{name}.png" for name in versions], list(versions))
    pictures, _ = decode_pictures(table, 32, "bicubic")
    assert group_memes(table, pictures).tolist() == [0, 0, 0, 0, 0, 1, 2]


# Folds


@pytest.mark.parametrize("val", [0, 60])
def test_no_fold_splits_a_group_and_test_rows_have_none(val):
    split, label, group = rows(val=val)
    fold = assign_folds(split, label, group, 5, seed=0)
    assert set(fold[split != "test"]) == set(range(5))
    assert set(fold[split == "test"]) == {-1}
    labelled = split != "test"
    assert not splits_a_group(group[labelled], fold[labelled])


def test_val_is_fold_0_and_takes_its_near_duplicates_out_of_train():
    split, label, group = rows(val=60)
    group[3] = group[310]
    group[7] = group[3]
    fold = assign_folds(split, label, group, 5, seed=0)
    assert (fold[split == "val"] == 0).all()
    twins = (split == "train") & np.isin(group, group[split == "val"])
    assert twins[[3, 7]].all()
    assert (fold[twins] == 0).all()
    assert (fold[(split == "train") & ~twins] > 0).all()


def test_without_val_every_fold_has_about_its_share_of_both_classes():
    split, label, group = rows(train=600)
    fold = assign_folds(split, label, group, 5, seed=0)
    for number in range(5):
        assert (fold == number).sum() == pytest.approx(120, abs=15)
        assert label[fold == number].mean() == pytest.approx(label[:600].mean(), abs=0.06)


def test_folds_follow_the_seed():
    split, label, group = rows()
    first, again, other = (assign_folds(split, label, group, 5, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("val", [0, 60])
def test_fitted_monitored_held_out_and_test_rows_are_disjoint_down_to_groups(val):
    split, label, group = rows(val=val)
    fold = assign_folds(split, label, group, 5, seed=0)
    plan = plan_holdout(label, group, fold, seed=0)
    part = plan.fitted + 2 * plan.monitored
    labelled = split != "test"
    assert not (plan.fitted & plan.monitored).any()
    assert ((part > 0) == (fold > 0)).all()
    assert not splits_a_group(group[labelled], part[labelled])
    assert plan.monitored.sum() == pytest.approx((fold > 0).sum() / 10, abs=8)


def test_too_few_groups_for_the_folds_name_the_flag():
    split, label, _ = rows(train=40, test=0)
    with pytest.raises(UserError, match=r"3 groups.*--folds"):
        assign_folds(split, label, np.arange(40) % 3, 5, seed=0)


def test_too_few_rows_of_either_class_for_the_folds_are_a_user_error():
    split = np.array(["train"] * 6, dtype=object)
    with pytest.raises(UserError, match="Add rows"):
        assign_folds(split, np.array([0, 1] * 3), np.arange(6), 5, seed=0)


@pytest.mark.parametrize("count", [4, 14, 18])
def test_too_few_rows_to_monitor_are_a_user_error(count):
    label = np.arange(count) % 2
    with pytest.raises(UserError, match="Add rows"):
        plan_holdout(label, np.arange(count), np.ones(count, np.int16), seed=0)


def test_rows_to_fit_of_one_class_are_refused():
    with pytest.raises(UserError, match="one class"):
        plan_holdout(np.ones(40, np.int8), np.arange(40), np.ones(40, np.int16), seed=0)
