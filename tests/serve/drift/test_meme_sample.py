"""The sample is the same in any order and in any parts, without copies, and bounded."""

import numpy as np
import pytest

from runtime.errors import UserError
from serve.drift import meme_sample
from serve.drift.meme_quantities import caption_keys, one_per_caption
from serve.drift.meme_sample import MemeSample


def sample_of(*parts):
    sample = MemeSample()
    for keys in parts:
        sample.add(keys, keys // 2, np.column_stack([keys % 7] * 4).astype(float))
    return sample


def test_parts_order_and_repetitions_change_nothing(monkeypatch):
    monkeypatch.setattr(meme_sample, "MAX_MEMES", 50)
    keys = np.random.default_rng(0).integers(0, 2**64, 300, np.uint64)
    whole = sample_of(keys)
    parts = sample_of(keys[200:], keys[:90], keys[80:210], keys[:90])
    assert len(whole.keys) == 50
    np.testing.assert_array_equal(parts.keys, whole.keys)
    np.testing.assert_array_equal(parts.quantities, whole.quantities)
    np.testing.assert_array_equal(whole.quantities[:, 0], whole.keys % 7)
    np.testing.assert_array_equal(whole.captions, whole.keys // 2)


def test_equal_captions_count_once_unless_they_are_a_placeholder():
    captions = np.repeat(np.arange(100, dtype=np.uint64), [30, *[2] * 99])
    np.testing.assert_array_equal(one_per_caption(captions), [*range(30), *range(30, 228, 2)])
    assert len(one_per_caption(np.zeros(19, np.uint64))) == 1


def test_captions_are_equal_by_their_words_and_memes_without_words_by_their_key():
    keys = np.arange(5, dtype=np.uint64)
    found = caption_keys(["Some  words!", "some words", "some word", "", "..."], keys)
    assert found[0] == found[1] != found[2]
    assert found[3:].tolist() == [3, 4]


def test_saved_sample_is_read_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "sample.npz"
    sample_of(np.array([3, 1, 3], np.uint64)).save(path)
    assert MemeSample.load(path, "").keys.tolist() == [1, 3]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"damaged.* Delete it$"):
        MemeSample.load(path, "Delete it")
