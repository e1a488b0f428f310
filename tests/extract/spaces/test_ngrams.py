"""What captions' letters say depends on the captions learnt from and on nothing else."""

import inspect

import numpy as np
import pytest

from extract.spaces.ngrams import DIM, fit_lexical, load_lexical, save_lexical

WORDS = ["dogs", "cats", "bread", "rain", "monday", "coffee", "truck", "garden", "music"]
CAPTIONS = [
    " ".join(np.random.default_rng(number).choice(WORDS, 4, replace=False)) for number in range(40)
]
NEW = ["dogs drink coffee", "CAFÉ 😀 dog", "", "zzz"]


@pytest.fixture(scope="module")
def lexical():
    return fit_lexical(CAPTIONS, seed=0)


def test_captions_that_share_words_are_nearer_than_others(lexical):
    dogs, cats, both, music = lexical.embed(["dogs", "cats", "dogs cats", "music"])
    assert both @ dogs > 3 * abs(both @ music)
    assert both @ cats > 3 * abs(both @ music)


def test_it_comes_back_from_disk_with_the_same_bits(lexical, tmp_path):
    save_lexical(lexical, tmp_path)
    again = load_lexical(tmp_path)
    for captions in (CAPTIONS, NEW):
        assert np.array_equal(again.embed(captions), lexical.embed(captions))
    assert again.dim == lexical.dim


def test_the_same_captions_and_seed_give_the_same_bits(lexical):
    assert np.array_equal(fit_lexical(CAPTIONS, seed=0).embed(NEW), lexical.embed(NEW))


def test_an_embedding_does_not_depend_on_its_company(lexical):
    whole = lexical.embed(CAPTIONS + NEW)
    for place, caption in enumerate(CAPTIONS + NEW):
        assert np.array_equal(lexical.embed([caption])[0], whole[place])


def test_there_is_no_way_in_for_labels():
    assert list(inspect.signature(fit_lexical).parameters) == ["captions", "seed"]


def test_what_is_unknown_says_nothing_and_is_no_stumbling_block(lexical):
    found = lexical.embed(NEW)
    assert found.dtype == np.float32
    assert found.shape == (4, lexical.dim)
    assert found[0].any()
    assert not found[2:].any()


def test_an_ngram_of_two_captions_only_is_not_learnt(lexical):
    rare = fit_lexical([*CAPTIONS, "xylophone", "xylophone", "quartz", "quartz", "quartz"], 0)
    assert not rare.embed(["xylo"]).any()
    assert rare.embed(["quartz"]).any()


def test_an_embedding_is_no_wider_than_the_captions_can_tell(lexical):
    assert lexical.dim == len(CAPTIONS) - 1
    many = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:2]]
    assert fit_lexical(many, 0).dim == DIM


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
def test_captions_with_too_little_in_common_are_not_learnt_from(captions):
    assert fit_lexical(captions, seed=0) is None
