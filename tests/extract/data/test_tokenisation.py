"""Tokenisation, padding and training batches."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, processors

from extract.data.batches import training_batches
from extract.data.tokenisation import Captions, padded_length, tokenise
from extract.towers.bundled_weights import load_bundled_text


@pytest.fixture
def tokenizer(make_tokenizer):
    return make_tokenizer()


class RecordingTokenizer:
    """Wraps a tokenizer and records the captions that it encodes."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.encoded = []

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def encode_batch(self, captions):
        self.encoded += captions
        return self.tokenizer.encode_batch(captions)


def make_batches(count, batch_size, seed=0, longest=60):
    lengths = np.random.default_rng(9).integers(3, longest, 2 * count)
    rows = np.arange(count) * 2
    rng = np.random.default_rng(seed)
    return rows, lengths, training_batches(rows, lengths, batch_size, rng)


def test_repeated_caption_is_tokenised_once(tokenizer):
    recording = RecordingTokenizer(tokenizer)
    captions = tokenise(["ab", "c", "ab"], recording, 32, 0)
    assert recording.encoded == ["ab", "c"]
    assert captions.index.tolist() == [0, 1, 0]
    expected = ["[CLS]", "a", "##b", "[SEP]"]
    assert captions.tokens[0].tolist() == [tokenizer.token_to_id(token) for token in expected]
    assert captions.lengths().tolist() == [4, 3]


def test_padding_and_truncation_of_the_tokenizer_are_overridden(tokenizer):
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(128)
    captions = tokenise(["a", "a" * 99 + " " + "b " * 99], tokenizer, 200, 0)
    assert captions.lengths().tolist() == [3, 200]


def test_truncated_captions_are_counted_and_end_with_the_end_token(tokenizer):
    captions = tokenise(["a b c", "a b c d", "a b c d e f g"], tokenizer, 5, 0)
    assert captions.truncated == 2
    assert captions.lengths().tolist() == [5, 5, 5]
    assert {tokens[-1] for tokens in captions.tokens} == {tokenizer.token_to_id("[SEP]")}


def test_empty_caption_has_special_tokens(tokenizer):
    assert tokenise([""], tokenizer, 32, 0).lengths().tolist() == [2]


def test_padding_uses_pad_id_and_is_masked(make_inputs):
    captions = Captions(
        [np.array([5, 6, 7]), np.array([8])], np.array([0, 1]), pad_id=9, truncated=0
    )
    ids, mask = captions.padded_batch(np.array([1, 0]))
    assert ids.tolist() == [[8, 9, 9, 9, 9, 9, 9, 9], [5, 6, 7, 9, 9, 9, 9, 9]]
    assert mask.tolist() == [[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64


@pytest.mark.parametrize(("length", "padded"), [(1, 8), (8, 8), (9, 16), (128, 128)])
def test_padded_length_rounds_up_to_a_multiple(length, padded):
    assert padded_length(length) == padded


def test_inputs_return_the_picture_and_caption_of_each_row(make_inputs):
    inputs = make_inputs([0, 1, 0])
    inputs.pictures.index[:] = [2, 2, 0]
    rows = np.array([2, 0])
    assert (inputs.pixels(rows).numpy() == inputs.pictures.pixels[[0, 2]]).all()
    ids, mask = inputs.tokens(rows)
    assert ids[1, : mask[1].sum()].tolist() == inputs.captions.tokens[0].tolist()


# 513 and 65 rows leave a single last row, after many and after few batches.
@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 65, 512, 513, 1000])
def test_batches_contain_every_row_once_and_have_at_least_two(count):
    rows, _, batches = make_batches(count, 32)
    assert sorted(np.concatenate(batches)) == rows.tolist()
    assert min(map(len, batches)) >= min(count, 2)
    assert max(map(len, batches)) <= 33


def test_captions_in_a_batch_have_similar_lengths():
    _, lengths, batches = make_batches(512, 32)
    assert max(np.ptp(lengths[batch]) for batch in batches) <= 10


def test_batches_are_not_sorted_by_length():
    _, lengths, batches = make_batches(512, 32)
    means = [lengths[batch].mean() for batch in batches]
    assert means != sorted(means)


def test_batches_depend_only_on_the_seed():
    first, again, other = (make_batches(200, 32, seed)[2] for seed in (1, 1, 2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in other]


def test_share_of_unknown_tokens_is_counted():
    tokenizer = load_bundled_text("mean").tokenizer
    assert tokenise(["a plain caption", "another"], tokenizer, 32, 0).unknown == 0
    assert tokenise(["\u6211\u8ba8\u538c\u4f60"], tokenizer, 32, 0).unknown > 0.2
    assert tokenise(["\U0001f917", "words"], tokenizer, 32, 0).unknown == 0.5


def test_token_that_ends_captions_of_clip_is_not_unknown():
    """CLIP's tokenizer names one token for both, though it knows all bytes."""
    end = "<|endoftext|>"
    tokenizer = Tokenizer(models.BPE({end: 0, "a": 1}, [], unk_token=end))
    tokenizer.add_special_tokens([end])
    template = {"single": f"$A {end}", "special_tokens": [(end, 0)]}
    tokenizer.post_processor = processors.TemplateProcessing(**template)
    captions = tokenise(["a", "aa"], tokenizer, 8, 0)
    assert [tokens.tolist() for tokens in captions.tokens] == [[1, 0], [1, 1, 0]]
    assert captions.unknown == 0
