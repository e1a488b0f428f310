"""Tokens of a caption: without those that frame every caption, but with unknown ones."""

from extract.data.token_counts import token_counts, unknown_token


def test_lengths_and_unknown_tokens(make_tokenizer):
    lengths, unknown = token_counts(["ab \u0416 \u4e2d", "", "x"], make_tokenizer())
    assert lengths.tolist() == [4, 0, 1] and unknown.tolist() == [2, 0, 0]


def test_a_tokenizer_that_ends_captions_with_its_unknown_token_knows_all(make_tokenizer):
    tokenizer = make_tokenizer()
    assert unknown_token(tokenizer) == "[UNK]"
    tokenizer.model.unk_token = "[SEP]"
    assert unknown_token(tokenizer) is None
    assert token_counts(["ab"], tokenizer)[1].tolist() == [0]
