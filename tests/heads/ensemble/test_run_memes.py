"""memes.jsonl: captions with line separators, and files of other data."""

import json

import numpy as np
import pytest

from heads.ensemble.run_memes import Meme, read_memes
from runtime.errors import UserError

MEMES = [Meme("a", "train", "one\u2028two\x85three", "/a.png", ""), Meme("b", "test", "", "", "de")]


@pytest.fixture
def path(tmp_path):
    lines = [json.dumps(meme.__dict__, ensure_ascii=False) for meme in MEMES]
    path = tmp_path / "memes.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_line_separators_in_captions_end_no_line(path):
    assert read_memes(path) == read_memes(path, np.array(["a", "b"], dtype=object)) == MEMES


def test_other_ids_are_refused(path):
    with pytest.raises(UserError, match=r"does not list the same memes as features\.h5\. Delete"):
        read_memes(path, np.array(["b", "a"], dtype=object))
