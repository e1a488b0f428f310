"""The sample is the same in any order and in any parts, without copies, and bounded."""

import numpy as np
import pytest

from runtime.errors import UserError
from serve.drift import meme_sample
from serve.drift.meme_sample import MemeSample


def sample_of(*parts):
    sample = MemeSample()
    for keys in parts:
        sample.add(keys, np.column_stack([keys % 7] * 4).astype(float))
    return sample


def test_parts_order_and_repetitions_change_nothing(monkeypatch):
    monkeypatch.setattr(meme_sample, "MAX_MEMES", 50)
    keys = np.random.default_rng(0).integers(0, 2**64, 300, np.uint64)
    whole = sample_of(keys)
    parts = sample_of(keys[200:], keys[:90], keys[80:210], keys[:90])
    assert len(whole) == 50
    np.testing.assert_array_equal(parts.keys, whole.keys)
    np.testing.assert_array_equal(parts.quantities, whole.quantities)
    np.testing.assert_array_equal(whole.quantities[:, 0], whole.keys % 7)


def test_saved_sample_is_read_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "sample.npz"
    sample_of(np.array([3, 1, 3], np.uint64)).save(path)
    assert MemeSample.load(path, "").keys.tolist() == [1, 3]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"damaged.* Delete it$"):
        MemeSample.load(path, "Delete it")
