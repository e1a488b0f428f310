"""The sample imitates Hateful Memes: what it promises, and what it must not give away."""

import csv
import hashlib
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from extract.sample import FEWEST, compose, write_sample
from extract.sample.sample_captions import TONES, write
from extract.sample.sample_pictures import SUBJECTS, draw
from runtime.errors import UserError

MEMES = compose(2000, seed=0)
SPLITS = {split: [meme for meme in MEMES if meme.split == split] for split in ("train", "test")}
SUBJECT_NAMES = [name for sides in SUBJECTS.values() for names in sides.values() for name in names]
SHARES = {
    "multimodal": 0.30,
    "unimodal": 0.05,
    "text confounder": 0.25,
    "image confounder": 0.25,
    "random": 0.15,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample") / "new", FEWEST, seed=3)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(folder, name):
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def best_share(memes, seen):
    """Accuracy of the best rule that knows only what `seen` tells of a meme."""
    labels = defaultdict(Counter)
    for meme in memes:
        labels[seen(meme)][meme.label] += 1
    return sum(max(counts.values()) for counts in labels.values()) / len(memes)


def families(memes):
    found = defaultdict(dict)
    for meme in memes:
        found[meme.family][meme.kind] = meme
    return found.values()


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(folder, tmp_path):
    again = write_sample(tmp_path / "again", FEWEST, seed=3)
    assert digests(again) == digests(folder)
    other = write_sample(tmp_path / "other", FEWEST, seed=4)
    assert digests(other)["train.csv"] != digests(folder)["train.csv"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_has_the_promised_shares(split):
    memes = [meme for meme in MEMES if meme.split == split]
    kinds = Counter(meme.kind for meme in memes)
    assert {kind: count / len(memes) for kind, count in kinds.items()} == pytest.approx(SHARES)
    assert np.mean([meme.label for meme in memes]) == pytest.approx(0.35)


def test_families_never_straddle_splits_and_share_no_caption_or_picture():
    for shared in ("family", "text", "picture"):
        homes = defaultdict(set)
        for meme in MEMES:
            homes[getattr(meme, shared)].add((meme.split, meme.family))
        assert all(len(home) == 1 for home in homes.values())


def test_confounders_share_the_caption_or_the_picture_and_are_nice():
    pairs = Counter()
    for family in families(MEMES):
        positive = family.get("multimodal")
        for kind in ("text confounder", "image confounder"):
            if kind not in family:
                continue
            pairs[kind] += 1
            other = family[kind]
            by_text = kind == "text confounder"
            assert (positive.label, other.label) == (1, 0)
            assert (other.text == positive.text) is by_text
            assert (other.picture == positive.picture) is not by_text
            assert (other.polarity == positive.polarity) is not by_text
            assert (other.tone == positive.tone) is by_text
            assert other.topic == positive.topic
    assert pairs == {"text confounder": 500, "image confounder": 500}


def test_an_image_confounder_repeats_the_file_of_its_picture(folder):
    files = defaultdict(set)
    for meme in compose(FEWEST, seed=3):
        files[meme.picture].add((folder / "img" / f"{meme.id}.png").read_bytes())
    assert all(len(contents) == 1 for contents in files.values())
    assert len({next(iter(contents)) for contents in files.values()}) == len(files)


@pytest.mark.parametrize(
    "seen",
    [lambda meme: (meme.tone, meme.topic), lambda meme: meme.subject],
    ids=["caption", "picture"],
)
@pytest.mark.parametrize("split", SPLITS)
def test_one_modality_alone_gains_at_most_ten_points_over_the_majority(split, seen):
    assert best_share(SPLITS[split], seen) <= 0.65 + 0.10


def test_both_modalities_together_determine_the_label():
    assert best_share(MEMES, lambda meme: (meme.tone, meme.polarity)) == 1.0


@pytest.mark.parametrize("subject", SUBJECT_NAMES)
def test_every_subject_draws_and_varies(subject):
    first, second = (draw(subject, np.random.default_rng(seed)) for seed in (1, 2))
    assert (first.mode, first.size) == ("RGB", (64, 64))
    assert first.tobytes() != second.tobytes()


def test_subjects_differ_from_each_other_on_the_same_background():
    drawn = [np.asarray(draw(name, np.random.default_rng(7)), float) for name in SUBJECT_NAMES]
    for i, one in enumerate(drawn):
        for other in drawn[i + 1 :]:
            assert np.abs(one - other).mean() > 5


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("topic", SUBJECTS)
def test_captions_have_no_slot_left_open(tone, topic):
    rng = np.random.default_rng(0)
    captions = [write(tone, topic, rng) for _ in range(200)]
    assert all(text.strip() == text and len(text.split()) > 3 for text in captions)
    assert not any("{" in text or "  " in text for text in captions)


@pytest.mark.parametrize("memes", [FEWEST, 121, 137, 250])
def test_sizes_hold_exactly_with_ids_unique_and_labels_near_35_percent(memes):
    found = compose(memes, seed=1)
    assert sorted(meme.id for meme in found) == [f"{n:05d}" for n in range(1, memes + 1)]
    assert np.mean([meme.label for meme in found]) == pytest.approx(0.35, abs=0.02)


def test_fewer_memes_than_a_balanced_split_needs_are_refused():
    with pytest.raises(ValueError, match="at least 120"):
        compose(FEWEST - 1)


def test_id_order_tells_neither_label_nor_family():
    labels = np.array([meme.label for meme in MEMES])
    assert abs(np.corrcoef(np.arange(len(labels)), labels)[0, 1]) < 0.1
    neighbours = sum(a.family == b.family for a, b in pairwise(MEMES))
    assert neighbours < 10


def test_files_are_whole_and_the_submission_has_an_order_of_its_own(folder):
    test_ids = [row["id"] for row in rows(folder, "test.csv")]
    asked = rows(folder, "sample_submission.csv")
    assert sorted(row["id"] for row in asked) == sorted(test_ids)
    assert [row["id"] for row in asked] != test_ids
    assert {row["label"] for row in asked} == {"0"}
    found = [row for name in ("train", "val", "test") for row in rows(folder, f"{name}.csv")]
    assert len(found) == FEWEST == len(list((folder / "img").iterdir()))
    for row in found:
        assert row["text"] and row["label"] in {"0", "1"}
        with Image.open(folder / row["img"]) as picture:
            assert (picture.mode, picture.size) == ("RGB", (64, 64))


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not an empty folder"):
        write_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
