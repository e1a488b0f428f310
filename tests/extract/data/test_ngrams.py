"""Lexical embeddings: fitted on captions without labels, and independent of other captions."""

import inspect

import numpy as np
import pytest

from extract.data.ngrams import MAX_DIM, fit_lexical, load_lexical, save_lexical

WORDS = ["dogs", "cats", "bread", "rain", "monday", "coffee", "truck", "garden", "music"]
CAPTIONS = [
    " ".join(np.random.default_rng(number).choice(WORDS, 4, replace=False)) for number in range(40)
]
NEW = ["dogs drink coffee", "CAFÉ 😀 dog", "", "zzz"]


@pytest.fixture(scope="module")
def lexical():
    return fit_lexical(CAPTIONS, seed=0)


def test_captions_that_share_words_are_more_similar_than_others(lexical):
    dogs, cats, both, music = lexical.embed(["dogs", "cats", "dogs cats", "music"])
    assert both @ dogs > 3 * abs(both @ music)
    assert both @ cats > 3 * abs(both @ music)


def test_saved_encoder_is_loaded_bit_for_bit(lexical, tmp_path):
    save_lexical(lexical, tmp_path)
    loaded = load_lexical(tmp_path, "")
    for captions in (CAPTIONS, NEW):
        assert np.array_equal(loaded.embed(captions), lexical.embed(captions))
    assert loaded.dim == lexical.dim


def test_same_captions_and_seed_give_the_same_bits(lexical):
    assert np.array_equal(fit_lexical(CAPTIONS, seed=0).embed(NEW), lexical.embed(NEW))


def test_embedding_does_not_depend_on_other_captions(lexical):
    whole = lexical.embed(CAPTIONS + NEW)
    for index, caption in enumerate(CAPTIONS + NEW):
        assert np.array_equal(lexical.embed([caption])[0], whole[index])


def test_fitting_takes_no_labels():
    assert list(inspect.signature(fit_lexical).parameters) == ["captions", "seed"]


def test_caption_without_known_ngrams_is_embedded_as_zeros(lexical):
    found = lexical.embed(NEW)
    assert found.dtype == np.float32
    assert found.shape == (4, lexical.dim)
    assert found[0].any()
    assert not found[2:].any()


def test_ngram_in_only_two_captions_is_ignored(lexical):
    rare = fit_lexical([*CAPTIONS, "xylophone", "xylophone", "quartz", "quartz", "quartz"], 0)
    assert not rare.embed(["xylo"]).any()
    assert rare.embed(["quartz"]).any()


def test_width_is_limited_by_the_number_of_captions(lexical):
    assert lexical.dim == len(CAPTIONS) - 1
    many = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:2]]
    assert fit_lexical(many, 0).dim == MAX_DIM


@pytest.mark.parametrize(
    "captions",
    [
        [],
        [""] * 5,
        ["one", "one"],
        ["alpha", "bird", "colt", "dozen"],
        ["aqzb", "cqzd", "eqzf"],
    ],
    ids=["none", "empty", "two", "nothing in common", "one ngram"],
)
def test_captions_with_too_little_in_common_give_no_encoder(captions):
    assert fit_lexical(captions, seed=0) is None
