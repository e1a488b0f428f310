"""The built-in sample: composition, reproducibility, and no shortcut to the labels."""

import csv
import hashlib
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from extract.sample import MIN_MEMES, compose_memes, write_sample
from extract.sample.sample_captions import write_caption
from extract.sample.sample_pictures import SUBJECTS, draw_picture
from runtime.errors import UserError

MEMES = compose_memes(2000, seed=0)
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
    return write_sample(tmp_path_factory.mktemp("sample") / "new", MIN_MEMES, seed=3)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(folder, name):
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def best_accuracy(memes, observe):
    """Return the accuracy of the best rule that uses only `observe(meme)`."""
    labels = defaultdict(Counter)
    for meme in memes:
        labels[observe(meme)][meme.label] += 1
    return sum(max(counts.values()) for counts in labels.values()) / len(memes)


def families(memes):
    """Return one dict, kind -> meme, per family."""
    found = defaultdict(dict)
    for meme in memes:
        found[meme.family][meme.kind] = meme
    return found.values()


def test_tables_are_those_of_earlier_versions(tmp_path):
    folder = write_sample(tmp_path / "sample", memes=120, seed=0)
    tables = b"".join((folder / f"{split}.csv").read_bytes() for split in ("train", "val", "test"))
    expected = "e962c865f1ab301b5e7180a55869cfb65a953ad17eac13bf1a38619cb3a5153d"
    assert hashlib.sha256(tables).hexdigest() == expected


def test_bytes_depend_only_on_the_seed(folder, tmp_path):
    again = write_sample(tmp_path / "again", MIN_MEMES, seed=3)
    assert digests(again) == digests(folder)
    other = write_sample(tmp_path / "other", MIN_MEMES, seed=4)
    assert digests(other)["train.csv"] != digests(folder)["train.csv"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_has_the_documented_shares(split):
    memes = [meme for meme in MEMES if meme.split == split]
    kinds = Counter(meme.kind for meme in memes)
    assert {kind: count / len(memes) for kind, count in kinds.items()} == pytest.approx(SHARES)
    assert np.mean([meme.label for meme in memes]) == pytest.approx(0.35)


def test_families_are_within_one_split_and_share_no_caption_or_picture():
    for shared in ("family", "text", "picture"):
        owners = defaultdict(set)
        for meme in MEMES:
            owners[getattr(meme, shared)].add((meme.split, meme.family))
        assert all(len(owner) == 1 for owner in owners.values())


def test_confounders_share_the_caption_or_the_picture_and_are_not_hateful():
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


def test_image_confounder_has_the_same_image_file(folder):
    files = defaultdict(set)
    for meme in compose_memes(MIN_MEMES, seed=3):
        files[meme.picture].add((folder / "img" / f"{meme.id}.png").read_bytes())
    assert all(len(contents) == 1 for contents in files.values())
    assert len({next(iter(contents)) for contents in files.values()}) == len(files)


@pytest.mark.parametrize(
    "observe",
    [lambda meme: (meme.tone, meme.topic), lambda meme: meme.subject],
    ids=["caption", "picture"],
)
@pytest.mark.parametrize("split", SPLITS)
def test_one_modality_gains_at_most_ten_points_over_the_majority_class(split, observe):
    assert best_accuracy(SPLITS[split], observe) <= 0.65 + 0.10


def test_both_modalities_determine_the_label():
    assert best_accuracy(MEMES, lambda meme: (meme.tone, meme.polarity)) == 1.0


@pytest.mark.parametrize("subject", SUBJECT_NAMES)
def test_pictures_of_every_subject_vary(subject):
    first, second = (draw_picture(subject, np.random.default_rng(seed)) for seed in (1, 2))
    assert (first.mode, first.size) == ("RGB", (64, 64))
    assert first.tobytes() != second.tobytes()


def test_subjects_differ_on_the_same_background():
    drawn = [
        np.asarray(draw_picture(name, np.random.default_rng(7)), float) for name in SUBJECT_NAMES
    ]
    for i, one in enumerate(drawn):
        for other in drawn[i + 1 :]:
            assert np.abs(one - other).mean() > 5


@pytest.mark.parametrize("tone", ["praise", "denial", "insult", "chat"])
@pytest.mark.parametrize("topic", SUBJECTS)
def test_captions_have_no_unfilled_slot(tone, topic):
    rng = np.random.default_rng(0)
    captions = [write_caption(tone, topic, rng) for _ in range(200)]
    assert all(text.strip() == text and len(text.split()) > 3 for text in captions)
    assert not any("{" in text or "  " in text for text in captions)


@pytest.mark.parametrize("memes", [MIN_MEMES, 121, 137, 250])
def test_sample_has_the_requested_size_unique_ids_and_35_percent_positives(memes):
    found = compose_memes(memes, seed=1)
    assert sorted(meme.id for meme in found) == [f"{n:05d}" for n in range(1, memes + 1)]
    assert np.mean([meme.label for meme in found]) == pytest.approx(0.35, abs=0.02)


def test_too_few_memes_are_rejected():
    with pytest.raises(ValueError, match="at least 120"):
        compose_memes(MIN_MEMES - 1)


def test_id_order_reveals_neither_label_nor_family():
    labels = np.array([meme.label for meme in MEMES])
    assert abs(np.corrcoef(np.arange(len(labels)), labels)[0, 1]) < 0.1
    neighbours = sum(a.family == b.family for a, b in pairwise(MEMES))
    assert neighbours < 10


def test_files_are_complete_and_the_submission_is_in_another_order(folder):
    test_ids = [row["id"] for row in rows(folder, "test.csv")]
    requested = rows(folder, "sample_submission.csv")
    assert sorted(row["id"] for row in requested) == sorted(test_ids)
    assert [row["id"] for row in requested] != test_ids
    assert {row["label"] for row in requested} == {"0"}
    found = [row for name in ("train", "val", "test") for row in rows(folder, f"{name}.csv")]
    assert len(found) == MIN_MEMES == len(list((folder / "img").iterdir()))
    for row in found:
        assert row["text"] and row["label"] in {"0", "1"}
        with Image.open(folder / row["img"]) as picture:
            assert (picture.mode, picture.size) == ("RGB", (64, 64))


def test_nonempty_folder_is_not_changed(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not an empty folder"):
        write_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
