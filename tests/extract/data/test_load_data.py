"""What is said about captions that the tokenizer does not know."""

import pytest

from extract.data.load_data import _unknown_tokens


@pytest.mark.parametrize(
    ("caption", "script"),
    [("我讨厌学校", "CJK"), ("🤮🔥👍🏽", "emoji"), ("сильно", "CYRILLIC"), ("abc", "no letters")],
)
def test_script_that_the_tokenizer_does_not_know_is_named(caption, script):
    message = _unknown_tokens(0.88, [caption, "plain"])
    assert (
        f"88% of the tokens in captions are unknown to this tokenizer (mostly {script})" in message
    )
    assert "--text-weights" in message and "xlm-roberta-base" in message
