"""Connected captions: as if all pairs were compared, and phrases are not compared pair by pair."""

import numpy as np
import pytest
from brute_force import by_first_appearance, components, overlaps
from hypothesis import given
from hypothesis import strategies as st

from extract.folds import bucket_links, near_captions
from extract.folds.near_captions import CAPTION_OVERLAP, connect_captions


def connected(captions):
    return by_first_appearance(connect_captions(captions))


def made_up_captions(rng, count=250):
    """Random words, edited copies, a phrase in a fifth of all, and short captions."""
    words = [f"w{n}" for n in range(60)]
    captions = []
    for number in range(count):
        drawn = list(rng.choice(words, rng.integers(1, 14)))
        if number % 5 == 0:
            drawn = ["when", "you", "see", "the", *drawn[: rng.integers(1, 5)]]
        elif number % 5 == 1:
            drawn = captions[rng.integers(len(captions))].split()
            drawn[rng.integers(len(drawn))] = rng.choice(words)
        captions.append(" ".join(drawn))
    return list(dict.fromkeys(captions))


@pytest.mark.parametrize("large", [1, 16, 256])
def test_components_are_those_of_all_pairs(monkeypatch, large):
    monkeypatch.setattr(bucket_links, "LARGE_BUCKET", large)
    monkeypatch.setattr(bucket_links, "PAIRS_AT_A_TIME", 500)
    monkeypatch.setattr(near_captions, "ENTRIES_AT_A_TIME", 50)
    monkeypatch.setattr(near_captions, "VERIFIED_AT_A_TIME", 7)
    captions = made_up_captions(np.random.default_rng(0))
    expected = components(overlaps(captions) >= CAPTION_OVERLAP)
    assert connected(captions) == expected
    assert len(set(expected)) < len(captions) - 30


# Captions of a and b word pairs with c in common: c / (a + b - c) is exactly 0.6 or just below.
@pytest.mark.parametrize(
    ("a", "b", "c", "linked"),
    [(4, 4, 3, True), (3, 5, 3, True), (30, 50, 30, True), (29, 50, 29, False),
     (8, 8, 6, True), (12, 20, 12, True), (9, 8, 6, False), (60, 100, 60, True),
     (80, 80, 60, True), (80, 80, 59, False), (1, 1, 0, False)],
)  # fmt: skip
@pytest.mark.parametrize("large", [1, 256])
def test_captions_are_linked_from_exactly_six_tenths(monkeypatch, a, b, c, linked, large):
    monkeypatch.setattr(bucket_links, "LARGE_BUCKET", large)
    one = [f"x{n}" for n in range(a + 1)]
    other = [*one[: c + 1], *(f"y{n}" for n in range(b - c))]
    # Others make the common word pairs frequent, or the different ones.
    for rest in ([], one[: c + 1], other[c:]):
        rest = [" ".join([*rest, *(f"{n}_{m}" for m in range(500))]) for n in range(3)]
        for pair in ([one, other], [other, one]):
            assert (connected([*map(" ".join, pair), *rest])[1] == 0) == linked


def test_captions_without_two_words_are_linked_to_none():
    assert connected(["", "word", "two words", "other"]) == [0, 1, 2, 3]
    assert connected(["", "word"]) == [0, 1]
    assert connected([]) == []


@pytest.mark.parametrize("added", [1, 2])
def test_a_phrase_of_many_captions_is_not_compared_pair_by_pair(monkeypatch, added):
    """With one word added, all are near-duplicates; with two, none are."""
    captions = [
        " ".join(["when you see the", *(f"{n}_{m}" for m in range(added))]) for n in range(3000)
    ]
    compared = []
    similar = bucket_links.Entries.similar

    def counted(self, one, other):
        compared.append(np.broadcast(one, other).size)
        return similar(self, one, other)

    monkeypatch.setattr(bucket_links.Entries, "similar", counted)
    assert len(set(connected(captions))) == (1 if added == 1 else 3000)
    assert sum(compared) < 3000**2 / 100


@given(st.lists(st.text("abcd ", max_size=24), max_size=14), st.sampled_from([1, 4, 256]))
def test_any_captions_are_connected_as_by_all_pairs(texts, large):
    captions = list(dict.fromkeys(" ".join(" ".join(text).split()) for text in texts))
    near = overlaps(captions) >= CAPTION_OVERLAP
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_links, "LARGE_BUCKET", large)
        assert connected(captions) == (components(near) if captions else [])
