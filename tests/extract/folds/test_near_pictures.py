"""Connected hashes: as if all pairs were compared, and templates are not compared pair by pair."""

import numpy as np
import pytest
from brute_force import by_first_appearance, components, distances
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.folds import bucket_links, near_pictures
from extract.folds.near_pictures import HASH_RADIUS, common_hashes, connect_hashes


def connected(hashes):
    return by_first_appearance(connect_hashes(np.array(hashes, dtype=np.uint64)))


def flip(hashes, count, rng):
    """Change `count` random bits of each hash."""
    bits = np.argsort(rng.random((len(hashes), 64)), axis=1)[:, :count].astype(np.uint64)
    return hashes ^ np.bitwise_or.reduce(np.uint64(1) << bits, axis=1)


def made_up_hashes(rng, count=600):
    """A template with many edits, pairs at distance 7 to 10, and unrelated hashes."""
    one, *others = rng.integers(0, 2**64, count, dtype=np.uint64)
    template = [flip(np.repeat(one, 60), edits, rng) for edits in range(0, 12, 2)]
    others = np.array(others)
    pairs = [flip(others[:50], distance, rng) for distance in (7, 8, 9, 10)]
    return np.unique(np.concatenate([*template, *pairs, others]))


@pytest.mark.parametrize("large", [1, 16, 256])
def test_components_are_those_of_all_pairs(monkeypatch, large):
    monkeypatch.setattr(bucket_links, "LARGE_BUCKET", large)
    monkeypatch.setattr(bucket_links, "PAIRS_AT_A_TIME", 500)
    hashes = made_up_hashes(np.random.default_rng(0))
    expected = components(distances(hashes) <= HASH_RADIUS)
    assert connected(hashes) == expected
    assert len(set(expected)) < len(hashes) - 300


@pytest.mark.parametrize(("distance", "linked"), [(1, True), (8, True), (9, False), (64, False)])
def test_hashes_are_linked_up_to_eight_bits_wherever_these_are(distance, linked):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 200, dtype=np.uint64)
    found = connect_hashes(np.concatenate([hashes, flip(hashes, distance, rng)]))
    assert np.array_equal(found[:200], found[200:]) == linked
    assert len(np.unique(found)) == (200 if linked else 400)


def test_no_hash_and_one_hash():
    assert connected([]) == []
    assert connected([5]) == [0]


def test_bits_that_are_equal_in_all_hashes_do_not_hide_links():
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**24, 300, dtype=np.uint64) << np.uint64(20))
    assert connected(hashes) == components(distances(hashes) <= HASH_RADIUS)


def test_a_template_of_many_memes_is_not_compared_pair_by_pair(monkeypatch):
    rng = np.random.default_rng(0)
    hashes = np.unique(flip(np.zeros(4000, dtype=np.uint64), 4, rng))
    compared = []
    similar = bucket_links.Entries.similar

    def counted(self, one, other):
        compared.append(np.broadcast(one, other).size)
        return similar(self, one, other)

    monkeypatch.setattr(bucket_links.Entries, "similar", counted)
    assert len(np.unique(connect_hashes(hashes))) == 1
    assert sum(compared) < len(hashes) ** 2 / 10


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=12),
    st.integers(0, 2**32),
    st.sampled_from([1, 4, 256]),
)
def test_any_hashes_are_connected_as_by_all_pairs(centres, seed, large):
    rng = np.random.default_rng(seed)
    hashes = np.array(centres, dtype=np.uint64)
    near = [flip(hashes, distance, rng) for distance in (3, 8, 9)] if centres else []
    hashes = np.unique(np.concatenate([hashes, *near]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_links, "LARGE_BUCKET", large)
        assert connected(hashes) == components(distances(hashes) <= HASH_RADIUS)


@pytest.mark.parametrize("rows", [300, 5000])
def test_common_hashes_are_those_of_all_rows(monkeypatch, rows):
    monkeypatch.setattr(near_pictures, "FIRST_SAMPLE", 1000)
    rng = np.random.default_rng(0)
    hashes = made_up_hashes(rng)
    index = rng.choice(len(hashes), rows, p=rng.dirichlet(np.full(len(hashes), 0.2)))
    near = (distances(hashes) <= HASH_RADIUS) @ np.bincount(index, minlength=len(hashes))
    for limit in np.quantile(near, [0.5, 0.9, 0.99, 1]):
        assert np.array_equal(common_hashes(hashes, index, limit), near >= limit)


def test_few_hashes_are_compared_with_all_rows(monkeypatch):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    counted = []
    count_near = near_pictures._count_near
    monkeypatch.setattr(
        near_pictures,
        "_count_near",
        lambda some, others: counted.append(len(some) * len(others)) or count_near(some, others),
    )
    assert not common_hashes(hashes, np.arange(20_000), 1000).any()
    assert sum(counted) < 20_000 * 3000
