"""Count the tokens of captions, and those that the tokenizer does not know. Without torch."""

import numpy as np
from tokenizers import Encoding, Tokenizer


def unknown_token(tokenizer: Tokenizer) -> str | None:
    """Return the token that stands for what a tokenizer does not know; None if it knows all."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    # CLIP's knows all bytes. It names the token that ends each caption as its unknown one.
    if unknown is None or unknown in tokenizer.encode("").tokens:
        return None
    return unknown


def own_tokens(encoded: Encoding, unknown: str | None) -> list[str]:
    """Return the tokens of a caption, without those that a tokenizer adds to every caption."""
    both = zip(encoded.tokens, encoded.special_tokens_mask, strict=True)
    return [token for token, special in both if not special or token == unknown]


def token_counts(captions: list[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of tokens of each caption and of unknown ones among them: int64 (N,) each.

    Captions are truncated only if the tokenizer is set to that.
    """
    unknown = unknown_token(tokenizer)
    tokens = [own_tokens(one, unknown) for one in tokenizer.encode_batch(captions)]
    lengths = np.array([len(own) for own in tokens], dtype=np.int64)
    return lengths, np.array([own.count(unknown) for own in tokens], dtype=np.int64)
